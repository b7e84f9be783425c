# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Rights: licences, block lists, robots.txt of the past, reservations, and what is unknown.

Broken once to prove the tests: with the oldest record of a site, with subdomains that a block list
does not hold, and with an unreadable licence that passes, they fail.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from bastide.core.document import Document
from bastide.core.errors import Misconfigured
from bastide.filters.catalogue import build
from bastide.filters.filter import Filter

SITE = {"origin": "https://example.org", "fetched": "2026-11-01", "status": 200, "body": ""}


def judge(records: Sequence[Mapping[str, Any]] = (), blocked: str = "", **settings: Any) -> Filter:
    """The step, with files that say this."""
    files = {}
    if records:
        files["sites.jsonl"] = "\n".join(map(json.dumps, records)).encode()
        settings["records"] = ["sites.jsonl"]
    if blocked:
        files["blocked.txt"] = blocked.encode()
        settings["blocked"] = ["blocked.txt"]
    return build("rights", settings).given(files)


def rule(one: Filter, url: str = "", source: str = "web", **notes: Any) -> str:
    renamed = {name.replace("_", "-"): value for name, value in notes.items()}
    outcome = one.apply(Document(ident="d", text="t", source=source, url=url, notes=renamed))
    assert (outcome.document is None) == bool(outcome.reason)
    return outcome.reason.removeprefix("rights/")


@pytest.mark.parametrize(
    ("licence", "reason"),
    [
        ("CC-BY-4.0", ""),
        ("cc-by-4.0", ""),  # SPDX compares names without their case
        ("CC-BY-4.0 OR CC-BY-NC-4.0", ""),
        ("CC-BY-4.0 AND CC-BY-NC-4.0", "licence"),
        ("CC-BY-NC-4.0", "licence"),
        ("GPL-2.0-only WITH Classpath-exception-2.0", ""),
        ("(CC0-1.0 AND CC-BY-4.0) OR MIT", ""),
        ("all rights reserved", "licence"),
        ("", "licence"),
    ],
)
def test_a_document_has_a_licence_of_the_list(licence: str, reason: str) -> None:
    allowed = ["CC-BY-4.0", "CC0-1.0", "GPL-2.0-only"]
    assert rule(judge(licences=allowed), licence=licence) == reason
    assert rule(judge(), licence=licence) == ""  # no list: not looked at


def test_a_document_without_a_licence_has_that_of_its_source() -> None:
    one = judge(licences=["CC0-1.0"], source_licences=["web CC-BY-NC-4.0", "own CC0-1.0"])
    assert rule(one) == "licence"
    assert rule(one, source="own") == ""
    assert rule(one, licence="CC0-1.0") == ""


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("https://example.org/a", "blocked-domain"),
        ("http://WWW.Example.ORG.:8080/a", "blocked-domain"),
        ("https://notexample.org/a", ""),
        ("https://example.org.evil.test/", ""),
        ("https://bücher.example/", "blocked-domain"),
        ("https://a.xn--bcher-kva.example/", "blocked-domain"),
        ("https://user@example.org@other.test/", ""),
    ],
)
def test_a_blocked_domain_has_its_subdomains(url: str, reason: str) -> None:
    one = judge(blocked="# harmful\nexample.org  # all of it\nBücher.example\n")
    assert rule(one, url) == reason


@pytest.mark.parametrize(
    ("status", "reason"),
    [(200, "robots"), (301, ""), (404, ""), (403, ""), (429, ""), (500, "robots"), (0, "robots")],
)
def test_what_a_status_means(status: int, reason: str) -> None:
    body = "user-agent: *\ndisallow: /private"
    one = judge([{**SITE, "status": status, "body": body}])
    assert rule(one, "https://example.org/private/1") == reason


def test_the_newest_word_of_a_site_counts_for_older_documents() -> None:
    new = {**SITE, "fetched": "2026-11-02T10:00:00Z", "body": "user-agent: GPTBot\ndisallow: /"}
    old = {**SITE, "origin": "http://EXAMPLE.org:80/"}
    for records in ([old, new], [new, old]):
        one = judge(records, agents=["GPTBot", "CCBot"])
        assert rule(one, "http://example.org/a") == "robots"
        assert rule(one, "http://example.org:8080/a") == ""  # another origin
        assert rule(one, "http://sub.example.org/a") == ""
    assert rule(judge([old, new], agents=["CCBot"]), "http://example.org/a") == ""


@pytest.mark.parametrize(
    ("notes", "reason"),
    [
        ({"hplt-robots": "disallowed"}, "robots"),
        ({"robots": "Disallowed", "hplt-robots": "allowed"}, "robots"),
        ({"robots": "allowed"}, ""),
        ({"tdm-reservation": 1}, "tdm-reservation"),
        ({"tdm-reservation": "1"}, "tdm-reservation"),
        ({"tdm-reservation": 0}, ""),
        ({"robots-meta": "noindex, NoAI"}, "tdm-reservation"),
        ({"x-robots-tag": "otherbot: noimageai"}, "tdm-reservation"),
        ({"x-robots-tag": "noindex"}, ""),
        ({"content-usage": "train-ai=n"}, "tdm-reservation"),
        ({"content-usage": "tdm=y, train-ai=y"}, ""),
    ],
)
def test_what_a_record_says_itself(notes: dict[str, Any], reason: str) -> None:
    assert rule(judge(), **notes) == reason


def test_tdmrep_of_a_site() -> None:
    rows = [
        {"location": "/open/*", "tdm-reservation": 0},
        {"location": "/*.pdf$", "tdm-reservation": 1},
        {"location": "/books/", "tdm-reservation": 1, "tdm-policy": "https://example.org/p"},
    ]
    one = judge([{**SITE, "tdmrep": rows}])
    assert rule(one, "https://example.org/open/a.pdf") == ""  # the first that matches
    assert rule(one, "https://example.org/b/a.pdf") == "tdm-reservation"
    assert rule(one, "https://example.org/books/1") == "tdm-reservation"
    assert rule(one, "https://example.org/news") == ""
    all_of_it = judge([{**SITE, "headers": {"TDM-Reservation": "1"}}])
    assert rule(all_of_it, "https://example.org/x") == "tdm-reservation"
    drafted = judge([{**SITE, "body": "user-agent: *\ncontent-usage: /a train-ai=n"}])
    assert rule(drafted, "https://example.org/a/1") == "tdm-reservation"
    assert rule(drafted, "https://example.org/b") == ""


def test_what_nobody_knows_is_removed_where_mining_is_the_basis() -> None:
    one = judge([SITE], sources=["web"])
    assert rule(one, "https://unknown.test/") == "unknown"
    assert rule(one, "not an address") == "unknown"
    assert rule(one, "https://[half/") == "unknown"
    assert rule(one, "https://example.org/a") == ""
    assert rule(one, "https://unknown.test/", robots="allowed") == ""
    assert rule(one, "https://unknown.test/", source="own") == ""
    assert rule(judge(sources=["web"], unknown="keep"), "https://unknown.test/") == ""


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({**SITE, "orgin": "x"}, "unknown field 'orgin'"),
        ({**SITE, "origin": "example.org"}, "origin or fetched"),
        ({**SITE, "fetched": "yesterday"}, "origin or fetched"),
        ({**SITE, "status": True}, "status is no HTTP status"),
        ({**SITE, "status": 700}, "status is no HTTP status"),
        ({**SITE, "body": 1}, "body is no text"),
        ({**SITE, "headers": {"a": 1}}, "a header is no text"),
        ({**SITE, "tdmrep": [{"location": "/"}]}, "tdmrep is not"),
        ({**SITE, "tdmrep": [{"location": "/", "tdm-reservation": 2}]}, "tdmrep is not"),
    ],
)
def test_a_wrong_record_is_named_by_line(row: dict[str, Any], told: str) -> None:
    with pytest.raises(Misconfigured, match=told) as caught:
        judge([SITE, row])
    assert caught.value.place == "sites.jsonl:2"


@pytest.mark.parametrize("line", ["https://example.org", "a b", "*.example.org", "a..b" + "ü"])
def test_a_wrong_domain_is_named_by_line(line: str) -> None:
    with pytest.raises(Misconfigured, match=r"blocked\.txt:2: not a domain"):
        judge(blocked=f"example.org\n{line}\n")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"licences": ["CC-BY"]}, "SPDX name of one licence"),
        ({"licences": ["MIT OR CC0-1.0"]}, "SPDX name of one licence"),
        ({"unknown": "perhaps"}, "neither"),
        ({"agents": []}, "names none"),
        ({"source_licences": ["web"]}, "source_licences"),
    ],
)
def test_wrong_settings(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(Misconfigured, match=told):
        build("rights", settings)


def test_without_its_files_nothing_passes() -> None:
    with pytest.raises(Misconfigured, match="not read yet"):
        rule(build("rights", {}))
