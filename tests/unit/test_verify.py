# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Offline verification: an honest chain holds; one that was changed is refused with its place.

Both verifiers, ours and the independent `tools/verify_receipt.py`, meet every case.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bastide.core.canonical import canonical
from bastide.core.errors import NotProven, Unavailable
from bastide.core.key import Purpose
from bastide.crypto import dsse
from bastide.crypto.dsse import Envelope
from bastide.ledger.bundle import export_bundle
from bastide.ledger.verify import trace_bundle, verify_content
from unit.chain_fixture import ANSWER, API_KEY, PROMPT, ChainWorld, make_chain, make_receipt
from unit.two_verifiers import TOOL, read_as_tool, refuse, tool


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> ChainWorld:
    return make_chain(tmp_path_factory.mktemp("chain"))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> ChainWorld:
    """Another honest chain under the same keys: what is true there proves nothing here."""
    scores = {"exact": 0.75, "leakage": 1.0, "square": 0.5}
    return make_chain(tmp_path_factory.mktemp("other"), scores=scores, receipts=5)


@pytest.mark.parametrize("number", range(7))
def test_every_receipt_of_an_honest_chain_verifies(chain: ChainWorld, number: int) -> None:
    proven = trace_bundle(chain.bundle(number), chain.anchors)
    assert proven.receipt == chain.receipts[number]
    assert proven.release == "demo-1"
    assert proven.parties == "separate"
    assert set(proven.approvals) == {"firm", "guardian"}
    assert set(proven.deployment_approvals) == {"operator"}
    assert proven.model_digest == str(chain.rows["admission"].subject.digest)
    assert proven.scores == {"exact": 0.5, "leakage": 1, "square": 0.25}
    assert (proven.batch, proven.ledger_size) == (chain.rows["batch"].entry, 14)
    assert [link.index for link in proven.links] == sorted(link.index for link in proven.links)
    assert len(proven.links) == 10
    told = tool.verify(*read_as_tool(chain.bundle(number), chain.anchors))
    assert told["model_digest"] == proven.model_digest
    assert told["release"] == proven.release
    assert told["ledger_size"] == proven.ledger_size
    assert told["approvals"] == {party: list(keys) for party, keys in proven.approvals.items()}


def test_a_bundle_survives_json_and_shows_as_json(chain: ChainWorld) -> None:
    bundle = json.loads(json.dumps(chain.bundle(), ensure_ascii=False))
    proven = trace_bundle(bundle, json.loads(json.dumps(chain.anchors)))
    shown = json.loads(json.dumps(proven.to_json()))
    assert shown["approvals"] == {party: list(keys) for party, keys in proven.approvals.items()}
    assert shown["links"][0]["signers"] == ["firm", "operator", "guardian", "evidence"]


def test_a_ledger_that_grew_gives_a_bundle_that_holds(tmp_path: Path) -> None:
    chain = make_chain(tmp_path, receipts=1)
    old = chain.bundle(0)
    world = chain.world
    now = world.clock.now_ms()
    more = make_receipt(
        40, chain.receipts[0].deployment, chain.receipts[0].release, chain.receipts[0].policy, now
    )
    chain.book.put([more])
    with pytest.raises(Unavailable, match="sealed within a second"):
        export_bundle(world.ledger, chain.book, more.ident)
    chain.book.seal_batch()
    for bundle in (old, chain.bundle(0), export_bundle(world.ledger, chain.book, more.ident)):
        trace_bundle(bundle, chain.anchors)
        tool.verify(*read_as_tool(bundle, chain.anchors))


# Bundles that were changed after their export


def _swap(name: str) -> Callable[[dict[str, Any], dict[str, Any]], None]:
    def swap(bundle: dict[str, Any], other: dict[str, Any]) -> None:
        bundle["entries"][name] = other["entries"][name]

    return swap


def _move(name: str) -> Callable[[dict[str, Any], dict[str, Any]], None]:
    def move(bundle: dict[str, Any], other: dict[str, Any]) -> None:
        bundle["entries"][name]["index"] += 1

    return move


NAMES = ("charter", "admission", "evaluation", "candidate", "release", "deployment", "batch")


@pytest.mark.attacks("C19")
@pytest.mark.parametrize("name", [name for name in NAMES if name != "charter"])
def test_entries_of_another_ledger_are_refused(
    chain: ChainWorld, other: ChainWorld, name: str
) -> None:
    bundle = chain.bundle()
    _swap(name)(bundle, other.bundle())
    if bundle == chain.bundle():
        return  # the admission is the same statement in both
    refuse(bundle, chain.anchors, f"entries.{name}")


@pytest.mark.parametrize("name", NAMES)
def test_entries_at_another_index_are_refused(chain: ChainWorld, name: str) -> None:
    bundle = chain.bundle()
    _move(name)(bundle, {})
    refuse(bundle, chain.anchors, f"entries.{name}")


def test_another_checkpoint_is_refused(chain: ChainWorld, other: ChainWorld) -> None:
    bundle = chain.bundle()
    bundle["checkpoint"] = other.bundle()["checkpoint"]
    refuse(bundle, chain.anchors, "entries.")
    bundle["checkpoint"] = chain.bundle()["checkpoint"].replace("\n14\n", "\n15\n")
    refuse(bundle, chain.anchors, "checkpoint: ")


def test_a_receipt_at_another_place_is_refused(chain: ChainWorld) -> None:
    for number in (0, 2, 4, 6):
        bundle = chain.bundle(3)
        bundle["inclusion"] = chain.bundle(number)["inclusion"]
        refuse(bundle, chain.anchors, "inclusion.proof")


@pytest.mark.parametrize("field", ["completion_tokens", "time_ms", "prompt_tokens"])
def test_a_changed_receipt_is_refused(chain: ChainWorld, field: str) -> None:
    bundle = chain.bundle()
    bundle["receipt"][field] += 1
    refuse(bundle, chain.anchors, "inclusion.proof")


def test_another_environment_s_anchors_are_refused(chain: ChainWorld, other: ChainWorld) -> None:
    refuse(chain.bundle(), {**chain.anchors, "charter": "sha256:" + "3" * 64}, "entries.charter")
    refuse(chain.bundle(), {**chain.anchors, "origin": "elsewhere"}, "keys.json: origin")
    refuse(chain.bundle(), {**chain.anchors, "environment": "e"}, "keys.json: environment")
    fewer = {**chain.anchors, "keys": chain.anchors["keys"][:-1]}
    refuse(chain.bundle(), fewer, "keys.json: keys")


def test_approvals_left_out_doubled_or_reordered_are_refused(chain: ChainWorld) -> None:
    for change in (lambda rows: rows[:1], lambda rows: rows + rows[:1], lambda rows: rows[::-1]):
        bundle = chain.bundle()
        bundle["entries"]["approvals"] = change(bundle["entries"]["approvals"])
        refuse(bundle, chain.anchors, "entries.approvals")


def _resigned(bundle: dict[str, Any], name: str, purpose: Purpose, chain: ChainWorld) -> None:
    """Sign the same statement again, with another of the environment's own keys."""
    entry = bundle["entries"][name]
    payload = Envelope.from_json(entry["envelope"]).payload
    entry["envelope"] = dsse.sign(payload, [chain.world.signers[purpose]]).to_json()


@pytest.mark.parametrize(
    ("name", "purpose"),
    [
        ("admission", Purpose.RELEASE),
        ("evaluation", Purpose.LEDGER),
        ("release", Purpose.EVIDENCE),
        ("deployment", Purpose.RELEASE),
        ("batch", Purpose.LEDGER),
    ],
)
def test_the_right_key_must_sign_each_kind(
    chain: ChainWorld, name: str, purpose: Purpose, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if a forged tree proved the entry, a key of another purpose does not count."""
    from bastide.crypto import merkle

    bundle = chain.bundle()
    _resigned(bundle, name, purpose, chain)
    refuse(bundle, chain.anchors, f"entries.{name}.proof")
    monkeypatch.setattr(merkle, "verify_inclusion", lambda *_: None)
    monkeypatch.setattr(tool, "check_inclusion", lambda *_: None)
    refuse(bundle, chain.anchors, f"entries.{name}: ")


@pytest.mark.attacks("C19")
def test_statements_in_each_other_s_places_are_refused(chain: ChainWorld) -> None:
    for first, second in (("admission", "evaluation"), ("candidate", "release")):
        bundle = chain.bundle()
        entries = bundle["entries"]
        entries[first], entries[second] = entries[second], entries[first]
        refuse(bundle, chain.anchors, f"entries.{first}")


def test_a_payload_that_is_not_canonical_is_refused(
    chain: ChainWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bastide.crypto import merkle

    bundle = chain.bundle()
    entry = bundle["entries"]["admission"]
    payload = Envelope.from_json(entry["envelope"]).payload + b" "
    entry["envelope"] = dsse.sign(payload, [chain.world.signers[Purpose.EVIDENCE]]).to_json()
    monkeypatch.setattr(merkle, "verify_inclusion", lambda *_: None)
    monkeypatch.setattr(tool, "check_inclusion", lambda *_: None)
    refuse(bundle, chain.anchors, "entries.admission: the admission/v1 is not canonical")


# Contents


@pytest.mark.attacks("C21")
def test_contents_are_checked_with_the_api_key(chain: ChainWorld) -> None:
    receipt = chain.receipts[0]
    verify_content(receipt, API_KEY, PROMPT, ANSWER.encode())
    tool.check_content(receipt.to_json(), API_KEY.encode(), PROMPT, ANSWER.encode())
    for key, prompt, answer, place in (
        (API_KEY, PROMPT + b" ", ANSWER, "receipt.prompt_commitment"),
        (API_KEY, PROMPT, ANSWER + ".", "receipt.answer_commitment"),
        (API_KEY[:-1], PROMPT, ANSWER, "receipt.prompt_commitment"),
        (API_KEY, ANSWER.encode(), ANSWER, "receipt.prompt_commitment"),
    ):
        with pytest.raises(NotProven, match=place):
            verify_content(receipt, key, prompt, answer.encode())
        with pytest.raises(tool.NotProvenError, match=place):
            tool.check_content(receipt.to_json(), key.encode(), prompt, answer.encode())


def test_the_tool_stands_alone() -> None:
    parts = ("verify_signed", "verify_cosigned", "verify_node")
    source = "".join(TOOL.with_name(f"{name}.py").read_text() for name in (TOOL.stem, *parts))
    imports = [
        line.split()[1] for line in source.splitlines() if line.startswith(("import", "from"))
    ]
    own = {
        "argparse",
        "base64",
        "datetime",
        "hashlib",
        "hmac",
        "itertools",
        "json",
        "pathlib",
        "re",
        "sys",
    }
    assert {name.partition(".")[0] for name in imports} <= own | {"cryptography", *parts}
    assert "import bastide" not in source and "from bastide" not in source


@pytest.mark.parametrize("value", [0.3, 1e-7, 1.5e300, 0.1 + 0.2, 123456.75])
def test_the_tool_s_numbers_are_the_signed_ones(value: float) -> None:
    text = canonical({"b": value, "a": [1, "é\u2028", None, True]})
    assert tool.canonical(tool.read_json(text, "x")).encode() == text


def test_statements_are_what_they_were(chain: ChainWorld) -> None:
    """The fixture's chain is made of statements that the ledger itself accepted."""
    chain.world.ledger.audit()
    chain.book.audit()
    kinds = [evidence.kind for evidence in chain.world.ledger.entries()]
    assert kinds[0] == "charter/v1"
    assert chain.rows["release"].entry == kinds.index("release/v1")
