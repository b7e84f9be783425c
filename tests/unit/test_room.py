# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A tenant's room for files holds in threads, and counts what was there before."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from bastide.app.room import Room
from bastide.core.errors import Full


def takes(room: Room, ident: str, size: int) -> bool:
    try:
        room.take("acme", ident, size)
    except Full:
        return False
    return True


@pytest.mark.parametrize(("size", "files_max", "wanted"), [(100, 500, 10), (1, 7, 7)])
def test_many_at_once_get_what_there_is(size: int, files_max: int, wanted: int) -> None:
    room = Room(1_050, lambda tenant: {}, files_max)
    with ThreadPoolExecutor(16) as pool:
        taken = sum(pool.map(lambda n: takes(room, f"f{n}", size), range(200)))
    assert taken == wanted


def test_what_is_there_counts_and_what_leaves_does_not() -> None:
    room = Room(100, {"acme": {"old": 60}, "rival": {}}.__getitem__)
    assert not takes(room, "new", 41)
    room.leave("acme", "old")
    assert takes(room, "new", 41)
    room.note("acme", "result", 80)  # never refused, but nothing has a place now
    with pytest.raises(Full):
        room.verify_some("acme")
    room.verify_some("rival")
