# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Context: which words stand near a place, found for all rules in one pass (`re2.Set`).

Two decisions keep numbers of everyday texts out. A word that announces another number ("order",
"ISBN", "Rechnung") cuts off all that was said before it; so does an empty line. And behind a
number only its own clause counts: "(PESEL)", "is my DNI".
"""

import re
from collections.abc import Iterable
from typing import Any, Final

__all__ = ["NEGATIVE", "PHONE", "TAG", "Words"]

_REACH: Final = 96  # bytes before a place; 64 letters of most scripts

_NEGATIVE_REACH: Final = 40
_DIRECT: Final = 24
_STOP: Final = re.compile(rb"[.;!?]\s")

# A pseudonym: nothing in it is a candidate.
TAG: Final = re.compile(rb"<[A-Z-]{2,16}:[b-z]{8,32}>")

_CLAUSE_MAX: Final = 48
_CLAUSE: Final = re.compile(
    rb" ?[(\[]([^)\]0-9]{2,40})[)\]]|,? ([^0-9.;:,\n(]{2,40})(?=[.;,\n]|\Z)"
)

PHONE: Final = (
    r"tel|telephone\w*|tél|t?h?eileafón\w*|telefon\w*|teléfono\w*|téléphone\w*|telefoon\w*|telefono|telemóvel|telefone|"
    r"telefón\w*|puhelin\w*|puh|phone\w*|mobile|mobile?\w*|mobiel\w*|móvil|cellulare|cell|portable|handy\w*|gsm|"
    r"fax|rufnummer|callback|"
    r"calls?(?: (?:me|us|him|her|them|on|at|now|back|or)){0,3}:? ?$|"
    r"whatsapp|signal|tālr\w*|tālrun\w*|тел|телефон\w*|мобилен|"
    r"τηλ|τηλέφων\w*|κινητό|tlf|komórk\w*|numer kontaktowy|mob|hívj\w*|appelez|ruf|rufen|anrufen|"
    r"bel me|bellen|06-nummer|durchwahl|rückfragen|joignable|llám\w*|llam\w*|chiam\w*|"
    r"zadzwo\w*|dzwo\w*|kom|contact|kontakt|appel\w*|volej\w*|soit\w*|helista\w*|zvan\w*|"
    r"skambin\w*|nazov\w*|pokli\w*|обад\w*|καλέσ\w*|hív\w*|teil|fón\w*|n?gh?uth[áa]i?n\w*|"
    r"ċempel\w*|numru tat-telefown|mobiil\w*|mobitel\w*"
)

NEGATIVE: Final = (
    r"is[bs]n\w*|ismn|doi|ean|gtin|upc|sku|imei|asin|orcid|arxiv|pmid|rfc|cve|crc\w*|md5|sha\w*|uuid|"
    r"orders?|ordern\w*|invoices?|version\w*|build|release|revision|serial|tracking|ticket|article|"
    r"item|model|batch|ref|reference|case|commit|checksum|coordinates?|isil|"
    r"bestell\w*|rechnung\w*|artikel\w*|auftrag\w*|aktenzeichen|serien\w*|sendung\w*|"
    r"kundennummer|vertrag\w*|chargen?\w*|commande|facture|référence|réf|dossier|colis|suivi|"
    r"pedido|factura|referencia|expediente|ordine|fattura|articolo|pratica|riferimento|spedizione|"
    r"encomenda|fatura|referência|processo|factuur\w*|zending\w*|zamówieni\w*|faktur\w*|przesyłk\w*|"
    r"objednávk\w*|zásilk\w*|zásielk\w*|rendelés\w*|számla|számlák|csomag\w*|comand\w*|factur\w*|"
    r"colet\w*|поръчк\w*|фактур\w*|пратк\w*|παραγγελί\w*|τιμολόγι\w*|αποστολή\w*|ordre\w*|"
    r"beställning\w*|bestilling\w*|försändelse\w*|forsendelse\w*|tilau\w*|lasku\w*|lähety\w*|"
    r"tellimus\w*|arve\w*|saadetis\w*|pasūtījum\w*|rēķin\w*|sūtījum\w*|užsakym\w*|sąskait\w*|siunt\w*|"
    r"narudžb\w*|račun\w*|pošiljk\w*|naročil\w*|ordni|fattur\w*|ordú|sonrasc\w*|beartán|pakkett|"
    r"versie|versione|versión|versão|versiun\w*|versio\w{0,2}|wersj\w*|verze|verzi\w*|έκδοση|версия|leagan|verżjoni|versjon\w*"
)


class Words:
    """Which of some lists of words stand near a place. Lists are regular expressions."""

    def __init__(self, lists: Iterable[str]) -> None:
        import re2

        self._rows = {words: place for place, words in enumerate(dict.fromkeys((NEGATIVE, *lists)))}
        options = re2.Options()
        options.never_capture = True
        options.max_mem = 64 << 20
        chosen: Any = re2.Set.SearchSet(options)
        for words in self._rows:
            chosen.Add(_whole(words))
        chosen.Compile()
        self._set = chosen
        self._negative: Any = re2.compile(_whole(NEGATIVE), options)

    def __getitem__(self, words: str) -> int:
        return self._rows[words]

    def near(self, data: bytes, start: int, end: int) -> tuple[frozenset[int], bool]:
        """The lists of which a word stands before a place, or behind it in its own clause; and
        whether the place is announced as something else.
        """
        said = self._before(data, start)
        rows = self._match(said)
        cut = False
        while self._rows[NEGATIVE] in rows:  # two in a row share the space between them
            cut = True
            last = max(found.end() for found in self._negative.finditer(said))
            said = said[last - 1 :]
            rows = self._match(said)
        negative = cut and not rows and len(said) < _NEGATIVE_REACH and not _STOP.search(said)
        clause = _CLAUSE.match(data, end, min(end + _CLAUSE_MAX, len(data)))
        if clause is not None:
            behind = clause.group(1) or clause.group(2)
            rows = [*rows, *self._match(behind)]
            if clause.group(1):
                negative = negative or self._negative.search(behind) is not None
        return frozenset(rows), negative

    def just_said(self, words: str, data: bytes, start: int) -> bool:
        """Whether one of a list stands directly before a place."""
        said = data[max(0, start - _DIRECT) : start].rpartition(b"\n\n")[2]
        return self._rows[words] in self._match(said)

    def _before(self, data: bytes, start: int) -> bytes:
        """What is said before a place in its paragraph."""
        low = max(0, start - _REACH)
        while low < start and data[low] & 0xC0 == 0x80:
            low += 1
        said = data[low:start]
        cut = said.rfind(b"\n\n")
        if cut >= 0:
            said = said[cut:]
        # A pseudonym of a telephone number is no word that announces another one.
        return TAG.sub(b"<>", said) if b"<" in said else said

    def _match(self, said: bytes) -> list[int]:
        return self._set.Match(said) or []  # None, where there is none


def _whole(words: str) -> str:
    # RE2's classes of words are ASCII only.
    words = words.replace(r"\w", r"[\pL\pN_]")
    return rf"(?i)(?:^|[^\pL])(?:{words})(?:[^\pL]|$)"
