# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Prose of HTML pages, and of the caches of KDE's handbooks, which are many HTML pages in one."""

import re

from selectolax.lexbor import LexborHTMLParser

from corpus_sample.paragraphs import Page, page_of

__all__ = ["html_pages", "kde_cache_pages"]

_BLOCK = "p|h[1-6]|li|dt|dd|td|th|tr|div|section|blockquote|caption|figcaption|summary|br"
# A mark behind each opening and before each closing tag of a block: one call then gives the text
# with its paragraphs, instead of a walk over every node in Python. Marks in the page go first.
_MARK = "\N{INFORMATION SEPARATOR THREE}"
_OPENING = re.compile(rf"(<(?:{_BLOCK})\b[^<>]*>)", re.IGNORECASE)
_CLOSING = re.compile(rf"(</(?:{_BLOCK})\s*>)", re.IGNORECASE)
_MAIN = ("#DisplayArea", "[role=main]", "main", "#content")
_NO_PROSE = (
    "script, style, noscript, template, nav, header, footer, aside, form, svg, pre, .headerlink, "
    ".navCenter, .navheader, .navfooter, .navigation, .toc, .toc-depth, .breadcrumb, .nav_table, "
    ".docnav, #topbar, #header, #footer, #topLogo, #bottomNavi"
)
_KDE_PAGE = re.compile(r'<FILENAME filename="([^"<>]{1,200})">')


def html_pages(data: bytes, part: str = "") -> list[Page]:
    """Give the prose of one HTML page: its main part, without navigation and listings."""
    text = decoded(data).replace(_MARK, " ")
    tree = LexborHTMLParser(_CLOSING.sub(_MARK + r"\1", _OPENING.sub(r"\1" + _MARK, text)))
    body = tree.body
    if body is None:
        return []
    root = next((node for rule in _MAIN if (node := body.css_first(rule))), body)
    for node in root.css(_NO_PROSE):
        if node != root:
            node.decompose()
    html = tree.css_first("html")
    language = (html.attributes.get("lang") or "") if html is not None else ""
    return page_of(root.text(separator="").split(_MARK), part, language)


def kde_cache_pages(data: bytes) -> list[Page]:
    """Give every page of an `index.cache`: KDE's rendering of a DocBook with all its entities."""
    pieces = _KDE_PAGE.split(decoded(data))
    named = zip(pieces[1::2], pieces[2::2], strict=True)
    return [page for name, text in named for page in html_pages(text.encode(), name)]


def decoded(data: bytes) -> str:
    """Give the text of a page in UTF-8, or in the one other encoding that it declares.

    Raises:
        UnicodeDecodeError: It is neither.
    """
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        declared = re.search(
            rb"charset=[\"']?(iso-8859-1|iso-8859-2|iso-8859-15|koi8-r)", data[:2048], re.I
        )
        if declared is None:
            raise
        return data.decode(declared[1].decode().lower())
