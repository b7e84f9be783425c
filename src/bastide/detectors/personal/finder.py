# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Finder: all personal data of one UTF-8 text.

RE2 passes once over the bytes and stops at candidates: an `@`, six digits, the beginning of a key,
a word that a date of birth follows. At each of them the rules look at a window of text around it.
Offsets are bytes, so nothing has to be counted in the text between.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from bastide.core.errors import Misconfigured
from bastide.detectors import catalogue, email, ip_address
from bastide.detectors.detector import Detector
from bastide.detectors.personal import spoken_values
from bastide.detectors.personal.kinds import KINDS, Span
from bastide.detectors.personal.numbers import LISTS, Numbers, alone, starts
from bastide.detectors.personal.state_checks import machine_readable
from bastide.detectors.personal.telephone import telephone_end
from bastide.detectors.personal.words import PHONE, Words

__all__ = ["Finder"]

_AT, _ZERO, _NINE = b"@09"
_WINDOW: Final = 320  # bytes on each side of a candidate
_SECRET_WINDOW: Final = 20_000  # a private key is 16 KiB at most
_HOST: Final = (
    r"ip\w*|host\w*|server\w*|address\w*|adress\w*|adres\w*|ping|login|client|from|router|"
    r"gateway|dns|indirizzo|dirección|endereço|serveur|palvelin\w*|cím\w*|διεύθυνση|адрес"
)
_SECRETS: Final = {
    "AKIA": "aws-key", "ASIA": "aws-key", "ABIA": "aws-key", "ACCA": "aws-key",
    "ghp_": "github-token", "gho_": "github-token", "ghu_": "github-token",
    "ghs_": "github-token", "ghr_": "github-token", "gith": "github-token",
    "bst_": "bastide-key", "----": "private-key", "eyJ": "jwt", "xox": "slack-token",
    "xapp": "slack-token", "AIza": "google-key", "AGE-": "age-identity",
}  # fmt: skip
_FIXED: Final = (
    r"AKIA[A-Z2-7]|ASIA[A-Z2-7]|ABIA[A-Z2-7]|ACCA[A-Z2-7]|gh[opusr]_[0-9A-Za-z]|github_pat_|bst_|"
    r"-----BEGIN |eyJ[0-9A-Za-z]|xox[bpares]-|xapp-|AIza|AGE-SECRET-KEY-"
)
_FORMS: Final = (
    r"@[0-9A-Za-z\x80-\xff]"
    r"|[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}"
    r"|\b[23][0-9A-Fa-f]{3}:[0-9A-Fa-f:]{4,35}"
    r"|[0-9](?:[ ./()+-]{0,2}[0-9]){5,30}"
    r"|\b[A-Za-z]{2}[0-9]{2}[ -]?[0-9A-Za-z]{4}[ -]?[0-9]"
    r"|\b[A-Z]{6}[0-9LMNP-V]{2}[A-EHLMPRST][0-9LMNP-V]{2}"
    r"|[A-Z0-9<]{9}[0-9][A-Z<]{3}[0-9]{7}[MFX<][0-9]{7}"
    r"|\bP[<A-Z][A-Z<]{3}[A-Z]{1,20}(?:<[A-Z]{1,20}){0,3}<<[A-Z<]{8}"
)
_MRZ_NUMBERS = re.compile(
    r"(?<![A-Z0-9<])[A-Z0-9<]{9}[0-9][A-Z<]{3}[0-9]{7}[MFX<][0-9]{7}[A-Z0-9<]*"
)
_MRZ_NAMES = re.compile(r"P[<A-Z][A-Z<]{3}[A-Z]+(?:<[A-Z]+)*<<[A-Z<]{8,}")
_NO_DIGITS: Final = re.compile("[^0-9]+")
_NO_SIGNS: Final = re.compile(r"[\W_]+")
_FILES: Final = re.compile(r"\.(?:png|jpe?g|gif|svg|webp|js|css|html?|service|socket|mount)\Z")

# Addresses of programs, and of nobody (RFC 2606).
_NOBODY: Final = re.compile(r"^(?:git|no-?reply)@|[@.]example\.(?:com|edu|net|org)\Z")


class Finder:
    """Finds personal data. It keeps nothing of what it has seen; make one a process.

    Raises Misconfigured if a kind is unknown, or if google-re2 is not installed.
    """

    def __init__(self, kinds: Iterable[str] = KINDS) -> None:
        self._kinds = frozenset(kinds)
        if unknown := sorted(self._kinds - set(KINDS)):
            raise Misconfigured(f"unknown kinds of personal data: {', '.join(unknown)}")
        try:
            import re2
        except ImportError as error:
            raise Misconfigured(
                "personal data in a corpus needs google-re2", fix="install the extra corpus"
            ) from error
        options = re2.Options()
        # Bytes, not letters: the automaton stays small, and non-ASCII words are spelled out.
        options.encoding = re2.Options.Encoding.LATIN1
        options.never_capture = True
        options.max_mem = 64 << 20
        self._words = Words((PHONE, _HOST, *LISTS))
        self._numbers = Numbers(self._words)
        self._keywords = _keywords()
        pattern = _FORMS.encode() + b"|" + _FIXED.encode() + b"|" + _spelled(self._keywords)
        self._candidates: Any = re2.compile(pattern, options)

    def find(self, data: bytes) -> list[Span]:
        """The spans of a text, in order, none inside another. data: well-formed UTF-8."""
        spans: list[Span] = []
        done = 0
        for found in self._candidates.finditer(data):
            start, end = found.span()
            if end <= done:
                continue
            span = self._judge(data, start, end)
            if span is not None and span.start >= done:
                done = span.end
                if span.kind in self._kinds:
                    spans.append(span)
        return spans

    def _judge(self, data: bytes, start: int, end: int) -> Span | None:
        head = data[start]
        if head == _AT:
            return _email(_Window.of(data, start, end))
        shown = data[start:end]
        if _ZERO <= head <= _NINE and b"<" not in shown:
            if b":" in shown:
                return self._host(data, start, end)
            span = self._host(data, start, end) if shown.count(b".") >= 3 else None
            return span or self._written(_Window.of(data, start, end), start, end)
        secret = _SECRETS.get(data[start : start + 4].decode("latin-1"))
        secret = secret or _SECRETS.get(data[start : start + 3].decode("latin-1"))
        if secret is not None:
            return _secret(_Window.of(data, start, end, _SECRET_WINDOW), secret)
        window = _Window.of(data, start, end)
        kind = self._keywords.get(window.text[window.at : window.end].lower())
        if kind is not None:
            return self._announced(window, kind, start, end)
        return _machine_readable(window) or self._written(window, start, end)

    def _announced(self, window: "_Window", kind: str, start: int, end: int) -> Span | None:
        """What a word announces that ends here."""
        text, at = window.text, window.end
        before = text[window.at - 1] if window.at else " "
        longer = before.isalpha() or (text[at - 1].isalpha() and text[at : at + 1].isalpha())
        if longer and kind != "id-card":  # those have compounds: Personalausweisnummer
            return None
        if kind == "id-card":
            for place in spoken_values.document_starts(text, at):
                data_place = window.byte(place)
                said, negative = self._words.near(window.data, data_place, data_place)
                if (found := self._numbers.number(text, place, said, negative)) is not None:
                    return window.span(place, *found)
            return None
        if kind == "birth-date":
            place = spoken_values.born_span(text, window.at, at)
        else:
            place = spoken_values.plate_span(text, at)
        if place is None:
            return None
        value = _NO_SIGNS.sub(" ", text[place[0] : place[1]]).casefold()
        value = value.replace(" ", "") if kind == "plate" else value
        return window.span(place[0], place[1], kind, "", value)

    def _host(self, data: bytes, start: int, end: int) -> Span | None:
        window = _Window.of(data, start, end)
        text, at = window.text, window.at
        if not re.match(ip_address.DETECTOR.begins, text[at:]) or not alone(text, at):
            return None
        stop = ip_address.DETECTOR.end(text, at, ip_address.DETECTOR.run(text, at))
        if not stop:
            return None
        _, negative = self._words.near(data, start, end)
        shown = text[at:stop]
        # Four small numbers are a section or a version more often than a host.
        small = "." in shown and all(int(part) < 64 for part in shown.split("."))
        if negative or (small and not self._words.just_said(_HOST, data, start)):
            return None
        return window.span(at, stop, "ip-address", "", shown.lower())

    def _written(self, window: "_Window", start: int, end: int) -> Span | None:
        """A number of a state, a card, an account, a telephone."""
        text, at = window.text, window.at
        if _linked(text, at):
            return None
        stop = window.end
        while stop < len(text) and text[stop].isalnum():
            stop += 1
        said, negative = self._words.near(window.data, start, window.byte(stop))
        spoken = self._words[PHONE] in said
        telephone = None
        first = at - 1 if text[at - 1 : at] in {"+", "("} and at else at
        if first and text[first - 1] == "(" and text[first] == "+":
            first = at - 1
        if alone(text, first):
            last = telephone_end(text, first, spoken, not negative)
            if last:
                digits = _NO_DIGITS.sub("", text[first:last])
                telephone = window.span(first, last, "phone", "", digits)
        for place in starts(text, at, window.end):
            if (found := self._numbers.number(text, place, said, negative)) is not None:
                span = window.span(place, *found)
                # A telephone number may pass for another by chance, but not for a longer one.
                if telephone is None or span.end > telephone.end:
                    return span
                if not self._words.just_said(PHONE, window.data, start):
                    return span
                break
        return telephone


@dataclass(slots=True)  # frozen ones are slow to make, and there is one for each candidate
class _Window:
    """Text around a candidate. at and end: where the candidate is in it; plain: all of ASCII."""

    data: bytes
    low: int
    text: str
    at: int
    end: int
    plain: bool

    @classmethod
    def of(cls, data: bytes, start: int, end: int, reach: int = _WINDOW) -> "_Window":
        low, high = max(0, start - _WINDOW), min(len(data), end + reach)
        while low < start and data[low] & 0xC0 == 0x80:
            low += 1
        text = data[low:high].decode("utf-8", "ignore")
        if text.isascii():
            return cls(data, low, text, start - low, end - low, True)
        at = len(data[low:start].decode("utf-8", "ignore"))
        length = len(data[start:end].decode("utf-8", "ignore"))
        return cls(data, low, text, at, at + length, False)

    def byte(self, place: int) -> int:
        return self.low + (place if self.plain else len(self.text[:place].encode()))

    def span(self, start: int, end: int, kind: str, state: str, value: str) -> Span:
        return Span(self.byte(start), self.byte(end), kind, state, value)


def _email(window: _Window) -> Span | None:
    text, start = window.text, window.at
    low = max(0, start - 64)
    while start > low and (text[start - 1].isalnum() or text[start - 1] in "_.+%'-"):
        start -= 1
    while start < window.at and not (text[start].isalnum() or text[start] == "_"):
        start += 1
    if start == window.at:
        return None
    end = email.DETECTOR.end(text, start, email.DETECTOR.run(text, start))
    shown = text[start:end].casefold()
    if not end or _FILES.search(shown) or _NOBODY.search(shown):
        return None
    return window.span(start, end, "email", "", shown)


def _secret(window: _Window, name: str) -> Span | None:
    text, at = window.text, window.at
    if at and text[at - 1].isalnum():
        return None
    for detector in catalogue.DETECTORS[name]:
        end = _end(detector, text, at)
        if end:
            return window.span(at, end, "secret", "", text[at:end])
    return None


def _end(detector: Detector, text: str, at: int) -> int:
    return detector.end(text, at, detector.run(text, at))


def _machine_readable(window: _Window) -> Span | None:
    """A line of a passport's machine-readable zone."""
    text, at = window.text, window.at
    found = _MRZ_NUMBERS.match(text, at)
    if found is not None and machine_readable(found.group()):
        return window.span(at, found.end(), "passport", "", found.group())
    found = _MRZ_NAMES.match(text, at)
    return found and window.span(at, found.end(), "passport", "", found.group())


def _linked(text: str, at: int) -> bool:
    """Whether a place is inside a link."""
    before = text[:at]
    if "://" not in before and "www." not in before:
        return False  # nearly always, and quick
    token = before.rsplit(None, 1)
    word = token[-1] if token and not text[at - 1 : at].isspace() else ""
    return "://" in word or word.startswith("www.")


def _keywords() -> dict[str, str]:
    kinds: dict[str, str] = dict.fromkeys(spoken_values.BORN, "birth-date")
    kinds |= dict.fromkeys(spoken_values.PLATE, "plate")
    return kinds | dict.fromkeys(spoken_values.DOCUMENT, "id-card")


def _spelled(words: Iterable[str]) -> bytes:
    """Words in small letters, in capitals, and with a capital at the beginning, longest first."""
    spellings = {one for word in words for one in (word, word.upper(), word[:1].upper() + word[1:])}
    choices = (
        (rb"\b" if word[0].isascii() else b"") + re.escape(word).encode()
        for word in sorted(spellings, key=lambda word: (-len(word), word))
    )
    # Without regard to case in ASCII; other capitals are spelled out above.
    return b"(?i:" + b"|".join(choices) + b")"
