# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Tokens of Slack: ``xoxb-``, ``xoxp-`` and their kin."""

from typing import Final

from bastide.detectors.token import token_detector

__all__ = ["DETECTOR"]

DETECTOR: Final = token_detector(
    "slack-token",
    ("xoxb-", "xoxp-", "xoxa-", "xoxr-", "xoxs-", "xoxe-", "xapp-"),
    "0-9A-Za-z-",
    (20, 255),
    lambda token: sum(map(str.isdigit, token)) >= 8,
    marks=("xox", "xapp-"),
)
