# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""JSON from strangers: bounded in bytes and values, no key twice, no NaN, UTF-8 only."""

import json
from typing import Any, Final

from bastide.core import limits
from bastide.formats.faults import Faults

__all__ = ["read_json"]

_STRUCTURE: Final = (b"{", b"[", b",")


def read_json(raw: bytes, name: str, faults: Faults, items: int = limits.JSON_ITEMS_MAX) -> Any:
    """Parse one document. A fault is noted and None returned if it is not sound JSON.

    Every value but the first follows one of three characters, so counting these bounds how many
    objects the parser can make, before it makes any.
    """
    if sum(raw.count(mark) for mark in _STRUCTURE) > items:
        faults.add(f"{name} has more than {items} values")
        return None
    try:
        text = raw.decode("utf-8")
        return json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
    except UnicodeDecodeError:
        faults.add(f"{name} is not UTF-8")
    except RecursionError:
        faults.add(f"{name} is nested too deeply")
    except ValueError as error:
        faults.add(f"{name} is not sound JSON: {str(error)[:200]}")
    return None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))
        raise ValueError(f"the key {twice[:80]!r} is there twice")
    return found


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
