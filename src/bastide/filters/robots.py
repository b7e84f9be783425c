# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""robots.txt, as RFC 9309 has it: parsed once, asked for any path.

Groups of one user agent are one; `*` serves only an agent without a group of its own; the rule with
the longest pattern decides, and Allow where two are equally long. `*` and a final `$` are special.
Patterns and paths are compared octet by octet, and an octet that is percent-encoded is the same as
one that is not: so the table of section 2.2.2 has it, for reserved ones too.
Beside it, `Content-Usage` lines of a group (draft-ietf-aipref-attach), by the same rule.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes, urlsplit

from bastide.core.limits import CORPUS_ROBOTS_BYTES_MAX

__all__ = ["Robots", "path_of", "refuses_training"]

_TOKEN: Final = re.compile(r"[A-Za-z_-]+")
_RESERVATIONS: Final = ("train-ai", "train-genai", "tdm")  # labels of AIPREF's vocabulary


@dataclass(frozen=True, slots=True)
class _Rule:
    """One Allow or Disallow. size: octets of the pattern, which decide between rules."""

    allows: bool
    size: int
    match: re.Pattern[bytes]


@dataclass(slots=True)
class _Group:
    rules: list[_Rule]
    usages: list[tuple[int, re.Pattern[bytes], str]]


class Robots:
    """The rules of one robots.txt."""

    def __init__(self, body: bytes) -> None:
        """Parse. Nothing is an error: a line that means nothing is passed over (section 2.2.4)."""
        self._groups: dict[str, _Group] = {}
        current: list[_Group] = []
        heading = False  # the last line that counts named a user agent
        for key, value in _pairs(body):
            if key == "user-agent":
                if not heading:
                    current = []
                heading = True
                current += [self._groups.setdefault(name, _Group([], [])) for name in _names(value)]
            elif key in ("allow", "disallow"):
                heading = False
                if value:
                    rule = _rule(key == "allow", value)
                    for group in current:
                        group.rules.append(rule)
            elif key == "content-usage":
                heading = False
                path, _, said = value.partition(" ") if value.startswith("/") else ("/", "", value)
                size, match = _pattern(path)
                for group in current:
                    group.usages.append((size, match, said))

    def allows(self, agent: str, path: str) -> bool:
        """May this agent (a product token, or `*`) fetch this path (`path_of`)?"""
        asked = _asked(path)
        if asked == b"/robots.txt":
            return True
        best, allowed = -1, True
        for rule in self._group(agent).rules:
            if rule.size < best or (rule.size == best and allowed) or not rule.match.match(asked):
                continue
            best, allowed = rule.size, rule.allows
        return allowed

    def usage(self, agent: str, path: str) -> str:
        """The Content-Usage that holds for a path, or ""."""
        asked = _asked(path)
        found = [(size, said) for size, match, said in self._group(agent).usages
                 if match.match(asked)]  # fmt: skip
        best = max((size for size, _ in found), default=0)
        return ", ".join(said for size, said in found if size == best)

    def _group(self, agent: str) -> _Group:
        own = self._groups.get(agent.casefold())
        return own or self._groups.get("*") or _Group([], [])


def path_of(url: str) -> str:
    """The path and query of an address, as rules are about them. Raises ValueError."""
    parts = urlsplit(url)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query or "?" in url else "")


def refuses_training(usage: str) -> bool:
    """Does a Content-Usage say no to training or mining, as `train-ai=n`?"""
    for entry in usage.split(","):
        label, _, value = entry.partition(";")[0].strip().casefold().partition("=")
        if label.strip() in _RESERVATIONS and value.strip() == "n":
            return True
    return False


def _pairs(body: bytes) -> Iterator[tuple[str, str]]:
    """Every `key: value` line."""
    data = body.removeprefix(b"\xef\xbb\xbf")
    if len(data) > CORPUS_ROBOTS_BYTES_MAX:
        # The line that is cut off goes: half an Allow would allow more.
        data = data[:CORPUS_ROBOTS_BYTES_MAX]
        data = data[: max(data.rfind(b"\n"), data.rfind(b"\r"), 0)]
    for line in re.split(rb"\r\n|\r|\n", data):
        key, colon, value = line.partition(b"#")[0].partition(b":")
        if not colon and len(words := key.split()) == 2:
            key, value = words  # sites forget the colon; Google's parser forgives it too
        if value or colon:
            name = key.strip().decode("ascii", "replace").casefold()
            yield name, value.strip().decode("utf-8", "surrogateescape")


def _names(value: str) -> set[str]:
    """What a User-agent line names: its first word without a version, and its product token.

    They differ for names such as `img2dataset`, which the RFC does not allow and sites write.
    """
    if value == "*" or value.startswith(("* ", "*\t")):
        return {"*"}
    word = value.partition("/")[0].split()[:1]
    token = _TOKEN.match(value)
    return {name.casefold() for name in (*word, *([token[0]] if token else []))}


def _asked(path: str) -> bytes:
    return unquote_to_bytes(path.encode(errors="surrogatepass"))


def _rule(allows: bool, value: str) -> _Rule:
    size, match = _pattern(value)
    return _Rule(allows, size, match)


def _pattern(value: str) -> tuple[int, re.Pattern[bytes]]:
    """The octets of a pattern, and a pattern of `re` for what it matches."""
    data = value.encode("utf-8", "surrogateescape")
    ends = data.endswith(b"$")
    # Runs of stars are one: several would cost the matcher more and say no more.
    plain = [unquote_to_bytes(part) for part in re.split(rb"\*+", data[:-1] if ends else data)]
    size = sum(map(_octets, plain)) + len(plain) - 1 + ends
    parts = [re.escape(part) for part in plain]
    # Each star takes as little as it can and never gives it back: linear for any pattern.
    body = parts[0] + b"".join(b"(?>.*?" + part + b")" for part in parts[1:-1])
    if len(parts) > 1:
        last = parts[-1]
        tail = b".*" + last + rb"\Z" if ends else b".*?" + last
        return size, re.compile(body + tail, re.DOTALL)
    return size, re.compile(body + (rb"\Z" if ends else b""), re.DOTALL)


def _octets(data: bytes) -> int:
    """How long these octets are where those beyond ASCII are percent-encoded."""
    return len(data) + 2 * sum(byte >= 0x80 for byte in data)
