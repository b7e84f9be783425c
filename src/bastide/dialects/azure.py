# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The Azure OpenAI family: OpenAI's bodies below ``/openai``, with Azure's paths, keys and errors.

* ``/openai/deployments/{name}/chat/completions`` and ``/completions``: the path names the model,
  and the body's `model` is ignored. Any ``api-version`` gets the same answer.
* ``/openai/models``, and OpenAI's own paths below ``/openai/v1``.

Azure's clients read the results of its content filter. No filter runs here, so the results are
empty objects: there is no verdict, not even "safe".
"""

from functools import partial
from typing import Any, Final
from urllib.parse import unquote

import msgspec

from bastide.core.errors import Misconfigured
from bastide.dialects.openai import OPENAI
from bastide.dialects.openai_chat import ChatWriter
from bastide.dialects.openai_chat import decode as decode_chat
from bastide.dialects.openai_completions import CompletionWriter
from bastide.dialects.openai_completions import decode as decode_completion
from bastide.dialects.openai_errors import encode_problem
from bastide.dialects.surface import (
    Asked,
    Headers,
    Problem,
    Refusal,
    Route,
    bearer,
    retry_headers,
)

__all__ = ["AZURE", "Azure", "AzureChatWriter", "AzureCompletionWriter"]

_ROOT: Final = "/openai"
_DEPLOYMENTS: Final = "/openai/deployments/"
_encode = msgspec.json.Encoder().encode

_NO_VERDICT: Final[dict[str, Any]] = {"content_filter_results": {}}
_NO_PROMPT_VERDICT: Final[dict[str, Any]] = {
    "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": {}}]
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


class AzureChatWriter(ChatWriter):
    """Chat answers with Azure's fields; a stream opens with a chunk about the prompt."""

    choice_fields = _NO_VERDICT
    answer_fields = _NO_PROMPT_VERDICT

    def first(self) -> bytes:
        """The chunk about the prompt, and the chunk with the role."""
        return self._chunk([], fields=self.answer_fields) + super().first()


class AzureCompletionWriter(CompletionWriter):
    """Plain completions with Azure's fields."""

    choice_fields = _NO_VERDICT
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
            decode, writer = _OPERATIONS.get(operation, (None, AzureChatWriter))
            if decode is None:
                return Route(("POST",), partial(_refuse, operation=unquote(operation)), writer)
            return Route(("POST",), partial(decode, model=unquote(name)), writer)
        below = path.removeprefix(_ROOT)
        if below.startswith("/v1/"):
            decode, writer = _OPERATIONS.get(below.removeprefix("/v1/"), (None, None))
            return Route(("POST",), decode, writer) if decode else OPENAI.route(below, query, {})
        if below == "/models" or below.startswith("/models/"):
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
        return Refusal(problem.status, _error(problem), retry_headers(problem))

    def event(self, problem: Problem, ident: str) -> bytes:
        """An error event; no ``[DONE]`` may follow it."""
        return b"data: " + _error(problem) + b"\n\n"


def _error(problem: Problem) -> bytes:
    if problem.status == 400:
        return encode_problem(problem)
    code = _CODES.get(problem.status, "InternalServerError")
    return _encode({"error": {"code": code, "message": problem.message}})


def _refuse(body: bytes, ident: str, operation: str) -> Asked:
    shown = operation[:100]
    raise Misconfigured(
        f"Unsupported operation: '{shown}' does not work with this deployment.",
        reasons=[shown],
        place=shown,
    )


AZURE: Final = Azure()
