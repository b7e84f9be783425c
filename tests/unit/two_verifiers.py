# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Both verifiers of receipt bundles for tests: ours, and `tools/verify_receipt.py` as a module."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from bastide.core.errors import NotProven
from bastide.core.evidence import Evidence
from bastide.ledger.verify import trace_bundle
from unit.chain_fixture import ChainWorld

TOOL = Path(__file__).parents[2] / "tools" / "verify_receipt.py"


def _tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("verify_receipt", TOOL)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(TOOL.parent))  # as for a script: its other half lies beside it
    spec.loader.exec_module(module)
    return module


tool = _tool()


def read_as_tool(bundle: Any, anchors: Any) -> tuple[Any, Any]:
    """The values as the tool reads them from files."""
    texts = (json.dumps(bundle), json.dumps(anchors))
    return tool.read_json(texts[0], "the bundle"), tool.read_json(texts[1], "keys.json")


def refuse(bundle: Any, anchors: Any, place: str = "") -> None:
    """Both verifiers refuse; ours names the place."""
    with pytest.raises(NotProven) as raised:
        trace_bundle(bundle, anchors)
    assert place in raised.value.message, raised.value.message
    refuse_by_tool(bundle, anchors)


def refuse_by_tool(bundle: Any, anchors: Any) -> None:
    with pytest.raises((tool.NotProvenError, ValueError, TypeError, LookupError, AttributeError)):
        tool.verify(*read_as_tool(bundle, anchors))


def entry_of(chain: ChainWorld, row: Evidence) -> dict[str, Any]:
    """A statement as a bundle holds it."""
    ledger = chain.world.ledger
    assert row.entry is not None
    proof = ledger.prove_inclusion(row.entry, ledger.size)
    return {
        "index": row.entry,
        "envelope": ledger.envelope(row.entry).to_json(),
        "proof": [node.hex() for node in proof],
    }
