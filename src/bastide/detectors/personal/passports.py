# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""PASSPORTS: how each state writes the number of its passports, and the words that announce one.

No state but Poland and Germany has a checksum in it, so a word for passport must stand near. Shapes
are as public descriptions give them; they were not checked against specimens, such as those of the
Council's register (PRADO). States share shapes: a number that fits several is told as of the first.
"""

from typing import Final

__all__ = ["PASSPORTS", "PASSPORT_WORDS"]

PASSPORT_WORDS: Final = (
    r"passport\w*|reisepass\w*|pass(?:nummer|[- ]?nr)|passeport\w*|paspoort\w*|paszport\w*|"
    r"passaport\w*|pasaporte\w*|pașaport\w*|паспорт\w*|putovnic\w*|διαβατ[ήη]ρ[ιί]\w*|pasport\w*|"
    r"cestovn\w* pas\w*|(?:číslo|č\.) pasu|pas(?:nummer|nr|ul|[- ]nr)|pass\w{0,2} nummer|"
    r"passi|passin? num\w*|útlevél\w*|uimhir (?:an )?ph?as\w*|pas[ei]s? num\w*|"
    r"paso nume\w*|potn\w* list\w*"
)
PASSPORTS: Final = (
    ("ES", "[A-Z]{3} ?[0-9]{6}"),
    ("FR", "[0-9]{2} ?[A-Z]{2} ?[0-9]{5}"),
    ("SI", "P[A-Z] ?[0-9]{7}"),
    ("IE", "[A-Z]{2} ?[0-9]{7}"),
    ("IT", "[A-Z]{2} ?[0-9]{7}"),
    ("GR", "[A-Z]{2} ?[0-9]{7}"),
    ("EE", "[A-Z]{2} ?[0-9]{7}"),
    ("FI", "[A-Z]{2} ?[0-9]{7}"),
    ("LV", "[A-Z]{2} ?[0-9]{7}"),
    ("SK", "[A-Z]{2} ?[0-9]{7}"),
    ("AT", "[A-Z]{1,2} ?[0-9]{7}"),
    ("HU", "[A-Z]{2} ?[0-9]{6,7}"),
    ("BE", "[A-Z]{2} ?[0-9]{6}"),
    ("PT", "[A-Z]{1,2} ?[0-9]{6}"),
    ("CY", "[A-Z] ?[0-9]{8}"),
    ("LU", "[A-Z]{2}[0-9A-Z]{5}[0-9]"),
    ("BG", "[0-9]{9}"),
    ("HR", "[0-9]{9}"),
    ("DK", "[0-9]{9}"),
    ("RO", "[0-9]{8,9}"),
    ("CZ", "[0-9]{8}"),
    ("LT", "[0-9]{8}"),
    ("SE", "[0-9]{8}"),
    ("MT", "[0-9]{7}"),
)
