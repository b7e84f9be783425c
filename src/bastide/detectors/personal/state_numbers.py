# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Numbers by which the 27 states know a person, beyond those that the guard looks for.

The guard's rows (`detectors.national_number`) are all here too: a corpus has more room for words.
Where a checksum is missing the row demands a word, and the reference says so.
"""

import re
from collections.abc import Callable, Iterator
from typing import Final

from stdnum.at import tin as at_tin
from stdnum.bg import pnf
from stdnum.de import stnr
from stdnum.it import iva
from stdnum.nl import identiteitskaartnummer, onderwijsnummer
from stdnum.si import ddv

from bastide.detectors import national_checks
from bastide.detectors.national_number import ROWS
from bastide.detectors.personal import state_checks as own
from bastide.detectors.personal.kinds import Rule
from bastide.detectors.personal.passports import PASSPORT_WORDS, PASSPORTS

__all__ = ["RULES"]

_BEHIND: Final = r"(?![0-9A-Za-z]|[-/][0-9])"  # nothing of the same number may follow

# Words that go with every state's number of a kind, in English text about that state.
_ANY: Final = {
    "national-id": (
        r"national id\w*|personal (?:identification|identity|id) (?:number|no\.?|code)|"
        r"identity number|personal code"
    ),
    "tax-number": r"tax (?:id\w*|number|no\.?|reference)|taxpayer\w*|tin",
    "health-number": (
        r"health insurance (?:number|no\.?)|social (?:security|insurance) (?:number|no\.?)"
    ),
}
# Words of one state beyond those that the guard knows: inflected, short, written with dots.
_CZECH: Final = r"rodn\w* čísl\w*|r\. ?č"
_MORE: Final = {
    ("AT", "health-number"): r"sozialversicherung\w*",
    ("BE", "national-id"): "numéro national",
    ("CZ", "national-id"): _CZECH,
    ("DE", "health-number"): r"kv-?(?:nummer|nr)",
    ("DE", "tax-number"): r"steuernummer",
    ("EE", "national-id"): "ik",
    ("ES", "national-id"): r"d\.n\.i",
    ("FR", "national-id"): r"n[°º] sécu",
    ("FR", "tax-number"): r"n[°º] fiscal|numéros? fisca\w*",
    ("HR", "national-id"): r"osobn\w* identifikacijsk\w* broj\w*",
    ("MT", "national-id"): r"i\.d\. card\w*",
    ("PT", "tax-number"): r"números? fisca\w*",
    ("RO", "national-id"): r"codul? numeric\w* personal|c\.n\.p",
    ("SK", "national-id"): _CZECH,
}
_VAT: Final = (
    r"vat|vat[- ]?(?:id|number|no|reg)\w*|ust[-.]? ?id\w*|umsatzsteuer\w*|mehrwertsteuer\w*|"
    r"partita i\.v\.a|uid(?:[- ]?nummer)?|"
    r"mwst\w*|tva|btw\w*|ondernemingsnummer|n° ?tva|iva|p\.? ?iva|partita iva|nif(?:[- ]iva)?|cif|"
    r"dph|dič|"
    r"ič ?dph|moms\w*|momsreg\w*|cvr\w*|alv\w*|käibemaks\w*|kmkr\w*|pvm\w*|pvn\w*|nip|áfa\w*|"
    r"adószám\w*|közösségi adószám\w*|pdv\w*|oib|ddv|id za ddv|davčna številka|φπα|αφμ|ддс|"
    r"идентификационен номер|cui|cod fiscal|číslo plátce|se-?nr|cáin bhreisluacha|cbl|taxxa"
)
_VAT_SHAPES: Final = (
    (
        "AT:U ?[0-9]{8} BE:[01][0-9]{3}[ .]?[0-9]{3}[ .]?[0-9]{3} BG:[0-9]{9,10} CY:[0-9]{8}[A-Z] "
        "CZ:[0-9]{8,10} DE:[0-9]{3}_?[0-9]{3}_?[0-9]{3} DK:[0-9]{2}_?[0-9]{2}_?[0-9]{2}_?[0-9]{2} "
        "EE:[0-9]{9} EL:[0-9]{9} ES:[0-9A-Z]-?[0-9]{7}-?[0-9A-Z] FI:[0-9]{8} "
        "FR:[0-9A-HJ-NP-Z]{2}_?[0-9]{3}_?[0-9]{3}_?[0-9]{3} HR:[0-9]{11} HU:[0-9]{8} "
        "IE:[0-9][0-9A-Z+*][0-9]{5}[A-W][A-I]? IT:[0-9]{11} LT:(?:[0-9]{12}|[0-9]{9}) LU:[0-9]{8} "
        "LV:[0-9]{11} MT:[0-9]{4}[_-]?[0-9]{4} NL:[0-9]{9}B[0-9]{2} "
        "PL:[0-9]{3}-?[0-9]{3}-?[0-9]{2}-?[0-9]{2} PT:[0-9]{3}_?[0-9]{3}_?[0-9]{3} RO:[0-9]{6,10} "
        "SE:[0-9]{12} SI:[0-9]{8} SK:[0-9]{10}"
    )
    .replace("AT:U ?", "AT:U_?")
    .replace("[ .]", "[_.]")
)

_CARD: Final = (
    r"personalausweis\w*|ausweis\w*|identity card\w*|id[- ]card\w*|identiteitskaart\w*|"
    r"id-kaart\w*|carte d.identité|dow\w* osobist\w*|identiteitsbewijs|document number|card number|"
    r"seria i numer|kaartnummer|numéro de carte"
)


def _rule(
    kind: str,
    state: str,
    shape: str,
    holds: Callable[[str], bool],
    words: str = "",
    plain: bool = True,
) -> Rule:
    return Rule(kind, state, re.compile(f"(?:{shape}){_BEHIND}"), holds, words, plain)


def _of_the_guard() -> Iterator[Rule]:
    for row in ROWS:
        words = row.words
        if words:
            more = _MORE.get((row.state, row.kind))
            words = "|".join(filter(None, (words, _ANY[row.kind], more)))
        # The Finnish sign says the century: that rule reads it.
        yield Rule(row.kind, row.state, row.shape, row.holds, words, row.state != "FI")


def _vat_numbers() -> Iterator[Rule]:
    for row in _VAT_SHAPES.split():
        state, shape = row[:2], row[3:].replace("_", " ")
        iso = {"EL": "GR"}.get(state, state)
        yield _rule("vat-number", iso, f"{state}[ -]?{shape}", own.vat_number, _VAT, plain=False)


def _letters(number: str) -> bool:
    """At least two digits, and not digits alone: what stands for a checksum that is missing."""
    digits = sum(map(str.isdigit, number))
    return 2 <= digits < len(number)


def _numbered(number: str) -> bool:
    """A number, and no date without its signs: a passport's may look like one, most do not."""
    return not (len(number) == 8 and number[:2] in ("19", "20") and number[4:6] <= "12")


_GERMAN: Final = "[CFGHJKLMNPRTVWXYZ][CFGHJKLMNPRTVWXYZ0-9]{8}"

RULES: Final = (
    *_of_the_guard(),
    *_vat_numbers(),
    _rule("vat-number", "IT", "[0-9]{11}", iva.is_valid, r"p\.? ?iva|partita iva"),
    _rule(
        "vat-number",
        "BE",
        r"[01][0-9]{3}[ .]?[0-9]{3}[ .]?[0-9]{3}",
        lambda number: own.vat_number("BE" + number),
        r"btw\w*|tva|ondernemingsnummer|numéro d.entreprise|kbo|bce",
    ),
    _rule(
        "vat-number",
        "HU",
        "[0-9]{8}-[1-5]-[0-9]{2}",
        lambda number: own.vat_number("HU" + number[:8]),
        r"adószám\w*",
    ),
    _rule(
        "tax-number",
        "AT",
        "[0-9]{2}[- ]?[0-9]{3}/?[0-9]{4}",
        at_tin.is_valid,
        r"steuernummer|st\.?-? ?nr|abgabenkontonummer|" + _ANY["tax-number"],
    ),
    _rule(
        "tax-number",
        "DE",
        "[0-9]{2,3}/[0-9]{3,4}/[0-9]{4,5}",
        stnr.is_valid,
        r"steuernummer|st\.?-? ?nr",
    ),
    _rule("tax-number", "SI", "[1-9][0-9]{7}", ddv.is_valid, r"davčn\w* številk\w*|davčna"),
    _rule(
        "national-id",
        "BE",
        r"[0-9]{2}\.[0-9]{2}\.[0-9]{2}[- ][0-9]{3}[.-][0-9]{2}",
        national_checks.belgian,
    ),
    _rule("national-id", "BG", "[0-9]{10}", pnf.is_valid, r"лнч|личен номер на чужденец|lnch"),
    _rule(
        "national-id",
        "HU",
        "[1-8][ -]?[0-9]{6}[ -]?[0-9]{4}",
        own.hungarian_person,
        r"személyi (?:szám|azonosító)\w*|" + _ANY["national-id"],
    ),
    _rule("national-id", "NL", "1?[0-9]{9}", onderwijsnummer.is_valid, "onderwijsnummer|pgn"),
    _rule(
        "health-number",
        "ES",
        "[0-9]{2}[ /-]?[0-9]{8}[ /-]?[0-9]{2}",
        own.spanish_security,
        r"seguridad social|nuss|s\.s|n\.?a\.?f|afiliación|" + _ANY["health-number"],
    ),
    _rule(
        "health-number",
        "PT",
        "[12][0-9]{10}",
        own.portuguese_security,
        r"niss|segurança social|" + _ANY["health-number"],
    ),
    _rule("id-card", "BE", "[0-9]{3}-[0-9]{7}-[0-9]{2}", own.belgian_card, _CARD),
    _rule("id-card", "DE", _GERMAN + "[ -]?[0-9]D?", own.german_document, _CARD),
    _rule("id-card", "DE", _GERMAN, _letters, r"personalausweis\w*|ausweisnummer|ausweis-?nr"),
    _rule(
        "id-card",
        "NL",
        "[A-NP-Z]{2}[0-9A-NP-Z]{6}[0-9]",
        identiteitskaartnummer.is_valid,
        _CARD + r"|id-kaart|documentnummer",
    ),
    _rule("id-card", "PL", "[A-Z]{3} ?[0-9]{6}", own.polish_card, _CARD + r"|dowód|dowodu"),
    _rule("passport", "DE", _GERMAN + "[ -]?[0-9]D?", own.german_document, PASSPORT_WORDS),
    _rule("passport", "DE", _GERMAN, _letters, r"reisepass\w*|passnummer|pass-nr"),
    _rule("passport", "NL", "[A-NP-Z]{2}[0-9A-NP-Z]{6}[0-9]", _letters, r"paspoort\w*"),
    _rule("passport", "PL", "[A-Z]{2} ?[0-9]{7}", own.polish_passport, PASSPORT_WORDS),
    *(_rule("passport", state, shape, _numbered, PASSPORT_WORDS) for state, shape in PASSPORTS),
)
