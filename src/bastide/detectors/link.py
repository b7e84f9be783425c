# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Links and images that lead to a host which is not on the allow-list.

A page that shows an answer fetches its images unasked, so a link is a way out for what the model
has read. Found are bare URLs, destinations of Markdown links, images and references, HTML tags
that load or send, ``data:`` and scripts; read as a browser reads them, which forgives a lot.
"""

import html
import re
import unicodedata
from collections.abc import Callable
from typing import Final

from bastide.core.limits import GUARD_LINK_CHARS_MAX
from bastide.detectors.detector import ALONE, Detector, hinted, longest, spelled

__all__ = ["link_detectors"]

_HOSTED: Final = ("http", "https", "ftp", "ftps", "ws", "wss", "sftp", "ssh", "git")
_NEVER: Final = ("data", "javascript", "vbscript", "file", "blob", "intent")
_CALLS: Final = ("mailto", "tel")  # these wait for somebody to press them and then ask again
_SOME = f"{{0,{GUARD_LINK_CHARS_MAX}}}"

_REST = rf":[^\s<>\"`]{_SOME}"
_BARE_RUN = (
    f"(?:{spelled(('http', 'https'), _REST, True)})"
    f"|{ALONE}(?:{spelled((*_HOSTED[2:], *_NEVER), _REST, True)})"
)
_PAGE_RUN = rf"{ALONE}[wW](?:[wW](?:[wW](?:\.[^\s<>\"`]{_SOME})?)?)?"
_BARE = re.compile(r"([A-Za-z]+):([\\/]*)([^\s<>\"`]*)|([wW]{3}\.[^\s<>\"`]+)")
_DATA = re.compile(r"[\w.+-]+/[\w.+-]+[;,]|[;,]")
_PLACE = rf"\s{{0,64}}(?:<[^<>\n]{_SOME}|[^\s<>]{_SOME})"
_TARGET = re.compile(r".\s*(?:<([^<>\n]*)|([^\s<>()]*))", re.DOTALL)

_ACTIVE = {"script", "style", "iframe", "frame", "object", "embed", "base", "meta", "form", "link"}
_LOADING = {"img", "image", "video", "audio", "source", "track", "svg", "use", "input", "button"}
_TAGS = sorted(_ACTIVE | _LOADING | {"a", "area", "body", "table", "td", "th", "div", "span", "p"})
_TAG_REST = rf"[\s/][^<>]{_SOME}>?"
_TAG_RUN = f"<(?:{spelled(_TAGS, _TAG_REST, True)})?"
_TAG = re.compile(r"<([A-Za-z]+)[\s/]")
_ATTRIBUTE = re.compile(r"(?<![\w:-])([\w:-]+)\s*=\s*(?:\"([^\"]*)|'([^']*)|([^\s\"'>]+))")
_LEADING = {"src", "href", "srcset", "action", "formaction", "poster", "background", "xlink:href"}
_LEADING |= {"data", "ping", "cite", "longdesc"}

_ESCAPED = re.compile(r"\\([!-/:-@\[\]-`{-~])")
_IGNORED = re.compile(r"[\x00-\x20\x7f\u200b-\u200f\u2060\ufeff\u00ad]")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_HOST = re.compile(r"[\w-]+(?:\.[\w-]+)*|\[[0-9a-f:.]+\]")
_TRAILING = ".,;:!?)]}'*_~|"

Allowed = Callable[[str], bool]


def link_detectors(hosts: frozenset[str]) -> tuple[Detector, ...]:
    """Detectors of links. `hosts` are names, and ``*.name`` for all names below one."""

    def allowed(place: str) -> bool:
        host = _host(place)
        return host in hosts or any(
            "*." + host[dot + 1 :] in hosts for dot, sign in enumerate(host) if sign == "."
        )

    def bare(text: str, at: int, stop: int) -> int:
        return _bare(text, at, stop, allowed)

    def target(text: str, at: int, stop: int) -> int:
        found = _TARGET.match(text, at, stop)
        if found is None:
            return 0
        shown = found.group(1) if found.group(1) is not None else found.group(2)
        return found.end() if _leaves(shown, allowed) else 0

    def tag(text: str, at: int, stop: int) -> int:
        found = _TAG.match(text, at)
        return stop if found and _loads(found.group(1), text[at:stop], allowed) else 0

    schemes = hinted((*_HOSTED, *_NEVER), True)
    first = "hHfFwWsSgGdDjJvVbBiI"
    return (
        Detector("link", first, longest(_BARE_RUN), bare, begins=schemes, marks=(":",)),
        Detector(
            "link", "wW", longest(_PAGE_RUN), bare, begins=hinted(("www.",), True), marks=("www.",)
        ),
        Detector(
            "link",
            "(",
            longest(rf"(?<=\])\((?:{_PLACE})"),
            target,
            "([link]",
            r"(?<=\])\(",
            ("](",),
        ),
        Detector(
            "link", ":", longest(rf"(?<=\]):(?:{_PLACE})"), target, ": [link]", r"(?<=\]):", ("]:",)
        ),
        Detector("link", "<", longest(_TAG_RUN), tag, begins=r"<(?=[A-Za-z]|\Z)", marks=("<",)),
    )


def _bare(text: str, at: int, stop: int, allowed: Allowed) -> int:
    found = _BARE.match(text, at, stop)
    if found is None:
        return 0
    scheme, slashes, rest, page = found.groups()
    if page is None:
        scheme = scheme.lower()
        if scheme in _NEVER:
            form = _DATA if scheme == "data" else re.compile(r"[^\s]")
            if not form.match(slashes + rest):
                return 0
        elif not rest or allowed(rest):
            return 0
        elif not slashes and (scheme not in _HOSTED[:2] or "." not in _host(rest)):
            return 0  # `https:name.eu` leads somewhere in a browser; "http: yes" does not
    elif "." not in page[4:] or allowed(page):
        return 0
    end = found.end()
    while end > at and text[end - 1] in _TRAILING:
        end -= 1
    return end


def _leaves(shown: str, allowed: Allowed) -> bool:
    """Whether a destination, as Markdown or HTML has it, leads to a host that is not allowed."""
    plain = _ESCAPED.sub(r"\1", html.unescape(shown)) if "\\\\" not in shown else shown
    place = _IGNORED.sub("", html.unescape(plain)).replace("\\", "/")
    found = _SCHEME.match(place)
    if found is None:
        return place.startswith("//") and not allowed(place.lstrip("/"))
    scheme = found.group(1).lower()
    if scheme in _CALLS:
        return False
    return scheme not in _HOSTED or not allowed(place[found.end() :].lstrip("/"))


def _loads(name: str, shown: str, allowed: Allowed) -> bool:
    if name.lower() in _ACTIVE:
        return True
    for attribute, *values in _ATTRIBUTE.findall(shown):
        value, kind = "".join(values), attribute.lower()
        if kind.startswith("on") or (kind == "style" and "url" in value.lower()):
            return True
        parts = value.split(",") if kind == "srcset" else [value]
        if kind in _LEADING and any(_leaves(part, allowed) for part in parts):
            return True
    return False


def _host(place: str) -> str:
    """The host at the beginning of `place`, or "" if a browser may read another one in it."""
    authority = re.split(r"[\\/?#]", place, maxsplit=1)[0].rpartition("@")[2]
    name = unicodedata.normalize("NFKC", authority).casefold()
    name = re.sub(r":[0-9]*$", "", name).rstrip(_TRAILING.replace("]", ""))
    return name if _HOST.fullmatch(name) else ""
