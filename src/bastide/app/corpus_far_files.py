# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Files of a source that lie in an object store: found by a pattern, read by ranges.

Nothing of them is kept on the disk: texts lie in clear where they were, and nowhere else.
"""

import os
import re
from pathlib import Path
from typing import Final

from bastide.app.config import Home
from bastide.app.corpus_collection import collection_files
from bastide.app.corpus_files import InputFile
from bastide.app.far_folder import FarFolder, Listing
from bastide.app.wiring_store import far_files
from bastide.core.bucket import SCHEME, split_url
from bastide.core.errors import NotFound
from bastide.core.recipe import Source
from bastide.filters.openeurollm import OpenEuroLlmRules

__all__ = ["far_folder", "far_inputs"]

_WILD: Final = re.compile(r"[*?\[]")
_PIECES: Final = re.compile(r"\*\*/|\*\*|\*|\?|\[[^\]/]+\]|[^*?\[]+|\[")
# Within a name, or at its beginning if that is no dot.
_BEGIN: Final = r"(?:(?<![^/])(?!\.)|(?<=[^/]))"


def far_folder(home: Home, url: str) -> FarFolder:
    """A folder below ``s3://bucket``, with what lies beside it. Raises Misconfigured."""
    bucket, _, key = url.removeprefix(SCHEME).partition("/")
    split_url(SCHEME + bucket, "directory")
    there, key = far_files(home, SCHEME + bucket), key.strip("/")
    sizes = dict(there.sizes(key.rpartition("/")[0]))
    return FarFolder(Listing(there, SCHEME + bucket, os.fspath(home.root), sizes), key)


def far_inputs(home: Home, source: Source) -> list[InputFile]:
    """The files of a source, sorted by name. Raises NotFound without any, Misconfigured."""
    bucket, _, pattern = source.path.removeprefix(SCHEME).partition("/")
    split_url(SCHEME + bucket, "path")
    if source.reader == OpenEuroLlmRules.ident:
        pattern = pattern.rstrip("/")  # so that the cycle above a dataset is listed, too
    fixed = pattern[: found.start()] if (found := _WILD.search(pattern)) else pattern
    folder = fixed.rpartition("/")[0]
    there = far_files(home, SCHEME + bucket)
    sizes = there.sizes(folder)
    if source.reader == OpenEuroLlmRules.ident:
        listing = Listing(there, SCHEME + bucket, os.fspath(home.root), dict(sizes))
        found = listing.matching(_expression(pattern))
        return collection_files(Path(), source, found)
    fits = re.compile(_expression(pattern))
    files = [
        InputFile(f"{SCHEME}{bucket}/{key}", f"{SCHEME}{bucket}/{key}", size,
                  home=os.fspath(home.root))
        for key, size in sizes
        if fits.fullmatch(key)
    ]  # fmt: skip
    if not files:
        raise NotFound(f"the source {source.name} has no file: {source.path}", fix="check the URL")
    return files


def _expression(pattern: str) -> str:
    """A pattern as in a shell: no wildcard meets a name that begins with a dot."""
    parts = []
    for piece in _PIECES.findall(pattern):
        if piece == "**/":
            parts.append(r"(?:[^/.][^/]*/)*")
        elif piece in ("*", "**"):
            parts.append(_BEGIN + "[^/]*")
        elif piece == "?":
            parts.append(_BEGIN + "[^/]")
        elif piece.startswith("[") and len(piece) > 1:
            body = piece[1:-1].replace("\\", "\\\\")
            parts.append("[" + ("^" + body[1:] if body[0] == "!" else body) + "]")
        else:
            parts.append(re.escape(piece))
    return "".join(parts)
