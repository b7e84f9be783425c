# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""multipart/form-data (RFC 7578), whole and bounded: what a form sends beside one file.

Strict where senders agree: CRLF line ends, a name in every part, no name twice, the last boundary
there. A delimiter counts only at the beginning of a line, so a file may hold its text elsewhere.
"""

import re
from dataclasses import dataclass
from typing import Final

from bastide.core.errors import Misconfigured
from bastide.core.limits import FORM_HEADER_BYTES_MAX, FORM_PARTS_MAX

__all__ = ["Part", "read_form"]

# RFC 2046: up to 70 of these characters; a boundary with others is quoted.
_BOUNDARY: Final = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")
_PARAMETER: Final = re.compile(r';\s*([A-Za-z*-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))')
_ESCAPED: Final = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True, repr=False)
class Part:
    """One field. `filename` is None for what is no file."""

    content: memoryview
    filename: str | None = None


def read_form(media: bytes, body: bytes) -> dict[str, Part]:
    """The fields of a form by name; `media` is the Content-Type. Raises Misconfigured."""
    delimiter = b"--" + _boundary(media)
    if not body.startswith(delimiter):
        body = b"\r\n" + body  # a preamble, or nothing, before the first line
        start = body.find(b"\r\n" + delimiter) + 2
        if start < 2:
            raise _broken("its boundary is not there")
    else:
        start = 0
    view, form = memoryview(body), dict[str, Part]()
    while True:
        start += len(delimiter)
        if body.startswith(b"--", start):
            return form
        head_at = body.find(b"\r\n", start, start + 64) + 2
        if head_at < 2 or body[start : head_at - 2].strip(b" \t"):
            raise _broken("a boundary is not alone on its line")
        head_end = body.find(b"\r\n\r\n", head_at, head_at + FORM_HEADER_BYTES_MAX)
        end = body.find(b"\r\n" + delimiter, head_end + 2)
        if head_end < 0 or end < 0:
            raise _broken("a part has no end, or too long a head")
        name, filename = _names(body[head_at:head_end])
        if name in form or len(form) == FORM_PARTS_MAX:
            raise _broken("a name stands twice, or there are too many parts")
        form[name] = Part(view[min(head_end + 4, end) : end], filename)
        start = end + 2


def _boundary(media: bytes) -> bytes:
    text = media.decode("latin-1")
    if text.partition(";")[0].strip().lower() != "multipart/form-data":
        raise Misconfigured("The Content-Type must be multipart/form-data.", place="file")
    found = _parameters(text).get("boundary", "")
    if not _BOUNDARY.fullmatch(found):
        raise _broken("the Content-Type names no boundary")
    return found.encode()


def _names(head: bytes) -> tuple[str, str | None]:
    for line in head.split(b"\r\n"):
        title, _, value = line.partition(b":")
        if title.strip().lower() != b"content-disposition":
            continue
        try:
            text = value.decode()
        except UnicodeDecodeError as error:
            raise _broken("a part's head is not UTF-8") from error
        found = _parameters(text)
        if text.partition(";")[0].strip().lower() == "form-data" and "name" in found:
            return found["name"], found.get("filename")
    raise _broken("a part has no name")


def _parameters(text: str) -> dict[str, str]:
    return {
        row[1].lower(): row[3] if row[3] is not None else _ESCAPED.sub(r"\1", row[2])
        for row in _PARAMETER.finditer(text)
    }


def _broken(why: str) -> Misconfigured:
    return Misconfigured(f"The form cannot be read: {why}.", place="file")
