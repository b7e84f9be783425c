# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Prose of DocBook and Mallard, the XML formats of GNOME's and KDE's handbooks.

Nothing outside the file is read: no DTD, no network, no external entity, and an entity is never
expanded by the parser, so that none can grow. An entity becomes the text that the file declares
for it, else its name.
"""

import re

from lxml import etree

from corpus_sample.paragraphs import Page, page_of

__all__ = ["xml_pages"]

_BLOCK_NAMES = """
p para simpara title subtitle term td entry caption desc refpurpose cmd screeninfo
"""
_BLOCKS = frozenset(_BLOCK_NAMES.split())
_NO_PROSE_NAMES = """
info articleinfo bookinfo chapterinfo sectioninfo prefaceinfo appendixinfo refentryinfo
code screen programlisting synopsis cmdsynopsis funcsynopsis literallayout media mediaobject
inlinemediaobject figure indexterm remark revhistory legalnotice
"""
_NO_PROSE = frozenset(_NO_PROSE_NAMES.split())
_FORMATS = frozenset(("projectmallard.org/1.0/", "docbook.org/ns/docbook"))
_ROOT_NAMES = """
book article chapter sect1 section appendix preface part refentry glossary page
"""
_ROOTS = frozenset(_ROOT_NAMES.split())
_TAG = re.compile(r"<[^<>]*>")


def xml_pages(data: bytes) -> list[Page]:
    """Give the prose of one file of DocBook or Mallard; nothing of any other XML."""
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, dtd_validation=False,
        huge_tree=False, recover=True, remove_comments=True, remove_pis=True,
    )  # fmt: skip
    root = etree.fromstring(data, parser)
    if root is None or _name(root) not in _ROOTS:
        return []
    namespace = etree.QName(root).namespace
    if namespace and not any(known in namespace for known in _FORMATS):
        return []
    declared = root.getroottree().docinfo.internalDTD
    entities = {} if declared is None else {
        entity.name: _TAG.sub("", entity.content or "") for entity in declared.iterentities()
    }  # fmt: skip
    language = root.get("{http://www.w3.org/XML/1998/namespace}lang") or root.get("lang") or ""
    pieces: list[str] = []
    _walk(root, pieces, entities)
    return page_of("".join(pieces).split("\0"), language=language)


def _walk(element: etree._Element, pieces: list[str], entities: dict[str, str]) -> None:
    """Add the text of an element, a null character at each border of a block.

    Recursion is bounded: without `huge_tree` the parser refuses more than 256 levels.
    """
    if isinstance(element, etree._Entity):
        pieces.append(entities.get(element.name or "") or element.name or "")
    elif isinstance(element.tag, str) and _name(element) not in _NO_PROSE:
        border = "\0" if _name(element) in _BLOCKS else ""
        pieces.append(border)
        pieces.append(element.text or "")
        for child in element:
            _walk(child, pieces, entities)
        pieces.append(border)
    pieces.append(element.tail or "")


def _name(element: etree._Element) -> str:
    return etree.QName(element).localname if isinstance(element.tag, str) else ""
