# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Rights: documents whose site or holder says no, or whose licence is not one of the recipe's.

In this order: block list, licence, robots.txt, reservations of text and data mining, and last what
is unknown. `records` are JSON Lines of what sites said, one origin a line: `origin`, `fetched` (a
date), `status` (HTTP; 0 if nothing answered), `body` (of its robots.txt), and where known `tdmrep`
(its /.well-known/tdmrep.json), `headers` (names and values of its responses). Of several records of
an origin the newest counts, for documents that were collected before it too.

robots.txt is read by RFC 9309 (robots.py): a status of 4xx allows all, one of 5xx or none forbids
all, 3xx says nothing. Reservations: TDMRep (`tdm-reservation: 1` for the first location that
matches), `noai` and `noimageai` of X-Robots-Tag or the robots meta tag, AIPREF's `train-ai=n` in
Content-Usage. A document's own signals are its notes `robots` or `hplt-robots` (`allowed` or
`disallowed`), `tdm-reservation`, `robots-meta`, `x-robots-tag`, `content-usage` and `licence`; a
document that states no licence has that of its source.
"""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

from bastide.core.document import Document, Outcome
from bastide.core.errors import Misconfigured
from bastide.filters.filter import json_lines, removed
from bastide.filters.robots import Robots, path_of, refuses_training
from bastide.filters.words import Words

__all__ = ["Rights"]

_FIELDS: Final = ("origin", "fetched", "status", "body", "tdmrep", "headers")
_ROBOTS_NOTES: Final = ("robots", "hplt-robots")
_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """Removes what may not be used."""

    ident: ClassVar[str] = "rights"
    rules: ClassVar[tuple[str, ...]] = (
        "blocked-domain", "licence", "robots", "tdm-reservation", "unknown",
    )  # fmt: skip
    file_settings: ClassVar[tuple[str, ...]] = ("records", "blocked")

    agents: tuple[str, ...] = ("*",)  # user agents; forbidden to one is forbidden
    records: tuple[str, ...] = ()  # files of what sites said
    blocked: tuple[str, ...] = ()  # files of domains, one a line; their subdomains too
    licences: tuple[str, ...] = ()  # SPDX names that are allowed; none: not looked at
    unknown: str = "remove"  # or "keep": documents of `sources` of which no site's word is known
    sources: tuple[str, ...] = ()  # left out: those with the basis text-and-data-mining
    source_licences: tuple[str, ...] = ()  # left out: the recipe's; each "NAME LICENCE"

    def __post_init__(self) -> None:
        if self.unknown not in ("remove", "keep"):
            raise ValueError('unknown is neither "remove" nor "keep"')
        if not all(" " in row for row in self.source_licences):
            raise ValueError("source_licences: each is the name of a source, a space, a licence")
        if not self.agents:
            raise ValueError("agents names none")
        for licence in self.licences:
            if (found := _licence(licence)) is None or not hasattr(found, "key"):
                raise ValueError(f"{licence!r} is not the SPDX name of one licence")

    def given(self, files: Mapping[str, bytes]) -> "RightsJudge":
        """The filter, with what its files hold. Raises Misconfigured, naming file and line."""
        sites: dict[str, _Site] = {}
        for file in self.records:
            for number, row in json_lines(file, files[file]):
                site = _site(f"{file}:{number}", row)
                known = sites.get(site.host)
                if known is None or site.fetched >= known.fetched:
                    sites[site.host] = site
        domains = {
            _domain(f"{file}:{number}", line)
            for file in self.blocked
            for number, raw in enumerate(files[file].split(b"\n"), 1)
            if (line := raw.partition(b"#")[0].strip())
        }
        return RightsJudge(self, sites, frozenset(domains))

    def apply(self, document: Document, words: Words | None = None) -> Outcome:
        """Never: without its files a step judges nothing. Raises Misconfigured."""
        raise Misconfigured("rights: the records are not read yet")


@dataclass(slots=True)
class _Site:
    """What one origin said. robots: None if it is not known. locations: of TDMRep, in order."""

    host: str
    fetched: str
    status: int
    body: bytes
    locations: list[tuple[Robots, bool]]
    headers: dict[str, str]
    robots: Robots | None = None  # parsed when first asked

    def allows(self, agents: tuple[str, ...], path: str) -> bool | None:
        """May all agents fetch it? None if nothing is known."""
        if 400 <= self.status < 500:
            return True
        if self.status >= 500 or self.status == 0:
            return False
        if not 200 <= self.status < 300:
            return None
        return all(self._rules().allows(agent, path) for agent in agents)

    def reserves(self, agents: tuple[str, ...], path: str) -> bool:
        """Does the site reserve text and data mining for this path?"""
        if _reserved(self.headers):
            return True
        for location, reserved in self.locations:
            if not location.allows("*", path):
                return reserved
        if not 200 <= self.status < 300:
            return False
        return any(refuses_training(self._rules().usage(agent, path)) for agent in agents)

    def _rules(self) -> Robots:
        if self.robots is None:
            self.robots = Robots(self.body)
        return self.robots


class RightsJudge:
    """The filter with its records."""

    ident: ClassVar[str] = Rights.ident
    rules: ClassVar[tuple[str, ...]] = Rights.rules

    def __init__(self, settings: Rights, sites: dict[str, _Site], blocked: frozenset[str]) -> None:
        self._settings = settings
        self._sites = sites
        self._blocked = blocked
        self._licences = frozenset(settings.licences)
        self._licence_of = dict(row.split(" ", 1) for row in settings.source_licences)

    def apply(self, document: Document, words: Words | None = None) -> Outcome:
        """Judge one document."""
        rule = self._against(document)
        return removed(self.ident, rule) if rule else Outcome(document)

    def _against(self, document: Document) -> str:
        notes, agents = document.notes, self._settings.agents
        try:
            key = _origin(document.url)
            path = path_of(document.url)
        except ValueError:
            key, path = "", "/"
        if self._blocked and self._is_blocked(key):
            return "blocked-domain"
        licence = notes.get("licence", self._licence_of.get(document.source))
        if self._licences and licence is not None and not _permits(str(licence), self._licences):
            return "licence"
        site = self._sites.get(key) if key else None
        allowed = site.allows(agents, path) if site is not None else None
        said = _said(notes)
        if allowed is False or said is False:
            return "robots"
        own = {name: str(value) for name, value in notes.items()}
        if _reserved(own) or (site is not None and site.reserves(agents, path)):
            return "tdm-reservation"
        unknown = allowed is None and said is None
        if unknown and self._settings.unknown == "remove":
            return "unknown" if document.source in self._settings.sources else ""
        return ""

    def _is_blocked(self, key: str) -> bool:
        host = key.rpartition(":")[0]
        while host:
            if host in self._blocked:
                return True
            host = host.partition(".")[2]
        return False


def _said(notes: Mapping[str, Any]) -> bool | None:
    """What a crawl noted of robots.txt. Another word than allowed or disallowed says nothing."""
    said = [str(notes[name]).strip().casefold() for name in _ROBOTS_NOTES if name in notes]
    if "disallowed" in said:
        return False
    return True if "allowed" in said else None


def _reserved(signals: Mapping[str, str]) -> bool:
    """Do headers or notes, by small names, reserve?"""
    if signals.get("tdm-reservation", "").strip() in ("1", "1.0"):
        return True
    for name in ("x-robots-tag", "robots-meta"):
        for entry in signals.get(name, "").split(","):
            if entry.rpartition(":")[2].strip().casefold() in ("noai", "noimageai"):
                return True
    return refuses_training(signals.get("content-usage", ""))


def _site(place: str, row: dict[str, Any]) -> _Site:
    def wrong(what: str) -> Misconfigured:
        return Misconfigured(
            f"{place}: {what}", fix="docs/reference/filters.md, rights", place=place
        )

    for name in row:
        if name not in _FIELDS:
            raise wrong(f"unknown field {name!r}")
    try:
        host = _origin(row["origin"])
        fetched = datetime.date.fromisoformat(row["fetched"][:10]).isoformat() + row["fetched"][10:]
    except (KeyError, TypeError, ValueError):
        raise wrong("origin or fetched is missing or none") from None
    status, body = row.get("status"), row.get("body") or ""
    if type(status) is not int or not (status == 0 or 100 <= status <= 599):
        raise wrong("status is no HTTP status")
    headers = row.get("headers") or {}
    if not isinstance(body, str) or not isinstance(headers, dict):
        raise wrong("body is no text, or headers is no object")
    if not all(isinstance(value, str) for value in headers.values()):
        raise wrong("a header is no text")
    try:
        locations = _locations(row.get("tdmrep") or [])
    except (KeyError, TypeError, ValueError):
        raise wrong("tdmrep is not the content of a tdmrep.json") from None
    small = {name.casefold(): value for name, value in headers.items()}
    encoded = body.encode("utf-8", "surrogatepass")
    return _Site(host, fetched, status, encoded, locations, small)


def _locations(rows: Any) -> list[tuple[Robots, bool]]:
    """The locations of a tdmrep.json; their patterns are those of robots.txt. Raises ValueError."""
    found = []
    for row in [rows] if isinstance(rows, dict) else rows:
        location, reserved = row["location"], row["tdm-reservation"]
        if not isinstance(location, str) or reserved not in (0, 1) or "\n" in location:
            raise ValueError
        found.append((Robots(f"user-agent: *\ndisallow: {location}".encode()), reserved == 1))
    return found


def _origin(url: str) -> str:
    """Host and port of an address; http and https of one host are one. Raises ValueError."""
    parts = urlsplit(url.strip())
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError("no web address")
    port = parts.port or _PORTS[parts.scheme]
    return f"{_host(parts.hostname)}:{'' if port == _PORTS[parts.scheme] else port}"


def _domain(place: str, raw: bytes) -> str:
    try:
        domain = raw.decode()
        if not domain or any(letter in domain for letter in " /:@*?"):
            raise ValueError
        return _host(domain)
    except ValueError:
        raise Misconfigured(
            f"{place}: not a domain", fix="one domain a line, such as example.org", place=place
        ) from None


@lru_cache(maxsize=4096)
def _host(name: str) -> str:
    """A host in small ASCII letters (IDNA). Raises ValueError."""
    name = name.rstrip(".").lower()
    return name if name.isascii() else name.encode("idna").decode()


@lru_cache(maxsize=4096)
def _permits(expression: str, allowed: frozenset[str]) -> bool:
    """Is the expression fulfilled with allowed licences only? One that cannot be read is not."""
    parsed = _licence(expression)
    return parsed is not None and _fulfilled(parsed, allowed)


def _fulfilled(node: Any, allowed: frozenset[str]) -> bool:
    operator = getattr(node, "operator", "").strip()
    if operator == "OR":
        return any(_fulfilled(one, allowed) for one in node.args)
    if operator == "AND":
        return all(_fulfilled(one, allowed) for one in node.args)
    if hasattr(node, "license_symbol"):  # WITH: an exception only permits more
        return node.license_symbol.key in allowed
    return node.key in allowed


def _licence(expression: str) -> Any:
    """An SPDX expression as license-expression has it, or None if it is none."""
    spdx, errors = _spdx()
    try:
        return spdx.parse(expression, validate=True, strict=True)
    except errors:
        return None


@lru_cache(maxsize=1)
def _spdx() -> Any:
    # The list of licences takes a moment to read: not for the start of every command.
    from license_expression import ExpressionError, ExpressionParseError, get_spdx_licensing

    return get_spdx_licensing(), (ExpressionError, ExpressionParseError)
