# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Three people, three keys: a release waits for them, also when they sign on another machine."""

import base64
import json
from pathlib import Path

import pytest

from bastide.adapters.clock.system import SystemClock
from bastide.adapters.keys.openssh import read_party_key
from bastide.app.approvals import draft_request, read_request
from bastide.core.utc import utc_minute
from bastide.crypto.dsse import Envelope, sign
from paths.demo import Demo
from paths.furnished import MODEL, evaluated_copy


@pytest.fixture(scope="module")
def separate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Demo, Path]:
    """A home of the policy `separate` with an evaluated model, and the three people's keys."""
    demo, people = evaluated_copy(tmp_path_factory, tmp_path_factory.mktemp("separate"))
    demo.json("release", "propose", MODEL, "--key", str(people / "firm.key"))
    return demo, people


@pytest.mark.attacks("C13")
def test_init_makes_three_keys_and_keeps_none(separate: tuple[Demo, Path]) -> None:
    demo, people = separate
    assert sorted(path.name for path in people.glob("*.key")) == [
        "firm.key",
        "guardian.key",
        "operator.key",
    ]
    assert all(path.stat().st_mode & 0o077 == 0 for path in people.glob("*.key"))
    anchors = json.loads((demo.home / "public" / "keys.json").read_text())
    parties = [key["party"] for key in anchors["keys"] if "party" in key]
    assert sorted(parties) == ["firm", "guardian", "operator"]


@pytest.mark.attacks("C12")
def test_the_whole_road(separate: tuple[Demo, Path], tmp_path: Path) -> None:
    demo, people = separate

    # 1. Nothing is approved: the release waits and lists both missing parties.
    row = demo.json("release", "publish", MODEL, status=5)
    assert row["error"] == "waiting"
    assert any("firm" in reason for reason in row["reasons"])
    assert any("guardian" in reason for reason in row["reasons"])

    # 2. The author alone does not open it, and counts once however often he approves.
    demo.json("approve", MODEL, "--key", str(people / "firm.key"))
    before = demo.json("ledger", "audit")["entries"]
    demo.json("approve", MODEL, "--key", str(people / "firm.key"))
    assert demo.json("ledger", "audit")["entries"] == before, "approving twice is one approval"
    row = demo.json("release", "publish", MODEL, status=5)
    assert row["reasons"] == [
        "approvals: 0 of 1 approvals by the guardian",
        "approvals: only the author has approved",
    ]

    # 3. The guardian decides on a machine without the environment.
    request, approval = tmp_path / "request.json", tmp_path / "approval.json"
    request.write_text(demo.run("release", "request", MODEL).stdout)
    elsewhere = Demo(tmp_path / "elsewhere")
    anchors = ("--keys", str(demo.home / "public" / "keys.json"))
    shown = elsewhere.run("approve", "--request", str(request), *anchors)
    assert MODEL in shown.stderr
    assert "Apache-2.0" in shown.stderr
    assert "template" in shown.stderr
    key = ("--key", str(people / "guardian.key"))
    elsewhere.run(
        "approve", "--request", str(request), *anchors, *key, "--days", "3", "--out", str(approval)
    )
    assert not elsewhere.home.exists()

    # 4. A damaged approval is refused; the true one is recorded.
    damaged = tmp_path / "damaged.json"
    damaged.write_text(approval.read_text().replace('"sig": "', '"sig": "AAAA', 1))
    assert demo.json("approve", "--import", str(damaged), status=None)["error"] in (
        "not-proven",
        "misconfigured",
    )
    taken = demo.json("approve", "--import", str(approval))
    body = json.loads(base64.b64decode(json.loads(approval.read_text())["payload"]))["predicate"]
    assert (taken["party"], taken["ends_ms"]) == ("guardian", body["expires_ms"])
    assert body["expires_ms"] - body["time_ms"] == 3 * 86_400_000
    assert f"  until {utc_minute(taken['ends_ms'])}" in demo.run("release", "show", MODEL).stdout
    demo.json("release", "publish", MODEL)

    # 5. The operator's duty: deploying waits for the operator's key, and for no other's.
    assert demo.json("deploy", MODEL, status=5)["error"] == "waiting"
    assert demo.json("deploy", MODEL, *key, status=4)["error"] == "not-allowed"
    demo.json("deploy", MODEL, "--key", str(people / "operator.key"))
    rows = demo.json("ledger", "ls", "--kind", "approval/v1")
    assert [row["signers"] for row in rows] == [["firm"], ["guardian"], ["operator"]]


@pytest.mark.attacks("C14")
def test_a_tampered_request_is_not_signed(separate: tuple[Demo, Path], tmp_path: Path) -> None:
    demo, people = separate
    request = json.loads(demo.run("release", "request", MODEL).stdout)
    request["digest"] = "sha256:" + "0" * 64
    file = tmp_path / "request.json"
    file.write_text(json.dumps(request))
    key = ("--key", str(people / "guardian.key"))
    row = demo.json("approve", "--request", str(file), *key, status=6)
    assert row["error"] == "not-proven"


@pytest.mark.attacks("C14")
def test_a_stranger_s_key_is_refused(separate: tuple[Demo, Path], tmp_path: Path) -> None:
    demo, _ = separate
    other = Demo(tmp_path / "other")
    keys = other.json("init", "--parties", "separate")["key_files"]
    stranger = next(path for path in keys if path.endswith("guardian.key"))
    row = demo.json("approve", MODEL, "--key", stranger, status=4)
    assert "no party's key" in row["message"]
    # Nor is what the stranger signed elsewhere, under his own name or under the operator's.
    draft = _signed_by_nobody(demo)
    signer = read_party_key(Path(stranger), None, lambda _: "")
    signed = sign(draft.payload, [signer])
    operator = _key_of(demo, "operator")
    renamed = Envelope(signed.payload, ((operator, signed.signatures[0][1]),))
    before = demo.json("ledger", "audit")["entries"]
    for envelope in (signed, renamed):
        file = tmp_path / "approval.json"
        file.write_text(json.dumps(envelope.to_json()))
        row = demo.json("approve", "--import", str(file), status=6)
        assert row["error"] == "not-proven", row
    assert demo.json("ledger", "audit")["entries"] == before


def _key_of(demo: Demo, party: str) -> str:
    anchors = json.loads((demo.home / "public" / "keys.json").read_text())
    return next(key["id"] for key in anchors["keys"] if key.get("party") == party)


def _signed_by_nobody(demo: Demo) -> Envelope:
    """The operator's approval of the model, as the operator would sign it."""
    anchors = json.loads((demo.home / "public" / "keys.json").read_text())
    summary = read_request(demo.run("release", "request", MODEL).stdout, anchors)
    return draft_request(summary, _key_of(demo, "operator"), "", SystemClock())


@pytest.mark.attacks("C26")
def test_without_the_passphrase_nothing_opens(tmp_path: Path) -> None:
    secret = tmp_path / "passphrase"
    secret.write_text("correct horse battery staple\n")
    demo = Demo(tmp_path / "home")
    demo.json("init", "--passphrase-file", str(secret))
    assert not (demo.home / "unlock").exists()
    row = demo.json("model", "ls", status=4)
    assert "--passphrase-file" in row["fix"]
    wrong = tmp_path / "wrong"
    wrong.write_text("incorrect horse\n")
    assert demo.json("model", "ls", "--passphrase-file", str(wrong), status=4)
    assert demo.json("model", "ls", "--passphrase-file", str(secret)) == []
    assert demo.json("model", "ls", "--passphrase-file", "-", stdin=secret.read_text()) == []
