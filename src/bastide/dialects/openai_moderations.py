# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""OpenAI moderations: ``POST /v1/moderations``, which Mistral's clients use, too.

The guard policy of the caller's tenant answers, whatever model is named, and judges the texts as
prompts. It finds forms, not meanings: of the vendors' own categories it says nothing, so they are
all false. What it finds stands beside them under the names of the detectors.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from bastide.core.errors import Misconfigured
from bastide.core.guard import GROUPS
from bastide.core.limits import REQUEST_MESSAGES_MAX
from bastide.core.screening import Screened
from bastide.dialects.openai_fields import decode_body
from bastide.dialects.surface import Suspect

__all__ = ["decode", "encode", "encode_mistral"]

_MODEL: Final = "guard-policy"  # who answers: no model does
_CATEGORIES: Final = (
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
)
# Those of both versions of Mistral's API.
_MISTRAL_CATEGORIES: Final = (
    "sexual",
    "hate_and_discrimination",
    "violence_and_threats",
    "dangerous_and_criminal_content",
    "dangerous",
    "criminal",
    "selfharm",
    "health",
    "financial",
    "law",
    "pii",
    "jailbreaking",
)
_PERSONAL: Final = frozenset(GROUPS["personal"])
_encode = msgspec.json.Encoder().encode


class _Request(msgspec.Struct):
    input: Any = None


_decoder = msgspec.json.Decoder(_Request)


def decode(body: bytes, ident: str) -> Suspect:
    """Read a request. Raises Misconfigured, naming the field."""
    given = decode_body(_decoder, body).input
    if given is None:
        raise Misconfigured("Missing required parameter: 'input'.", place="input")
    if isinstance(given, str):
        return Suspect((given,), ident=ident)
    if not isinstance(given, list) or not 0 < len(given) <= REQUEST_MESSAGES_MAX:
        raise Misconfigured(
            f"Invalid 'input': use a text, or 1 to {REQUEST_MESSAGES_MAX} texts or parts of text.",
            place="input",
        )
    if isinstance(given[0], dict):
        # Parts are one input together, and get one result.
        parts = [_part(part, f"input[{index}]") for index, part in enumerate(given)]
        return Suspect(("\n".join(parts),), ident=ident)
    for index, text in enumerate(given):
        if not isinstance(text, str):
            place = f"input[{index}]"
            raise Misconfigured(f"Invalid type for '{place}': use a text.", place=place)
    return Suspect(tuple(given), ident=ident)


def encode(asked: Suspect, screened: Sequence[Screened]) -> bytes:
    """The verdicts, as OpenAI's clients read them."""
    return _answer(asked, [_result(row, _CATEGORIES, _found(row)) for row in screened])


def encode_mistral(asked: Suspect, screened: Sequence[Screened]) -> bytes:
    """The verdicts, as Mistral's clients read them: `pii` is what our group `personal` finds."""
    results = []
    for row in screened:
        found = _found(row)
        if not _PERSONAL.isdisjoint(found):
            found = [*found, "pii"]
        results.append(_result(row, _MISTRAL_CATEGORIES, found))
    return _answer(asked, results)


def _part(part: Any, place: str) -> str:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind == "image_url":
        raise Misconfigured(
            f"Unsupported '{place}': images are not judged.", reasons=[place], place=place
        )
    if kind != "text" or not isinstance(part.get("text"), str):
        raise Misconfigured(f"Invalid '{place}': use a part of text.", place=place)
    return part["text"]


def _found(row: Screened) -> list[str]:
    return list(dict.fromkeys(match.detector for match in row.matches))


def _result(row: Screened, categories: Sequence[str], found: Sequence[str]) -> dict[str, Any]:
    # Nothing was applied to the categories that nobody judged.
    return {
        "flagged": row.changed,
        "categories": {**dict.fromkeys(categories, False), **dict.fromkeys(found, True)},
        "category_scores": {**dict.fromkeys(categories, 0.0), **dict.fromkeys(found, 1.0)},
        "category_applied_input_types": {
            name: ["text"] if name in found else [] for name in (*categories, *found)
        },
    }


def _answer(asked: Suspect, results: list[dict[str, Any]]) -> bytes:
    return _encode({"id": f"modr-{asked.ident}", "model": _MODEL, "results": results})
