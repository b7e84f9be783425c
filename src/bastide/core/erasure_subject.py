# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""ErasureSubject: what is known of a person who is to be erased, as the file that names it has it.

    names = ["Anna Virtanen", "Virtanen, Anna Maria"]
    emails = ["anna.virtanen@example.fi"]
    phones = ["+358 40 123 4567"]
    numbers = ["131052-308T"]
    phrases = ["the mayor's youngest daughter"]

TOML, or the same fields in JSON; each a list of texts, at least one text in all. An error names
the field and the number of the text in it, and never quotes: it is printed, and the file is about
a person.
"""

import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any, Final

from bastide.core.erasure import normal, spellings
from bastide.core.errors import Misconfigured
from bastide.core.limits import (
    ERASURE_LETTERS_MAX,
    ERASURE_LETTERS_MIN,
    ERASURE_SUBJECT_TEXTS_MAX,
)

__all__ = ["ErasureSubject"]

_NATIONAL_DIGITS_MIN: Final = 7  # of a phone number without its country
_COUNTRY_DIGITS_MAX: Final = 3  # ITU-T E.164, section 6.2.1
_FIX: Final = "fields: names, emails, phones, numbers, phrases; each a list of texts"


@dataclass(frozen=True, slots=True)
class ErasureSubject:
    """A person's identifiers. They are secret: they are never written, printed or logged."""

    names: tuple[str, ...] = field(default=(), repr=False)
    emails: tuple[str, ...] = field(default=(), repr=False)
    phones: tuple[str, ...] = field(default=(), repr=False)
    numbers: tuple[str, ...] = field(default=(), repr=False)
    phrases: tuple[str, ...] = field(default=(), repr=False)

    @classmethod
    def parse(cls, text: str) -> "ErasureSubject":
        """Read a subject file, JSON if it begins with a brace. Raises Misconfigured."""
        value = _loaded(text)
        known = [row.name for row in fields(cls)]
        for number, name in enumerate(value, 1):
            if name not in known:  # its name may be a value at the wrong place
                raise _wrong(f"its field number {number} is unknown", "")
        made = cls(**{name: _texts(name, value.get(name, [])) for name in known})
        if not any(getattr(made, name) for name in known):
            raise _wrong("it names nobody", "")
        for name in known:
            for number, one in enumerate(getattr(made, name), 1):
                _verify_length(name, number, one)
        return made

    @property
    def values(self) -> tuple[str, ...]:
        """What may stand behind a pseudonym of a dataset, as it is in the file."""
        dialled = [form for phone in self.phones for form in _phone_forms(phone)]
        return (*self.emails, *self.phones, *dialled, *self.numbers, *self.names)

    def forms(self) -> tuple[str, ...]:
        """What is looked for, each in a form that `ErasureList.make` takes."""
        found = [*self.names, *self.emails]
        for phone in self.phones:
            found += _phone_forms(phone)
        found += [normal(number) for number in self.numbers]
        found += [_beginning(phrase) for phrase in self.phrases]
        return tuple(dict.fromkeys(found))


def _loaded(text: str) -> dict[str, Any]:
    try:
        if text.lstrip("\ufeff \t\r\n").startswith("{"):
            return json.loads(text.removeprefix("\ufeff"), object_pairs_hook=_once)
        return tomllib.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError) as error:
        place = re.search(r"line \d+", str(error))
        # Not `from error`: its message may quote the text.
        raise _wrong("it is neither TOML nor JSON", place[0] if place else "") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a field stands twice")
    return dict(pairs)


def _texts(name: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > ERASURE_SUBJECT_TEXTS_MAX:
        raise _wrong(f"{name} is no list of at most {ERASURE_SUBJECT_TEXTS_MAX} texts", name)
    for number, one in enumerate(value, 1):
        if not isinstance(one, str):
            raise _wrong(f"{name}, number {number}, is no text", name)
    return tuple(value)


def _verify_length(name: str, number: int, text: str) -> None:
    if name == "emails" and not re.fullmatch(r"[^\s@]+@[^\s@]+", text.strip()):
        raise _wrong(f"{name}, number {number}, is no address", name)
    if name == "phones" and not re.fullmatch(r"\+?[\d\s()./-]+", text.strip()):
        raise _wrong(f"{name}, number {number}, is no telephone number", name)
    shown = _beginning(text) if name == "phrases" else text
    for form in [normal(text)] if name == "numbers" else spellings(shown) or ("",):
        if not ERASURE_LETTERS_MIN <= len(form) <= ERASURE_LETTERS_MAX:
            raise _wrong(
                f"{name}, number {number}, has {len(form)} letters and digits;"
                f" {ERASURE_LETTERS_MIN} to {ERASURE_LETTERS_MAX} can be looked for",
                name,
            )


def _phone_forms(phone: str) -> Iterator[str]:
    """A number as it is dialled from abroad and at home."""
    digits = "".join(re.findall(r"\d", phone))
    abroad = phone.strip().startswith("+") or digits.startswith("00")
    whole = digits.removeprefix("00") if abroad else digits
    yield digits
    if not abroad:
        yield from (one for one in [digits.lstrip("0")] if len(one) >= _NATIONAL_DIGITS_MIN)
        return
    yield from (whole, f"00{whole}")
    for country in range(1, _COUNTRY_DIGITS_MAX + 1):
        if len(whole) - country >= _NATIONAL_DIGITS_MIN:
            yield from (whole[country:], f"0{whole[country:]}")


def _beginning(phrase: str) -> str:
    """The first words of a phrase, as many as one hash can stand for."""
    words = phrase.split()
    while len(words) > 1 and any(
        len(form) > ERASURE_LETTERS_MAX for form in spellings(" ".join(words))
    ):
        words.pop()
    return " ".join(words)


def _wrong(what: str, place: str) -> Misconfigured:
    return Misconfigured(f"the subject file: {what}", fix=_FIX, place=place)
