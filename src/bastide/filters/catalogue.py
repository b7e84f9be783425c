# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""FILTERS: every step that a recipe may name, and `build`, which makes one from its settings."""

import difflib
from collections.abc import Mapping
from dataclasses import MISSING, fields
from types import MappingProxyType
from typing import Any, Final, get_args, get_origin, get_type_hints

from bastide.core.errors import Misconfigured
from bastide.filters.budget import Budget
from bastide.filters.c4 import C4
from bastide.filters.decontaminate import Decontaminate
from bastide.filters.filter import Filter
from bastide.filters.fineweb import FineWeb
from bastide.filters.gopher_quality import GopherQuality
from bastide.filters.gopher_repetition import GopherRepetition
from bastide.filters.language import Language
from bastide.filters.length import Length
from bastide.filters.names import Names
from bastide.filters.near_duplicate import NearDuplicate
from bastide.filters.normalise import Normalise
from bastide.filters.openeurollm import OpenEuroLlmRules
from bastide.filters.rights import Rights
from bastide.filters.sample import Sample
from bastide.filters.secrets import Secrets

__all__ = ["FILTERS", "GLOBAL_STEPS", "build"]

# Steps that judge one document. The names are those of recipes and of reasons.
FILTERS: Final[Mapping[str, type[Filter]]] = MappingProxyType(
    {
        kind.ident: kind
        for kind in (
            Normalise,
            Language,
            Length,
            GopherQuality,
            GopherRepetition,
            C4,
            FineWeb,
            Decontaminate,
            Rights,
            OpenEuroLlmRules,
            Secrets,
            Names,
            Sample,
        )
    }
)

# Steps that need every document: they measure each, and the build joins what they say.
GLOBAL_STEPS: Final[Mapping[str, type[NearDuplicate] | type[Budget]]] = MappingProxyType(
    {NearDuplicate.ident: NearDuplicate, Budget.ident: Budget}
)


def build(ident: str, settings: Mapping[str, Any]) -> Any:
    """A step with its settings: a Filter, or one of GLOBAL_STEPS.

    Raises Misconfigured for an unknown step, an unknown or missing setting, or a wrong value.
    """
    kinds: dict[str, Any] = {**FILTERS, **GLOBAL_STEPS}
    if ident not in kinds:
        raise Misconfigured(f"there is no step {ident!r}", fix=_nearest(ident, kinds))
    kind = kinds[ident]
    known = {field.name: field for field in fields(kind)}
    hints = get_type_hints(kind)
    given = {}
    for name, value in settings.items():
        if name not in known:
            raise Misconfigured(
                f"the step {ident} has no setting {name!r}", fix=_nearest(name, known), place=name
            )
        given[name] = _value(ident, name, value, hints[name])
    for name, field in known.items():
        if name not in given and field.default is MISSING and field.default_factory is MISSING:
            raise Misconfigured(f"the step {ident} needs the setting {name}", place=name)
    try:
        return kind(**given)
    except ValueError as error:
        raise Misconfigured(f"the step {ident}: {error}") from error


def _value(ident: str, name: str, value: Any, hint: Any) -> Any:
    """A value as its setting has it: TOML writes a list for a tuple, and may write 1 for 1.0."""
    if get_origin(hint) is tuple:
        inner = get_args(hint)[0]
        if isinstance(value, list | tuple) and all(type(item) is inner for item in value):
            return tuple(value)
    elif (hint is float and type(value) is int) or type(value) is hint:
        return hint(value)
    wanted = "a list of texts" if get_origin(hint) is tuple else _WORDS.get(hint, str(hint))
    raise Misconfigured(f"the step {ident}: {name} must be {wanted}", place=name)


def _nearest(word: str, known: Mapping[str, Any]) -> str:
    found = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {found[0]!r}?" if found else f"known: {', '.join(sorted(known))}"


_WORDS: Final[Mapping[Any, str]] = MappingProxyType(
    {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
)
