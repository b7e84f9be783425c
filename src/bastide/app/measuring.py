# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What a node measures of itself: software, engine and sandbox, a digest each.

The same wheel, interpreter and packages give the same digests on every machine, so the guardian
makes reference values on a machine of its own. Files of Python and of the engine are read whole;
of other packages, the digests that their own RECORD gives are.
"""

import hashlib
import importlib.util
import os
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import bastide
from bastide.app.own_bom import closure
from bastide.core.artifact import Artifact, Part
from bastide.core.canonical import canonical
from bastide.core.embedding import EMBEDDING_ENGINE
from bastide.core.engine import LLAMACPP, OPENVINO
from bastide.core.errors import Misconfigured, Unavailable
from bastide.core.limits import MIB
from bastide.core.subject import Digest

__all__ = ["measure_node"]

# The packages whose files are an engine.
_ENGINE_PACKAGES = {
    LLAMACPP: ("xllamacpp",),
    EMBEDDING_ENGINE: ("xllamacpp",),
    OPENVINO: ("openvino", "openvino_genai"),
}
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
        "software": _digest({"bastide": _tree(_folder("bastide")), **_surroundings()}),
        "engine": _digest({name: _tree(_folder(name)) for name in packages}),
        "sandbox": _digest({"name": sandbox, "program": _program(sandbox)}),
    }


def _surroundings() -> dict[str, Any]:
    """The interpreter, and what the packages that Bastide asks for say of their files."""
    return {
        "python": str(_digest_of(Path(sys.executable).resolve())),
        "packages": {
            name: [one.version, _record(one)]
            for name, one in closure().items()
            if name != "bastide"
        },
    }


def _record(one: metadata.Distribution) -> str:
    return str(Digest.of((one.read_text("RECORD") or "").encode()))


def _folder(name: str) -> Path:
    if name == "bastide":
        return Path(bastide.__file__).parent
    found = importlib.util.find_spec(name)
    if found is None or not found.submodule_search_locations:
        raise Unavailable(f"the package {name} is not installed")
    return Path(next(iter(found.submodule_search_locations)))


def _tree(folder: Path) -> str:
    """The digest of the manifest of every file in a package, but for compiled caches."""
    parts = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            size = path.stat().st_size
            parts.append(Part(str(path.relative_to(folder)), size, _digest_of(path)))
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
