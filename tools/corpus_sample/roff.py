# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Prose of manual pages, by rules for the macros `man` and `mdoc`: no roff is run."""

import re
import shlex

from corpus_sample.hypertext import decoded
from corpus_sample.paragraphs import Page, page_of

__all__ = ["roff_pages"]

_BREAKING = "PP P LP TP TQ IP HP RS RE SH SS Sh Ss Pp It Bl El sp br in ti ce UR UE MT ME"
_BREAKS = frozenset(_BREAKING.split())
_TITLES = frozenset(("SH", "SS", "Sh", "Ss"))
_PRINTING = """
B I R BR BI IB IR RB RI SM SB Nm Em Sy Fl Ar Cm Pa Ev Xr Nd Dq Sq Qq Li Va Vt Ic Dv Er
"""
_WORDS = frozenset(_PRINTING.split())
_LISTINGS = {"nf": "fi", "EX": "EE", "Bd": "Ed", "TS": "TE", "EQ": "EN", "de": ".", "ig": "."}
_CHARACTERS = {
    "-": "-", "&": "", "e": "\\", "|": "", "^": "", "/": "", ",": "", "%": "", ":": "", "c": "",
    "~": " ", "0": " ", " ": " ", "'": "'", "`": "`", "\\": "\\", ".": ".", "t": " ", "p": "",
}  # fmt: skip
# Names of glyphs (groff_char(7)), each before the character that it prints.
_NAMED = """
aq ' dq " oq ‘ cq ’ lq “ rq ” Fo « Fc » Bq „ bq ‚ em — en – hy - mi - pl + mu × bu • co © rg ® tm ™
ti ~ ha ^ ga ` la < ra > <= ≤ >= ≥ -> → rh ⇒ sl / at @ sh # bv | ul _ ss ß oe œ ae æ :a ä :o ö :u ü
:A Ä :O Ö :U Ü /o ø /O Ø oa å oA Å 'e é 'a á 'i í 'o ó 'u ú `e è `a à ^e ê ^o ô ~n ñ ,c ç rs \\
"""
_PAIRS = iter(_NAMED.split())
_GLYPHS: dict[str, str] = dict(zip(_PAIRS, _PAIRS, strict=True))
_ESCAPE = re.compile(
    r"\\(?:f(?:\[[^\]]*\]|\(..|.)"  # font
    r"|s(?:[-+]?\d|[-+]?\[[^\]]*\])"  # size
    r"|[mkFYMV](?:\[[^\]]*\]|\(..|.)|[hvwlLDbxoSHZN]'[^']*'"  # colours, registers, movements
    r"|n[-+]?(?:\[[^\]]*\]|\(..|.)"
    r"|\*(?:\[([^\]]*)\]|\((..)|(.))"  # 1, 2, 3: strings
    r"|\[u([0-9A-F]{4,6})\]|\[([^\]]*)\]|\((..)"  # 4: a code point; 5, 6: glyphs
    r"|(.)|$)"  # 7: one character
)


def roff_pages(data: bytes) -> list[Page]:
    """Give the prose of one manual page; nothing of one that only refers to another."""
    paragraphs: list[list[str]] = [[]]
    until = ""
    for line in decoded(data).splitlines():
        control = line[:1] in (".", "'")
        name, _, rest = line[1:].strip().partition(" ") if control else ("", "", "")
        if until:  # within a listing, a table or the definition of a macro
            until = "" if control and name == until else until
        elif not control:
            text = unescaped(line.split('\\"')[0])
            paragraphs.append([]) if not text.strip() else paragraphs[-1].append(text)
        elif name == "so":
            return []
        elif name in _LISTINGS:
            until = _LISTINGS[name]
            paragraphs.append([])
        else:
            _control(name, rest, paragraphs)
    return page_of([" ".join(words) for words in paragraphs])


def _control(name: str, rest: str, paragraphs: list[list[str]]) -> None:
    words = " ".join(unescaped(word) for word in _arguments(rest))
    if name in _BREAKS:
        paragraphs.append([words] if name in _TITLES else [])
        if name in _TITLES:
            paragraphs.append([])
        elif name == "It":
            paragraphs[-1].append(words)
    elif name in _WORDS:
        alternating = len(name) == 2 and name.isupper() and name not in ("SM", "SB")
        paragraphs[-1].append(words.replace(" ", "", 1) if alternating and "(" in words else words)


def _arguments(rest: str) -> list[str]:
    text = rest.split('\\"', maxsplit=1)[0]
    try:
        return shlex.split(text.replace("\\", "\\\\").replace("'", "\\'"), posix=True)
    except ValueError:  # a quotation mark that does not end: roff takes it to the end of the line
        return [text.replace('"', "")]


def unescaped(text: str) -> str:
    """Give a line as it is printed: fonts and sizes gone, glyphs as characters."""
    return _ESCAPE.sub(_printed, text) if "\\" in text else text


def _printed(found: re.Match[str]) -> str:
    code, glyph, single = found[4], found[5] or found[6], found[7]
    if code:
        return chr(int(code, 16)) if int(code, 16) < 0xD800 else ""
    if glyph is not None:
        return _GLYPHS.get(glyph, "")
    if single is not None:
        return _CHARACTERS.get(single, "")
    return _GLYPHS.get(found[1] or found[2] or "", "")
