# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The independent verifier's own checks, one by one: each refuses what it is there for."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastide.core.canonical import canonical
from bastide.core.errors import NotProven
from bastide.core.key import PublicKey, Purpose
from bastide.core.party import Party
from bastide.crypto import dsse, merkle
from unit.chain_fixture import ChainWorld, chain_policy, make_chain
from unit.ledger_fixture import charter_body, charter_statement, make_parties, make_signers
from unit.two_verifiers import read_as_tool, tool

SIGNERS, PARTIES = make_signers(), make_parties()
EVIDENCE, FIRM = SIGNERS[Purpose.EVIDENCE], PARTIES[Party.FIRM]
PAYLOAD = canonical({"a": 1})


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> ChainWorld:
    return make_chain(tmp_path_factory.mktemp("chain"))


def _keys(*publics: PublicKey) -> dict[str, Any]:
    return tool.enrolled([public.to_json() for public in publics], "keys.json")


KEYS = _keys(EVIDENCE.public, FIRM.public, SIGNERS[Purpose.MODEL_SIGNING].public)


def _envelope(payload: bytes = PAYLOAD) -> dict[str, Any]:
    return dsse.sign(payload, [EVIDENCE, FIRM]).to_json()


def _with(change: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    envelope = _envelope()
    change(envelope)
    return envelope


def _sig(signer: dsse.Signer) -> str:
    return dsse.sign(PAYLOAD, [signer]).to_json()["signatures"][0]["sig"]


def test_an_honest_envelope_is_accepted() -> None:
    statement, signers = tool.check_envelope(_envelope(), KEYS, "here")
    assert statement == {"a": 1}
    assert [key["id"] for key in signers] == [EVIDENCE.public.ident, FIRM.public.ident]


ENVELOPES = {
    "payload type": (_with(lambda row: row.update(payloadType="text/plain")), "payloadType: not"),
    "no signature": (_with(lambda row: row.update(signatures=[])), "signatures: there is none"),
    "spaces": (_envelope(b'{"a": 1}'), "payload: not canonical"),
    "a key twice": (_envelope(b'{"a":1,"a":1}'), "a key stands twice"),
    "no JSON": (_envelope(b"NaN"), "not JSON"),
    "signed twice": (
        _with(lambda row: row["signatures"].append(row["signatures"][0])),
        r"signatures\[2\]: one key signed twice",
    ),
    "a stranger": (
        _with(lambda row: row["signatures"][0].update(keyid="SHA256:x")),
        r"signatures\[0\]: the signer is not enrolled",
    ),
    "a plain signature of a party": (
        dsse.sign(
            PAYLOAD, [dsse.Signer(PublicKey(FIRM.public.raw, Purpose.EVIDENCE), FIRM.sign)]
        ).to_json(),
        "not an OpenSSH signature",
    ),
    "an OpenSSH signature of another key": (
        _with(lambda row: row["signatures"][1].update(sig=_sig(PARTIES[Party.GUARDIAN]))),
        "not an OpenSSH signature of this key",
    ),
    "stray bits": (_with(lambda row: row.update(payload="eyJhIjoxfR==")), "stray bits"),
    "no base64": (_with(lambda row: row.update(payload="eyJhIjox*")), "not base64"),
}


@pytest.mark.parametrize("name", ENVELOPES)
def test_envelopes_are_refused(name: str) -> None:
    envelope, message = ENVELOPES[name]
    with pytest.raises(tool.NotProvenError, match=message):
        tool.check_envelope(envelope, KEYS, "here")


@pytest.mark.parametrize("field", ["id", "scheme", "purpose"])
def test_keys_that_do_not_fit_are_refused(field: str) -> None:
    rows = [public.public.to_json() for public in (EVIDENCE, FIRM)]
    assert len(tool.enrolled(rows, "here")) == 2
    wrong = {"id": "SHA256:x", "scheme": "ed25519", "purpose": "evidence"}
    with pytest.raises(tool.NotProvenError, match="does not fit"):
        tool.enrolled([rows[0], {**rows[1], field: wrong[field]}], "here")
    with pytest.raises(tool.NotProvenError, match="does not fit"):
        tool.enrolled([rows[0], rows[0]], "here")


@given(st.integers(1, 40), st.data())
def test_inclusion_proofs_are_judged_as_by_the_ledger(size: int, data: st.DataObject) -> None:
    leaves = [bytes([number]) for number in range(size)]
    hashes = [merkle.leaf_hash(leaf) for leaf in leaves]
    root, index = merkle.root(hashes), data.draw(st.integers(0, size - 1))
    proof = merkle.inclusion_proof(hashes, index)
    tool.check_inclusion(leaves[index], index, size, [row.hex() for row in proof], root, "here")
    other, sizes = data.draw(st.integers(-1, 41)), data.draw(st.integers(0, 41))
    proof = data.draw(st.sampled_from([proof, proof[:-1], [*proof, root], proof[::-1]]))
    try:
        merkle.verify_inclusion(hashes[index], other, sizes, proof, root)
    except NotProven:
        with pytest.raises(tool.NotProvenError, match="here"):
            hexes = [row.hex() for row in proof]
            tool.check_inclusion(leaves[index], other, sizes, hexes, root, "here")
    else:
        hexes = [row.hex() for row in proof]
        tool.check_inclusion(leaves[index], other, sizes, hexes, root, "here")


@pytest.mark.parametrize(
    ("index", "size", "proof"),
    [(0, 1, "ab"), (0, 1, ["AB" * 32]), (0, 2, ["ab"]), (0, 2, [1]), (True, 2, []), (0.0, 1, [])],
)
def test_proofs_of_another_shape_are_refused(index: Any, size: Any, proof: Any) -> None:
    with pytest.raises(tool.NotProvenError, match="here"):
        tool.check_inclusion(b"", index, size, proof, merkle.leaf_hash(b""), "here")


def test_checkpoints_are_refused(chain: ChainWorld) -> None:
    text, origin = chain.world.ledger.checkpoint(), chain.anchors["origin"]
    (ledger_key,) = _keys(SIGNERS[Purpose.LEDGER].public).values()

    def key(size: int) -> dict[str, Any]:
        return ledger_key

    assert tool.check_checkpoint(text, origin, key)[0] == chain.world.ledger.size
    for bad in (text[:-1], text.replace("\n\n", "\n"), "", None, text.replace("— ", "- ")):
        with pytest.raises(tool.NotProvenError, match="not a signed checkpoint"):
            tool.check_checkpoint(bad, origin, key)
    with pytest.raises(tool.NotProvenError, match="not a signed checkpoint of elsewhere"):
        tool.check_checkpoint(text, "elsewhere", key)
    line = text.splitlines()[-1]
    for bad in (text + line + "\n", text.replace(line, f"— other {line.split()[2]}")):
        with pytest.raises(tool.NotProvenError, match="not signed by the ledger key"):
            tool.check_checkpoint(bad, origin, key)


def _refused(bundle: Any, anchors: Any, message: str) -> None:
    with pytest.raises(tool.NotProvenError, match=message):
        tool.verify(*read_as_tool(bundle, anchors))


def test_types_of_files_are_checked(chain: ChainWorld) -> None:
    _refused({**chain.bundle(), "type": "x"}, chain.anchors, "^type")
    _refused(chain.bundle(), {**chain.anchors, "type": "x"}, r"^keys\.json: type")
    receipt = {**chain.bundle()["receipt"], "type": "x"}
    _refused({**chain.bundle(), "receipt": receipt}, chain.anchors, r"^receipt\.type")


@pytest.mark.parametrize("left_out", [Party.FIRM, Party.GUARDIAN, None])
def test_a_charter_needs_every_signature(chain: ChainWorld, left_out: Party | None) -> None:
    """Even a charter that the anchors name: every party stands for it."""
    signers = [signer for party, signer in PARTIES.items() if party is not left_out]
    signers += [SIGNERS[Purpose.RELEASE]] if left_out is None else []
    body = charter_body(SIGNERS, PARTIES, 1, policy=chain_policy())
    charter = dsse.sign(charter_statement(body).payload(), [*signers, EVIDENCE])
    bundle = chain.bundle()
    bundle["entries"]["charter"]["envelope"] = charter.to_json()
    anchors = {**chain.anchors, "charter": str(charter.digest)}
    _refused(bundle, anchors, "not signed by every party and the evidence key, and only by them")


STATEMENTS = [
    ("_type", "https://in-toto.io/Statement/v0.1", "not an in-toto statement"),
    ("predicateType", "https://bastide.eu/evaluation/v1", "not an in-toto statement admission"),
    ("subject", [{"name": "demo", "digest": {"sha256": "0" * 64}}], "its subject is not"),
    ("subject", [], "its subject is not"),
]


@pytest.mark.parametrize(("field", "value", "message"), STATEMENTS)
def test_statements_that_say_something_else_are_refused(
    chain: ChainWorld, field: str, value: Any, message: str
) -> None:
    envelope = chain.world.ledger.envelope(chain.rows["admission"].entry or 0)
    statement = json.loads(envelope.payload)
    (signer,) = _keys(EVIDENCE.public).values()
    tool.check_statement(statement, "admission", [signer], "here")
    with pytest.raises(tool.NotProvenError, match=message):
        tool.check_statement({**statement, field: value}, "admission", [signer], "here")


def _rows(chain: ChainWorld) -> dict[str, Any]:
    return copy.deepcopy(tool.open_entries(*read_as_tool(chain.bundle(), chain.anchors))[0])


GATES: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "a gate less": (
        lambda rows: _release_rule(rows)["gates"].pop("scan-clean"),
        "the policy lacks a gate",
    ),
    "no floors": (
        lambda rows: _release_rule(rows)["gates"].update({"eval-floor": {"floors": {}}}),
        "names no floor",
    ),
    "too few items": (
        lambda rows: _release_rule(rows)["gates"]["eval-floor"].update(counts={"exact": 41}),
        "exact: 0.5 under",
    ),
    "no floors for embeddings": (
        lambda rows: rows["admission"]["body"].update(architecture="bert"),
        "names no floor",
    ),
    "a pickle": (lambda rows: rows["admission"]["body"].update(format="pickle"), "not a safe"),
    "no origin": (lambda rows: rows["admission"]["body"].update(origin=" "), "its origin is not"),
    "no licence": (lambda rows: rows["admission"]["body"].update(licence=""), "its licence is"),
}


def _release_rule(rows: dict[str, Any]) -> dict[str, Any]:
    return rows["charter"]["body"]["policy"]["rules"]["release"]


@pytest.mark.parametrize("name", GATES)
def test_gates_are_judged_again(chain: ChainWorld, name: str) -> None:
    change, message = GATES[name]
    rows = _rows(chain)
    tool.check_gates(rows)
    change(rows)
    with pytest.raises(tool.NotProvenError, match=message):
        tool.check_gates(rows)


def test_the_author_alone_does_not_approve(
    chain: ChainWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = _rows(chain)
    asked = (rows, "approvals", "release", "candidate")
    assert set(tool.check_approvals(*asked)) == {"firm", "guardian"}
    monkeypatch.setitem(tool.ASKED, "release", {"firm"})
    del rows["approvals"][1], _release_rule(rows)["approvals"]["guardian"]
    with pytest.raises(tool.NotProvenError, match="only the author has approved"):
        tool.check_approvals(*asked)
    rows["charter"]["body"]["policy"]["separate"] = False
    assert set(tool.check_approvals(*asked)) == {"firm"}


def test_the_tool_is_small_enough_to_read() -> None:
    assert len(Path(tool.__file__).read_text().splitlines()) <= 400
