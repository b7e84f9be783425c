# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Normalisation: Unicode NFC (UAX #15), one form of line breaks and spaces, nothing invisible.

In this order: mojibake is undone; line breaks become line feeds; control and invisible characters
go; spaces of other kinds become spaces; white space at the ends of lines goes; more than one empty
line becomes one; NFC. Doing it twice changes nothing further.

Mojibake is UTF-8 that was read as Windows-1252 (`Ã©` for `é`). A rule of our own finds it rather
than ftfy: that one takes six times as long and guesses where we would not. Ours undoes only whole
sequences that become a letter or mark of a European script, and only in a text that has several and
few other uses of the same letters, so that German `„Ä“` stays what it is.

A zero-width joiner or non-joiner stays beside a letter of a script that needs it (Persian, Hindi).
"""

import re
import unicodedata
from dataclasses import dataclass
from typing import ClassVar, Final

import msgspec

from bastide.core.document import Document, Outcome
from bastide.filters.filter import removed
from bastide.filters.words import Words

__all__ = ["Normalise"]


def _bytes_as_1252(first: int, last: int) -> str:
    """The inside of a class: what these bytes become when they are read as Windows-1252."""
    # Five bytes have no character there; browsers read them as the control of that number.
    seen = (
        bytes([code]).decode("cp1252", "ignore") or chr(code) for code in range(first, last + 1)
    )
    return "".join(map(re.escape, seen))


_TAIL: Final = _bytes_as_1252(0x80, 0xBF)
_LEADS: Final = _bytes_as_1252(0xC2, 0xC5) + _bytes_as_1252(0xCE, 0xD1)
# Latin to U+017F, Greek and Cyrillic to U+047F, and the marks and signs of U+2000 to U+22BF.
_MARKS: Final = _bytes_as_1252(0x80, 0x8A)
_MOJIBAKE: Final = re.compile(f"[{_LEADS}][{_TAIL}]|\xe2[{_MARKS}][{_TAIL}]")
_LEAD: Final = re.compile(f"[{_LEADS}]")
_BREAKS: Final = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_INVISIBLE: Final = re.compile(
    "[\0-\x08\x0e-\x1f\x7f-\x9f\xad\u061c\u115f\u1160\u180e\u200b\u200e\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufdd0-\ufdef\ufeff\uffa0\ufff9-\ufffb\ufffe\uffff"
    "\U000e0000-\U000e0fff]"
)
_JOINERS: Final = re.compile(
    "(?<![\u0590-\u1fff\u2190-\u2bff\ufe0f\U0001f000-\U0001faff])[\u200c\u200d]"
)
_SPACES: Final = re.compile("[\xa0\u1680\u2000-\u200a\u202f\u205f\u3000]")
_ENDS: Final = re.compile(r"[ \t]+(?=\n|\Z)")
_EMPTY: Final = re.compile(r"\n{3,}")
# With the four looks of `_clean`, whether any rule of this file can have something to do. A class
# alone is searched for three times as fast as one of several forms.
_ODD: Final = re.compile(
    "[\0-\x08\x0b-\x1f\x7f-\xa0\xad\u061c\u115f\u1160\u1680\u180e\u2000-\u200f\u2028-\u202f"
    "\u205f-\u206f\u3000\u3164\ufdd0-\ufdef\ufeff\uffa0\ufff9-\uffff\U000e0000-\U000e0fff]"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Normalise:
    """Brings every text into one form."""

    ident: ClassVar[str] = "normalise"
    rules: ClassVar[tuple[str, ...]] = ("empty", "undecodable")

    mojibake: bool = True  # undo UTF-8 that was read as Windows-1252
    mojibake_min: int = 2  # sequences in a text before any is undone
    undecodable_max: float = 0.01  # share of U+FFFD, the mark of lost characters

    def apply(self, document: Document, words: Words | None = None) -> Outcome:
        """Bring one text into form. Notes: `mojibake`, how many sequences were undone."""
        text, undone = document.text, 0
        if text.count("\ufffd") > self.undecodable_max * len(text):
            return removed(self.ident, "undecodable")
        if self.mojibake and not text.isascii():
            text, undone = self._without_mojibake(text)
        if not _clean(text):
            text = _cleaned(text)
        if not unicodedata.is_normalized("NFC", text):
            text = unicodedata.normalize("NFC", text)
        text = text.strip()
        if not text:
            return removed(self.ident, "empty")
        if text == document.text:
            return Outcome(document=document)
        notes: dict[str, str | int | float] = {"mojibake": undone} if undone else {}
        return Outcome(document=msgspec.structs.replace(document, text=text), notes=notes)

    def _without_mojibake(self, text: str) -> tuple[str, int]:
        found = len(_MOJIBAKE.findall(text))
        if found < self.mojibake_min or 2 * found < len(_LEAD.findall(text)):
            return text, 0
        undone = 0

        def undo(match: re.Match[str]) -> str:
            nonlocal undone
            raw = b"".join(map(_byte, match[0]))
            try:
                right = raw.decode()
            except UnicodeDecodeError:
                return match[0]
            undone += 1
            return right

        return _MOJIBAKE.sub(undo, text), undone


def _clean(text: str) -> bool:
    """Whether `_cleaned` would change nothing."""
    if text.endswith((" ", "\t")) or "\n\n\n" in text or " \n" in text or "\t\n" in text:
        return False
    return _ODD.search(text) is None


def _cleaned(text: str) -> str:
    text = _BREAKS.sub("\n", text)
    text = _INVISIBLE.sub("", text)
    text = _JOINERS.sub("", text)
    text = _SPACES.sub(" ", text)
    text = _ENDS.sub("", text)
    return _EMPTY.sub("\n\n", text)


def _byte(letter: str) -> bytes:
    code = ord(letter)
    return bytes([code]) if code < 0x100 else letter.encode("cp1252")
