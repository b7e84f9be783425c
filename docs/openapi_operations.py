# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The operations that the gateway answers: one entry a method and a path.

docs/openapi.py makes an OpenAPI document of this table; tests/unit/test_operations.py compares it
with what the families find.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

__all__ = ["OPERATIONS", "Operation", "statuses"]


@dataclass(frozen=True, slots=True)
class Operation:
    """One row. Where families share a path, the request's headers say whose it is."""

    method: str
    path: str  # as OpenAPI writes it, with {names}
    families: tuple[str, ...]
    summary: str
    body: str | None = None  # a name in openapi_bodies.BODIES
    stream: str | None = None  # the media type of an answer that is a stream
    query: tuple[str, ...] = ()
    only_refused: bool = False  # whoever asks
    media: str = "application/json"  # of the body that is sent
    answer: str = "application/json"
    desk: bool = False  # files and batches: the desk does it


_SSE: Final = "text/event-stream"
_NDJSON: Final = "application/x-ndjson"
_FRAMES: Final = "application/vnd.amazon.eventstream"
_READ: Final = (400, 401, 403, 404, 500, 503)
_SENT: Final = (400, 401, 403, 404, 408, 413, 415, 429, 500, 503)
_KEPT: Final = (400, 401, 403, 404, 408, 409, 413, 415, 429, 500, 503)
_CHANGED: Final[Mapping[str, Mapping[int, int]]] = {
    "anthropic": {503: 529},
    "bedrock": {401: 403, 413: 400, 415: 400},
}


def statuses(operation: Operation) -> dict[str, tuple[int, ...]]:
    """The statuses of refusals, by families."""
    wanted = _READ if operation.body is None else _SENT
    if operation.desk:
        wanted = _KEPT
    if "sealed" in operation.families and operation.body is not None:
        wanted = (*wanted, 422)
    return {
        family: tuple(sorted({_CHANGED.get(family, {}).get(row, row) for row in wanted}))
        for family in operation.families
    }


def _get(path: str, summary: str, *families: str, query: tuple[str, ...] = ()) -> Operation:
    return Operation("GET", path, families, summary, query=query)


def _post(
    path: str, summary: str, family: str, body: str, stream: str | None = None, *query: str
) -> Operation:
    return Operation("POST", path, (family,), summary, body, stream, query)


def _openai(root: str, family: str, *query: str) -> list[Operation]:
    return [
        _post(f"{root}/chat/completions", "Answer a chat", family, "OpenAIChat", _SSE, *query),
        _post(f"{root}/completions", "Go on with a text", family, "OpenAICompletion", _SSE, *query),
        _post(f"{root}/embeddings", "Make vectors", family, "OpenAIEmbedding", None, *query),
    ]


def _responses(root: str, family: str, *query: str) -> list[Operation]:
    body = "OpenAIResponse"
    stored = f"{root}/responses/{{response}}"
    return [
        _post(f"{root}/responses", "Answer a chat", family, body, _SSE, *query),
        _post(f"{root}/responses/input_tokens", "Count tokens", family, body, None, *query),
        *(
            Operation(method, stored, (family,), f"{deed}: none is kept", only_refused=True)
            for method, deed in (("GET", "Show a response"), ("DELETE", "Delete a response"))
        ),
    ]


def _files(root: str, family: str, *query: str) -> list[Operation]:
    """Files and batches."""
    pages = (*query, "after", "limit", "order")
    file, batch = f"{root}/files/{{file}}", f"{root}/batches/{{batch}}"
    rows = [
        Operation("POST", f"{root}/files", (family,), "Keep a file", "OpenAIFile", query=query,
                  media="multipart/form-data"),
        _get(f"{root}/files", "List the files", family, query=(*pages, "purpose")),
        _get(file, "Show a file", family, query=query),
        Operation("DELETE", file, (family,), "Delete a file", query=query),
        Operation("GET", f"{file}/content", (family,), "The content of a file", query=query,
                  answer="application/octet-stream"),
        _post(f"{root}/batches", "Have a file answered", family, "OpenAIBatch", None, *query),
        _get(f"{root}/batches", "List the batches", family, query=pages),
        _get(batch, "Show a batch", family, query=query),
        Operation("POST", f"{batch}/cancel", (family,), "Cancel a batch", query=query),
    ]  # fmt: skip
    return [replace(row, desk=True) for row in rows]


def _moderations(root: str, family: str, *query: str) -> Operation:
    body = "OpenAIModeration"
    return _post(f"{root}/moderations", "Ask the guard about texts", family, body, None, *query)


def _models(root: str, *families: str, query: tuple[str, ...] = ()) -> list[Operation]:
    return [
        _get(f"{root}/models", "List the models", *families, query=query),
        _get(f"{root}/models/{{model}}", "Show a model", *families, query=query),
    ]


def _anthropic(root: str) -> list[Operation]:
    family = "anthropic"
    return [
        _post(f"{root}/v1/messages", "Answer a chat", family, "AnthropicMessage", _SSE),
        _post(f"{root}/v1/messages/count_tokens", "Count tokens", family, "AnthropicCount"),
    ]


def _anthropic_on_vertex(version: str) -> list[Operation]:
    root = f"/{version}/projects/{{project}}/locations/{{location}}/publishers/anthropic/models"
    family, body = "anthropic", "AnthropicVertexMessage"
    return [
        _post(f"{root}/{{model}}:rawPredict", "Answer a chat", family, body),
        _post(f"{root}/{{model}}:streamRawPredict", "Stream an answer", family, body, _SSE),
        _post(f"{root}/count-tokens:rawPredict", "Count tokens", family, "AnthropicVertexCount"),
    ]


def _bedrock() -> list[Operation]:
    family, model = "bedrock", "/model/{modelId}"
    invoke, stream = "BedrockInvoke", "invoke-with-response-stream"
    guardrail = "/guardrail/{guardrailIdentifier}/version/{guardrailVersion}/apply"
    return [
        _post(f"{model}/converse", "Converse", family, "BedrockConverse"),
        _post(f"{model}/converse-stream", "ConverseStream", family, "BedrockConverse", _FRAMES),
        _post(f"{model}/invoke", "InvokeModel", family, invoke),
        _post(f"{model}/{stream}", "InvokeModelWithResponseStream", family, invoke, _FRAMES),
        _post(f"{model}/count-tokens", "CountTokens", family, "BedrockCount"),
        _post(guardrail, "ApplyGuardrail", family, "BedrockGuard"),
        _get("/foundation-models", "ListFoundationModels", family),
        _get("/foundation-models/{modelId}", "GetFoundationModel", family),
        _get("/inference-profiles", "ListInferenceProfiles", family),
        _get("/inference-profiles/{modelId}", "GetInferenceProfile", family),
    ]


def _google(root: str) -> list[Operation]:
    family, model = "google", f"{root}/models/{{model}}"
    return [
        _post(f"{model}:generateContent", "Answer a chat", family, "GoogleGenerate"),
        _post(
            *(f"{model}:streamGenerateContent", "Stream an answer", family, "GoogleGenerate"),
            *(_SSE, "alt"),
        ),
        _post(f"{model}:countTokens", "Count tokens", family, "GoogleCount"),
        _post(f"{model}:embedContent", "Make a vector", family, "GoogleEmbed"),
        _post(f"{model}:batchEmbedContents", "Make vectors", family, "GoogleBatchEmbed"),
        _post(f"{model}:predict", "Make vectors", family, "GooglePredict"),
    ]


def _sealed() -> list[Operation]:
    return [
        Operation(
            *("POST", "/sealed/v1/answers", ("sealed",), "Answer a sealed request"),
            *("SealedRequest", "text/plain"),
        ),
        _get("/sealed/v1/nodes", "The attested nodes and their proofs", "sealed", query=("since",)),
    ]


def _forbidden(method: str, path: str, action: str) -> Operation:
    summary = f"Forbidden: nobody may {action} models here"
    return Operation(method, path, ("ollama",), summary, "Nothing", only_refused=True)


def _ollama() -> list[Operation]:
    family = "ollama"
    return [
        _post("/api/chat", "Answer a chat", family, "OllamaChat", _NDJSON),
        _post("/api/generate", "Answer a prompt", family, "OllamaGenerate", _NDJSON),
        _post("/api/embed", "Make vectors", family, "OllamaEmbed"),
        _post("/api/embeddings", "Make a vector", family, "OllamaOldEmbed"),
        _post("/api/show", "Show a model", family, "OllamaModel"),
        _get("/api/tags", "List the models", family),
        _get("/api/ps", "List the models that are loaded", family),
        _get("/api/version", "Tell the version of the API", family),
        _forbidden("DELETE", "/api/delete", "delete"),
        _forbidden("POST", "/api/pull", "pull"),
        _forbidden("POST", "/api/push", "push"),
        _forbidden("POST", "/api/create", "create"),
        _forbidden("POST", "/api/copy", "copy"),
    ]


_VERTEX: Final = "projects/{project}/locations/{location}/publishers/google"
_PAGES: Final = ("pageSize", "pageToken")
OPERATIONS: Final[tuple[Operation, ...]] = (
    *_openai("/v1", "openai"),
    *_responses("/v1", "openai"),
    *_files("/v1", "openai"),
    _moderations("/v1", "openai"),
    *_models("/v1", "openai", "anthropic", "google"),
    *_openai("/openai/deployments/{deployment}", "azure", "api-version"),
    *_responses("/openai", "azure", "api-version"),
    *_files("/openai", "azure", "api-version"),
    _moderations("/openai", "azure", "api-version"),
    *_models("/openai", "azure", query=("api-version",)),
    *_openai("/openai/v1", "azure"),
    *_responses("/openai/v1", "azure"),
    *_files("/openai/v1", "azure"),
    _moderations("/openai/v1", "azure"),
    *_models("/openai/v1", "azure"),
    *_anthropic(""),
    *_anthropic("/anthropic"),
    *_models("/anthropic/v1", "anthropic"),
    *_anthropic_on_vertex("v1"),
    *_anthropic_on_vertex("v1beta1"),
    *_bedrock(),
    *_google("/v1"),
    *_google("/v1beta"),
    *_models("/v1beta", "google", query=_PAGES),
    *_google("/v1/publishers/google"),
    *_models("/v1/publishers/google", "google", query=_PAGES),
    *_google("/v1beta1/publishers/google"),
    *_models("/v1beta1/publishers/google", "google", query=_PAGES),
    *_google(f"/v1/{_VERTEX}"),
    *_models(f"/v1/{_VERTEX}", "google", query=_PAGES),
    *_google(f"/v1beta1/{_VERTEX}"),
    *_models(f"/v1beta1/{_VERTEX}", "google", query=_PAGES),
    *_ollama(),
    *_sealed(),
)
