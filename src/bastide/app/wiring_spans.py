# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Wiring of finders of names: a scheme to the adapter that asks. A door like wiring.py."""

from collections.abc import Callable, Sequence
from functools import partial

from bastide.app import wiring, wiring_engines
from bastide.core.errors import Misconfigured
from bastide.filters.names import SCHEMES
from bastide.ports import SpanFinder

__all__ = ["open_finder"]


def open_finder(scheme: str, name: str, files: Sequence[Callable[[], bytes]]) -> SpanFinder:
    """The finder of a scheme (`filters.names.SCHEMES`). files: its content, its own first.

    A program starts with the first question, in the strongest sandbox of this machine. Raises
    Misconfigured.
    """
    if scheme == "list":
        from bastide.adapters.spans.listed import ListFinder

        return ListFinder(name, files[0]())
    if scheme == "program":
        from bastide.adapters.spans.program import ProgramFinder

        python, sandbox = wiring_engines.interpreter_files(), partial(wiring.sandbox, "auto")
        return ProgramFinder(name, files, python, sandbox, wiring.clock())
    raise Misconfigured(f"there is no finder {scheme!r}", fix=f"one of {', '.join(SCHEMES)}")
