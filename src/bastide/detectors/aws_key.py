# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Access key ids of AWS: four letters that say what they are, 16 characters of base32.

The secret that belongs to one has no form of its own: 40 characters of base64 behind a word such
as ``aws_secret_access_key``.
"""

import re
from typing import Final

from bastide.detectors.detector import DIGITS, Detector, after_word, longest
from bastide.detectors.token import token_detector

__all__ = ["KEY_ID", "SECRET"]

KEY_ID: Final = token_detector("aws-key", ("AKIA", "ASIA", "ABIA", "ACCA"), "A-Z2-7", (16, 16))

_WORDS = after_word(r"aws[\w .-]{0,24}(?:secret|key)|secret[_ ]?access[_ ]?key|secretaccesskey")
_WHOLE = re.compile(r"[0-9A-Za-z/+]{40}(?![0-9A-Za-z/+=])")
_RUN = longest(r"(?<![0-9A-Za-z/+])[0-9A-Za-z/+]{1,41}")


def _run(text: str, at: int) -> int:
    return _RUN(text, at) if _WORDS(text, at) else at  # without the word nothing need wait


def _end(text: str, at: int, stop: int) -> int:
    found = _WHOLE.match(text, at)
    if found is None:
        return 0
    secret = found.group()
    mixed = any(map(str.isdigit, secret)) and not (secret.islower() or secret.isupper())
    return found.end() if mixed else 0


SECRET: Final = Detector(
    "aws-secret",
    "0-9A-Za-z/+",
    _run,
    _end,
    begins=r"(?<![0-9A-Za-z/+])[0-9A-Za-z/+](?=[0-9A-Za-z/+]{39}|[0-9A-Za-z/+]{0,40}\Z)",
    marks=DIGITS,
    after=("aws", "secret"),  # one of them is in each of the words
)
