# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Bedrock's errors: a header names the exception, the body is ``{"message"}``.

AWS clients pick their exception by ``x-amzn-ErrorType``, and try again only after 429 and 5xx.
A bad key or signature is 403, as AWS states it, never 401.
"""

from math import ceil
from typing import Final

import msgspec

from bastide.dialects.eventstream import encode_frame, exception_headers
from bastide.dialects.surface import Problem, Refusal

__all__ = ["encode_exception", "refuse"]

_BY_STATUS: Final = {
    401: (403, "UnrecognizedClientException"),
    403: (403, "AccessDeniedException"),
    404: (404, "ResourceNotFoundException"),
    405: (405, "UnknownOperationException"),
    408: (408, "ModelTimeoutException"),
    424: (424, "ModelErrorException"),
    429: (429, "ThrottlingException"),
    503: (503, "ServiceUnavailableException"),
}
# What the status does not say. Spent quota is 400 there, so that clients do not try again.
_BY_CODE: Final = {
    "invalid_signature": (403, "InvalidSignatureException"),
    "request_timeout": (408, "RequestTimeoutException"),
    "model_not_ready": (429, "ModelNotReadyException"),
    "insufficient_quota": (400, "ServiceQuotaExceededException"),
}
_WHO: Final = (
    "The security token included in the request is invalid: no active access key id or API key of"
    " this environment. `bastide key new --json` shows both forms of a key."
)
_encode = msgspec.json.Encoder().encode


def refuse(problem: Problem) -> Refusal:
    """An error response."""
    status, name = _named(problem)
    headers: tuple[tuple[str, str], ...] = (("x-amzn-ErrorType", name),)
    if status in (429, 503):
        # In milliseconds; botocore reads no other.
        headers += (("x-amz-retry-after", str(max(1, ceil(1000 * problem.retry_after_s)))),)
    return Refusal(status, _body(problem), headers)


def encode_exception(problem: Problem) -> bytes:
    """The frame that ends a stream which fails."""
    _, name = _named(problem)
    return encode_frame(exception_headers(name[0].lower() + name[1:]), _body(problem))


def _named(problem: Problem) -> tuple[int, str]:
    if problem.code in _BY_CODE:
        return _BY_CODE[problem.code]
    default = (500, "InternalServerException") if problem.status >= 500 else (400, _VALIDATION)
    return _BY_STATUS.get(problem.status, default)


_VALIDATION: Final = "ValidationException"


def _body(problem: Problem) -> bytes:
    return _encode({"message": _WHO if problem.status == 401 else problem.message})
