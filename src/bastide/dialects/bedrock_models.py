# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Bedrock's model list: ``GET /foundation-models`` and ``GET /foundation-models/{id}``."""

from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from bastide.core.errors import Misconfigured
from bastide.core.snapshot import Served

__all__ = ["encode_model", "encode_models"]

# For each filter of the list: its values, and whether our models have them.
_FILTERS: Final[dict[str, dict[str, bool]]] = {
    "byOutputModality": {"TEXT": True, "IMAGE": False, "EMBEDDING": False},
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
    wanted = True
    for name, value in parse_qsl(query, keep_blank_values=True, max_num_fields=32):
        if name == "byProvider":
            wanted = wanted and value.lower() == environment.lower()
        elif name in _FILTERS:
            if value not in _FILTERS[name]:
                values = ", ".join(_FILTERS[name])
                raise Misconfigured(f"Invalid '{name}': use one of {values}.", place=name)
            wanted = wanted and _FILTERS[name][value]
    rows = [_row(row, environment) for row in served] if wanted else []
    return _encode({"modelSummaries": rows})


def encode_model(served: Served, environment: str) -> bytes:
    """One model."""
    return _encode({"modelDetails": _row(served, environment)})


def _row(served: Served, environment: str) -> dict[str, Any]:
    return {
        "modelArn": f"arn:bastide:bedrock:{environment}::foundation-model/{served.name}",
        "modelId": served.name,
        "modelName": served.name,
        "providerName": environment,
        "inputModalities": ["TEXT"],
        "outputModalities": ["TEXT"],
        "responseStreamingSupported": True,
        "customizationsSupported": [],
        "inferenceTypesSupported": ["ON_DEMAND"],
        "modelLifecycle": {"status": "ACTIVE"},
    }
