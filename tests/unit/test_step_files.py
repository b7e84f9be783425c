# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A process keeps the finders that it used last, and ends those that it keeps no more."""

from pathlib import Path
from typing import Any

import pytest

from bastide.app.asked_finder import AskedFinder
from bastide.app.corpus_step_files import close_finders, fill, find_step_files
from bastide.core.document import Document
from bastide.filters.names import Names

KEPT = 8


def test_a_finder_that_is_kept_no_more_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "names.txt").write_text("name\tAino\n")
    ended: list[AskedFinder] = []
    close = AskedFinder.close

    def counted(self: AskedFinder) -> None:
        ended.append(self)
        close(self)

    monkeypatch.setattr(AskedFinder, "close", counted)

    def steps(*numbers: int) -> list[Any]:
        """The step under other keys, as other builds have it."""
        keyed = [Names(finder="list:names.txt").keyed(bytes([number]) * 32) for number in numbers]
        return fill(keyed, find_step_files(keyed, tmp_path))

    close_finders()
    ended.clear()
    (first,) = steps(0)
    for begin in (1, KEPT):  # it is used between, and so others go first
        for number in range(begin, begin + KEPT - 1):
            steps(number)
        assert steps(0)[0] is first
    for number in range(2 * KEPT - 1, 20):
        steps(number)
    assert len(ended) == len(set(ended)) == 20 - KEPT
    # One recipe may have more of them than are kept, and asks them all.
    ended.clear()
    many = steps(*range(100, 100 + 2 * KEPT))
    assert len(ended) == KEPT, "those of before"
    for step in many:
        assert step.apply(Document("1", "Aino is here.", "letters")).notes == {"names/name": 1}
    close_finders()
    assert len(set(ended)) == 3 * KEPT
