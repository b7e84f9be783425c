# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Values that are made alike in every state: VAT numbers, accounts, cards, telephones, documents,
dates, plates.
"""

from random import Random

from personal_data.persons import (
    croatian,
    cypriot,
    digits,
    dot,
    dutch,
    greek_tax,
    irish,
    iso_11_10,
    luhn,
    polish_tax,
    portuguese_tax,
    spanish,
)

__all__ = ["ACCOUNTS", "card", "date", "email", "iban", "identity_card", "ip", "passport", "phone"]
__all__ += ["plate", "vat"]

MONTHS = {
    "en": "January March May August October December",
    "de": "Januar März Mai August Oktober Dezember",
    "fr": "janvier mars mai août octobre décembre",
    "es": "enero marzo mayo agosto octubre diciembre",
    "it": "gennaio marzo maggio agosto ottobre dicembre",
    "pt": "janeiro março maio agosto outubro dezembro",
    "nl": "januari maart mei augustus oktober december",
    "pl": "stycznia marca maja sierpnia października grudnia",
    "cs": "ledna března května srpna října prosince",
    "sk": "januára marca mája augusta októbra decembra",
    "hu": "január március május augusztus október december",
    "ro": "ianuarie martie mai august octombrie decembrie",
    "bg": "януари март май август октомври декември",
    "el": "Ιανουαρίου Μαρτίου Μαΐου Αυγούστου Οκτωβρίου Δεκεμβρίου",
    "sv": "januari mars maj augusti oktober december",
    "da": "januar marts maj august oktober december",
    "fi": "tammikuuta maaliskuuta toukokuuta elokuuta lokakuuta joulukuuta",
    "et": "jaanuar märts mai august oktoober detsember",
    "lv": "janvāris marts maijs augusts oktobris decembris",
    "lt": "sausio kovo gegužės rugpjūčio spalio gruodžio",
    "hr": "siječnja ožujka svibnja kolovoza listopada prosinca",
    "sl": "januarja marca maja avgusta oktobra decembra",
    "mt": "Jannar Marzu Mejju Awwissu Ottubru Diċembru",
    "ga": "Eanáir Márta Bealtaine Lúnasa Deireadh Nollaig",
}
NAMES = [
    "anna",
    "maria",
    "jan",
    "peter",
    "sofia",
    "lukas",
    "elena",
    "mateo",
    "ines",
    "karel",
    "nora",
    "david",
    "eva",
    "tomas",
    "ioana",
]
HOUSES = [
    "posta",
    "firma",
    "mail",
    "kontor",
    "ufficio",
    "correo",
    "courrier",
    "posti",
    "pasts",
    "pastas",
]
# Country code, digits behind it, and how it is written at home.
PHONES = {
    "AT": ("43", "1 ### ####", "01 ### ####"), "BE": ("32", "2 ### ## ##", "02 ### ## ##"),
    "BG": ("359", "2 ### ####", "02 ### ####"), "HR": ("385", "1 #### ###", "01 #### ###"),
    "CY": ("357", "22 ######", "22 ######"), "CZ": ("420", "60# ### ###", "60# ### ###"),
    "DK": ("45", "33 ## ## ##", "33 ## ## ##"), "EE": ("372", "5### ####", "5### ####"),
    "FI": ("358", "40 ### ####", "040 ### ####"), "FR": ("33", "6 ## ## ## ##", "06 ## ## ## ##"),
    "DE": ("49", "30 ######", "030 ######"), "GR": ("30", "21# ### ####", "21# ### ####"),
    "HU": ("36", "30 ### ####", "06 30 ### ####"), "IE": ("353", "87 ### ####", "087 ### ####"),
    "IT": ("39", "33# ### ####", "33# ### ####"), "LV": ("371", "26### ###", "26### ###"),
    "LT": ("370", "6## #####", "8 6## #####"), "LU": ("352", "26 ## ## ##", "26 ## ## ##"),
    "MT": ("356", "21## ####", "21## ####"), "NL": ("31", "20 ### ####", "020-#######"),
    "PL": ("48", "60# ### ###", "60# ### ###"), "PT": ("351", "91# ### ###", "91# ### ###"),
    "RO": ("40", "72# ### ###", "072# ### ###"), "SK": ("421", "90# ### ###", "090# ### ###"),
    "SI": ("386", "41 ### ###", "041 ### ###"), "ES": ("34", "61# ### ###", "61# ### ###"),
    "SE": ("46", "70 ### ## ##", "070-### ## ##"),
}  # fmt: skip
ACCOUNTS = {
    "AT": "16#", "BE": "12#", "BG": "4A 6# 8#", "HR": "17#", "CY": "8# 16#", "CZ": "20#",
    "DK": "14#", "EE": "16#", "FI": "14#", "FR": "10# 11# 2#", "DE": "18#", "GR": "7# 16#",
    "HU": "24#", "IE": "4A 14#", "IT": "1A 10# 12#", "LV": "4A 13#", "LT": "16#",
    "LU": "3# 13#", "MT": "4A 5# 18#", "NL": "4A 10#", "PL": "24#", "PT": "21#",
    "RO": "4A 16#", "SK": "20#", "SI": "15#", "ES": "20#", "SE": "20#",
}  # fmt: skip


def email(chance: Random) -> str:
    name, other = chance.sample(NAMES, 2)
    sign = chance.choice((".", "_", "-", ""))
    host = chance.choice(HOUSES)
    top = chance.choice(("eu", "de", "fr", "pl", "com", "co.uk", "org", "se", "gr"))
    number = chance.choice(("", "", str(chance.randint(1, 99))))
    return f"{name}{sign}{other}{number}@{host}{chance.choice(('', '-online', '.intern'))}.{top}"


def filled(chance: Random, shape: str) -> str:
    return "".join(chance.choice("0123456789") if sign == "#" else sign for sign in shape)


def phone(chance: Random, state: str, home: bool) -> str:
    code, abroad, local = PHONES[state]
    if home:
        return filled(chance, local)
    shown = f"+{code} {filled(chance, abroad)}"
    return chance.choice((shown, shown.replace(" ", ""), shown.replace(" ", "-")))


def iban(chance: Random, state: str, wrong: bool = False) -> str:
    account = ""
    for part in ACCOUNTS[state].split():
        letters = "ABCDEFGHKLMNPRST" if part.endswith("A") else "0123456789"
        account += "".join(chance.choice(letters) for _ in range(int(part[:-1])))
    value = "".join(str(int(sign, 36)) for sign in account + state + "00")
    check = 98 - int(value) % 97
    whole = f"{state}{(check + 1) % 98 if wrong else check:02d}{account}"
    grouped = " ".join(whole[at : at + 4] for at in range(0, len(whole), 4))
    return chance.choice((whole, grouped))


def card(chance: Random) -> str:
    body = chance.choice(("4", "51", "52", "53", "54", "55", "2221"))
    body += digits(chance, 15 - len(body))
    n = body + luhn(body)
    sign = chance.choice((" ", "-", " ", ""))
    return sign.join(n[at : at + 4] for at in range(0, 16, 4))


def ip(chance: Random) -> str:
    if chance.random() < 0.3:
        return f"2a02:{chance.randint(4096, 65535):x}:ab9d::{chance.randint(1, 9999):x}"
    first = chance.choice((62, 77, 78, 80, 82, 85, 91, 93, 109, 141, 185, 193, 194, 195, 212, 217))
    return ".".join(map(str, (first, *(chance.randint(1, 254) for _ in range(3)))))


def date(chance: Random, language: str) -> str:
    year, month, number = chance.randint(1935, 2005), chance.randint(1, 12), chance.randint(1, 28)
    name = chance.choice(MONTHS[language].split())
    if chance.random() < 0.5:
        return chance.choice(
            (
                f"{number:02d}.{month:02d}.{year}",
                f"{number:02d}/{month:02d}/{year}",
                f"{year}-{month:02d}-{number:02d}",
            )
        )
    match language:
        case "hu":
            return f"{year}. {name} {number}"
        case "lv":
            return f"{year}. gada {number}. {name[:-1]}ī"
        case "lt":
            return f"{year} m. {name} {number}"
        case "es" | "pt":
            return f"{number} de {name} de {year}"
        case "de" | "cs" | "sk" | "da" | "fi" | "et" | "hr" | "sl":
            return f"{number}. {name} {year}"
        case "mt":
            return f"{number} ta' {name} {year}"
    return f"{number} {name} {year}"


def plate(chance: Random) -> str:
    shape = chance.choice(
        ("A-AA ####", "AA-###-AA", "AA ### AA", "AAA ###", "#### AAA", "AA ## AAA", "#AA ####")
    )
    return "".join(
        chance.choice("BCDFGHKLMNPRST") if s == "A" else filled(chance, s) for s in shape
    )


def icao(text: str) -> str:
    values = [0 if s == "<" else int(s, 36) for s in text]
    return str(sum(v * (7, 3, 1)[i % 3] for i, v in enumerate(values)) % 10)


def identity_card(chance: Random, state: str) -> str:
    if state == "BE":
        body = str(chance.randint(590, 599)) + digits(chance, 7)
        return f"{body[:3]}-{body[3:]}-{int(body) % 97 or 97:02d}"
    if state == "PL":
        letters, body = (
            "A" + "".join(chance.choice("BCDEFGHKLMN") for _ in range(2)),
            digits(chance, 5),
        )
        return letters + icao(letters + body) + body
    number = (
        "L"
        + "".join(chance.choice("CFGHJKLMNPRTVWXYZ0123456789") for _ in range(6))
        + digits(chance, 2)
    )
    return number + icao(number)


def passport(chance: Random, state: str) -> str:
    """The number in Poland, elsewhere the second line of the machine-readable zone."""
    if state == "PL":
        letters, body = "".join(chance.choice("ABEFGHK") for _ in range(2)), digits(chance, 6)
        return letters + icao(letters + body) + body
    code = {"DE": "D<<", "FR": "FRA", "ES": "ESP", "IT": "ITA", "SE": "SWE", "GR": "GRC"}.get(
        state, "EUE"
    )
    number = "C" + digits(chance, 8)
    born = f"{chance.randint(50, 99)}{chance.randint(1, 12):02d}{chance.randint(1, 28):02d}"
    until = f"{chance.randint(26, 35)}{chance.randint(1, 12):02d}{chance.randint(1, 28):02d}"
    line = (
        number + icao(number) + code + born + icao(born) + chance.choice("MF") + until + icao(until)
    )
    line += "<" * 14 + "0"
    return line + icao(line[:10] + line[13:20] + line[21:43])


def vat(chance: Random, state: str) -> str:
    """A VAT number with the letters of its state."""
    return {"GR": "EL"}.get(state, state) + chance.choice(("", " ")) + _vat(chance, state)


def _vat(chance: Random, state: str) -> str:
    body = chance.choice("123456") + digits(chance, 6)
    match state:
        case "AT":
            total = sum(map(int, body[::2])) + sum(sum(divmod(2 * int(d), 10)) for d in body[1::2])
            return f"U{body}{(6 - total) % 10}"
        case "BE":
            body = "0" + body
            return f"{body}{97 - int(body) % 97:02d}"
        case "BG":
            body += "7"
            check = dot(body, "1 2 3 4 5 6 7 8") % 11
            return body + str(check if check < 10 else dot(body, "3 4 5 6 7 8 9 10") % 11 % 10)
        case "CY":
            return cypriot(chance)
        case "CZ":
            check = -dot(body, "8 7 6 5 4 3 2") % 11
            return body + str((check or 1) % 10)
        case "DE":
            body += "3"
            return body + iso_11_10(body)
        case "DK" | "FI" | "SI" | "HU" | "MT" | "EE" | "LT" | "RO" | "SK" | "LV" | "LU":
            return _searched(chance, state)
        case "ES":
            return spanish(chance).replace("-", "")
        case "FR":
            siren = body + "1"
            siren += luhn(siren)
            return f"{(12 + 3 * (int(siren) % 97)) % 97:02d}{siren}"
        case "GR":
            return greek_tax(chance)
        case "HR":
            return croatian(chance)
        case "IE":
            return irish(chance)
        case "IT":
            body += f"{chance.randint(1, 99):03d}"
            return body + luhn(body)
        case "NL":
            return dutch(chance) + f"B{chance.randint(1, 99):02d}"
        case "PL":
            return polish_tax(chance).replace("-", "")
        case "PT":
            return portuguese_tax(chance).replace(" ", "")
    body += digits(chance, 2)
    return body + luhn(body) + "01"


def _searched(chance: Random, state: str) -> str:
    """A number whose check digits are found by trying: what the definition says is only tested."""
    while True:
        n = str(chance.randint(1, 8)) + digits(
            chance, {"EE": 8, "LT": 8, "RO": 8, "SK": 9, "LV": 10}.get(state, 7)
        )
        if _fits(state, n):
            return n


def _fits(state: str, n: str) -> bool:
    last = int(n[-1])
    match state:
        case "DK":
            return dot(n, "2 7 6 5 4 3 2 1") % 11 == 0
        case "FI":
            return dot(n, "7 9 10 5 8 4 2 1") % 11 == 0
        case "SI":
            rest = 11 - dot(n[:-1], "8 7 6 5 4 3 2") % 11
            return rest != 11 and rest % 10 == last
        case "HU":
            return dot(n, "9 7 3 1 9 7 3 1") % 10 == 0
        case "MT":
            return dot(n, "3 4 6 7 8 9 10 1") % 37 == 0
        case "EE":
            return dot(n, "3 7 1 3 7 1 3 7 1") % 10 == 0
        case "LT":
            rest = dot(n[:-1], "1 2 3 4 5 6 7 8") % 11
            rest = rest if rest < 10 else dot(n[:-1], "3 4 5 6 7 8 9 1") % 11
            return n[7] == "1" and rest % 10 == last
        case "RO":
            return dot(n[:-1], "5 3 2 1 7 5 3 2") * 10 % 11 % 10 == last
        case "SK":
            return n[2] in "234789" and int(n) % 11 == 0
        case "LV":
            return n[0] > "3" and dot(n, "9 1 4 8 3 10 2 5 7 6 1") % 11 == 3
    return int(n[:6]) % 89 == int(n[6:])
