# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Identities of age (the private halves of its keys), by their bech32 checksum."""

from typing import Final

from bastide.core.errors import BastideError
from bastide.crypto.age import bech32
from bastide.detectors.token import token_detector

__all__ = ["DETECTOR"]


def _holds(text: str) -> bool:
    try:
        bech32.decode(text)
    except BastideError:
        return False
    return True


DETECTOR: Final = token_detector("age-identity", ("AGE-SECRET-KEY-",), "0-9A-Z-", (50, 200), _holds)
