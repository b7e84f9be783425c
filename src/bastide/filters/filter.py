# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Filter: one rule set with its settings. A frozen dataclass: its fields are its settings.

Rules:
* A filter knows nothing but the document: no disk, no clock, no chance, no other document.
* A removal has one reason, `ident/rule`, of the bounded set that `rules` lists.
* What a filter needs of the disk its settings name (`NeedsFiles`); the caller reads and hashes it.
* An exception is a fault of ours or of the settings. Nobody catches it to let a document pass.
"""

import json
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Protocol

from bastide.core.document import Document, Outcome
from bastide.core.errors import Misconfigured
from bastide.filters.words import Words

__all__ = ["Filter", "NeedsFiles", "json_lines", "removed", "words_of"]


class Filter(Protocol):
    """A filter.

    ident: its name in recipes and reasons. rules: every rule by which it may remove a document.
    """

    ident: ClassVar[str]
    rules: ClassVar[tuple[str, ...]]

    def apply(self, document: Document, words: Words | None = None) -> Outcome:
        """Judge one document. words: the split of its text, if the caller has it already."""
        ...


class NeedsFiles(Protocol):
    """A filter some of whose settings are names of files, relative to the recipe.

    Their content is part of a build's name, as that of the sources is.
    """

    file_settings: ClassVar[tuple[str, ...]]  # settings that are lists of such names

    def given(self, files: Mapping[str, bytes]) -> Filter:
        """The filter that can judge. Raises Misconfigured, naming file and line."""
        ...


def json_lines(file: str, data: bytes) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a step's JSON Lines with their line numbers; blank lines are passed over.

    Raises Misconfigured for a line that is none, or a file without any.
    """
    seen = False
    for number, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line.decode())
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict):
            raise Misconfigured(
                f"{file}:{number}: not an object in JSON",
                fix="one object a line, in UTF-8",
                place=f"{file}:{number}",
            )
        seen = True
        yield number, row
    if not seen:
        raise Misconfigured(f"{file} is empty", fix="name another file", place=file)


def removed(
    ident: str, rule: str, notes: Mapping[str, str | int | float] = MappingProxyType({})
) -> Outcome:
    """The outcome of a document that a rule removes."""
    return Outcome(document=None, reason=f"{ident}/{rule}", notes=dict(notes))


def words_of(document: Document, words: Words | None) -> Words:
    """The split of a document's text: the given one if it is of this text, else a new one."""
    return words if words is not None and words.text is document.text else Words(document.text)
