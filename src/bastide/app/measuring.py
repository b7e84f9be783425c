# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What a node measures of itself: software, engine and sandbox, a digest each.

The same wheel, interpreter and packages give the same digests on every machine, so the guardian
makes reference values on a machine of its own. Every file is read: those of Bastide, of the engine
and of each package that a runner imports, where an import finds it; those of Python's own library;
and what Python runs at its start. Not read: compiled caches, which runners of attested nodes do not
read either; shared libraries of the distribution; the kernel. Nobody can measure itself honestly
once it was replaced: that the files are those that ran is for the boot to prove (dm-verity, IMA).
"""

import hashlib
import importlib.util
import os
import re
import sys
import sysconfig
from importlib import metadata
from pathlib import Path
from typing import Any

from bastide.app import wiring_engines
from bastide.app.own_bom import closure
from bastide.core.artifact import Artifact, Part
from bastide.core.canonical import canonical
from bastide.core.embedding import EMBEDDING_ENGINE
from bastide.core.engine import LLAMACPP, OPENVINO
from bastide.core.errors import Misconfigured, Unavailable
from bastide.core.limits import MIB
from bastide.core.subject import Digest

__all__ = ["measure_node"]

# The packages whose files are an engine, with the shared libraries that their wheels bring.
_ENGINE_PACKAGES = {
    LLAMACPP: ("xllamacpp",),
    EMBEDDING_ENGINE: ("xllamacpp",),
    OPENVINO: ("openvino", "openvino-genai", "openvino-tokenizers", "numpy"),
}
# Of a file of paths, which Python runs line by line if a line begins with import (site).
_IMPORTS = re.compile(r"(?:\bimport\s+|__import__\(['\"])([A-Za-z_]\w*)")
_CACHES = frozenset({"__pycache__"})
# Of Python's own library: what can be imported, but not the packages below it or its own tests.
_NO_LIBRARY = _CACHES | {"site-packages", "dist-packages", "test"}
_IMPORTED = frozenset({".py", ".pyc", ".so"})
_SANDBOX_PROGRAMS = {"bubblewrap": "/usr/bin/bwrap"}


def measure_node(engine: str, sandbox: str) -> dict[str, str]:
    """The event that a node extends. Raises Misconfigured for an engine that is not measured."""
    packages = _ENGINE_PACKAGES.get(engine)
    if packages is None:
        raise Misconfigured(
            f"the engine {engine} runs in an environment of its own, which is not measured",
            fix=f"attested nodes run {LLAMACPP} or {OPENVINO}",
        )
    return {
        "software": _digest({"bastide": _module("bastide"), **_surroundings()}),
        "engine": _digest({name: _package(_installed(name)) for name in packages}),
        "sandbox": _digest({"name": sandbox, "program": _program(sandbox)}),
    }


def _surroundings() -> dict[str, Any]:
    """The interpreter, its library, what it runs at its start, and the packages around Bastide."""
    own = sysconfig.get_path("stdlib")
    compiled = (name for name in sys.path if name.endswith("lib-dynload"))
    library = [own, *(name for name in compiled if not Path(name).is_relative_to(own))]
    return {
        "python": [str(_digest_of(path)) for path in _interpreter()],
        "library": [_tree(Path(folder), _NO_LIBRARY, _IMPORTED) for folder in library],
        "start": _startup(),
        "packages": {
            name: [one.version, _package(one)]
            for name, one in closure(extras=False).items()
            if name not in ("bastide", *_ENGINE_PACKAGES[LLAMACPP])  # read whole elsewhere
        },
    }


def _interpreter() -> list[Path]:
    """Its program, its own shared library if it has one, and archives that it imports from."""
    found = map(Path, (*wiring_engines.interpreter_files(), *sys.path))
    return [path for path in found if path.is_file()]


def _startup() -> dict[str, str]:
    """What Python runs by itself when it starts: files of paths, what they import, two modules."""
    found = {}
    folders = [sorted(Path(folder).glob("*.pth")) for folder in sys.path if folder]
    # Numbered among those that have any: a command's path begins with the folder of its program,
    # a service's does not.
    for number, paths in enumerate(filter(None, folders)):
        for path in paths:
            found[f"{number}/{path.name}"] = str(_digest_of(path))
            for name in _IMPORTS.findall(path.read_text(errors="replace")):
                found[f"import {name}"] = _module(name)
    for name in ("sitecustomize", "usercustomize"):
        if importlib.util.find_spec(name) is not None:
            found[name] = _module(name)
    return found


def _installed(name: str) -> metadata.Distribution:
    try:
        return metadata.distribution(name)
    except metadata.PackageNotFoundError as error:
        raise Unavailable(f"the package {name} is not installed") from error


def _package(one: metadata.Distribution) -> dict[str, str]:
    return {top: _top(one, top) for top in _tops(one)}


def _tops(one: metadata.Distribution) -> list[str]:
    """The names that a package can be imported by, and its folders, from its list of files."""
    tops = set()
    for path in one.files or ():
        first = path.parts[0]
        if first == ".." or first.endswith((".dist-info", ".data")) or first in _CACHES:
            continue  # programs name the folder that they were installed in
        if len(path.parts) > 1 or first.endswith((".py", ".so")):
            tops.add(first.partition(".")[0] if len(path.parts) == 1 else first)
    return sorted(tops)


def _top(one: metadata.Distribution, name: str) -> str:
    """A module's digest, or that of a folder that is none (shared libraries of a wheel)."""
    folder = Path(str(one.locate_file(name)))
    return _module(name) if name.isidentifier() or not folder.is_dir() else _tree(folder)


def _module(name: str) -> str:
    """The digest of what an import of this name would read; empty if there is nothing."""
    try:
        found = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        found = None
    if found is None:
        return ""
    if found.submodule_search_locations is not None:
        return _digest(sorted(_tree(Path(folder)) for folder in found.submodule_search_locations))
    return str(_digest_of(Path(found.origin))) if found.has_location and found.origin else ""


def _tree(
    folder: Path,
    left_out: frozenset[str] = _CACHES,
    suffixes: frozenset[str] | None = None,
) -> str:
    """The digest of the manifest of every file in a folder, or of those with a suffix.

    Not of what lies below a folder with a name of `left_out`.
    """
    parts = []
    for path, folders, names in os.walk(folder):
        folders[:] = sorted(set(folders) - left_out)
        for file in (Path(path, name) for name in sorted(names)):
            if file.is_file() and (suffixes is None or file.suffix in suffixes):
                name = str(file.relative_to(folder))
                parts.append(Part(name, file.stat().st_size, _digest_of(file)))
    return str(Artifact.of(parts).digest)


def _program(sandbox: str) -> str:
    path = Path(_SANDBOX_PROGRAMS.get(sandbox, ""))
    return str(_digest_of(path)) if path.is_file() else ""


def _digest_of(path: Path) -> Digest:
    state = hashlib.sha256()
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            while piece := os.read(descriptor, MIB):
                state.update(piece)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise Unavailable(f"{path} cannot be measured: {error.strerror}") from error
    return Digest.parse(f"sha256:{state.hexdigest()}")


def _digest(value: Any) -> str:
    return str(Digest.of(canonical(value)))
