# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Every public Merkle vector (transparency-dev/merkle): our verifiers give the recorded answer."""

import base64
import json
from pathlib import Path

import pytest

from bastide.core.errors import NotProven
from bastide.crypto import merkle

ROOT = Path(__file__).parent / "merkle"
VECTORS = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.json"))


def _verify(kind: str, case: dict) -> None:
    proof = [base64.b64decode(value) for value in case["proof"] or []]
    if kind in {"inclusion", "subtreeinclusion"}:
        leaf, root = (base64.b64decode(case[name]) for name in ("leafHash", "root"))
        if kind == "inclusion":
            merkle.verify_inclusion(leaf, case["leafIdx"], case["treeSize"], proof, root)
        else:
            place = (case["leafIdx"], case["start"], case["end"])
            merkle.verify_subtree_inclusion(leaf, *place, proof, root)
        return
    old, new = (base64.b64decode(case[name]) for name in ("root1", "root2"))
    if kind == "consistency":
        merkle.verify_consistency(case["size1"], case["size2"], old, new, proof)
    else:
        place = (case["start"], case["end"], case["size"])
        merkle.verify_subtree_consistency(*place, old, new, proof)


def test_all_vectors_are_here():
    assert len(VECTORS) == 518


@pytest.mark.attacks("C7")
@pytest.mark.parametrize("name", VECTORS)
def test_vector(name):
    case = json.loads((ROOT / name).read_text())
    kind = name.split("/")[0]
    if case["wantErr"]:
        with pytest.raises(NotProven):
            _verify(kind, case)
    else:
        _verify(kind, case)
