# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The Google family: the Gemini API and Vertex AI, as the google-genai SDK asks for them.

``/v1/models`` is shared with OpenAI: it is Google's for who sends ``x-goog-api-key``,
``x-goog-api-client`` or ``?key=``. A model's name with one of Google's verbs is Google's for all.

A stream comes as SSE with ``alt=sse``, else as a JSON array. The two fail in different words, so
there are two families, alike in all else.
"""

import re
from functools import partial
from typing import Final, NoReturn
from urllib.parse import parse_qs, unquote

from bastide.core.errors import Filtered, Misconfigured, NotFound
from bastide.dialects import google_embed, google_errors, google_generate, google_models
from bastide.dialects.google_answer import ArrayWriter, SseWriter, encode_count
from bastide.dialects.surface import (
    JSON,
    Count,
    Deny,
    Embed,
    Generate,
    Headers,
    Listing,
    Problem,
    Refusal,
    Route,
    Single,
    bearer,
    one_key,
    retry_headers,
)

__all__ = ["GOOGLE", "GOOGLE_ARRAY", "Google"]

_READ: Final = ("GET", "HEAD")
_ANY: Final = (*_READ, "POST", "PUT", "PATCH", "DELETE")
_MODELS: Final = re.compile(
    r"/(?P<version>v1|v1beta|v1beta1)/(?P<project>projects/[^/]+/locations/[^/]+/)?"
    r"(?P<publisher>publishers/google/)?models(?:/(?P<rest>.+))?",
    re.DOTALL,
)
_TUNED: Final = re.compile(
    r"/(v1|v1beta|v1beta1)/(tunedModels|projects/[^/]+/locations/[^/]+/models)"
)
# Where nobody else answers, so that an unknown path is refused in Google's words.
_OURS: Final = ("/v1beta/", "/v1beta1/", "/upload/v1")
_OURS_BY_HEADER: Final = (
    "/v1/projects/",
    "/v1/publishers/",
    "/v1/tunedModels",
    "/v1/cachedContents",
    "/v1/files",
    "/v1/batches",
)
_STREAM: Final = "streamGenerateContent"
_EMBED: Final = {
    "batchEmbedContents": google_embed.decode_batch,
    "embedContent": google_embed.decode_single,
    "predict": google_embed.decode_predict,
}
_LATER: Final = frozenset(
    {
        "asyncBatchEmbedContent",
        "batchGenerateContent",
        "computeTokens",
        "predictLongRunning",
    }
)


class Google:
    """See `Family`."""

    name = "google"

    def __init__(self, *, array: bool) -> None:
        self._array = array

    def route(self, path: str, query: str, headers: Headers) -> Route | None:
        """Find a route."""
        if self._array and _STREAM not in path:
            return None
        route = _find(path, query, headers)
        arrays = (
            route is not None
            and isinstance(route.action, Generate)
            and route.action.writer is ArrayWriter
        )
        return route if arrays is self._array else None

    def key(self, query: str, headers: Headers) -> str | None:
        """The key of the header, of the query or the bearer token; two that differ are none."""
        header = headers.get(b"x-goog-api-key", b"").decode("latin-1")
        return one_key(*_values(query, "key"), bearer(headers), header)

    def refusal(self, problem: Problem, ident: str) -> Refusal:
        """``{"error": {...}}``; a prompt that the guard refuses is an answer without candidates."""
        if problem.code == Filtered.code:
            return Refusal(200, google_errors.encode_blocked(problem))
        body = google_errors.encode_problem(problem)
        return Refusal(problem.status, body, retry_headers(problem))

    def event(self, problem: Problem, ident: str) -> bytes:
        """An error as the next event or element; an array that fails is never closed."""
        error = google_errors.encode_problem(problem)
        return b",\r\n" + error if self._array else b"data: " + error + b"\r\n\r\n"


def _find(path: str, query: str, headers: Headers) -> Route | None:
    found = _MODELS.fullmatch(path) if "models" in path else None
    if found and (found["publisher"] or not found["project"]):
        route = _of_models(found, query, headers)
        if route is not None:
            return route
    return _of_others(path, headers)


def _of_models(found: re.Match[str], query: str, headers: Headers) -> Route | None:
    vertex = found["publisher"] is not None
    shared = found["version"] == "v1" and not vertex
    google = not shared or _by_header(headers) or bool(_values(query, "key"))
    if found["rest"] is None:
        listing = partial(google_models.encode_models, vertex=vertex, query=query)
        return Route(_READ, Listing(listing)) if google else None
    name = unquote(found["rest"])
    model, _, verb = name.rpartition(":")
    if model and verb in ("generateContent", _STREAM):
        return _answer(model, verb, query)
    if model and verb == "countTokens":
        decode = partial(google_generate.decode_count, model=model)
        return Route(("POST",), Count(decode, encode_count))
    if model and verb in _EMBED:
        return Route(("POST",), Embed(partial(_EMBED[verb], model=model)))
    if model and verb in _LATER:
        return Route(("POST",), Deny(partial(_refuse_verb, verb)))
    single = partial(google_models.encode_model, vertex=vertex)
    return Route(_READ, Single(single, name)) if google else None


def _answer(model: str, verb: str, query: str) -> Route:
    alt = (_values(query, "alt") or _values(query, "$alt") or ["json"])[-1].partition(";")[0]
    stream = verb == _STREAM
    if alt not in (("json", "sse") if stream else ("json",)):
        return Route(("POST",), Deny(partial(_refuse_alt, alt[:32])))
    decode = partial(google_generate.decode, model=model, stream=stream)
    if stream and alt == "json":
        return Route(("POST",), Generate(decode, ArrayWriter, JSON))
    # A stream of Google's says no charset, and its lines end in CR LF.
    return Route(("POST",), Generate(decode, SseWriter, "text/event-stream"))


def _of_others(path: str, headers: Headers) -> Route | None:
    known = path.startswith(_OURS) and "/publishers/anthropic/" not in path
    if not known and not (path.startswith(_OURS_BY_HEADER) and _by_header(headers)):
        return None
    if _TUNED.fullmatch(path):
        return Route(_READ, Listing(google_models.encode_no_tuned_models))
    return Route(_ANY, Deny(partial(_refuse_path, path[:100])))


def _values(query: str, name: str) -> list[str]:
    # Most queries are empty or this one, and reading one costs more than the rest of a route.
    if query in ("", "alt=sse"):
        return ["sse"] if query and name == "alt" else []
    return parse_qs(query).get(name, [])


def _by_header(headers: Headers) -> bool:
    return b"x-goog-api-key" in headers or b"x-goog-api-client" in headers


def _refuse_verb(verb: str, body: bytes, ident: str) -> NoReturn:
    raise Misconfigured(f"Unsupported: '{verb}' is not supported yet.", reasons=[verb], place=verb)


def _refuse_alt(alt: str, body: bytes, ident: str) -> NoReturn:
    message = f"Unsupported: the value '{alt}' of 'alt' is not supported here."
    raise Misconfigured(message, reasons=["alt"], place="alt")


def _refuse_path(path: str, body: bytes, ident: str) -> NoReturn:
    raise NotFound(f"Unknown path: {path}")


GOOGLE_ARRAY: Final = Google(array=True)
GOOGLE: Final = Google(array=False)
