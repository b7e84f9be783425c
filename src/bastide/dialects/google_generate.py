# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The bodies of Google's ``generateContent`` and ``countTokens``.

They are the same for the Gemini API and Vertex AI here. The vectors in tests/vectors/google/ are
the specification by example.
"""

from typing import Any, Final

from bastide.core.chat import ChoiceMode, GenerateRequest, Message, Sampling
from bastide.core.errors import Misconfigured
from bastide.core.limits import ANSWER_TOKENS_MAX, REQUEST_STOPS_MAX, TOP_K_MAX
from bastide.dialects.google_answer import AskedForWord
from bastide.dialects.google_fields import (
    IGNORED,
    READ,
    Shape,
    decode_json,
    fields,
    integer,
    number,
    refuse,
    rows,
    text,
)
from bastide.dialects.google_schema import google_schema, json_schema, words_schema
from bastide.dialects.google_tools import tools_of
from bastide.dialects.google_turns import instruction, messages
from bastide.dialects.surface import Asked

__all__ = ["decode", "decode_count"]

_STOP_LENGTH_MAX: Final = 1_024
_OFF: Final = (False,)
_EMPTY: Final = ({}, [])
_BODY: Final[Shape] = {
    "cachedContent": ("",),
    "contents": READ,
    "continuationToken": ("",),
    "generationConfig": READ,
    "generationOutputConfig": _EMPTY,
    "labels": IGNORED,
    "modelArmorConfig": _EMPTY,
    "safetySettings": IGNORED,
    "serviceTier": IGNORED,
    "store": IGNORED,
    "systemInstruction": READ,
    "toolConfig": READ,
    "tools": READ,
}
_COUNTED: Final[Shape] = {
    "contents": READ,
    "generateContentRequest": READ,
    "generationConfig": READ,
    "instances": _EMPTY,
    "model": IGNORED,  # the path says it
    "systemInstruction": READ,
    "tools": READ,
}
_CONFIG: Final[Shape] = {
    "audioTimestamp": _OFF,
    "audioTranscriptionConfig": _EMPTY,
    "candidateCount": (1, 1.0, "1"),
    "enableAffectiveDialog": _OFF,
    "enableEnhancedCivicAnswers": _OFF,
    "frequencyPenalty": READ,
    "imageConfig": _EMPTY,
    "logprobs": (),
    "maxOutputTokens": READ,
    "mediaResolution": ("MEDIA_RESOLUTION_UNSPECIFIED", 0),
    "modelConfig": _EMPTY,
    "modelSelectionConfig": _EMPTY,
    "presencePenalty": READ,
    "responseFormat": _EMPTY,
    "responseJsonSchema": READ,
    "responseLogprobs": _OFF,
    "responseMimeType": READ,
    "responseModalities": ([], ["TEXT"], "TEXT"),
    "responseSchema": READ,
    "routingConfig": _EMPTY,
    "seed": READ,
    "speechConfig": _EMPTY,
    "stopSequences": READ,
    "temperature": READ,
    "thinkingConfig": {
        "includeThoughts": _OFF,
        "thinkingBudget": (0, -1),
        "thinkingLevel": ("THINKING_LEVEL_UNSPECIFIED", 0),
    },
    "topK": READ,
    "topP": READ,
    "translationConfig": _EMPTY,
}
_PLAIN: Final = ("", "text/plain")
_JSON: Final = "application/json"
_WORD: Final = "text/x.enum"
_ANY_JSON: Final = '{"anyOf":[{"type":"object"},{"type":"array"}]}'


def decode(body: bytes, ident: str, *, model: str, stream: bool) -> Asked:
    """Read a request; its path says the model and if it is a stream. Raises Misconfigured."""
    unsupported: list[str] = []
    given = fields(decode_json(body), "", _BODY, unsupported)
    request, mime = _request(given, ident, model, unsupported)
    refuse(unsupported)
    asked = AskedForWord if mime == _WORD else Asked
    return asked(request, stream, True)


def decode_count(body: bytes, ident: str, *, model: str) -> GenerateRequest:
    """Read what shall be counted: contents, or a whole request. Raises Misconfigured."""
    unsupported: list[str] = []
    given = fields(decode_json(body), "", _COUNTED, unsupported)
    if "generateContentRequest" in given:
        if "contents" in given:
            place = "generateContentRequest"
            raise Misconfigured(f"Invalid value: '{place}' goes not with 'contents'.", place=place)
        whole = {**_BODY, "model": IGNORED}
        place = "generateContentRequest"
        given = fields(given[place], place, whole, unsupported)
    request, _ = _request(given, ident, model, unsupported)
    refuse(unsupported)
    return request


def _request(
    given: dict[str, Any], ident: str, model: str, unsupported: list[str]
) -> tuple[GenerateRequest, str]:
    config = fields(given.get("generationConfig", {}), "generationConfig", _CONFIG, unsupported)
    turns = messages(given.get("contents"), unsupported)
    if "systemInstruction" in given:
        words = instruction(given["systemInstruction"], "systemInstruction", unsupported)
        if words:
            turns.insert(0, Message("system", words))
    tools, choice = tools_of(given, unsupported)
    mime, schema = _form(config)
    if mime == _WORD and tools and choice.mode is not ChoiceMode.NONE:
        place = "generationConfig.responseMimeType"
        message = f"Invalid value at '{place}': with functions the answer is no text/x.enum."
        raise Misconfigured(message, place=place)
    request = GenerateRequest(
        ident, model, tuple(turns), None, _sampling(config), tools, choice, schema
    )
    return request, mime


def _form(config: dict[str, Any]) -> tuple[str, str | None]:
    """The media type of the answer, and the schema that binds it."""
    mime_place, place = "generationConfig.responseMimeType", "generationConfig.responseSchema"
    mime = text(config.get("responseMimeType", ""), mime_place).strip().lower()
    schemas = [name for name in ("responseSchema", "responseJsonSchema") if name in config]
    if mime not in (*_PLAIN, _JSON, _WORD):
        message = f"Unsupported: '{mime_place}' may be text/plain, application/json, text/x.enum."
        raise Misconfigured(message, reasons=[mime_place], place=mime_place)
    if len(schemas) > 1:
        message = f"Invalid value: '{place}' goes not with 'responseJsonSchema'."
        raise Misconfigured(message, place=place)
    if schemas and mime in _PLAIN:
        message = f"Invalid value at '{mime_place}': a schema needs application/json."
        raise Misconfigured(message, place=mime_place)
    if mime == _WORD:
        return mime, words_schema(config[schemas[0]] if schemas else {}, place)
    if "responseSchema" in config:
        return mime, google_schema(config["responseSchema"], place)
    if schemas:
        at = "generationConfig.responseJsonSchema"
        return mime, json_schema(config["responseJsonSchema"], at)
    return mime, _ANY_JSON if mime == _JSON else None


def _sampling(config: dict[str, Any]) -> Sampling:
    def whole(name: str, low: int, high: int) -> int | None:
        return (
            integer(config[name], f"generationConfig.{name}", low, high) if name in config else None
        )

    def real(name: str, low: float, high: float) -> float | None:
        return (
            number(config[name], f"generationConfig.{name}", low, high) if name in config else None
        )

    return Sampling(
        whole("maxOutputTokens", 1, ANSWER_TOKENS_MAX),
        real("temperature", 0, 2),
        real("topP", 0, 1),
        whole("seed", -(2**31), 2**31 - 1),
        _stops(rows(config.get("stopSequences", []))),
        real("frequencyPenalty", -2, 2),
        real("presencePenalty", -2, 2),
        whole("topK", 0, TOP_K_MAX),
    )


def _stops(stops: list[Any]) -> tuple[str, ...]:
    place = "generationConfig.stopSequences"
    if len(stops) > REQUEST_STOPS_MAX:
        message = f"Invalid value at '{place}': at most {REQUEST_STOPS_MAX}."
        raise Misconfigured(message, place=place)
    for index, stop in enumerate(stops):
        if not 0 < len(text(stop, f"{place}[{index}]")) <= _STOP_LENGTH_MAX:
            message = (
                f"Invalid value at '{place}': a sequence has 1 to {_STOP_LENGTH_MAX} characters."
            )
            raise Misconfigured(message, place=place)
    return tuple(stops)
