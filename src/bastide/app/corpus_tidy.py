# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What of a build's folder nobody needs once its dataset is made."""

from typing import Final

from bastide.app.alone import alone
from bastide.app.environment import Environment
from bastide.ports import SealingStore

__all__ = ["tidy", "tidy_again"]

_KEPT: Final = ("lives", "broken", "report")  # of a part, once the dataset is made
_SPENT: Final = ("merge", "unpacked", "counts", "gone")


def tidy(store: SealingStore, folder: str) -> None:
    """Delete what only the build needed. What a kill here leaves goes with the next build."""
    for name in _spent(store, folder):
        store.delete(name)


def tidy_again(env: Environment, folder: str) -> None:
    """Delete what a build left that was killed when its dataset stood."""
    if _spent(env.store, folder):
        with alone(env.home.store / folder, lambda: None):
            tidy(env.store, folder)


def _spent(store: SealingStore, folder: str) -> list[str]:
    names = store.names(folder)
    return [name for name in names if _is_spent(name.removeprefix(f"{folder}/"))]


def _is_spent(name: str) -> bool:
    kind, _, rest = name.partition("/")
    if kind == "parts":
        return not rest.rpartition("/")[2].startswith(_KEPT)
    if kind == "batches":
        return not rest.endswith("/report")
    return kind in _SPENT
