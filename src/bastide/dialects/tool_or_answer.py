# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Reads a text that a schema bound to be a call or an answer.

It is ``{"name": ..., "arguments": ...}`` or ``{"answer": ...}``: the first key says which. An
answer with a schema of its own is handed on as the JSON that it is; one without is a quoted text,
whose quotes and escapes are taken off piece by piece.
"""

import json
import re
from typing import Final, Protocol

from msgspec import structs

from bastide.core.chat import Delta, FinishReason, Usage

__all__ = ["ToolOrAnswer"]

_FIRST: Final = re.compile(r'\s*\{\s*"(name|answer)"\s*:\s*')
# Whole characters of a quoted text. Half a surrogate pair waits for its other half.
_WHOLE: Final = re.compile(
    r'(?:[^"\\]|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[0-9a-fA-F]{4}'
    r"|\\u[dD][89abAB][0-9a-fA-F]{2}(?=[^\\]|\\[^u])"
    r'|\\u(?![dD][89abAB])[0-9a-fA-F]{4}|\\["\\/bfnrt])*'
)


class _Calls(Protocol):
    def read(self, text: str, usage: Usage | None) -> list[Delta]: ...
    def end(self, last: Delta) -> list[Delta]: ...


class ToolOrAnswer:
    """`calls` reads a call. `quoted`: an answer is a quoted text."""

    def __init__(self, calls: _Calls, *, quoted: bool) -> None:
        self._calls = calls
        self._quoted = quoted
        self._kind = ""  # the first key, once it is there
        self._held = ""  # what was not said yet
        self._begun = False  # something of the answer was read
        self._over = False  # the quoted text has ended

    def read(self, text: str, usage: Usage | None) -> list[Delta]:
        """The next piece of text, as deltas."""
        if self._kind == "name":
            return self._calls.read(text, usage)
        self._held += text
        if not self._kind:
            found = _FIRST.match(self._held)
            if found is None:
                return []
            self._kind = found[1]
            if self._kind == "name":
                return self._calls.read(self._held, usage)
            self._held = self._held[found.end() :]
        said = self._unquoted() if self._quoted else self._as_it_is()
        return [Delta(said, usage=usage)] if said else []

    def end(self, last: Delta) -> list[Delta]:
        """What is left, and the last delta. An answer cut short is given as far as it came."""
        if self._kind == "name":
            return self._calls.end(last)
        out = self.read(last.text, last.usage)
        if self._kind == "name":  # the last piece said so
            return [*out, *self._calls.end(structs.replace(last, text=""))]
        if self._kind and not self._quoted:
            left = self._held.rstrip()
            if last.finish is FinishReason.STOP:
                left = left.removesuffix("}").rstrip()  # the envelope's
            if left:
                out.append(Delta(left, usage=last.usage))
        return [*out, structs.replace(last, text="")]

    def _as_it_is(self) -> str:
        # The envelope's brace is the last one, with only space around it: hold its candidates.
        text = self._held if self._begun else self._held.lstrip()
        body = text.rstrip().rstrip("} \t\r\n")
        self._held = text[len(body) :]
        self._begun = self._begun or bool(body)
        return body

    def _unquoted(self) -> str:
        text = self._held if self._begun else self._held.lstrip()
        if self._over or not text:
            return ""
        if not self._begun:
            text, self._begun = text.removeprefix('"'), True
        whole = _WHOLE.match(text)
        body = whole[0] if whole else ""
        self._held = text[len(body) :]
        self._over = self._held.startswith('"')
        said = json.loads(f'"{body}"', strict=False)
        # A lone surrogate is no character: the grammar of an engine lets one pass.
        return said.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
