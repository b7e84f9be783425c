# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A key in an HSM is enrolled by two parties and itself, and then approves a real release offline.

What stands in for the HSM is openssl with a key file: it gets the bytes and gives DER, as
`pkcs11-tool --sign -m ECDSA-SHA256 -f openssl` does.
"""

import base64
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from paths.demo import ARGV, Demo, environment
from paths.test_separate import MODEL, separate
from unit.two_verifiers import tool

__all__ = ["separate"]

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


def _openssl(*args: object) -> None:
    subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True)


def _sign_in_hsm(demo: Demo, file: Path, private: Path, ident: str) -> None:
    """Three commands of a person with an HSM."""
    bytes_, signature = file.with_suffix(".bin"), file.with_suffix(".sig")
    shown = subprocess.run(
        [*ARGV, "sign", str(file), "--bytes"], capture_output=True, check=True, env=environment()
    )
    bytes_.write_bytes(shown.stdout)
    _openssl("dgst", "-sha256", "-sign", private, "-out", signature, bytes_)
    demo.json("sign", str(file), "--signature", str(signature), "--signer", ident)


def test_a_key_in_an_hsm_approves(separate: tuple[Demo, Path], tmp_path: Path) -> None:
    demo, people = separate
    private, public = tmp_path / "hsm.pem", tmp_path / "hsm.pub"
    _openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", private)
    _openssl("ec", "-in", private, "-pubout", "-out", public)
    file = tmp_path / "enrol.json"
    who = ("--party", "guardian", "--holder", "HSM of the guardian")
    ident = demo.json("enrol", str(public), *who, "--out", str(file))["key"]

    # One party and the new key are not enough, whatever the order; two are.
    assert demo.json("enrol", "--import", str(file), status=5)["error"] == "waiting"
    _sign_in_hsm(demo, file, private, ident)
    demo.json("sign", str(file), "--key", str(people / "firm.key"))
    assert "takes 2 parties" in demo.json("enrol", "--import", str(file), status=5)["message"]
    demo.json("sign", str(file), "--key", str(people / "operator.key"))
    twice = demo.json("sign", str(file), "--key", str(people / "operator.key"), status=None)
    assert "signed this already" in twice["message"]
    demo.json("enrol", "--import", str(file))
    keys = demo.json("signing-key", "ls")
    assert any(row["id"] == ident and row["scheme"] == "ecdsa-p256" for row in keys)

    # It decides on a request on a machine without the environment.
    request, approval = tmp_path / "request.json", tmp_path / "approval.json"
    request.write_text(demo.run("release", "request", MODEL).stdout)
    elsewhere = Demo(tmp_path / "elsewhere")
    anchors = ("--keys", str(demo.home / "public" / "keys.json"))
    asked = ("approve", "--request", str(request), *anchors, "--signer", ident)
    elsewhere.run(*asked, "--out", str(approval))
    refused = demo.json("approve", "--import", str(approval), status=None)
    assert refused["error"] == "not-proven", "nobody has signed it yet"
    _sign_in_hsm(elsewhere, approval, private, ident)
    assert demo.json("approve", "--import", str(approval))["party"] == "guardian"
    demo.json("approve", MODEL, "--key", str(people / "firm.key"))
    demo.json("release", "publish", MODEL)
    demo.json("ledger", "audit")

    # The other verifier reads the key and the signature.
    envelope = json.loads(approval.read_text())
    row = next(row for row in keys if row["id"] == ident)
    public_row = {name: row[name] for name in ("id", "public", "purpose", "scheme", "party")}
    tool.check_envelope(envelope, tool.enrolled([public_row], "keys"), "here")

    # Altered after it was signed: refused by a ledger that does not know it yet.
    payload = base64.b64decode(envelope["payload"]).replace(b'"comment":""', b'"comment":"x"')
    approval.write_text(json.dumps({**envelope, "payload": base64.b64encode(payload).decode()}))
    with pytest.raises(tool.NotProvenError, match="does not hold"):
        tool.check_envelope(json.loads(approval.read_text()), tool.enrolled([public_row], "k"), "")
    assert demo.json("approve", "--import", str(approval), status=3)["error"] == "refused"


@pytest.mark.attacks("C123")
def test_a_request_with_a_key_that_nobody_enrolled(
    separate: tuple[Demo, Path], tmp_path: Path
) -> None:
    """An operator slips an enrolment of its own into a request: its quorum is checked offline."""
    demo, people = separate
    file = tmp_path / "enrol.json"
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "mine")], check=True
    )
    who = ("--party", "guardian", "--holder", "x")
    demo.json("enrol", str(tmp_path / "mine.pub"), *who, "--out", str(file))
    demo.json("sign", str(file), "--key", str(tmp_path / "mine"))
    demo.json("sign", str(file), "--key", str(people / "operator.key"))
    request = json.loads(demo.run("release", "request", MODEL).stdout)
    last = max((row["entry"] for row in request["keys"]), default=0)
    request["keys"].append({"entry": last + 1, "envelope": json.loads(file.read_text())})
    forged = tmp_path / "request.json"
    forged.write_text(json.dumps(request))
    elsewhere = Demo(tmp_path / "elsewhere")
    row = elsewhere.json("approve", "--request", str(forged), status=None)
    assert "takes 2 parties" in row["message"]
