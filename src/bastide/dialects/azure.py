# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The Azure OpenAI family: OpenAI's bodies below ``/openai``, with Azure's paths, keys and errors.

* ``/openai/deployments/{name}/chat/completions`` and ``/completions``: the path names the model,
  and the body's `model` is ignored. Any ``api-version`` gets the same answer.
* ``/openai/models``, ``/responses``, ``/files``, ``/batches`` and ``/moderations``, and OpenAI's
  own paths below ``/openai/v1``.

Azure's clients read the results of its content filter. Our guard judges forms, not what Azure's
categories mean, so of these there is no verdict, not even "safe": the results are empty objects.
An answer that the guard ends has the finish reason `content_filter`, a refused prompt Azure's own
error; both say what Azure says where a blocklist of the customer's matched.
"""

from functools import partial
from typing import Any, Final
from urllib.parse import unquote

import msgspec

from bastide.core.errors import Filtered
from bastide.dialects.openai import OPENAI
from bastide.dialects.openai_chat import ChatWriter
from bastide.dialects.openai_chat import decode as decode_chat
from bastide.dialects.openai_completions import CompletionWriter
from bastide.dialects.openai_completions import decode as decode_completion
from bastide.dialects.openai_embeddings import decode as decode_embeddings
from bastide.dialects.openai_errors import encode_problem, headers, refuse_operation
from bastide.dialects.openai_responses import RESPONSE_NOT_FOUND
from bastide.dialects.surface import (
    Deny,
    Embed,
    Generate,
    Headers,
    Problem,
    Refusal,
    Route,
    bearer,
)

__all__ = ["AZURE", "Azure", "AzureChatWriter", "AzureCompletionWriter"]

_ROOT: Final = "/openai"
_DEPLOYMENTS: Final = "/openai/deployments/"
_AS_OPENAI: Final = ("models", "responses", "files", "batches", "moderations")
_encode = msgspec.json.Encoder().encode

_NO_VERDICT: Final[dict[str, Any]] = {"content_filter_results": {}}
_NO_PROMPT_VERDICT: Final[dict[str, Any]] = {
    "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": {}}]
}
# Our guard looks for forms, as Azure's blocklists do; of hate or violence it says nothing.
_BY_BLOCKLIST: Final[dict[str, Any]] = {"custom_blocklists": {"filtered": True, "details": []}}
_FILTERED: Final[dict[str, Any]] = {"content_filter_results": _BY_BLOCKLIST}
_BLOCKED: Final[dict[str, Any]] = {
    "code": Filtered.code,
    "type": "invalid_request_error",
    "param": "prompt",
    "status": 400,
    "innererror": {
        "code": "ResponsibleAIPolicyViolation",
        "content_filter_result": _BY_BLOCKLIST,
    },
}
_CODES: Final = {
    401: "401",
    403: "PermissionDenied",
    404: "DeploymentNotFound",
    405: "MethodNotAllowed",
    415: "UnsupportedMediaType",
    429: "429",
    503: "ServiceUnavailable",
}
_NAMED: Final = (RESPONSE_NOT_FOUND, "guard_not_found")  # what is missing is no deployment


class AzureChatWriter(ChatWriter):
    """Chat answers with Azure's fields; a stream opens with a chunk about the prompt."""

    __slots__ = ()
    choice_fields = _NO_VERDICT
    filtered_fields = _FILTERED
    answer_fields = _NO_PROMPT_VERDICT

    def first(self) -> bytes:
        """The chunk about the prompt, and the chunk with the role."""
        return self._chunk([], fields=self.answer_fields) + super().first()


class AzureCompletionWriter(CompletionWriter):
    """Plain completions with Azure's fields."""

    choice_fields = _NO_VERDICT
    filtered_fields = _FILTERED
    answer_fields = _NO_PROMPT_VERDICT

    def first(self) -> bytes:
        """The chunk about the prompt."""
        return self._chunk([], fields=self.answer_fields)


_OPERATIONS: Final[dict[str, tuple[Any, Any]]] = {
    "chat/completions": (decode_chat, AzureChatWriter),
    "completions": (decode_completion, AzureCompletionWriter),
}


class Azure:
    """See `Family`."""

    name = "azure"

    def route(self, path: str, query: str, headers: Headers) -> Route | None:
        """Find a route."""
        if not path.startswith(_ROOT + "/"):
            return None
        if path.startswith(_DEPLOYMENTS):
            name, _, operation = path.removeprefix(_DEPLOYMENTS).partition("/")
            return _of_deployment(unquote(name), operation)
        below = path.removeprefix(_ROOT)
        if below.startswith("/v1/"):
            decode, writer = _OPERATIONS.get(below.removeprefix("/v1/"), (None, None))
            return (
                Route(("POST",), Generate(decode, writer))
                if decode
                else OPENAI.route(below, query, {})
            )
        if below.partition("/")[2].partition("/")[0] in _AS_OPENAI:
            return OPENAI.route("/v1" + below, query, {})
        return None

    def key(self, query: str, headers: Headers) -> str | None:
        """The `api-key` header or the bearer token; none if both are there and differ."""
        token, key = bearer(headers), headers.get(b"api-key")
        if key is None:
            return token
        given = key.decode("latin-1")
        return given if token is None or token == given else None

    def refusal(self, problem: Problem, ident: str) -> Refusal:
        """``{"error": {"code", "message"}}``; a bad request is said as OpenAI says it."""
        return Refusal(problem.status, _error(problem), headers(problem))

    def event(self, problem: Problem, ident: str) -> bytes:
        """An error event; no ``[DONE]`` may follow it."""
        return b"data: " + _error(problem) + b"\n\n"


_refuse = partial(refuse_operation, where="this deployment")


def _of_deployment(name: str, operation: str) -> Route:
    if operation == "embeddings":
        return Route(("POST",), Embed(partial(decode_embeddings, model=name)))
    decode, writer = _OPERATIONS.get(operation, (None, AzureChatWriter))
    if decode is None:
        return Route(("POST",), Deny(partial(_refuse, operation=unquote(operation))))
    return Route(("POST",), Generate(partial(decode, model=name), writer))


def _error(problem: Problem) -> bytes:
    if problem.code == Filtered.code:
        return _encode({"error": {**_BLOCKED, "message": problem.message}})
    if problem.status == 400:
        return encode_problem(problem)
    code = _CODES.get(problem.status, "InternalServerError")
    if problem.code in _NAMED:
        code = problem.code
    return _encode({"error": {"code": code, "message": problem.message}})


AZURE: Final = Azure()
