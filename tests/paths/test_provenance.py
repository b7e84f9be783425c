# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""SLSA provenance is checked offline by code that is not ours, and by a small verifier."""

import base64
import hashlib
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from google.protobuf import json_format
from in_toto_attestation.predicates.provenance.v1.provenance_pb2 import Provenance
from in_toto_attestation.v1.statement import Statement
from in_toto_attestation.v1.statement_pb2 import Statement as StatementPb
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey

from bastide.app import provenance
from bastide.app.approvals import approve_here
from bastide.app.corpus_build import build_dataset
from bastide.app.dataset_releases import approval_of, publish_dataset
from bastide.app.provenance import export_provenance
from bastide.core.errors import NotFound
from bastide.core.evidence import KINDS
from bastide.ledger.bundle import export_anchors
from paths.corpus_rig import PERSONAL_DATA, found_home, seeded, write_corpus
from paths.demo import Demo
from paths.loading_rig import Served
from unit.model_files import make_gguf

PREFIX = "https://bastide.eu/build/"


def evidence_key(anchors: dict[str, Any]) -> tuple[str, bytes]:
    (row,) = [row for row in anchors["keys"] if row["purpose"] == "evidence"]
    return row["id"], base64.b64decode(row["public"])


def check(line: str, keyid: str, key: bytes) -> dict[str, Any]:
    """The verifier: DSSE v1 over Ed25519, then the required fields of SLSA provenance v1."""
    envelope = json.loads(line)
    payload = base64.b64decode(envelope["payload"], validate=True)
    kind = envelope["payloadType"]
    assert kind == "application/vnd.in-toto+json"
    (signature,) = envelope["signatures"]
    assert signature["keyid"] == keyid
    message = f"DSSEv1 {len(kind)} {kind} {len(payload)} ".encode() + payload
    Ed25519PublicKey.from_public_bytes(key).verify(base64.b64decode(signature["sig"]), message)
    statement = json.loads(payload)
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    definition = statement["predicate"]["buildDefinition"]
    assert definition["buildType"].startswith(PREFIX)
    assert isinstance(definition["externalParameters"], dict)
    assert statement["predicate"]["runDetails"]["builder"]["id"].startswith("https://")
    for row in [*statement["subject"], *definition["resolvedDependencies"]]:
        assert len(bytes.fromhex(row["digest"]["sha256"])) == 32
    return statement


def stages(statements: Sequence[dict[str, Any]]) -> list[str]:
    types = [row["predicate"]["buildDefinition"]["buildType"] for row in statements]
    return [kind.removeprefix(PREFIX).removesuffix("/v1") for kind in types]


def lines_of(served: Served, name: str) -> list[str]:
    return [row.encode().decode() for row in export_provenance(served.env, name)]


def test_a_release_is_followed_back_to_the_bytes_of_its_file(broken: Served) -> None:
    keyid, key = evidence_key(export_anchors(broken.env.ledger))
    found = [check(line, keyid, key) for line in lines_of(broken, "tiny")]
    assert stages(found) == ["admit", "evaluate", "release"]
    admitted, evaluated, released = found
    made = {row["name"]: row["digest"]["sha256"] for row in admitted["subject"]}
    assert made["tiny.gguf"] == hashlib.sha256(make_gguf().encode()).hexdigest()
    used = {
        row["name"]: row["digest"]["sha256"]
        for row in released["predicate"]["buildDefinition"]["resolvedDependencies"]
    }
    assert used["model tiny"] == made["tiny"]
    for row, kind in ((admitted, "admission"), (evaluated, "evaluation")):
        invocation = row["predicate"]["runDetails"]["metadata"]["invocationId"]
        assert invocation == f"sha256:{used[f'statement {kind}/v1']}"
    assert used["statement approval/v1"]


def test_the_invocation_is_the_statement_that_the_ledger_proves(broken: Served) -> None:
    keyid, key = evidence_key(export_anchors(broken.env.ledger))
    for line in lines_of(broken, "tiny"):
        metadata = check(line, keyid, key)["predicate"]["runDetails"]["metadata"]
        entries = {str(row.digest) for row in broken.env.ledger.entries()}
        assert metadata["invocationId"] in entries


def test_securesystemslib_accepts_every_envelope(broken: Served) -> None:
    keyid, key = evidence_key(export_anchors(broken.env.ledger))
    stock = SSlibKey(keyid, "ed25519", "ed25519", {"public": key.hex()})
    other = SSlibKey(keyid, "ed25519", "ed25519", {"public": bytes(32).hex()})
    for line in lines_of(broken, "tiny"):
        Envelope.from_dict(json.loads(line)).verify([stock], 1)
        with pytest.raises(VerificationError):
            Envelope.from_dict(json.loads(line)).verify([other], 1)


def test_the_classes_of_in_toto_read_statement_and_predicate(broken: Served) -> None:
    for line in lines_of(broken, "tiny"):
        payload = base64.b64decode(json.loads(line)["payload"])
        parsed = json_format.Parse(payload, StatementPb())
        Statement.copy_from_pb(parsed).validate()
        predicate = json.dumps(json.loads(payload)["predicate"])
        assert json_format.Parse(predicate, Provenance()).run_details.builder.id


def _flip(line: str) -> str:
    envelope = json.loads(line)
    payload = bytearray(base64.b64decode(envelope["payload"]))
    payload[len(payload) // 2] ^= 1
    return json.dumps({**envelope, "payload": base64.b64encode(payload).decode()})


def _type(line: str) -> str:
    return line.replace("application/vnd.in-toto+json", "application/vnd.in-toto+jsom")


@pytest.mark.attacks("C134")
@pytest.mark.parametrize("harm", [_flip, _type])
def test_a_changed_envelope_is_refused(broken: Served, harm: Callable[[str], str]) -> None:
    keyid, key = evidence_key(export_anchors(broken.env.ledger))
    for line in lines_of(broken, "tiny"):
        check(line, keyid, key)
        with pytest.raises((InvalidSignature, AssertionError)):
            check(harm(line), keyid, key)


def test_a_dataset_and_its_release_have_theirs(tmp_path: Path) -> None:
    with seeded(found_home(tmp_path)) as env:
        steps = f'{PERSONAL_DATA}\n[[steps]]\nstep = "decontaminate"'
        dataset = build_dataset(env, write_corpus(tmp_path / "corpus", personal_data=steps), 1)
        approve_here(env, approval_of(env, "tiny", ""), env.party_signers())
        released = publish_dataset(env, "tiny")
        keyid, key = evidence_key(export_anchors(env.ledger))
        by_name = export_provenance(env, "tiny")
        by_digest = export_provenance(env, str(released.subject.digest))
    assert by_digest == by_name
    built, given = [check(row.encode().decode(), keyid, key) for row in by_name]
    assert stages([built, given]) == ["corpus", "dataset-release"]
    assert built["subject"][0]["digest"]["sha256"] == dataset.subject.digest.hex
    parameters = built["predicate"]["buildDefinition"]["externalParameters"]
    assert parameters["sources"][0]["licence"] == "CC0-1.0"


def test_the_same_ledger_gives_the_same_bytes(broken: Served) -> None:
    first = lines_of(broken, "tiny")
    broken.env.ledger.rebuild()
    assert lines_of(broken, "tiny") == first


def test_the_command_writes_one_envelope_a_line(broken: Served, tmp_path: Path) -> None:
    demo, file = Demo(broken.env.home.root), tmp_path / "tiny.intoto.jsonl"
    assert demo.json("provenance", "tiny", "--to", str(file))["statements"] == 3
    assert file.read_text().splitlines() == lines_of(broken, "tiny")
    model = str(broken.env.ledger.find("admission/v1")[0].subject.digest)
    assert len(demo.json("provenance", model)) == 1


def test_what_nothing_made_is_said_so(broken: Served) -> None:
    with pytest.raises(NotFound, match="is called"):
        export_provenance(broken.env, "nobody")


# Everything else that the ledger records: decisions, keys, people and machines, what is counted,
# what ends, and a training, which was done elsewhere. None makes an object.
MAKES_NOTHING = {
    "charter", "key-enrolment", "key-state", "party-revocation", "store-key", "store-key-shred",
    "store-key-move", "ceremony", "quorum", "witness", "access-policy", "people", "login",
    "break-glass", "incident", "incident-end", "tenant", "project", "api-key", "api-key-expiry",
    "api-key-revocation", "price", "budget", "alias", "guard", "erasure", "candidate", "approval",
    "revocation", "deployment", "deployment-end", "release-push", "refusal", "machine",
    "machine-key", "machine-end", "node-reference", "node", "load", "share", "share-minute",
    "receipts", "pseudonym-key-end", "training", "denial", "denial-end",
}  # fmt: skip


def test_every_kind_that_makes_an_object_has_one_and_is_in_the_docs() -> None:
    """A new kind fails here until it is said whether it makes something.

    Each of the rows of `_STAGES` was left out once to see this fail, and one of the docs.
    """
    kinds = set(KINDS)
    made = {kind for kind in kinds if kind.rpartition("/")[0] not in MAKES_NOTHING}
    assert made == set(provenance._STAGES)
    text = (Path(__file__).parents[2] / "docs" / "reference" / "supply-chain.md").read_text()
    told = set(re.findall(r"^\| [a-z ]+ \| `([a-z-]+)/v1` \|", text, re.MULTILINE))
    assert told == {stage for stage, _ in provenance._STAGES.values()}
