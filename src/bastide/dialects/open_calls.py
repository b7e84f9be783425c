# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Which call a result answers, for families whose clients need not say it by an id.

A result without an id answers the oldest call of its function that nothing has answered yet.
"""

__all__ = ["OpenCalls"]


class OpenCalls:
    """The calls of a conversation that nothing has answered yet, oldest first."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}  # of calls, by their ids
        self._made = 0

    def open(self, ident: str, name: str) -> str:
        """A call was made; its id, which is made up if there is none."""
        self._made += 1
        ident = ident or f"call_{self._made}"
        self._names[ident] = name
        return ident

    def answer(self, ident: str, name: str) -> str | None:
        """The id of the call that a result answers; None if there is none. Both may be empty."""
        if not ident:
            names = self._names.items()
            ident = next((row for row, called in names if name in ("", called)), "")
        return ident if self._names.pop(ident, None) is not None else None
