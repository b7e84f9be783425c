# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Values in the bodies of frames that others send; each raises Misconfigured for another type."""

from collections.abc import Mapping
from typing import Any

from bastide.core.errors import Misconfigured
from bastide.crypto.base64url import unb64url

__all__ = ["read_bytes", "read_count", "read_text"]


def read_text(body: Mapping[str, Any], name: str) -> str:
    """A text."""
    value = body.get(name)
    if not isinstance(value, str):
        raise Misconfigured(f"{name} is not text")
    return value


def read_count(body: Mapping[str, Any], name: str) -> int:
    """A number from 0 on."""
    value = body.get(name)
    if type(value) is not int or value < 0:
        raise Misconfigured(f"{name} is no count")
    return value


def read_bytes(body: Mapping[str, Any], name: str) -> bytes:
    """What a text holds in base64url."""
    try:
        return unb64url(read_text(body, name))
    except ValueError as error:
        raise Misconfigured(f"{name} is not base64url") from error
