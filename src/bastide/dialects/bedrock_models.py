# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Bedrock's model lists: ``GET /foundation-models`` and ``GET /inference-profiles``, and one each.

An inference profile is another name under which AWS sells a model. Ours has its model's name.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from bastide.core.errors import Misconfigured
from bastide.core.snapshot import Served

__all__ = ["encode_model", "encode_models", "encode_profile", "encode_profiles"]

_PAGE_MAX: Final = 1_000

# For each filter of the list: its values, and whether our models have them.
_FILTERS: Final[dict[str, dict[str, bool]]] = {
    "byOutputModality": {"TEXT": True, "IMAGE": False, "EMBEDDING": True},
    "byInferenceType": {"ON_DEMAND": True, "PROVISIONED": False},
    "byCustomizationType": {
        "FINE_TUNING": False,
        "CONTINUED_PRE_TRAINING": False,
        "DISTILLATION": False,
    },
}
_encode = msgspec.json.Encoder().encode


def encode_models(served: Iterable[Served], environment: str, query: str) -> bytes:
    """The models that the filters of the query let through. Raises Misconfigured."""
    wanted, modality = True, ""
    for name, value in parse_qsl(query, keep_blank_values=True, max_num_fields=32):
        if name == "byProvider":
            wanted = wanted and value.lower() == environment.lower()
        elif name in _FILTERS:
            if value not in _FILTERS[name]:
                values = ", ".join(_FILTERS[name])
                raise Misconfigured(f"Invalid '{name}': use one of {values}.", place=name)
            wanted = wanted and _FILTERS[name][value]
            modality = value if name == "byOutputModality" else modality
    rows = [_row(row, environment) for row in served if modality in ("", _makes(row))]
    rows = rows if wanted else []
    return _encode({"modelSummaries": rows})


def _makes(served: Served) -> str:
    return "EMBEDDING" if served.embeds else "TEXT"


def encode_model(served: Served, environment: str) -> bytes:
    """One model."""
    return _encode({"modelDetails": _row(served, environment)})


def encode_profiles(served: Iterable[Served], environment: str, query: str) -> bytes:
    """One page of inference profiles; `query` says which. Raises Misconfigured."""
    asked = dict(parse_qsl(query, keep_blank_values=True, max_num_fields=32))
    rows = [] if asked.get("type") == "APPLICATION" else list(served)
    limit = asked.get("maxResults", str(_PAGE_MAX))
    if not (limit.isascii() and limit.isdigit() and len(limit) <= 4 and int(limit) > 0):
        raise Misconfigured(
            f"Invalid 'maxResults': use a number from 1 to {_PAGE_MAX}.", place="maxResults"
        )
    # A token is the last name of the page before: names are sorted.
    rows = [row for row in rows if row.name > asked.get("nextToken", "")]
    page = rows[: min(int(limit), _PAGE_MAX)]
    out: dict[str, Any] = {
        "inferenceProfileSummaries": [_profile(row, environment) for row in page]
    }
    if len(rows) > len(page):
        out["nextToken"] = page[-1].name
    return _encode(out)


def encode_profile(served: Served, environment: str) -> bytes:
    """One inference profile."""
    return _encode(_profile(served, environment))


def _profile(served: Served, environment: str) -> dict[str, Any]:
    created = datetime.fromtimestamp(served.created_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "inferenceProfileName": served.name,
        "inferenceProfileArn": _arn(served, environment, "inference-profile"),
        "inferenceProfileId": served.name,
        "models": [{"modelArn": _arn(served, environment)}],
        "status": "ACTIVE",
        "type": "SYSTEM_DEFINED",
        "createdAt": created,
        "updatedAt": created,
    }


def _arn(served: Served, environment: str, kind: str = "foundation-model") -> str:
    return f"arn:bastide:bedrock:{environment}::{kind}/{served.name}"


def _row(served: Served, environment: str) -> dict[str, Any]:
    return {
        "modelArn": _arn(served, environment),
        "modelId": served.name,
        "modelName": served.name,
        "providerName": environment,
        "inputModalities": ["TEXT"],
        "outputModalities": [_makes(served)],
        "responseStreamingSupported": not served.embeds,
        "customizationsSupported": [],
        "inferenceTypesSupported": ["ON_DEMAND"],
        "modelLifecycle": {"status": "ACTIVE"},
    }
