# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The blocks of docs/reference/filters.md, from the catalogues of readers and filters."""

import inspect
import json
import sys
from dataclasses import MISSING, fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

from generate import _remarks, _table

from bastide.filters.catalogue import FILTERS, GLOBAL_STEPS
from bastide.readers.catalogue import READERS
from bastide.readers.reader import REASONS

__all__ = ["broken_reasons", "filters", "readers"]


def filters() -> str:
    """Every step of a corpus recipe: what it does, its settings and its reasons."""
    parts = []
    for ident, kind in sorted({**FILTERS, **GLOBAL_STEPS}.items()):
        module = sys.modules[kind.__module__]
        rows = _settings_of(kind)
        reasons = ", ".join(f"`{ident}/{rule}`" for rule in kind.rules)
        parts += [f"### {ident}", "", (inspect.getdoc(module) or "").strip(), ""]
        parts += [_table(["setting", "type", "default", "meaning"], rows), ""] if rows else []
        parts += [f"Removes with the reason {reasons}.", ""]
    return "\n".join(parts).rstrip()


def readers() -> str:
    """Every reader of a corpus recipe with its settings."""
    parts = []
    for ident, kind in sorted(READERS.items()):
        module = sys.modules[kind.__module__]
        rows = _settings_of(kind)
        parts += [f"### {ident}", "", (inspect.getdoc(module) or "").strip(), ""]
        parts += [_table(["setting", "type", "default", "meaning"], rows), ""] if rows else []
    return "\n".join(parts).rstrip()


def broken_reasons() -> str:
    """Why a place of a corpus file may be broken."""
    return _table(["reason", "meaning"], [[f"`{name}`", why] for name, why in REASONS.items()])


def _settings_of(kind: Any) -> list[list[str]]:
    """A row for each field of a dataclass whose fields are settings."""
    hints, remarks = get_type_hints(kind), _remarks(inspect.getsource(kind))
    return [
        [
            f"`{field.name}`",
            _setting(hints[field.name]),
            _default(field),
            remarks.get(field.name, ""),
        ]
        for field in fields(kind)
    ]


def _setting(hint: Any) -> str:
    """The type of a setting, as TOML has it."""
    if get_origin(hint) is Literal:
        return " or ".join(f'`"{word}"`' for word in get_args(hint))
    if get_origin(hint) is tuple:
        return "list of texts"
    return {int: "whole number", float: "number", bool: "true or false", str: "text"}[hint]


def _default(field: Any) -> str:
    if field.default is MISSING:
        return "must be given"
    shown = list(field.default) if isinstance(field.default, tuple) else field.default
    return f"`{json.dumps(shown)}`"
