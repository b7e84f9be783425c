# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Numbers by which the 27 states of the Union know a person: national, tax and health numbers.

Most have a weak checksum: one in ten or eleven of all numbers of that length passes. So digits
alone count only where a word such as "BSN" or "numéro fiscal" stands before them. A written
form that nothing else has (`85.07.30-033.28`), with its checksum, counts by itself.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from stdnum.at import vnr
from stdnum.bg import egn
from stdnum.cy import vat as cy_vat
from stdnum.de import idnr
from stdnum.ee import ik
from stdnum.es import dni, nie
from stdnum.fi import hetu
from stdnum.fr import nif as fr_nif
from stdnum.fr import nir
from stdnum.gr import amka
from stdnum.gr import vat as gr_vat
from stdnum.hr import oib
from stdnum.ie import pps
from stdnum.it import codicefiscale
from stdnum.lt import asmens
from stdnum.mt import vat as mt_vat
from stdnum.nl import bsn
from stdnum.pl import nip, pesel
from stdnum.pt import cc
from stdnum.pt import nif as pt_nif
from stdnum.ro import cnp
from stdnum.si import emso

from bastide.detectors import national_checks as own
from bastide.detectors.detector import ALONE, DIGITS, Detector, after_word, longest

__all__ = ["DETECTOR", "ROWS", "Row"]


@dataclass(frozen=True, slots=True)
class Row:
    """One written form of one state's number.

    words: those of which one must stand before it, or "" if the form is enough. kind: what the
    number is for.
    """

    state: str
    shape: re.Pattern[str]
    holds: Callable[[str], bool]
    spoken: Callable[[str, int], bool]
    words: str
    kind: str


def _row(
    state: str,
    shape: str,
    holds: Callable[[str], bool],
    words: str = "",
    kind: str = "national-id",
) -> Row:
    # Nothing of the same number may follow.
    whole = re.compile(f"(?:{shape})(?![0-9A-Za-z]|[-/][0-9])")
    spoken = after_word(words) if words else lambda text, at: True
    return Row(state, whole, holds, spoken, words, kind)


def _known(number: str) -> bool:
    """For forms that have no checksum: the word before it is all there is."""
    return bool(number)


_MONTH = "(?:0[1-9]|1[0-2]|20|3[0-9]|4[0-2]|[5-9][0-9])"  # some registers have more than twelve
_DK = "cpr|cpr[- ]?nr|cpr[- ]?nummer|personnummer"
_CZ = "rodné číslo|rodne cislo|r\\.? ?č|birth number"
_DE = (
    r"steuer[- ]?id\w*|idnr|(?:steuer)?identifikationsnummer|steuerliche id\w*|"
    r"tax (?:id\w*|number)|tin"
)
_ES = "dni|nif|n\\.i\\.f|documento nacional de identidad|identity number|identidad"
_BE = r"rijksregister\w*|registre national|niss|insz|rrn|national (?:register )?number|nationaal"

ROWS: Final = (
    _row(
        "AT",
        "[0-9]{4} ?[0-9]{6}",
        vnr.is_valid,
        r"sv[- ]?(?:nr|nummer)|(?:sozial)?versicherungsnummer|vsnr|svnr|social security number",
        kind="health-number",
    ),
    _row("BE", r"[0-9]{2}\.[0-9]{2}\.[0-9]{2}-[0-9]{3}\.[0-9]{2}", own.belgian),
    _row("BE", r"[0-9]{2} ?[0-9]{2} ?[0-9]{2}[ -]?[0-9]{3} ?[0-9]{2}", own.belgian, _BE),
    _row("BG", "[0-9]{10}", egn.is_valid, "егн|egn|единен граждански номер"),
    _row("HR", "[0-9]{11}", oib.is_valid, "oib|osobni identifikacijski broj"),
    _row("CY", "[0-9]{8}[A-Z]", cy_vat.is_valid, "tin|tic|tax|vat|αφμ|φπα|αφτ", kind="tax-number"),
    _row("CZ", "[0-9]{6}/[0-9]{4}", own.czech),
    _row("CZ", "[0-9]{10}", own.czech, _CZ),
    _row("DK", "[0-9]{6}[ -]?[0-9]{4}", own.danish, _DK),
    _row("EE", "[0-9]{11}", ik.is_valid, "isikukood\\w*|id[- ]?kood|personal (?:id )?code"),
    _row("FI", "[0-9]{6}[-+A-FU-Y][0-9]{3}[0-9A-Z]", hetu.is_valid),
    _row(
        "FR",
        rf"[1-478] [0-9]{{2}} {_MONTH} [0-9][0-9AB] [0-9]{{3}} [0-9]{{3}} [0-9]{{2}}",
        nir.is_valid,
    ),
    _row(
        "FR",
        rf"[1-478][0-9]{{2}}{_MONTH}[0-9][0-9AB][0-9]{{6}} ?[0-9]{{2}}",
        nir.is_valid,
        r"nir|sécurité sociale|sécu|insee|social security",
    ),
    _row(
        "FR",
        "[0-3][0-9] ?[0-9]{2} ?[0-9]{3} ?[0-9]{3} ?[0-9]{3}",
        fr_nif.is_valid,
        "numéro fiscal|spi|nif|identifiant fiscal",
        kind="tax-number",
    ),
    _row("DE", "[1-9][0-9] ?[0-9]{3} ?[0-9]{3} ?[0-9]{3}", idnr.is_valid, _DE, kind="tax-number"),
    _row(
        "DE",
        "[A-Z][0-9]{9}",
        own.german_health,
        r"kvnr|krankenversicher\w*|versicherten?nummer|krankenkasse\w*",
        kind="health-number",
    ),
    _row("GR", "[0-9]{11}", amka.is_valid, "αμκα|amka|α\\.μ\\.κ\\.α"),
    _row("GR", "[0-9]{9}", gr_vat.is_valid, "αφμ|afm|α\\.φ\\.μ", kind="tax-number"),
    _row(
        "HU",
        "[0-9]{3}[ -]?[0-9]{3}[ -]?[0-9]{3}",
        own.hungarian_health,
        r"taj[- ]?\w*",
        kind="health-number",
    ),
    _row(
        "HU",
        "8[0-9]{9}",
        own.hungarian_tax,
        r"adóazonosító\w*|adoazonosito\w*|tax id",
        kind="tax-number",
    ),
    _row("IE", "[0-9]{7}[A-W][A-IW]?", pps.is_valid, r"ppsn?|personal public service\w*"),
    _row(
        "IT",
        "[A-Z]{6}[0-9]{2}[A-EHLMPRST][0-9]{2}[A-Z][0-9]{3}[A-Z]",
        codicefiscale.is_valid,
    ),
    _row("LV", "[0-9]{6}-?[0-9]{5}", own.latvian, r"personas kod\w*|p\.? ?k|personal code"),
    _row("LT", "[0-9]{11}", asmens.is_valid, r"asmens kod\w*|a\.? ?k|personal code"),
    _row(
        "LU",
        "[0-9]{4} ?[0-9]{2} ?[0-9]{2} ?[0-9]{5}",
        own.luxembourgish,
        r"matricule\w*|identification nationale|national identification|cns",
    ),
    _row("MT", "[0-9]{3,7}[MGAPLHBZ]", _known, "id card|identity card|karta tal-identità|id no"),
    _row("MT", "[0-9]{4}-?[0-9]{4}", mt_vat.is_valid, "vat|tin|taxxa", kind="tax-number"),
    _row("NL", r"[0-9]{4}\.?[0-9]{2}\.?[0-9]{3}", bsn.is_valid, r"bsn|burgerservice\w*|sofi\w*"),
    _row("PL", "[0-9]{11}", pesel.is_valid, r"pesel\w*"),
    _row("PL", "[0-9]{3}-?[0-9]{3}-?[0-9]{2}-?[0-9]{2}", nip.is_valid, "nip", kind="tax-number"),
    _row("PT", "[0-9]{8} ?[0-9] ?[A-Z]{2}[0-9]", cc.is_valid),
    _row(
        "PT",
        "[0-9]{3} ?[0-9]{3} ?[0-9]{3}",
        pt_nif.is_valid,
        r"nif|contribuinte|número fiscal|identificação fiscal",
        kind="tax-number",
    ),
    _row("RO", "[0-9]{13}", cnp.is_valid, "cnp|cod numeric personal"),
    _row("SK", "[0-9]{6}/?[0-9]{4}", own.czech, _CZ),
    _row("SI", "[0-9]{13}", emso.is_valid, r"emšo|emso|matična številka"),
    _row("ES", "[0-9]{8}[ -]?[A-Z]", dni.is_valid, _ES),
    _row("ES", "[XYZ][ -]?[0-9]{7}[ -]?[A-Z]", nie.is_valid),
    _row("SE", "(?:[0-9]{2})?[0-9]{6}[-+][0-9]{4}", own.swedish),
    _row(
        "SE",
        "(?:[0-9]{2})?[0-9]{10}",
        own.swedish,
        r"personnummer\w*|pnr|personal (?:identity )?number|samordningsnummer\w*",
    ),
)

_RUN = (
    r"(?<![0-9A-Za-z])(?<![0-9][.,])"
    r"(?:[0-9](?:[ ./+-]?[0-9A-Z]){0,24}[ ./+-]?"
    r"|[A-Z](?:[ -]?[0-9](?:[ -]?[0-9A-Z]){0,16}|[0-9A-Z]{1,16})?[ -]?)"
)
_BARE = str.maketrans("", "", " ./+-")
_LEAST = 4  # digits and letters of the shortest form


def _end(text: str, at: int, stop: int) -> int:
    if stop - at < _LEAST:
        return 0
    for row in ROWS:
        found = row.shape.match(text, at)
        if found is None or found.end() > stop:
            continue
        # The Finnish and Swedish signs say the century: those two rules read them.
        shown = found.group()
        number = shown if row.state == "FI" else shown.translate(_BARE)
        if row.spoken(text, at) and row.holds(number):
            return found.end()
    return 0


DETECTOR: Final = Detector(
    "national-number",
    "0-9A-Z",
    longest(_RUN),
    _end,
    begins=ALONE + r"(?:[0-9]|[A-Z](?=[ -]?(?:[0-9A-Z]|\Z)))",
    marks=DIGITS,
)
