# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Cases: one short text each, with the places of what is personal in it. Seeded, so the same
everywhere.
"""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

from personal_data import values
from personal_data.negatives import NEGATIVES, wrong
from personal_data.persons import PERSONS

__all__ = ["LANGUAGES", "UNSEEN", "Case", "cases", "held_out", "score", "unseen"]

CARRIERS = tomllib.loads((Path(__file__).parent / "carriers.toml").read_text())
HELD_OUT = tomllib.loads((Path(__file__).parent / "held_out.toml").read_text())
UNSEEN = Path(__file__).parent / "unseen.toml"
LANGUAGES = {
    "AT": "de", "BE": "nl", "BG": "bg", "HR": "hr", "CY": "el", "CZ": "cs", "DK": "da", "EE": "et",
    "FI": "fi", "FR": "fr", "DE": "de", "GR": "el", "HU": "hu", "IE": "ga", "IT": "it", "LV": "lv",
    "LT": "lt", "LU": "fr", "MT": "mt", "NL": "nl", "PL": "pl", "PT": "pt", "RO": "ro", "SK": "sk",
    "SI": "sl", "ES": "es", "SE": "sv",
}  # fmt: skip
# How people announce the numbers of `persons`: what stands on forms and in letters of that state.
SAID = {
    ("health-number", "AT"): ("Meine SV-Nummer lautet {}.", "Versicherungsnummer: {}"),
    ("national-id", "BE"): ("Rijksregisternummer: {}", "Mon numéro de registre national est {}."),
    ("national-id", "BG"): ("ЕГН: {}", "Единен граждански номер {}"),
    ("national-id", "HR"): ("OIB: {}", "Moj OIB je {}."),
    ("tax-number", "CY"): ("ΑΦΤ: {}", "TIC: {}"),
    ("national-id", "CZ"): ("Rodné číslo: {}", "Moje rodné číslo je {}."),
    ("national-id", "DK"): ("CPR-nr. {}", "Mit CPR-nummer er {}.", "Personnummer: {}"),
    ("national-id", "EE"): ("Isikukood: {}", "Minu isikukood on {}."),
    ("national-id", "FI"): ("Henkilötunnus: {}", "Henkilötunnukseni on {}."),
    ("national-id", "FR"): ("Numéro de sécurité sociale : {}", "Mon numéro de Sécu est le {}."),
    ("tax-number", "FR"): ("Numéro fiscal : {}", "Mon numéro fiscal est le {}."),
    ("tax-number", "DE"): ("Steuer-ID: {}", "Meine Steueridentifikationsnummer ist {}."),
    ("health-number", "DE"): ("Krankenversichertennummer: {}", "Meine Versichertennummer ist {}."),
    ("national-id", "GR"): ("ΑΜΚΑ: {}", "Το ΑΜΚΑ μου είναι {}."),
    ("tax-number", "GR"): ("ΑΦΜ: {}", "Το ΑΦΜ μου είναι {}."),
    ("health-number", "HU"): ("TAJ szám: {}", "A TAJ-számom {}."),
    ("tax-number", "HU"): ("Adóazonosító jel: {}", "Az adóazonosítóm {}."),
    ("national-id", "HU"): ("Személyi szám: {}", "A személyi azonosítóm {}."),
    ("national-id", "IE"): ("PPS number: {}", "My PPSN is {}.", "PPS No. {}"),
    ("national-id", "IT"): ("Codice fiscale: {}", "Il mio codice fiscale è {}."),
    ("national-id", "LV"): ("Personas kods: {}", "Mans personas kods ir {}."),
    ("national-id", "LT"): ("Asmens kodas: {}", "Mano asmens kodas yra {}."),
    ("national-id", "LU"): ("Matricule : {}", "Mon numéro d'identification nationale est le {}."),
    ("national-id", "MT"): ("ID card number: {}", "Karta tal-identità {}"),
    ("national-id", "NL"): ("BSN: {}", "Mijn burgerservicenummer is {}."),
    ("national-id", "PL"): ("PESEL: {}", "Mój numer PESEL to {}."),
    ("tax-number", "PL"): ("NIP: {}", "Mój NIP to {}."),
    ("tax-number", "PT"): ("NIF: {}", "O meu número de contribuinte é {}."),
    ("health-number", "PT"): ("NISS: {}", "Número de Segurança Social: {}"),
    ("national-id", "RO"): ("CNP: {}", "Codul numeric personal este {}."),
    ("national-id", "SK"): ("Rodné číslo: {}", "Moje rodné číslo je {}."),
    ("national-id", "SI"): ("EMŠO: {}", "Moja matična številka je {}."),
    ("tax-number", "SI"): ("Davčna številka: {}", "Moja davčna številka je {}."),
    ("national-id", "ES"): ("DNI: {}", "Mi DNI es {}.", "NIE/NIF: {}"),
    ("health-number", "ES"): ("Número de la Seguridad Social: {}", "NUSS {}"),
    ("national-id", "SE"): ("Personnummer: {}", "Mitt personnummer är {}."),
    ("id-card", "BE"): ("Identiteitskaart nr. {}", "Carte d'identité {}"),
    ("id-card", "PL"): ("Dowód osobisty: {}", "Seria i numer dowodu: {}"),
    ("id-card", "DE"): ("Personalausweisnummer: {}", "Mein Ausweis hat die Nummer {}."),
    ("passport", "PL"): ("Paszport: {}", "Numer paszportu {}"),
}
# A changed digit may be right again: these have no checksum, a weak one, or two that overlap.
UNCHECKED = {("national-id", "DK"), ("national-id", "LV"), ("national-id", "MT")}
FOREIGNER = ("ЛНЧ: {}", "Личен номер на чужденец: {}")


@dataclass(frozen=True, slots=True)
class Case:
    """A text. start, end: characters of the value, both 0 if there is none. kind: of the value, or
    "" of a negative. spoken: a word announces the value.
    """

    language: str
    text: str
    start: int
    end: int
    kind: str
    state: str
    spoken: bool


def cases(seed: int, rounds: int) -> Iterator[Case]:
    """All kinds of all states, `rounds` times, and about as many negatives."""
    chance = Random(seed)
    for _ in range(rounds):
        for kind, state, maker, formed in PERSONS:
            said = FOREIGNER if maker.__name__ == "bulgarian_foreigner" else SAID[kind, state]
            yield _case(chance, kind, state, maker(chance), chance.choice(said), True)
            if (kind, state) not in UNCHECKED and not maker.__name__.startswith("bulgarian"):
                yield _case(
                    chance, "", state, wrong(chance, maker(chance)), chance.choice(said), True
                )
            if formed:
                bare = chance.choice(CARRIERS[LANGUAGES[state]]["bare"])
                yield _case(chance, kind, state, maker(chance), bare, False)
        for state, language in LANGUAGES.items():
            yield from _of_everyone(chance, state, CARRIERS[language])
            for _ in range(3):
                where, make = chance.choice(NEGATIVES)
                yield _case(chance, "", state, make(chance), _one(chance, language, where), False)
                yield _case(chance, "", state, "", _one(chance, language, "other"), False)
        for state in ("BE", "PL", "DE"):
            value = values.identity_card(chance, state)
            said = chance.choice(SAID["id-card", state])
            yield _case(chance, "id-card", state, value, said, True)
        yield _case(chance, "passport", "PL", values.passport(chance, "PL"), "Paszport: {}", True)
        for state in ("DE", "FR", "ES", "IT", "SE", "GR"):
            line = "\n{}\n"
            yield _case(chance, "passport", state, values.passport(chance, state), line, False)


def held_out(seed: int, rounds: int) -> Iterator[Case]:
    """Values announced by the words of held_out.toml."""
    chance = Random(seed)
    for _ in range(rounds):
        for kind, state, maker, _ in PERSONS:
            if maker.__name__ == "bulgarian_foreigner":
                continue
            said = chance.choice(HELD_OUT["persons"][state][kind])
            yield _case(chance, kind, state, maker(chance), said, True)
        yield from _announced(chance, HELD_OUT["said"])


def unseen(seed: int, rounds: int) -> Iterator[Case]:
    """Values announced by the words of unseen.toml, from which no rule has learned."""
    chance, said = Random(seed), tomllib.loads(UNSEEN.read_text())["said"]
    for _ in range(rounds):
        yield from _announced(chance, said)


def _announced(chance: Random, said_in: dict[str, dict[str, list[str]]]) -> Iterator[Case]:
    names = {"ip": "ip-address", "born": "birth-date", "vat": "vat-number"}
    for state, language in LANGUAGES.items():
        for name, sentences in said_in.get(language, {}).items():
            value = {
                "phone": lambda s: values.phone(chance, s, chance.random() < 0.5),
                "card": lambda s: values.card(chance),
                "born": lambda s: values.date(chance, LANGUAGES[s]),
                "plate": lambda s: values.plate(chance),
                "ip": lambda s: values.ip(chance),
                "vat": lambda s: values.vat(chance, s),
            }[name](state)
            said = chance.choice(sentences)
            yield _case(chance, names.get(name, name), state, value, said, True)


def _of_everyone(chance: Random, state: str, said: dict[str, list[str]]) -> Iterator[Case]:
    language = LANGUAGES[state]
    made = {
        "email": values.email(chance),
        "iban": values.iban(chance, state),
        "card": values.card(chance),
        "ip": values.ip(chance),
        "born": values.date(chance, language),
        "plate": values.plate(chance),
        "vat": values.vat(chance, state),
    }
    names = {"ip": "ip-address", "born": "birth-date", "vat": "vat-number"}
    for name, value in made.items():
        yield _case(chance, names.get(name, name), state, value, chance.choice(said[name]), True)
    for home in (False, True):
        value = values.phone(chance, state, home)
        yield _case(chance, "phone", state, value, chance.choice(said["phone"]), True)
    for name, value in (
        ("email", values.email(chance)),
        ("iban", values.iban(chance, state)),
        ("phone", values.phone(chance, state, home=False)),
    ):
        yield _case(chance, name, state, value, chance.choice(said["bare"]), False)


def _one(chance: Random, language: str, name: str) -> str:
    return chance.choice(CARRIERS[language][name])


def _case(chance: Random, kind: str, state: str, value: str, said: str, spoken: bool) -> Case:
    language = LANGUAGES[state]
    plain = CARRIERS[language]["bare"] + CARRIERS[language]["other"]
    before, after = (chance.choice(plain).replace("{}", "…") for _ in range(2))
    if "{}" not in said or not value:
        said, value = said.replace("{}", "…"), ""
    head = f"{before} {said.split('{}')[0]}" if value else f"{before} {said}"
    tail = said.split("{}")[1] if value else ""
    text = f"{head}{value}{tail} {after}"
    start = len(head) if value else 0
    return Case(language, text, start, start + len(value), kind, state, spoken)


def score(found: list[tuple[int, int, str]], case: Case) -> tuple[bool, bool, int]:
    """Whether the value is covered, whether by its own kind, and how many spans are wrong. found:
    start, end, kind, in characters.
    """
    if not case.kind:
        return False, False, len(found)
    covering = [row for row in found if row[0] <= case.start and row[1] >= case.end]
    wrong = [row for row in found if row[1] <= case.start or row[0] >= case.end]
    return bool(covering), any(row[2] == case.kind for row in covering), len(wrong)
