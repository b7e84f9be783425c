# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Values that no form and no checksum betrays: only the word before them does. Dates of birth,
vehicle plates, documents with few digits.
"""

import re
from typing import Final

__all__ = ["BORN", "DOCUMENT", "PLATE", "born_span", "document_starts", "plate_span"]

# The words, in the languages of the Union, that a date of birth stands behind.
_BORN = (
    "born|dob|d.o.b.|zur welt|né|née|naissance|anniversaire|nato|nata|data nascita|nascimento|"
    "f. nacimiento|nacimiento|fecha nac.|födelsedag|urodził się|urodziła się|data ur.|"
    "date of birth|birthdate|birth date|birthday|geboren|geb.|geburtsdatum|geburtstag|"
    "né le|née le|date de naissance|nacido|nacida|nació|fecha de nacimiento|nato il|nata il|"
    "data di nascita|nascido|nascida|data de nascimento|nasceu|geboortedatum|geboren op|urodzony|"
    "urodzona|data urodzenia|ur.|narozen|narozena|datum narození|nar.|narodený|narodená|"
    "dátum narodenia|született|születési idő|születési dátum|szül.|născut|născută|data nașterii|"
    "роден|родена|дата на раждане|γεννήθηκε|ημερομηνία γέννησης|född|född den|födelsedatum|født|"
    "fødselsdato|syntynyt|syntymäaika|syntymäpäivä|sündinud|sünniaeg|sünnikuupäev|dzimis|dzimusi|"
    "dzimšanas datums|gimęs|gimusi|gimė|gimimo data|rođen|rođena|datum rođenja|rojen|rojena|"
    "datum rojstva|imwieled|imwielda|twieled|data tat-twelid|rugadh|dáta breithe"
)
BORN: Final = tuple(_BORN.split("|"))
_PLATE = (
    "vehicle registration|nummernschild|kfz-kennz.|reg.nr|reg. nr|"
    "number plate|licence plate|license plate|registration number|kennzeichen|immatriculation|"
    "immatriculé|immatriculée|plaque|matrícula|targa|targato|targata|kenteken|nummerplaat|"
    "tablica rejestracyjna|numer rejestracyjny|nr rej.|spz|rz:|evč|ečv|rendszám|rendszáma|"
    "număr de înmatriculare|numărul de înmatriculare|регистрационен номер|рег. №|πινακίδα|"
    "αριθμός κυκλοφορίας|registreringsnummer|regnr|nummerplade|rekisterinumero|rekisteritunnus|"
    "rekisterikilpi|registreerimismärk|numbrimärk|reģistrācijas numurs|numura zīme|"
    "valstybinis numeris|registarska oznaka|registarske oznake|tablice|registrska oznaka|"
    "registrska tablica|registrsko tablico|registrske tablice|"
    "numru tar-reġistrazzjoni|pjanċa|uimhir chláraithe"
)
PLATE: Final = tuple(_PLATE.split("|"))
_DOCUMENT = (
    "personalausweis|ausweis|ausweisnummer|reisepass|passnummer|identity card|id card|id-card|"
    "identiteitskaart|id-kaart|paspoort|passport|passeport|paszport|passaporto|pasaporte|"
    "karta tal-identità"
)
DOCUMENT: Final = tuple(_DOCUMENT.split("|"))

_GAP: Final = r"[^0-9\n.;!?]{0,28}?(?<![0-9])"
_YEAR: Final = "(?:19|20)[0-9]{2}"
_DAY, _MONTH = "(?:0?[1-9]|[12][0-9]|3[01])", "(?:0?[1-9]|1[0-2])"
_NAME: Final = r"[^\W\d_]{3,14}\.?"
_DATE: Final = (
    rf"(?:{_DAY}(?P<a>[./-]) ?{_MONTH}(?P=a) ?(?:{_YEAR}|[0-9]{{2}})"
    rf"|{_MONTH}(?P<b>[/]){_DAY}(?P=b){_YEAR}"
    rf"|{_YEAR}(?P<c>[./-]) ?{_MONTH}(?P=c) ?{_DAY}"
    rf"|{_DAY}(?:\.|st|nd|rd|th|er|º|η|ú)?(?: of| de| ta['’]| d['’])? ?{_NAME},?"
    rf"(?: de| del)? {_YEAR}"
    rf"|{_NAME} {_DAY}(?:st|nd|rd|th)?, ?{_YEAR}"
    rf"|{_YEAR}\. ?gada {_DAY}\. ?{_NAME}"
    rf"|{_YEAR}\.?(?: gada| m\.)? ?(?:{_NAME}|{_MONTH}\.?) {_DAY})"
)
_BEHIND_WORD = re.compile(rf":?{_GAP}({_DATE})(?![0-9A-Za-z]|[./-][0-9])")
# "am 1.2.1980 geboren", "1980. 02. 01-én született"
_BEFORE_WORD = re.compile(rf"(?<![0-9A-Za-z./-])({_DATE})(?:-\w{{2,3}}| in {_NAME})? \Z")
_BEFORE_REACH: Final = 48
_UPPER: Final = "A-ZÄÖÜŠŽČĆĐΑ-ΩА-Я"
_MARK = re.compile(
    rf"[.:]?[^0-9\n;!?{_UPPER}]{{0,20}}(?<![0-9{_UPPER}a-z])"
    rf"([{_UPPER}0-9]{{1,4}}(?:[ ·•-]{{0,2}}[{_UPPER}0-9]{{1,5}}){{1,3}})(?![{_UPPER}0-9a-z])"
)
_NUMBER = re.compile(r"(?<![0-9A-Za-z])(?=[A-Z]*[0-9])[A-Z0-9]{4,11}(?![0-9A-Za-z])")
_DOCUMENT_REACH: Final = 40


def born_span(text: str, start: int, at: int) -> tuple[int, int] | None:
    """The date behind a word from `start` to `at`, or right before it."""
    found = _BEHIND_WORD.match(text, at)
    if found is None:
        found = _BEFORE_WORD.search(text, max(0, start - _BEFORE_REACH), start)
    return None if found is None else found.span(1)


def plate_span(text: str, at: int) -> tuple[int, int] | None:
    """The plate behind a word that ends here: letters and digits, four to nine of them."""
    found = _MARK.match(text, at)
    if found is None:
        return None
    signs = [sign for sign in found.group(1) if sign.isalnum()]
    digits = sum(map(str.isdigit, signs))
    fits = 4 <= len(signs) <= 9 and 1 <= digits < len(signs)
    return found.span(1) if fits else None


def document_starts(text: str, at: int) -> list[int]:
    """Where a document's number may begin behind a word that ends here."""
    reach = text[at : at + _DOCUMENT_REACH].split("\n\n", maxsplit=1)[0]
    return [at + found.start() for found in _NUMBER.finditer(reach)]
