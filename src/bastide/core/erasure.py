# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""ErasureList: names that an answer may not say, as keyed hashes, in an open format.

A person may ask that a model no longer says who they are (GDPR, article 17); weights cannot be
made to forget, answers can be filtered. The list does not hold the names, only
``HMAC-SHA256(salt, "name" || 0 || normal form)``, 16 bytes of it. Whoever has the file can still
test a guess, so it is kept and passed on as personal data is.

The normal form is the same for every spelling of a name: letters and digits only, without
accents, case, punctuation, spaces, invisible or look-alike characters. Heads are 16 bits of a
hash of the first four letters: so a stream holds back only words that may begin a name.
"""

import hmac
import json
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from typing import Any, Final

from bastide.core.canonical import canonical
from bastide.core.errors import Misconfigured
from bastide.core.limits import (
    ERASURE_LETTERS_MAX,
    ERASURE_LETTERS_MIN,
    ERASURE_NAMES_MAX,
    GUARD_HEAD_LETTERS,
)

__all__ = ["ERASURE_TYPE", "ErasureList", "folded", "normal", "spellings"]

ERASURE_TYPE: Final = "https://bastide.eu/erasure-list/v1"

# Letters that do not come apart under NFKD, and letters of other scripts that look Latin.
_ALIKE = str.maketrans(
    "øłđðħıŀŧаеорсухіјѕԁһԛԝвкмнтαονρτυικχγ",
    "olddhiltaeopcyxijsdhqwbkmhtaovptuikxy",
)
_GERMAN = (("ä", "ae"), ("ö", "oe"), ("ü", "ue"), ("å", "aa"), ("ø", "oe"))
_HEX = re.compile(r"[0-9a-f]{32}")
_HEAD = re.compile(r"[0-9a-f]{4}")
_FIELDS = {"type", "date", "salt", "letters", "heads", "entries"}


@lru_cache(maxsize=4096)
def folded(letter: str) -> str:
    """What a character adds to the normal form: nothing, a letter, or a few."""
    apart = unicodedata.normalize("NFKD", letter).casefold()
    kept = "".join(sign for sign in unicodedata.normalize("NFKD", apart) if sign.isalnum())
    return kept.translate(_ALIKE).replace("æ", "ae").replace("œ", "oe").replace("þ", "th")


def normal(text: str) -> str:
    """The normal form of a name or of a piece of text."""
    return "".join(map(folded, text))


def spellings(name: str) -> tuple[str, ...]:
    """The normal forms under which a name is listed: as written, with the family name first, and
    with the letters that are written for umlauts.
    """
    words = name.replace(",", " ").split()
    orders = [words, [words[-1], *words[:-1]]] if words else []
    if "," in name:
        family, _, given = name.partition(",")
        orders += [[*given.split(), *family.split()]]
    forms = []
    for order in orders:
        joined = unicodedata.normalize("NFC", " ".join(order)).casefold()
        forms.append(normal(joined))
        for letter, written in _GERMAN:
            joined = joined.replace(letter, written)
        forms.append(normal(joined))
    return tuple(dict.fromkeys(forms))


@dataclass(frozen=True, slots=True)
class ErasureList:
    """The list, and the day on which it was made. `lengths` are of the normal forms."""

    date: str  # ISO 8601
    salt: bytes
    lengths: frozenset[int] = frozenset()
    heads: frozenset[bytes] = frozenset()
    entries: frozenset[bytes] = field(default=frozenset(), repr=False)

    @classmethod
    def make(cls, names: Iterable[str], day: str, salt: bytes) -> "ErasureList":
        """A list of names. Raises Misconfigured for a name that is too short to be looked for."""
        forms = set()
        for number, name in enumerate(names, 1):
            for form in spellings(name) or ("",):
                if not ERASURE_LETTERS_MIN <= len(form) <= ERASURE_LETTERS_MAX:
                    raise Misconfigured(
                        f"name {number} of the erasure list has {len(form)} letters",
                        fix=f"{ERASURE_LETTERS_MIN} to {ERASURE_LETTERS_MAX}: "
                        "give the whole name, not a part of it",
                    )
                forms.add(form)
        made = cls(day, salt)
        return cls.from_json(
            {
                "type": ERASURE_TYPE,
                "date": day,
                "salt": salt.hex(),
                "letters": sorted({len(form) for form in forms}),
                "heads": sorted(made.head(form[:GUARD_HEAD_LETTERS]).hex() for form in forms),
                "entries": sorted(made.entry(form).hex() for form in forms),
            }
        )

    def entry(self, form: str) -> bytes:
        """What the list holds for a normal form."""
        return hmac.digest(self.salt, b"name\0" + form.encode(), "sha256")[:16]

    def head(self, letters: str) -> bytes:
        """What the list holds for the first letters of a normal form."""
        return hmac.digest(self.salt, b"head\0" + letters.encode(), "sha256")[:2]

    def to_json(self) -> dict[str, Any]:
        """The list as plain JSON values; the same list always gives the same."""
        return {
            "type": ERASURE_TYPE,
            "date": self.date,
            "salt": self.salt.hex(),
            "letters": sorted(self.lengths),
            "heads": sorted(head.hex() for head in self.heads),
            "entries": sorted(entry.hex() for entry in self.entries),
        }

    def dump(self) -> bytes:
        """The file."""
        return json.dumps(self.to_json(), indent=1).encode() + b"\n"

    @classmethod
    def load(cls, data: bytes) -> "ErasureList":
        """Read what `dump` wrote. Raises Misconfigured."""
        try:
            return cls.from_json(json.loads(data))
        except (ValueError, RecursionError) as error:
            raise Misconfigured("the erasure list is no JSON file") from error

    @classmethod
    def from_json(cls, value: Any) -> "ErasureList":
        """Read what `to_json` wrote. Raises Misconfigured, naming the field that is wrong."""
        if not isinstance(value, dict) or value.get("type") != ERASURE_TYPE:
            raise Misconfigured(f"erasure list: not an object of the type {ERASURE_TYPE}")
        if value.keys() != _FIELDS:
            raise Misconfigured(f"erasure list: the fields are {', '.join(sorted(_FIELDS))}")
        try:
            day = date.fromisoformat(value["date"]).isoformat()
        except (TypeError, ValueError) as error:
            raise Misconfigured("erasure list: the date is not YYYY-MM-DD", place="date") from error
        lengths = value["letters"]
        if not isinstance(lengths, list) or not all(
            type(row) is int and ERASURE_LETTERS_MIN <= row <= ERASURE_LETTERS_MAX
            for row in lengths
        ):
            raise Misconfigured("erasure list: letters are no list of lengths", place="letters")
        return cls(
            day,
            _hashes([value["salt"]], _HEX, "salt").pop(),
            frozenset(lengths),
            frozenset(_hashes(value["heads"], _HEAD, "heads")),
            frozenset(_hashes(value["entries"], _HEX, "entries")),
        )

    @property
    def names(self) -> bytes:
        """What the list says of names, without its day: equal for lists that find the same."""
        return canonical({**self.to_json(), "date": ""})

    def merged(self, other: "ErasureList") -> "ErasureList":
        """The names of both under one salt, of the day of `other`.

        Raises Misconfigured for another salt, or for more hashes than a list may have.
        """
        if other.salt != self.salt:
            raise Misconfigured("erasure lists of two salts cannot become one")
        both = ErasureList(
            other.date,
            self.salt,
            self.lengths | other.lengths,
            self.heads | other.heads,
            self.entries | other.entries,
        )
        return ErasureList.from_json(both.to_json())

    def age_days(self, now_ms: int) -> int:
        """Whole days since the list was made; below zero for a list of the future."""
        return now_ms // 86_400_000 - (date.fromisoformat(self.date) - date(1970, 1, 1)).days


def _hashes(rows: Any, form: re.Pattern[str], place: str) -> set[bytes]:
    most = ERASURE_NAMES_MAX
    if not isinstance(rows, list) or len(rows) > most:
        raise Misconfigured(f"erasure list: {place} is no list of at most {most}", place=place)
    if not all(isinstance(row, str) and form.fullmatch(row) for row in rows):
        raise Misconfigured(f"erasure list: {place} has a row that is no hash", place=place)
    return set(map(bytes.fromhex, rows))
