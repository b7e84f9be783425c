# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What the bodies of files and batches look like, as JSON schemas for the OpenAPI document."""

from collections.abc import Mapping
from typing import Any, Final

from bastide.core.limits import BATCH_METADATA_MAX, FILE_SECONDS_MAX, FILE_SECONDS_MIN
from bastide.dialects.batch_lines import ENDPOINTS
from bastide.dialects.openai_files import PURPOSES

__all__ = ["FILE_BODIES"]

_EXPIRES: Final = {
    "type": "object",
    "properties": {
        "anchor": {"type": "string", "enum": ["created_at"]},
        "seconds": {"type": "integer", "minimum": FILE_SECONDS_MIN, "maximum": FILE_SECONDS_MAX},
    },
    "required": ["anchor", "seconds"],
}
_METADATA: Final = {
    "type": "object",
    "maxProperties": BATCH_METADATA_MAX,
    "additionalProperties": {"type": "string", "maxLength": 512},
}

# A form has `expires_after` as two fields, expires_after[anchor] and expires_after[seconds].
FILE_BODIES: Final[Mapping[str, Mapping[str, Any]]] = {
    "OpenAIFile": {
        "type": "object",
        "properties": {
            "file": {"type": "string", "format": "binary"},
            "purpose": {"type": "string", "enum": list(PURPOSES)},
        },
        "required": ["file", "purpose"],
    },
    "OpenAIBatch": {
        "type": "object",
        "properties": {
            "input_file_id": {"type": "string", "minLength": 1, "maxLength": 256},
            "endpoint": {"type": "string", "enum": list(ENDPOINTS)},
            "completion_window": {"type": "string", "enum": ["24h"]},
            "metadata": _METADATA,
            "output_expires_after": _EXPIRES,
        },
        "required": ["input_file_id", "endpoint", "completion_window"],
    },
}
