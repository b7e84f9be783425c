# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The licence of a document, from the copyright file of its Debian package.

The machine-readable form (DEP 5) is translated to SPDX where the meaning is certain. It speaks of
the paths of the source package, and the documents are installed ones. So a document gets every
licence that may be meant (`A AND B`): too many restrictions, never too few. What is not certain
is `LicenseRef-Debian-PACKAGE`, and its copyright file is kept beside the documents.
"""

import re
from dataclasses import dataclass

__all__ = ["KINDS", "Licence", "Stated", "licence_of", "spdx_of"]

_SHORT = {
    "expat": "MIT",
    "mit": "MIT",
    "isc": "ISC",
    "zlib": "Zlib",
    "bsd-2-clause": "BSD-2-Clause",
    "bsd-3-clause": "BSD-3-Clause",
    "cc0": "CC0-1.0",
    "cc0-1.0": "CC0-1.0",
    "cc-by-3.0": "CC-BY-3.0",
    "cc-by-4.0": "CC-BY-4.0",
    "cc-by-sa-2.0": "CC-BY-SA-2.0",
    "cc-by-sa-2.5": "CC-BY-SA-2.5",
    "cc-by-sa-3.0": "CC-BY-SA-3.0",
    "cc-by-sa-4.0": "CC-BY-SA-4.0",
    "apache-2.0": "Apache-2.0",
    "mpl-1.1": "MPL-1.1",
    "mpl-2.0": "MPL-2.0",
    "bsl-1.0": "BSL-1.0",
    "ofl-1.1": "OFL-1.1",
    "fsfap": "FSFAP",
    "fsf-all-permissive": "FSFAP",
    "lppl-1.3c+": "LPPL-1.3c",
    "artistic-2.0": "Artistic-2.0",
}
_GNU = re.compile(r"(l?gpl|gfdl|agpl)-(\d)(?:\.(\d))?(\+|-or-later|-only)?$")
_VERSIONS = {
    "gpl": ("1.0", "2.0", "3.0"),
    "lgpl": ("2.0", "2.1", "3.0"),
    "agpl": ("3.0",),
    "gfdl": ("1.1", "1.2", "1.3"),
}
# KDE's "2 or 3 or what KDE e.V. accepts": the alternatives that have a name of their own.
_KDE = re.compile(r"(l?gpl)-(\d(?:\.\d)?)\+3(?:\+kdeev)?(?:-translations)?$")
_STANZA = re.compile(r"\n\s*\n")
# Where in a source package what becomes a document of this kind lies.
_PLACES = {
    "handbook": ("doc", "docs", "help", "documentation", "manual", "po/*/docs", "po/*/doc"),
    "catalogue": ("po", "poqm", "translations"),
    "man": ("man", "doc", "docs", "po"),
    "text": ("doc", "docs", "documentation"),
}
KINDS = tuple(_PLACES)


@dataclass(frozen=True, slots=True)
class Licence:
    """An SPDX expression, and how it was found."""

    spdx: str
    found: str  # one-licence, stanzas, stated or unclear


@dataclass(frozen=True, slots=True)
class Stated:
    """A person has read the copyright file of a source package, and what its documents are under.

    `evidence` is a sentence of that file: if it is not there any more, the statement is void.
    """

    spdx: str
    evidence: str


def licence_of(text: str, kind: str, package: str, stated: Stated | None = None) -> Licence:
    """Give the licence of documents of a kind.

    Args:
        text: The copyright file; empty if the package has none.
        kind: handbook, catalogue, man or text.
        package: Names the licence if it is not certain.
        stated: What a person found, for a file that no machine reads.
    """
    unclear = Licence(f"LicenseRef-Debian-{re.sub(r'[^A-Za-z0-9.-]', '-', package)}", "unclear")
    if stated is not None and " ".join(stated.evidence.split()) in " ".join(text.split()):
        return Licence(stated.spdx, "stated")
    if "copyright-format/1.0" not in text[:400]:
        return unclear
    rows = [
        (pattern, licence)
        for patterns, licence in _stanzas(text)
        for pattern in patterns
        if not pattern.startswith("debian/")
    ]
    every = {licence for _, licence in rows}
    if len(every) == 1 and "*" in {pattern for pattern, _ in rows}:
        spdx = spdx_of(every.pop())
        return Licence(spdx, "one-licence") if spdx else unclear
    meant = _meant(rows, kind)
    found = {spdx_of(licence) for licence in meant}
    if not found or None in found:
        return unclear
    parts = sorted(f"({spdx})" if " OR " in spdx else spdx for spdx in found if spdx)
    return Licence(" AND ".join(parts) if len(parts) > 1 else parts[0].strip("()"), "stanzas")


def _meant(rows: list[tuple[str, str]], kind: str) -> set[str]:
    """Every licence that documents of this kind may be under.

    A stanza for the whole folder of documents takes the place of the one for everything.
    """
    places = _PLACES[kind]
    meant, whole = set(), False
    for pattern, licence in rows:
        clean = pattern.lower()
        inside = any(clean == place or clean.startswith(place + "/") for place in places)
        if inside or clean.startswith("*"):
            if clean != "*":
                meant.add(licence)
            whole = whole or (inside and clean.rstrip("*/") in places)
    if not whole:
        meant |= {licence for pattern, licence in rows if pattern == "*"}
    return meant


def spdx_of(name: str) -> str | None:
    """Give the SPDX expression of a short name of Debian's; None if the meaning is not certain."""
    clean = re.sub(r"\s+", " ", name.strip())
    for word in (" and/or ", " with ", ","):
        if word in clean.lower():
            return None
    if found := _KDE.match(clean.lower()):
        return spdx_of(f"{found[1]}-{found[2]} or {found[1]}-3")
    mixed = re.search(r"\sor\s", clean, re.I) and re.search(r"\sand\s", clean, re.I)
    for word in ("or", "and"):
        parts = re.split(rf"\s+{word}\s+", clean, flags=re.IGNORECASE)
        if len(parts) > 1:
            known = {spdx for part in parts if (spdx := spdx_of(part))}
            # Of alternatives one is enough, so an unknown one may be left out.
            if mixed or not known or (word == "and" and None in map(spdx_of, parts)):
                return None
            return f" {word.upper()} ".join(sorted(known))
    return _SHORT.get(clean.lower()) or _gnu(clean.lower())


def _gnu(name: str) -> str | None:
    without_invariants = name.startswith("gfdl-niv-")
    found = _GNU.match(name.replace("gfdl-niv-", "gfdl-", 1))
    if found is None:
        return None
    family, version = found[1], f"{found[2]}.{found[3] or '0'}"
    if version not in _VERSIONS[family]:
        return None
    middle = "-no-invariants" if without_invariants else ""
    end = "-or-later" if found[4] in ("+", "-or-later") else "-only"
    return f"{family.upper()}-{version}{middle}{end}"


def _stanzas(text: str) -> list[tuple[list[str], str]]:
    found = []
    for stanza in _STANZA.split(text):
        fields: dict[str, str] = {}
        name = ""
        for line in stanza.splitlines():
            if line[:1] in (" ", "\t"):
                if name == "files":
                    fields[name] += " " + line.strip()
            elif ":" in line and not line.startswith("#"):
                name, _, value = line.partition(":")
                name = name.strip().lower()
                fields[name] = value.strip()
        if "files" in fields and fields.get("license"):
            found.append((fields["files"].split(), fields["license"]))
        elif "files" in fields:
            found.append((fields["files"].split(), "unknown"))
    return found
