# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""API keys of Bastide itself, by their checksum."""

from typing import Final

from bastide.core.apikey import is_key
from bastide.detectors.token import token_detector

__all__ = ["DETECTOR"]

DETECTOR: Final = token_detector("bastide-key", ("bst_",), "0-9A-Za-z", (36, 36), is_key)
