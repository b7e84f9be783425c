# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""How to make a detector of secrets that have a fixed beginning and a known length."""

import re
from collections.abc import Callable

from bastide.detectors.detector import ALONE, Detector, hinted, longest, spelled

__all__ = ["token_detector"]


def token_detector(
    ident: str,
    beginnings: tuple[str, ...],
    body: str,
    count: tuple[int, int],
    holds: Callable[[str], bool] = lambda text: True,
    marks: tuple[str, ...] = (),
) -> Detector:
    """A detector of `beginnings`, each followed by `count` (least, most) characters of the class
    `body`, with none of that class before or behind. `holds` is the checksum, if there is one;
    `marks` are the beginnings, if nothing shorter says as much.
    """
    least, most = count
    rest = f"[{body}]{{0,{most}}}"
    run = f"{ALONE}(?:{spelled(beginnings, rest)})"
    words = "|".join(map(re.escape, beginnings))
    whole = re.compile(f"(?:{words})[{body}]{{{least},{most}}}(?![{body}])")
    first = "".join(sorted({word[0] for word in beginnings}))

    def end(text: str, at: int, stop: int) -> int:
        found = whole.match(text, at)
        return found.end() if found is not None and holds(found.group()) else 0

    marks = marks or tuple(dict.fromkeys(word.casefold() for word in beginnings))
    return Detector(ident, first, longest(run), end, begins=ALONE + hinted(beginnings), marks=marks)
