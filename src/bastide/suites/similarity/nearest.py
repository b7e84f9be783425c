# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Pairs that share their options, so that each option is right once."""

from bastide.suites.suite import Item, Method

__all__ = ["Pairs", "nearest"]

Pairs = tuple[str, tuple[tuple[str, str], ...]]  # a group's name, and what is asked with its answer


def nearest(benchmark: str, groups: tuple[Pairs, ...]) -> tuple[Item, ...]:
    """The items of a benchmark. A model that ignores what is asked scores 1 / len(pairs)."""
    return tuple(
        Item(
            ident=f"{benchmark}/{group}/{number}",
            benchmark=benchmark,
            method=Method.NEAREST,
            prompt=asked,
            targets=(answer,),
            options=tuple(option for _, option in pairs),
        )
        for group, pairs in groups
        for number, (asked, answer) in enumerate(pairs, 1)
    )
