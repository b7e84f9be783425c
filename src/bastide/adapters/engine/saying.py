# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What engines say: text of theirs that is safe to show, and their pieces as deltas."""

from collections.abc import Sequence

from bastide.core.chat import Delta, Usage
from bastide.dialects.tool_prompt import Reading

__all__ = ["last_deltas", "printable", "text_deltas"]


def printable(text: str) -> str:
    """A short text from an engine, safe to show."""
    return "".join(c if c.isprintable() else " " for c in text)[:300].strip()


def text_deltas(calls: Reading | None, text: str, usage: Usage | None) -> Sequence[Delta]:
    """A piece of text, read for calls of tools where there are tools."""
    if calls is not None:
        return calls.read(text, usage)
    return (Delta(text, usage=usage),)


def last_deltas(calls: Reading | None, last: Delta) -> Sequence[Delta]:
    """What is left at the end, and the last delta."""
    return (last,) if calls is None else calls.end(last)
