# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What the bodies of requests look like, and errors, as JSON schemas for the OpenAPI document.

They name the fields that are read. What is refused, and what has no effect, stands in the pages
of docs/reference/dialects; a body may have such fields, so no schema here forbids any.
"""

from collections.abc import Mapping
from typing import Any, Final

from openapi_files import FILE_BODIES
from openapi_sealed import SEALED_BODIES, SEALED_ERROR

from bastide.core.limits import (
    ANSWER_TOKENS_MAX,
    EMBED_TEXTS_MAX,
    REQUEST_MESSAGES_MAX,
    REQUEST_STOPS_MAX,
    REQUEST_TOOLS_MAX,
    TOP_K_MAX,
)

__all__ = ["BODIES", "ERRORS"]

Schema = Mapping[str, Any]

_TEXT: Final[Schema] = {"type": "string"}
_CODE: Final[Schema] = {"type": ["string", "null"]}
_NO_MORE: Final = {"additionalProperties": False}
_NAME: Final[Schema] = {"type": "string", "minLength": 1, "maxLength": 256}
_FLAG: Final[Schema] = {"type": "boolean"}
_ANY: Final[Schema] = {"type": "object"}
_TOKENS: Final[Schema] = {"type": "integer", "minimum": 1, "maximum": ANSWER_TOKENS_MAX}
_SEED: Final[Schema] = {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1}
_STOPS: Final[Schema] = {"type": "array", "maxItems": REQUEST_STOPS_MAX, "items": _NAME}
_BASE64: Final[Schema] = {"type": "string", "contentEncoding": "base64"}


def _object(*required: str, **fields: Schema) -> Schema:
    made: dict[str, Any] = {"type": "object", "properties": fields}
    return made | {"required": list(required)} if required else made


def _list(items: Schema, most: int = REQUEST_MESSAGES_MAX, least: int = 1) -> Schema:
    return {"type": "array", "minItems": least, "maxItems": most, "items": items}


def _between(low: float, high: float) -> Schema:
    return {"type": "number", "minimum": low, "maximum": high}


def _one_of(*words: str) -> Schema:
    return {"type": "string", "enum": list(words)}


def _either(*schemas: Schema) -> Schema:
    return {"anyOf": list(schemas)}


_TOP_K: Final = {"type": "integer", "minimum": 0, "maximum": TOP_K_MAX}

# OpenAI, Azure, Mistral

_OPENAI_SAMPLING: Final = {
    "max_tokens": _TOKENS,
    "temperature": _between(0, 2),
    "top_p": _between(0, 1),
    "top_k": _TOP_K,
    "seed": {"type": "integer"},
    "stop": _either(_NAME, _STOPS),
    "frequency_penalty": _between(-2, 2),
    "presence_penalty": _between(-2, 2),
    "stream": _FLAG,
    "stream_options": _object(include_usage=_FLAG),
}
_OPENAI_TOOL: Final = _object(
    *("type", "function"),
    type=_one_of("function"),
    function=_object("name", name=_NAME, description=_TEXT, parameters=_ANY),
)
_OPENAI_TURN: Final = _object(
    *("role", "content"),
    role=_one_of("system", "developer", "user", "assistant"),
    content=_either(_TEXT, _list(_object("type", "text", type=_one_of("text"), text=_TEXT))),
)
_CHAT: Final = _object(
    *("model", "messages"),
    **_OPENAI_SAMPLING,
    model=_NAME,
    messages=_list(_OPENAI_TURN),
    max_completion_tokens=_TOKENS,
    tools=_list(_OPENAI_TOOL, REQUEST_TOOLS_MAX),
    tool_choice=_either(_one_of("auto", "none", "required"), _ANY),
    response_format=_object("type", type=_one_of("text", "json_object", "json_schema")),
)
_COMPLETION: Final = _object("model", "prompt", **_OPENAI_SAMPLING, model=_NAME, prompt=_TEXT)
_EMBEDDING: Final = _object(
    *("model", "input"),
    model=_NAME,
    input=_either(_TEXT, _list(_TEXT, EMBED_TEXTS_MAX)),
    encoding_format=_one_of("float", "base64"),
    dimensions={"type": "integer", "minimum": 1},
)
_RESPONSE: Final = _object(
    *("model", "input"),
    model=_NAME,
    input=_either(_TEXT, _list(_OPENAI_TURN)),
    instructions=_TEXT,
    max_output_tokens=_TOKENS,
    temperature=_between(0, 2),
    top_p=_between(0, 1),
    stream=_FLAG,
    tools=_list(_object("type", "name", type=_one_of("function"), name=_NAME, parameters=_ANY)),
    text=_object(format=_object("type", type=_one_of("text", "json_object", "json_schema"))),
)
_MODERATION: Final = _object(
    "input",
    model=_NAME,
    input=_either(
        _TEXT,
        _list(_TEXT),
        _list(_object("type", "text", type=_one_of("text"), text=_TEXT)),
    ),
)

# Anthropic

_BLOCKS: Final = _either(_TEXT, _list(_object("type", "text", type=_one_of("text"), text=_TEXT)))
_ANTHROPIC_ASKED: Final = {
    "messages": _list(
        _object("role", "content", role=_one_of("user", "assistant"), content=_BLOCKS)
    ),
    "system": _BLOCKS,
    "tools": _list(
        _object("name", "input_schema", name=_NAME, description=_TEXT, input_schema=_ANY),
        REQUEST_TOOLS_MAX,
    ),
    "tool_choice": _object("type", type=_one_of("auto", "any", "tool", "none"), name=_NAME),
}
_ANTHROPIC_SAMPLING: Final = {
    "max_tokens": _TOKENS,
    "temperature": _between(0, 1),
    "top_p": _between(0, 1),
    "top_k": _TOP_K,
    "stop_sequences": _STOPS,
    "stream": _FLAG,
}
_VERSION: Final = _one_of("vertex-2023-10-16", "2026-10-21")

# Bedrock

_CONVERSE: Final = _object(
    "messages",
    messages=_list(
        _object(
            *("role", "content"),
            role=_one_of("user", "assistant"),
            content=_list(_object("text", text=_TEXT)),
        )
    ),
    system=_list(_object("text", text=_TEXT), least=0),
    inferenceConfig=_object(
        maxTokens=_TOKENS,
        temperature=_between(0, 1),
        topP=_between(0, 1),
        stopSequences=_STOPS,
    ),
    additionalModelRequestFields=_object(top_k=_TOP_K),
    toolConfig=_object(
        "tools",
        tools=_list(
            _object(
                "toolSpec",
                toolSpec=_object(
                    *("name", "inputSchema"),
                    name=_NAME,
                    description=_TEXT,
                    inputSchema=_object("json", json=_ANY),
                ),
            ),
            REQUEST_TOOLS_MAX,
        ),
    ),
)
_INVOKED: Final = _either(
    _object(
        *("anthropic_version", "max_tokens", "messages"),
        **_ANTHROPIC_ASKED,
        **_ANTHROPIC_SAMPLING,
        anthropic_version=_one_of("bedrock-2023-05-31"),
    ),
    _object("inputText", inputText=_TEXT),
)
_GUARDED: Final = _object(
    *("source", "content"),
    source=_one_of("INPUT", "OUTPUT"),
    content=_list(_object("text", text=_object("text", text=_TEXT))),
)

# Google

_CONTENT: Final = _object(
    "parts",
    role=_one_of("user", "model"),
    parts=_list(
        _either(
            _object("text", text=_TEXT),
            _object("functionCall", functionCall=_object("name", name=_NAME, args=_ANY)),
            _object(
                "functionResponse", functionResponse=_object("name", name=_NAME, response=_ANY)
            ),
        )
    ),
)
_GOOGLE_SCHEMA: Final = _object(
    type=_one_of("STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL"),
    properties=_ANY,
    items=_ANY,
    enum=_list(_TEXT, least=0),
    required=_list(_TEXT, least=0),
    nullable=_FLAG,
)
_GOOGLE: Final = {
    "contents": _list(_CONTENT),
    "systemInstruction": _object("parts", parts=_list(_object("text", text=_TEXT))),
    "tools": _list(
        _object(
            "functionDeclarations",
            functionDeclarations=_list(
                _object(
                    "name",
                    name=_NAME,
                    description=_TEXT,
                    parameters=_GOOGLE_SCHEMA,
                    parametersJsonSchema=_ANY,
                ),
                REQUEST_TOOLS_MAX,
            ),
        )
    ),
    "generationConfig": _object(
        maxOutputTokens=_TOKENS,
        temperature=_between(0, 2),
        topP=_between(0, 1),
        topK=_TOP_K,
        seed=_SEED,
        stopSequences=_STOPS,
        frequencyPenalty=_between(-2, 2),
        presencePenalty=_between(-2, 2),
        responseMimeType=_one_of("text/plain", "application/json", "text/x.enum"),
        responseSchema=_GOOGLE_SCHEMA,
        responseJsonSchema=_ANY,
    ),
}
_TOOL_CONFIG: Final = _object(
    functionCallingConfig=_object(
        mode=_one_of("AUTO", "ANY", "NONE", "VALIDATED"),
        allowedFunctionNames=_list(_NAME, REQUEST_TOOLS_MAX, 0),
    )
)
_EMBED_CONTENT: Final = _object(
    "content",
    content=_object("parts", parts=_list(_object("text", text=_TEXT))),
    outputDimensionality={"type": "integer", "minimum": 1},
)

# Ollama

_OLLAMA: Final = {
    "model": _NAME,
    "stream": _FLAG,
    "format": _either(_one_of("", "json"), _ANY),
    "options": _object(
        num_predict={"type": "integer", "minimum": -2, "maximum": ANSWER_TOKENS_MAX},
        temperature=_between(0, 2),
        top_p=_between(0, 1),
        top_k=_TOP_K,
        seed=_SEED,
        stop=_either(_NAME, _STOPS),
    ),
}
_OLLAMA_TURN: Final = _object(
    "role",
    role=_one_of("system", "user", "assistant", "tool"),
    content=_TEXT,
    tool_name=_TEXT,
    tool_calls=_list(_object("function", function=_object("name", name=_NAME, arguments=_ANY))),
)

BODIES: Final[Mapping[str, Schema]] = {
    "OpenAIChat": _CHAT,
    "OpenAICompletion": _COMPLETION,
    "OpenAIEmbedding": _EMBEDDING,
    "OpenAIResponse": _RESPONSE,
    "OpenAIModeration": _MODERATION,
    **FILE_BODIES,
    "AnthropicMessage": _object(
        *("model", "max_tokens", "messages"),
        **_ANTHROPIC_ASKED,
        **_ANTHROPIC_SAMPLING,
        model=_NAME,
    ),
    "AnthropicCount": _object("model", "messages", **_ANTHROPIC_ASKED, model=_NAME),
    "AnthropicVertexMessage": _object(
        *("anthropic_version", "max_tokens", "messages"),
        **_ANTHROPIC_ASKED,
        **_ANTHROPIC_SAMPLING,
        anthropic_version=_VERSION,
    ),
    "AnthropicVertexCount": _object(
        *("anthropic_version", "model", "messages"),
        **_ANTHROPIC_ASKED,
        anthropic_version=_VERSION,
        model=_NAME,
    ),
    "BedrockConverse": _CONVERSE,
    "BedrockInvoke": _INVOKED,
    "BedrockGuard": _GUARDED,
    "BedrockCount": _object(
        "input",
        input=_either(
            _object("converse", converse=_CONVERSE),
            _object("invokeModel", invokeModel=_object("body", body=_BASE64)),
        ),
    ),
    "GoogleGenerate": _object("contents", **_GOOGLE, toolConfig=_TOOL_CONFIG),
    "GoogleCount": _either(
        _object("contents", **_GOOGLE),
        _object(
            "generateContentRequest",
            generateContentRequest=_object("contents", **_GOOGLE, toolConfig=_TOOL_CONFIG),
        ),
    ),
    "GoogleEmbed": _EMBED_CONTENT,
    "GoogleBatchEmbed": _object("requests", requests=_list(_EMBED_CONTENT, EMBED_TEXTS_MAX)),
    "GooglePredict": _object(
        "instances",
        instances=_list(_object("content", content=_TEXT), EMBED_TEXTS_MAX),
        parameters=_object(outputDimensionality={"type": "integer", "minimum": 1}),
    ),
    "OllamaChat": _object(
        *("model", "messages"),
        **_OLLAMA,
        messages=_list(_OLLAMA_TURN),
        tools=_list(_OPENAI_TOOL, REQUEST_TOOLS_MAX),
    ),
    "OllamaGenerate": _object("model", "prompt", **_OLLAMA, prompt=_TEXT, system=_TEXT, raw=_FLAG),
    "OllamaEmbed": _object(
        *("model", "input"), model=_NAME, input=_either(_TEXT, _list(_TEXT, EMBED_TEXTS_MAX))
    ),
    "OllamaOldEmbed": _object("model", "prompt", model=_NAME, prompt=_TEXT),
    "OllamaModel": _object("model", model=_NAME),
    **SEALED_BODIES,
    "Nothing": _ANY,
}
_OPENAI_ERROR: Final[Schema] = {
    **_object("error", error={
        **_object(*("message", "type", "param", "code"),
                  message=_TEXT, type=_TEXT, param=_CODE, code=_CODE),
        **_NO_MORE,
    }),
    **_NO_MORE,
}  # fmt: skip

ERRORS: Final[Mapping[str, Schema]] = {
    "openai": _OPENAI_ERROR,
    "azure": _either(
        _OPENAI_ERROR,
        {
            **_object("error", error=_object("code", "message", code=_TEXT, message=_TEXT)),
            **_NO_MORE,
        },
    ),
    "anthropic": {
        **_object(
            *("type", "error", "request_id"),
            type=_one_of("error"),
            error=_object("type", "message", type=_TEXT, message=_TEXT),
            request_id=_CODE,
        ),
        **_NO_MORE,
    },
    "bedrock": {**_object("message", message=_TEXT), **_NO_MORE},
    "google": {
        **_object(
            "error",
            error=_object(
                *("code", "message", "status", "details"),
                code={"type": "integer"},
                message=_TEXT,
                status=_TEXT,
                details={"type": "array"},
            ),
        ),
        **_NO_MORE,
    },
    "ollama": {**_object("error", error=_TEXT), **_NO_MORE},
    "sealed": SEALED_ERROR,
}
