# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""API keys of Google: ``AIza`` and 35 characters."""

from typing import Final

from bastide.detectors.token import token_detector

__all__ = ["DETECTOR"]

DETECTOR: Final = token_detector("google-key", ("AIza",), r"0-9A-Za-z_\-", (35, 35))
