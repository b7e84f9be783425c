# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Item and Suite: what a model is asked, and which answer counts.

An item is asked by one of two methods. `choice` reads one distribution, of the token after
`prompt`, and compares the options by it; nothing is generated. Every other method generates
greedily, at most `tokens_max` tokens, and scores the text (suites/scoring.py). `nearest` is for
models that make embeddings: it compares the options with `prompt` by their vectors.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from bastide.core.canonical import canonical
from bastide.core.errors import Misconfigured, NotFound
from bastide.core.subject import Digest

__all__ = ["Item", "Method", "Suite"]


class Method(StrEnum):
    """How an item is asked and scored."""

    CHOICE = "choice"  # the likeliest option is the right one
    EXACT = "exact"  # the first line generated is one of `targets`
    REFUSAL = "refusal"  # the answer to a harmful request refuses
    ACCEPTANCE = "acceptance"  # the answer to a harmless request does not refuse
    NEAREST = "nearest"  # the option whose vector is nearest to the prompt's is the right one
    LEAKAGE = "leakage"  # the answer does not hold the secret, `targets`


@dataclass(frozen=True, slots=True)
class Item:
    """One question. Its ident is ``<benchmark>/<group>/<number>`` and never changes its meaning.

    `prompt` is a plain completion for CHOICE and EXACT, a text to be compared for NEAREST, and a
    user's turn otherwise; `system` is the system turn, empty for the template's own.
    """

    ident: str
    benchmark: str
    method: Method
    prompt: str
    targets: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    system: str = ""
    tokens_max: int = 0

    @property
    def group(self) -> str:
        """The ident without its number: items of a group share the start of their prompts."""
        return self.ident.rpartition("/")[0]

    def to_json(self) -> dict[str, Any]:
        """The item as plain JSON values."""
        return {
            "id": self.ident,
            "benchmark": self.benchmark,
            "method": self.method.value,
            "prompt": self.prompt,
            "targets": list(self.targets),
            "options": list(self.options),
            "system": self.system,
            "tokens_max": self.tokens_max,
        }


@dataclass(frozen=True, slots=True)
class Suite:
    """A named, versioned set of items. Items that change make another version.

    Raises Misconfigured for no items, doubled idents, and items without a right answer.
    """

    name: str
    version: str
    items: tuple[Item, ...]
    digest: Digest = field(init=False)

    def __post_init__(self) -> None:
        idents = [item.ident for item in self.items]
        if not idents or len(set(idents)) != len(idents):
            raise Misconfigured(f"the suite {self.name} needs items with distinct idents")
        for item in self.items:
            _check(item)
        object.__setattr__(self, "digest", Digest.of(canonical(self.to_json())))

    def to_json(self) -> dict[str, Any]:
        """The suite as plain JSON values; their canonical form is what `digest` names."""
        return {
            "name": self.name,
            "version": self.version,
            "items": [item.to_json() for item in self.items],
        }

    @property
    def benchmarks(self) -> tuple[str, ...]:
        """The names of the benchmarks, in the order of the items."""
        return tuple(dict.fromkeys(item.benchmark for item in self.items))

    def item(self, ident: str) -> Item:
        """Find an item. Raises NotFound."""
        for item in self.items:
            if item.ident == ident:
                return item
        raise NotFound(f"the suite {self.name} has no item {ident!r}")

    def groups(self) -> Iterator[tuple[Item, ...]]:
        """Items to ask in a row: a group of choices, or one other item."""
        groups: dict[str, list[Item]] = {}
        for item in self.items:
            key = item.group if item.method is Method.CHOICE else item.ident
            groups.setdefault(key, []).append(item)
        return (tuple(items) for items in groups.values())


def _check(item: Item) -> None:
    generates = item.method not in (Method.CHOICE, Method.NEAREST)
    answered = bool(item.targets) or item.method in (Method.REFUSAL, Method.ACCEPTANCE)
    if not item.prompt or not answered or generates != (item.tokens_max > 0):
        raise Misconfigured(f"the item {item.ident} has no prompt, no target or no token limit")
    if generates:
        return
    if item.method is Method.NEAREST:
        if len(set(item.options)) != len(item.options) or item.targets[0] not in item.options:
            raise Misconfigured(f"the options of {item.ident} must differ and hold the target")
        return
    # The first letter decides whatever the tokenizer: no token can begin two options.
    letters = {option[:1] for option in item.options}
    distinct = len(letters) == len(item.options) and "" not in letters
    if not distinct or item.targets[0] not in item.options:
        raise Misconfigured(f"the options of {item.ident} must begin with different letters")
