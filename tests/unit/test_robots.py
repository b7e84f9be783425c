# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""robots.txt: the examples of RFC 9309, and what Google's open parser tests, in words of our own.

Two of Google's habits are not the RFC's and not ours: `index.html` stands for its folder, and a
line is cut after 16 KiB. Broken once to prove the tests: without the rule that Allow wins, with
prefixes that end at a wildcard, and with groups that are not joined, they fail.
"""

import time

import pytest

from bastide.core.limits import CORPUS_ROBOTS_BYTES_MAX
from bastide.filters.robots import Robots, path_of, refuses_training


def allows(text: str | bytes, agent: str, path: str) -> bool:
    body = text if isinstance(text, bytes) else text.encode()
    return Robots(body).allows(agent, path_of("http://foo.bar" + path))


# RFC 9309


SIMPLE = """
User-Agent: *
Disallow: *.gif$
Disallow: /example/
Allow: /publications/

User-Agent: foobot
Disallow:/
Allow:/example/page.html
Allow:/example/allowed.gif

User-Agent: barbot
User-Agent: bazbot
Disallow: /example/page.html

User-Agent: quxbot
"""


@pytest.mark.parametrize(
    ("agent", "path", "allowed"),
    [
        ("otherbot", "/a.gif", False),
        ("otherbot", "/a.gif?x", True),
        ("otherbot", "/example/x", False),
        ("otherbot", "/publications/", True),
        ("otherbot", "/publications/a.gif", True),
        ("foobot", "/", False),
        ("FooBot", "/example/page.html", True),
        ("foobot", "/example/allowed.gif", True),
        ("foobot", "/example/other.gif", False),
        ("barbot", "/example/page.html", False),
        ("bazbot", "/example/page.html", False),
        ("bazbot", "/a.gif", True),
        ("quxbot", "/example/", True),  # its own group is empty, so all is allowed
        ("*", "/example/", False),
    ],
)
def test_the_simple_example(agent: str, path: str, allowed: bool) -> None:
    assert allows(SIMPLE, agent, path) is allowed


def test_the_longest_match_example() -> None:
    text = "User-Agent: foobot\nAllow: /example/page/\nDisallow: /example/page/disallowed.gif\n"
    assert not allows(text, "foobot", "/example/page/disallowed.gif")
    assert allows(text, "foobot", "/example/page/")


def test_groups_of_one_agent_are_one() -> None:
    text = (
        "user-agent: a\ndisallow: /x\n\nuser-agent: b\ndisallow: /y\n\nuser-agent: a\nallow: /x/z"
    )
    assert not allows(text, "a", "/x")
    assert allows(text, "a", "/x/z")
    assert allows(text, "a", "/y")
    assert allows(text, "b", "/x")


@pytest.mark.attacks("C118")
@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("/foo/bar?baz=https://foo.bar", "/foo/bar?baz=https%3A%2F%2Ffoo.bar"),
        ("/foo/bar?baz=https%3A%2F%2Ffoo.bar", "/foo/bar?baz=https://foo.bar"),
        ("/foo/bar/ツ", "/foo/bar/%E3%83%84"),
        ("/foo/bar/%e3%83%84", "/foo/bar/ツ"),
        ("/foo/bar/%62%61%7A", "/foo/bar/baz"),
        ("/path/file-with-a-%2A.html", "/path/file-with-a-*.html"),
        ("/path/foo-%24", "/path/foo-$"),
    ],
)
def test_the_table_of_percent_encoding(pattern: str, path: str) -> None:
    assert not allows(f"user-agent: *\ndisallow: {pattern}", "foobot", path)


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("/this/*/exactly", "/this/path/exactly", True),
        ("/this/*/exactly", "/this/exactly", False),
        ("/path/file-with-a-%2A.html", "/path/file-with-a-b.html", False),
        ("/foo$", "/foo", True),
        ("/foo$", "/foo/", False),
        ("/fo$o", "/fo$o", True),
        ("/fo$o", "/fo", False),
        ("*/a*b*$", "/x/acb/", True),
        ("/*a*ab$", "/aab", True),
        ("/*a*ab$", "/ab", False),
        ("foo", "/foo", False),
    ],
)
def test_special_characters(pattern: str, path: str, matches: bool) -> None:
    assert allows(f"user-agent: *\ndisallow: {pattern}", "foobot", path) is not matches


def test_500_kib_are_read_and_no_half_line() -> None:
    head = b"user-agent: *\ndisallow: /a\n"
    full = head + b"#" * (CORPUS_ROBOTS_BYTES_MAX - len(head) - 30) + b"\n"
    assert not allows(full + b"disallow: /b\n", "x", "/b")
    room = CORPUS_ROBOTS_BYTES_MAX - len(full)
    cut = full + b"allow: /a".ljust(room, b"x") + b"yz\n"
    assert not allows(cut, "x", "/a" + "x" * room)
    assert allows(full + b"#" * room + b"\ndisallow: /b\n", "x", "/b")


def test_robots_txt_itself_is_always_allowed() -> None:
    assert allows("user-agent: *\ndisallow: /", "foobot", "/robots.txt")


# What Google's parser tests


LINES = """allow: /foo/bar/

user-agent: FooBot
disallow: /
allow: /x/
user-agent: BarBot
disallow: /
allow: /y/


allow: /w/
user-agent: BazBot

user-agent: FooBot
allow: /z/
disallow: /
"""


@pytest.mark.parametrize(
    ("agent", "path", "allowed"),
    [
        ("FooBot", "/x/b", True), ("FooBot", "/z/d", True), ("FooBot", "/y/c", False),
        ("BarBot", "/y/c", True), ("BarBot", "/w/a", True), ("BarBot", "/z/d", False),
        ("BazBot", "/z/d", True), ("FooBot", "/foo/bar/", False), ("BazBot", "/foo/bar/", False),
    ],
)  # fmt: skip
def test_groups(agent: str, path: str, allowed: bool) -> None:
    assert allows(LINES, agent, path) is allowed


@pytest.mark.parametrize("other", ["Sitemap: https://foo.bar/s", "Unknown: line"])
def test_other_lines_do_not_end_a_group(other: str) -> None:
    text = f"User-agent: BarBot\n{other}\nUser-agent: *\nDisallow: /\n"
    assert not allows(text, "FooBot", "/")
    assert not allows(text, "BarBot", "/")


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("user-agent: FooBot\ndisallow: /\n", False),
        ("foo: FooBot\nbar: /\n", True),
        ("user-agent FooBot\ndisallow /\n", False),
        ("USER-AGENT: FOO BAR\nDISALLOW: /\n", True),
        ("uSeR-aGeNt: fOObOT baz\ndIsAlLoW: /\n", False),
        ("user-agent: FooBot/2.1\ndisallow: /\n", False),
        ("user-agent: *\nallow: /\nuser-agent: FooBot\ndisallow: /\n", False),
        ("user-agent: *baz\ndisallow: /\n", True),
        ("user-agent: * baz\ndisallow: /\n", False),
        ("user-agent: FooBot\ndisallow: \nallow: \n", True),
        ("user-agent: FooBot\ndisallow: /\nallow: /\n", True),
        ("user-agent: FooBot\ndisallow: /X/\n", True),
        ("user-agent: FooBot\r\ndisallow: /\r\n", False),
        ("user-agent: FooBot\rdisallow: /\r", False),
        ("\ufeffuser-agent: FooBot\ndisallow: /\n", False),
        ("# Disallow: /\nuser-agent: FooBot\ndisallow: /x/y#z\n", False),
        ("", True),
    ],
)
def test_lines(text: str, allowed: bool) -> None:
    assert allows(text, "FooBot", "/x/y") is allowed


@pytest.mark.parametrize(
    ("rules", "path", "allowed"),
    [
        ("disallow: /x/page.html\nallow: /x/", "/x/page.html", False),
        ("allow: /x/page.html\ndisallow: /x/", "/x/page.html", True),
        ("disallow: /x\nallow: /x/", "/x", False),
        ("disallow: /x\nallow: /x/", "/x/", True),
        ("allow: /page\ndisallow: /*.html", "/page.html", False),
        ("allow: /page\ndisallow: /*.html", "/page", True),
        ("allow: /x/page.\ndisallow: /*.html", "/x/page.html", True),
        ("disallow: /\nallow: /fish", "/fish.html?id=anything", True),
        ("disallow: /\nallow: /fish*", "/fishheads/yummy.html", True),
        ("disallow: /\nallow: /fish", "/Fish.asp", False),
        ("disallow: /\nallow: /fish", "/?id=fish", False),
        ("disallow: /\nallow: /fish/", "/fish", False),
        ("disallow: /\nallow: /*.php", "/index?f=filename.php/", True),
        ("disallow: /\nallow: /*.php", "/windows.PHP", False),
        ("disallow: /\nallow: /*.php$", "/folder/filename.php", True),
        ("disallow: /\nallow: /*.php$", "/filename.php?parameters", False),
        ("disallow: /\nallow: /fish*.php", "/fishheads/catfish.php?parameters", True),
        ("allow: /$\ndisallow: /", "/", True),
        ("allow: /$\ndisallow: /", "/page.html", False),
        ("allow: /folder\ndisallow: /folder", "/folder/page", True),
    ],
)
def test_the_longest_pattern_decides(rules: str, path: str, allowed: bool) -> None:
    assert allows(f"user-agent: FooBot\n{rules}\n", "FooBot", path) is allowed


# Hostile and newer


@pytest.mark.attacks("C118")
def test_a_hostile_pattern_is_answered_at_once() -> None:
    text = "user-agent: *\ndisallow: /" + "*a" * 5000 + "b$\n"
    began = time.perf_counter()
    assert allows(text, "x", "/" + "a" * 20_000)
    assert time.perf_counter() - began < 2


def test_content_usage_of_the_longest_path() -> None:
    robots = Robots(b"user-agent: *\ncontent-usage: train-ai=n\ncontent-usage: /open/ train-ai=y\n")
    assert refuses_training(robots.usage("x", "/a"))
    assert not refuses_training(robots.usage("x", "/open/a"))
    assert not refuses_training("search=n, train-ai=y")
