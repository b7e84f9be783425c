# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Budget: as much of each source, of each language and of the whole as the recipe allows.

Documents are drawn by a keyed hash of their names, so a larger budget holds the smaller one, and
neither the order of the files nor the number of workers matters. Budgets are drawn in this order:
sources, then languages among what is left, then the whole. In each, documents stay in the order of
the draw until the next would not fit.

An amount is written `500000 letters` or `500000 letters/ces_Latn`; of a source that is named by
languages, other languages go. A source that no budget names is kept whole. `weights` and `mix`
share out `total` instead, and must name every source: `0.6 letters`. A mix is OpenEuroLLM's
datamix.txt, a weight and a path on each line; a path is that of a source's folder or its name, and
may end in a language.

Where there is less than a budget asks for, `short` decides: the build refuses, or takes what is
there, or repeats it: then the manifest states how many epochs make up the budget, and no text is
copied. What is repeated is never more than `epochs_max` times (after four, repeated text teaches
little: Muennighoff et al. 2023, arXiv 2305.16264).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any, ClassVar, Final

from bastide.core.canonical import SAFE_INTEGER
from bastide.core.document import Document
from bastide.core.errors import Misconfigured
from bastide.filters.sample import rank

__all__ = ["Ask", "Budget", "Budgeter"]

UNITS: Final = ("tokens", "words", "bytes", "documents")
SHORT: Final = ("refuse", "take", "repeat")
_AMOUNT: Final = re.compile(r"([0-9]{1,16}) (\S.*)")
_WEIGHT: Final = re.compile(r"([0-9]{1,16}(?:\.[0-9]{1,9})?) +(\S.*)")
_LANGUAGE: Final = re.compile(r"[a-z]{2,3}_[A-Z][a-z]{3}")
_ASKS_MAX: Final = 4_096
NONE: Final = 0xFFFF  # the number of no budget

Name = tuple[str, str]  # of a source and a language; either may be ""


@dataclass(frozen=True, slots=True)
class Ask:
    """One budget. rule: of Budget.rules. amount: in the recipe's unit."""

    rule: str
    source: str
    language: str
    amount: int

    @property
    def name(self) -> str:
        """As the recipe writes it."""
        return "/".join(part for part in (self.source, self.language) if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Keeps what fits. It needs every document, so the build draws (see app.corpus_budget)."""

    ident: ClassVar[str] = "budget"
    rules: ClassVar[tuple[str, ...]] = ("source", "language", "total")
    file_settings: ClassVar[tuple[str, ...]] = ("tokenizer", "mix")

    unit: str  # tokens, words (between white space), bytes (of UTF-8) or documents
    total: int = 0  # of the whole; 0: no budget
    sources: tuple[str, ...] = ()  # an amount and a source, or a source/language, each
    languages: tuple[str, ...] = ()  # an amount and a language each, such as 90000 ces_Latn
    weights: tuple[str, ...] = ()  # a share of the total and a source each
    mix: tuple[str, ...] = ()  # the same as a file: one datamix.txt, relative to the recipe
    tokenizer: tuple[str, ...] = ()  # one tokenizer.json, for the unit tokens
    short: str = "refuse"  # if there is less than asked for: refuse, take or repeat
    epochs_max: float = 4.0  # how often anything may be repeated
    seed: str = ""  # the recipe's, if none is given; another seed draws other documents
    places: tuple[str, ...] = ()  # name and path of each source: the recipe's

    def __post_init__(self) -> None:
        if self.unit not in UNITS:
            raise ValueError(f"unit is one of {', '.join(UNITS)}")
        if self.short not in SHORT:
            raise ValueError(f"short is one of {', '.join(SHORT)}")
        if (self.unit == "tokens") != (len(self.tokenizer) == 1):
            raise ValueError("the unit tokens needs one tokenizer, and no other unit has one")
        if not 0 <= self.total <= SAFE_INTEGER:
            raise ValueError("total is not a size")
        if not 1 <= self.epochs_max <= 1_000:
            raise ValueError("epochs_max is not from 1 to 1000")
        stated = [name for name in ("sources", "weights", "mix") if getattr(self, name)]
        if len(stated) > 1:
            raise ValueError(f"{' and '.join(stated)} contradict each other: name one")
        if stated and stated != ["sources"] and not self.total:
            raise ValueError(f"{stated[0]} shares out the total, and there is none")
        if len(self.mix) > 1:
            raise ValueError("mix is one file")
        if not stated and not self.languages and not self.total:
            raise ValueError("it states no budget")
        kinds = bool(stated) + bool(self.languages) + (bool(self.total) and not stated)
        if self.short == "repeat" and kinds > 1:
            raise ValueError('short = "repeat" takes budgets of one kind: sources (or weights), or'
                             " languages, or the total")  # fmt: skip

    @property
    def known(self) -> dict[str, str]:
        """The path of each source of the recipe."""
        return dict(place.split(" ", 1) for place in self.places)

    def given(self, files: Mapping[str, bytes]) -> "Budgeter":
        """What measures and says what was asked for. Raises Misconfigured, naming the place."""
        lines = list(self.weights)
        if self.mix:
            lines = _mix_lines(self.mix[0], files[self.mix[0]])
        asks = [
            *self._by_source(lines),
            *(Ask("language", "", *row) for row in self._amounts("languages", self.languages)),
        ]
        if self.total and not lines:  # which they share out
            asks.append(Ask("total", "", "", self.total))
        if len(asks) > _ASKS_MAX:
            raise _wrong(f"over {_ASKS_MAX} budgets")
        self._verify_sums(asks)
        encoder = _encoder(self.tokenizer[0], files[self.tokenizer[0]]) if self.tokenizer else None
        return Budgeter(self, asks, encoder)

    def _by_source(self, lines: list[str]) -> list[Ask]:
        if lines:
            named = {self._place(name): share for share, name in map(self._weight, lines)}
            if len(named) != len(lines):
                raise _wrong("a weight stands twice for one source")
            whole = sum(named.values())
            if not whole:
                raise _wrong("all weights are 0")
            rows = [(name, int(self.total * share / whole)) for name, share in named.items()]
            if missing := set(self.known) - {source for source, _ in named}:
                raise _wrong(
                    f"no weight is stated for {', '.join(sorted(missing))}",
                    "name every source; 0 takes nothing of it",
                )
        else:
            stated = self._amounts("sources", self.sources)
            rows = [(self._place(name), amount) for name, amount in stated]
            if len({name for name, _ in rows}) != len(rows):
                raise _wrong("two budgets are stated for one source")
        whole_sources = {source for (source, language), _ in rows if not language}
        for (source, language), _ in rows:
            if language and source in whole_sources:
                raise _wrong(f"{source} has a budget as a whole and one for {language}")
        return [Ask("source", *name, amount) for name, amount in rows]

    def _amounts(self, setting: str, lines: Iterable[str]) -> list[tuple[str, int]]:
        rows = []
        for line in lines:
            found = _AMOUNT.fullmatch(line)
            if found is None or int(found[1]) > SAFE_INTEGER:
                raise _wrong(f"{setting}: {line!r} is not an amount and a name")
            rows.append((found[2], int(found[1])))
        if len({name for name, _ in rows}) != len(rows):
            raise _wrong(f"{setting} names something twice")
        return rows

    def _weight(self, line: str) -> tuple[Fraction, str]:
        if (found := _WEIGHT.fullmatch(line)) is None:
            raise _wrong(f"{line!r} is not a weight and a name")
        return Fraction(found[1]), found[2]

    def _place(self, text: str) -> Name:
        """The source, and perhaps the language, that a budget names."""
        parts = text.strip("/").split("/")
        language = parts.pop() if len(parts) > 1 and _LANGUAGE.fullmatch(parts[-1]) else ""
        if len(parts) > 1 and parts[-1] == "source":  # of a collection
            parts.pop()
        path = "/".join(parts)
        found = [name for name, own in self.known.items() if path == name or _ends(own, parts)]
        if path in found:
            return path, language
        if len(found) != 1:
            told = "no source" if not found else f"several sources ({', '.join(found)})"
            known = ", ".join(self.known)
            raise _wrong(f"{text!r} names {told} of the recipe", f"known: {known}")
        return found[0], language

    def _verify_sums(self, asks: list[Ask]) -> None:
        """Budgets that cannot all be reached contradict each other, unless less is taken too."""
        if not self.total or self.short == "take":
            return
        for rule in ("source", "language"):
            asked = sum(ask.amount for ask in asks if ask.rule == rule)
            if asked > self.total:
                raise _wrong(
                    f"the budgets of {rule}s are {asked} {self.unit}, the total is {self.total}",
                    'make them fit, or say short = "take"',
                )


class Budgeter:
    """The budgets of a recipe, with the files that they need. asks: each by its number."""

    def __init__(self, settings: Budget, asks: list[Ask], encoder: Any = None) -> None:
        self.settings = settings
        self.asks = asks
        self._encoder = encoder

    @cached_property
    def _sources(self) -> dict[Name, int]:
        return {
            (ask.source, ask.language): number
            for number, ask in enumerate(self.asks)
            if ask.rule == "source"
        }

    @cached_property
    def _languages(self) -> dict[str, int]:
        rows = enumerate(self.asks)
        return {ask.language: number for number, ask in rows if ask.rule == "language"}

    @cached_property
    def _total(self) -> int:
        return len(self.asks) - 1 if self.asks[-1].rule == "total" else NONE

    @cached_property
    def _split(self) -> frozenset[str]:
        return frozenset(source for source, language in self._sources if language)

    def numbers(self, source: str, language: str) -> tuple[int, int]:
        """The budgets of a document for its source and its language; NONE, and for a language of a
        split source that has none, one below it."""
        own = self._sources.get((source, ""), NONE)
        if source in self._split:
            own = self._sources.get((source, language), NONE - 1)
        return own, self._languages.get(language, NONE)

    def size(self, text: str) -> int:
        """What a document takes of a budget."""
        match self.settings.unit:
            case "tokens":
                assert self._encoder is not None
                return len(self._encoder.encode(text, add_special_tokens=False).ids)
            case "words":
                return len(text.split())
            case "bytes":
                return len(text.encode())
            case _:
                return 1

    def counted(self, document: Document, key: bytes, place: bytes, sums: dict[int, int]) -> bytes:
        """A document as the build sorts it: place, rank, key, both numbers, size.

        sums: by the number of a budget, to which the size is added.
        """
        numbers, size = self.numbers(document.source, document.language), self.size(document.text)
        for number in (*numbers, self._total):
            if number < NONE - 1:
                sums[number] = sums.get(number, 0) + size
        drawn = rank(key.hex(), self.settings.seed)
        tail = b"".join(number.to_bytes(2, "big") for number in numbers) + size.to_bytes(8, "big")
        return place + drawn.to_bytes(8, "big") + key + tail


def _mix_lines(file: str, data: bytes) -> list[str]:
    """The lines of a datamix.txt: what stands behind # is a remark."""
    lines = []
    for number, line in enumerate(data.decode(errors="replace").splitlines(), 1):
        row = line.partition("#")[0].split()
        if row and (len(row) != 2 or not _WEIGHT.fullmatch(" ".join(row))):
            place = f"{file}:{number}"
            raise Misconfigured(f"{place}: not a weight and a path", place=place)
        if row:
            lines.append(" ".join(row))
    if not lines:
        raise Misconfigured(f"{file} is empty", fix="a weight and a path on each line", place=file)
    return lines


def _ends(path: str, parts: list[str]) -> bool:
    return path.strip("/").split("/")[-len(parts) :] == parts


def _encoder(name: str, data: bytes) -> Any:
    import tokenizers

    try:
        encoder = tokenizers.Tokenizer.from_buffer(data)
    except Exception as error:  # the library raises nothing more precise
        raise Misconfigured(f"{name} is no tokenizer: {error}", place=name) from error
    encoder.no_truncation()  # a file may ask for it
    encoder.no_padding()
    encoder.encode_special_tokens = True
    return encoder


def _wrong(message: str, fix: str = "") -> Misconfigured:
    return Misconfigured(f"the step {Budget.ident}: {message}", fix=fix, place=Budget.ident)
