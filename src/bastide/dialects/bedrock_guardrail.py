# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Bedrock ApplyGuardrail: ``POST /guardrail/{id}/version/{version}/apply``.

The guard policy of the caller's tenant answers, whatever id and version the path names: it is the
one guardrail that there is for them.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from bastide.core.errors import Misconfigured
from bastide.core.guard import Action
from bastide.core.limits import REQUEST_MESSAGES_MAX
from bastide.core.screening import Match, Screened
from bastide.dialects.bedrock_body import read_body, wrong
from bastide.dialects.surface import Suspect

__all__ = ["decode", "encode"]

_SOURCES: Final = {"INPUT": False, "OUTPUT": True}
_UNIT_CHARS: Final = 1_000  # what AWS counts as one unit of text
_ACTIONS: Final = {Action.OBSERVE: "NONE", Action.MASK: "ANONYMIZED", Action.REFUSE: "BLOCKED"}
# AWS's names for what our detectors find. All others are regular expressions to them.
_ENTITIES: Final = {
    "aws-key": "AWS_ACCESS_KEY",
    "aws-secret": "AWS_SECRET_KEY",
    "card": "CREDIT_DEBIT_CARD_NUMBER",
    "email": "EMAIL",
    "iban": "INTERNATIONAL_BANK_ACCOUNT_NUMBER",
    "ip-address": "IP_ADDRESS",
    "link": "URL",
    "phone": "PHONE",
}
_REFUSED: Final = "The guard policy of this environment refuses this text."
_NO_UNITS: Final = {
    "topicPolicyUnits": 0,
    "contentPolicyUnits": 0,
    "wordPolicyUnits": 0,
    "sensitiveInformationPolicyFreeUnits": 0,
    "contextualGroundingPolicyUnits": 0,
}
_encode = msgspec.json.Encoder().encode


class _Text(msgspec.Struct):
    text: str
    qualifiers: list[str] | None = None


class _Block(msgspec.Struct, forbid_unknown_fields=True):
    text: _Text


class _Body(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    source: str
    content: list[_Block]
    output_scope: str | None = None


_decoder = msgspec.json.Decoder(_Body)


def decode(body: bytes, ident: str) -> Suspect:
    """Read a request. Raises Misconfigured, naming the field."""
    given = read_body(_decoder, body)
    if given.source not in _SOURCES:
        raise wrong("source", f"use {' or '.join(_SOURCES)}")
    if given.output_scope not in (None, "INTERVENTIONS", "FULL"):
        raise wrong("outputScope", "use INTERVENTIONS or FULL")
    if not 0 < len(given.content) <= REQUEST_MESSAGES_MAX:
        raise wrong("content", f"1 to {REQUEST_MESSAGES_MAX} blocks")
    for index, block in enumerate(given.content):
        if set(block.text.qualifiers or ()) - {"guard_content"}:
            place = f"content[{index}].text.qualifiers"
            raise Misconfigured(
                f"Unsupported '{place}': nothing is grounded here.", reasons=[place], place=place
            )
    return Suspect(tuple(block.text.text for block in given.content), _SOURCES[given.source])


def encode(asked: Suspect, screened: Sequence[Screened]) -> bytes:
    """The verdict."""
    changed = any(row.changed for row in screened)
    matches = [match for row in screened for match in row.matches]
    refused = any(row.refused for row in screened)
    texts = [_REFUSED] if refused else [row.text for row in screened]
    size = sum(map(len, asked.texts))
    usage = {**_NO_UNITS, "sensitiveInformationPolicyUnits": -(-size // _UNIT_CHARS)}
    coverage = {"textCharacters": {"guarded": size, "total": size}}
    assessment: dict[str, Any] = {"invocationMetrics": {"guardrailCoverage": coverage}}
    if matches:
        assessment["sensitiveInformationPolicy"] = _found(matches)
    return _encode(
        {
            "usage": usage,
            "action": "GUARDRAIL_INTERVENED" if changed else "NONE",
            "outputs": [{"text": text} for text in texts] if changed else [],
            "assessments": [assessment],
            "guardrailCoverage": coverage,
        }
    )


def _found(matches: Sequence[Match]) -> dict[str, list[dict[str, Any]]]:
    entities, others = [], []
    for match in matches:
        row = {"match": match.text, "action": _ACTIONS[match.action], "detected": True}
        if match.detector in _ENTITIES:
            entities.append({**row, "type": _ENTITIES[match.detector]})
        else:
            others.append({**row, "name": match.detector})
    return {"piiEntities": entities, "regexes": others}
