# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Google's model lists: ``models`` of the Gemini API, ``publishers/google/models`` of Vertex AI."""

from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import parse_qs

import msgspec

from bastide.core.errors import Misconfigured
from bastide.core.limits import ANSWER_TOKENS_MAX
from bastide.core.snapshot import Served
from bastide.dialects.google_fields import integer

__all__ = ["encode_model", "encode_models", "encode_no_tuned_models"]

_PAGE: Final = 50
_PAGE_MAX: Final = 1_000
_GENERATE: Final = ("generateContent", "countTokens")
_EMBED: Final = ("embedContent",)
_encode = msgspec.json.Encoder().encode


def encode_models(served: Iterable[Served], environment: str, *, vertex: bool, query: str) -> bytes:
    """One page of the list. The token of a page is the name that it begins with."""
    given = {name: values[-1] for name, values in parse_qs(query).items()}
    if "filter" in given:
        message = "Unsupported: 'filter' is not supported in lists of models."
        raise Misconfigured(message, reasons=["filter"], place="filter")
    asked = integer(given.get("pageSize", given.get("page_size", 0)), "pageSize", 0, 2**31 - 1)
    size = min(asked or _PAGE, _PAGE_MAX)
    start = given.get("pageToken", given.get("page_token", ""))
    rest = [row for row in served if row.name >= start]
    page: dict[str, Any] = {
        "publisherModels" if vertex else "models": [_row(row, vertex) for row in rest[:size]]
    }
    if len(rest) > size:
        page["nextPageToken"] = rest[size].name
    return _encode(page)


def encode_model(served: Served, environment: str, *, vertex: bool) -> bytes:
    """One model."""
    return _encode(_row(served, vertex))


def encode_no_tuned_models(served: Iterable[Served], environment: str) -> bytes:
    """The list of tuned models: there are none."""
    return b'{"tunedModels":[]}'


def _row(served: Served, vertex: bool) -> dict[str, Any]:
    if vertex:
        return {"name": f"publishers/google/models/{served.name}", "versionId": served.release}
    return {
        "name": f"models/{served.name}",
        "baseModelId": served.name,
        "version": served.release,
        "displayName": served.name,
        "inputTokenLimit": served.context_tokens,
        "outputTokenLimit": min(served.context_tokens, ANSWER_TOKENS_MAX),
        "supportedGenerationMethods": _EMBED if served.embeds else _GENERATE,
        "maxTemperature": 2,
    }
