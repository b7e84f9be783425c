# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The Bedrock family: what boto3's `bedrock-runtime` and `bedrock` clients send.

Callers sign their requests (SigV4) or send a bearer key. A model's id is one percent-encoded
segment of the path; the ARN that the model list shows is understood too.
"""

import re
from collections.abc import Iterable
from functools import partial
from typing import Final, Never
from urllib.parse import unquote

from bastide.core.errors import Misconfigured, NotFound
from bastide.core.snapshot import Served
from bastide.dialects import (
    bedrock_converse,
    bedrock_count,
    bedrock_embed,
    bedrock_errors,
    bedrock_guardrail,
    bedrock_models,
)
from bastide.dialects.bedrock_invoke import Invocation
from bastide.dialects.eventstream import AMAZON_EVENT_STREAM
from bastide.dialects.surface import (
    ByKind,
    Count,
    Deny,
    Embed,
    Generate,
    Headers,
    Judge,
    Listing,
    Problem,
    Refusal,
    Route,
    Single,
    bearer,
)

__all__ = ["BEDROCK", "Bedrock"]

_READ: Final = ("GET", "HEAD")
_ALL: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_ID_LENGTH_MAX: Final = 2_048
_ARN = re.compile(
    r"arn:[^:]*:bedrock:[^:]*:[^:]*:(?:foundation-model|inference-profile)/(?P<name>.+)", re.DOTALL
)
_CALL = re.compile(r"/model/([^/]+)/([a-z-]+)")
_ONE = re.compile(r"/foundation-models/([^/]+)")
_PROFILE = re.compile(r"/inference-profiles/([^/]+)")
_OTHERS: Final = ("/v1/", "/openai/", "/anthropic/", "/api/")  # whose paths may be signed too
_GUARDRAIL = re.compile(r"/guardrail/[^/]+/version/[^/]+/apply")
_GUARD: Final = Route(("POST",), Judge(bedrock_guardrail.decode, bedrock_guardrail.encode))


class Bedrock:
    """See `Family`."""

    name = "bedrock"

    def route(self, path: str, query: str, headers: Headers) -> Route | None:
        """Find a route. Whatever else is signed for this service is refused in its words."""
        if found := _CALL.fullmatch(path):
            return _call(_name(found[1]), found[2], headers)
        if (told := _told(path, query)) is not None:
            return Route(_READ, told)
        if _GUARDRAIL.fullmatch(path):
            return _GUARD
        authorization = headers.get(b"authorization", b"")
        signed = authorization.startswith(b"AWS4-") and b"/bedrock" in authorization
        if signed and not path.startswith(_OTHERS):
            return Route(_ALL, Deny(partial(_unknown, path=path)))
        return None

    def key(self, query: str, headers: Headers) -> str | None:
        """The bearer token, for callers that do not sign."""
        return bearer(headers)

    def refusal(self, problem: Problem, ident: str) -> Refusal:
        """``{"message"}`` and the header ``x-amzn-ErrorType``."""
        return bedrock_errors.refuse(problem)

    def event(self, problem: Problem, ident: str) -> bytes:
        """An exception frame."""
        return bedrock_errors.encode_exception(problem)


def _call(model: str, verb: str, headers: Headers) -> Route | None:
    match verb:
        case "converse" | "converse-stream":
            read = partial(bedrock_converse.decode, model=model, stream=verb != "converse")
            writer = bedrock_converse.ConverseWriter
            return Route(("POST",), Generate(read, writer, AMAZON_EVENT_STREAM))
        case "invoke" | "invoke-with-response-stream":
            invocation = Invocation(model, stream=verb != "invoke", headers=headers)
            answers = Generate(invocation.decode, invocation.writer, AMAZON_EVENT_STREAM)
            if verb != "invoke":
                return Route(("POST",), answers)
            vectors = Embed(partial(bedrock_embed.decode, model=model))
            return Route(("POST",), ByKind(model, answers, vectors))
        case "count-tokens":
            decode = partial(bedrock_count.decode, model=model)
            return Route(("POST",), Count(decode, bedrock_count.encode))
        case "invoke-with-bidirectional-stream":
            return Route(
                ("POST",), Deny(partial(_refuse, operation="InvokeModelWithBidirectionalStream"))
            )
    return None


def _told(path: str, query: str) -> Listing | Single | None:
    """What there is to know about the models."""
    if path == "/foundation-models":
        return Listing(partial(_list, query=query))
    if path == "/inference-profiles":
        return Listing(partial(_profiles, query=query))
    if found := _ONE.fullmatch(path):
        return Single(bedrock_models.encode_model, _name(found[1]))
    if found := _PROFILE.fullmatch(path):
        return Single(bedrock_models.encode_profile, _name(found[1]))
    return None


def _name(segment: str) -> str:
    text = unquote(segment)
    found = _ARN.fullmatch(text)
    return found["name"] if found else text[:_ID_LENGTH_MAX]


def _list(served: Iterable[Served], environment: str, *, query: str) -> bytes:
    return bedrock_models.encode_models(served, environment, query)


def _profiles(served: Iterable[Served], environment: str, *, query: str) -> bytes:
    return bedrock_models.encode_profiles(served, environment, query)


def _refuse(body: bytes, ident: str, *, operation: str) -> Never:
    raise Misconfigured(f"{operation} is not supported here.", reasons=[operation])


def _unknown(body: bytes, ident: str, *, path: str) -> Never:
    raise NotFound(f"There is no operation at {path[:100]} here.")


BEDROCK: Final = Bedrock()
