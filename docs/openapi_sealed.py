# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What is sent to the routes of sealed mode, and how they refuse, as JSON Schemas."""

from collections.abc import Mapping
from typing import Any, Final

from bastide.core.limits import ANSWER_TOKENS_MAX
from bastide.core.sealed import SUITE

__all__ = ["SEALED_BODIES", "SEALED_ERROR"]

_TEXT: Final = {"type": "string"}
_NAME: Final = {"type": "string", "minLength": 1, "maxLength": 256}
_FIELDS: Final[Mapping[str, Any]] = {
    "suite": {"type": "string", "enum": [SUITE]},
    "node": _NAME,
    "replica": {"type": "integer", "minimum": 1, "maximum": 1_024},
    "model": _NAME,
    "tokens_max": {"type": "integer", "minimum": 1, "maximum": ANSWER_TOKENS_MAX},
    "sealed": {"type": "string", "pattern": "^[A-Za-z0-9_-]+$"},
}
SEALED_BODIES: Final[Mapping[str, Any]] = {
    "SealedRequest": {
        "type": "object",
        "properties": _FIELDS,
        "required": list(_FIELDS),
        "additionalProperties": False,
    }
}
SEALED_ERROR: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {
        "error": {
            "type": "object",
            "properties": {"code": {"type": ["string", "null"]}, "message": _TEXT},
            "required": ["code", "message"],
        }
    },
    "required": ["error"],
    "additionalProperties": False,
}
