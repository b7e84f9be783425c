# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What of a build's folder nobody needs once its dataset is made."""

from typing import Final

from bastide.ports import SealingStore

__all__ = ["tidy"]

_KEPT: Final = ("lives", "broken", "report")  # of a part, once the dataset is made


def tidy(store: SealingStore, folder: str) -> None:
    """Delete what only the build needed. A kill here leaves sealed objects, and no harm."""
    for kind in ("merge", "unpacked", "counts"):
        for name in store.names(f"{folder}/{kind}"):
            store.delete(name)
    store.delete(f"{folder}/gone")
    for name in store.names(f"{folder}/parts"):
        if not name.rpartition("/")[2].startswith(_KEPT):
            store.delete(name)
    for name in store.names(f"{folder}/batches"):
        if not name.endswith("/report"):
            store.delete(name)
