# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The Bedrock family: what boto3's `bedrock-runtime` and `bedrock` clients send.

Callers sign their requests (SigV4) or send a bearer key. A model's id is one percent-encoded
segment of the path; the ARN that the model list shows is understood too.
"""

import re
from collections.abc import Iterable
from functools import partial
from typing import Final
from urllib.parse import unquote

from bastide.core.errors import Misconfigured, NotFound
from bastide.core.snapshot import Served
from bastide.crypto.sigv4 import Claim, read_claim
from bastide.dialects import bedrock_converse, bedrock_errors, bedrock_invoke, bedrock_models
from bastide.dialects.eventstream import AMAZON_EVENT_STREAM
from bastide.dialects.surface import Asked, Headers, Problem, Refusal, Route, bearer

__all__ = ["BEDROCK", "Bedrock"]

_READ: Final = ("GET", "HEAD")
_ALL: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_SERVICES: Final = ("bedrock", "bedrock-mantle")
_ID_LENGTH_MAX: Final = 2_048
_ARN = re.compile(r"arn:[^:]*:bedrock:[^:]*:[^:]*:foundation-model/(?P<name>.+)", re.DOTALL)
_CALL = re.compile(r"/model/([^/]+)/([a-z-]+)")
_ONE = re.compile(r"/foundation-models/([^/]+)")
_GUARDRAIL = re.compile(r"/guardrail/[^/]+/version/[^/]+/apply")


class Bedrock:
    """See `Family` and `SignedFamily`."""

    name = "bedrock"

    def route(self, path: str, query: str, headers: Headers) -> Route | None:
        """Find a route. Whatever else is signed for this service is refused in its words."""
        if found := _CALL.fullmatch(path):
            return _call(_name(found[1]), found[2], headers)
        if path == "/foundation-models":
            return Route(_READ, listing=partial(_list, query=query))
        if found := _ONE.fullmatch(path):
            return Route(_READ, model=_name(found[1]), single=bedrock_models.encode_model)
        if _GUARDRAIL.fullmatch(path):
            return Route(("POST",), partial(_refuse, operation="ApplyGuardrail"))
        authorization = headers.get(b"authorization", b"")
        if authorization.startswith(b"AWS4-") and b"/bedrock" in authorization:
            return Route(_ALL, partial(_unknown, path=path))
        return None

    def key(self, query: str, headers: Headers) -> str | None:
        """The bearer token, for callers that do not sign."""
        return bearer(headers)

    def signature(self, query: str, headers: Headers) -> Claim | None:
        """The claim of a signed request. Raises NotProven."""
        return read_claim(headers, _SERVICES)

    def refusal(self, problem: Problem, ident: str) -> Refusal:
        """``{"message"}`` and the header ``x-amzn-ErrorType``."""
        return bedrock_errors.refuse(problem)

    def event(self, problem: Problem, ident: str) -> bytes:
        """An exception frame."""
        return bedrock_errors.encode_exception(problem)


def _call(model: str, verb: str, headers: Headers) -> Route | None:
    match verb:
        case "converse" | "converse-stream":
            decode = partial(bedrock_converse.decode, model=model, stream=verb != "converse")
            return Route(("POST",), decode, bedrock_converse.ConverseWriter, AMAZON_EVENT_STREAM)
        case "invoke" | "invoke-with-response-stream":
            decode = partial(
                bedrock_invoke.decode, model=model, stream=verb != "invoke", headers=headers
            )
            return Route(("POST",), decode, bedrock_invoke.InvokeWriter, AMAZON_EVENT_STREAM)
        case "count-tokens":
            return Route(("POST",), partial(_refuse, operation="CountTokens"))
        case "invoke-with-bidirectional-stream":
            return Route(
                ("POST",), partial(_refuse, operation="InvokeModelWithBidirectionalStream")
            )
    return None


def _name(segment: str) -> str:
    text = unquote(segment)
    found = _ARN.fullmatch(text)
    return found["name"] if found else text[:_ID_LENGTH_MAX]


def _list(served: Iterable[Served], environment: str, *, query: str) -> bytes:
    return bedrock_models.encode_models(served, environment, query)


def _refuse(body: bytes, ident: str, *, operation: str) -> Asked:
    raise Misconfigured(f"{operation} is not supported here.", reasons=[operation])


def _unknown(body: bytes, ident: str, *, path: str) -> Asked:
    raise NotFound(f"There is no operation at {path[:100]} here.")


BEDROCK: Final = Bedrock()
