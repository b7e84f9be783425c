# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""People found an environment and approve with passkeys, through the page that the program serves.

The authenticator is in software (unit/authenticator.py); the page's own script is run by Node.js in
the last test. test_passkey_chromium.py has a real browser; no real device is here.
"""

import base64
import json
import re
import socket
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bastide.adapters.keys import openssh
from bastide.core.errors import NotProven
from bastide.core.evidence import PAYLOAD_TYPE
from bastide.core.party import Party
from bastide.crypto import dsse, sshsig
from paths.demo import ROOT, Demo
from paths.sdk_probes import SDKS
from unit.authenticator import Passkey, Token, private_key
from unit.two_verifiers import tool


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Person:
    """Somebody with a passkey and a browser, before one command of the program."""

    def __init__(self, demo: Demo, port: int, name: str) -> None:
        self.demo, self.port, self.name = demo, port, name
        self.holder = Passkey(name, origin=f"http://localhost:{port}")

    def start(self, *args: str) -> subprocess.Popen[str]:
        """Start a command, and wait until its page is there."""
        process = self.demo.popen(*args, "--json")
        assert process.stderr is not None
        for line in process.stderr:
            if "Open http" in line:
                break
        return process

    def end(self, process: subprocess.Popen[str], status: int = 0) -> Any:
        out, err = process.communicate(timeout=60)
        assert process.returncode == status, (out, err)
        return json.loads(out)

    def fetch(self, path: str, body: Any = None, **headers: str) -> bytes:
        """One request of the page, as a browser makes it."""
        data = None if body is None else json.dumps(body).encode()
        asked = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data)
        named = {"Host": f"localhost:{self.port}"}
        if body is not None:
            named |= {"Origin": f"http://localhost:{self.port}", "Content-Type": "application/json"}
        for name, value in {**named, **headers}.items():
            asked.add_header(name, value)
        with urllib.request.urlopen(asked, timeout=10) as answer:
            return answer.read()

    def task(self) -> Any:
        return json.loads(self.fetch("/task"))

    def make(self, path: Path, party: str) -> Any:
        process = self.start("passkey", party, "--out", str(path), "--port", str(self.port))
        self.holder.kind = "webauthn.create"
        made = self.holder.answer(_unb64(self.task()["challenge"]))
        self.holder.kind = "webauthn.get"
        public = private_key(self.name, "p256").public_key()
        der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        row = {"authenticatorData": made["authenticatorData"], "publicKey": der}
        row |= {"clientDataJSON": made["clientDataJSON"], "credential": self.holder.credential}
        self.fetch("/answer", {name: _b64(value) for name, value in row.items()})
        return self.end(process)

    def assertion(self) -> dict[str, str]:
        return json.loads(self.holder.sign(_unb64(self.task()["message"])))

    def sign(self, *args: str) -> Any:
        process = self.start(*args)
        self.fetch("/answer", self.assertion())
        return self.end(process)


@pytest.fixture
def person(tmp_path: Path) -> Person:
    return Person(Demo(tmp_path / "home"), free_port(), "guardian")


def _found(person: Person, folder: Path) -> Path:
    file = folder / "guardian.passkey"
    person.make(file, "guardian")
    person.sign("init", "--parties", "separate", "--party-key", f"guardian={file}")
    return file


def test_a_passkey_founds_and_signs(person: Person, tmp_path: Path) -> None:
    file = _found(person, tmp_path)
    home = person.demo.home
    keys = json.loads((home / "public" / "keys.json").read_text())["keys"]
    mine = next(key for key in keys if key.get("party") == "guardian")
    assert mine == json.loads(file.read_text())
    assert tool.enrolled([mine], "keys.json"), "the other verifier reads it"
    assert sorted(path.name for path in (home / "keys").glob("*.key")) == [
        "firm.key",
        "operator.key",
    ]
    # It signs on a machine without the environment; the signed file is carried over.
    elsewhere = Person(Demo(tmp_path / "elsewhere"), person.port, "guardian")
    out = tmp_path / "revocation.json"
    what = ("revoke", "release", "bad", "--digest", "sha256:" + "0" * 64, "--reason", "test")
    elsewhere.sign(*what, "--key", str(file), "--out", str(out))
    assert person.demo.json("revoke", "--import", str(out))["name"] == "bad"
    assert person.demo.json("ledger", "audit")["entries"] == 2
    damaged = json.loads(out.read_text())
    damaged["payload"] = base64.b64encode(
        base64.b64decode(damaged["payload"]).replace(b"bad", b"good")
    ).decode()
    out.write_text(json.dumps(damaged))
    assert person.demo.json("revoke", "--import", str(out), status=None)["error"] == "not-proven"


def test_what_does_not_hold_is_refused_on_the_page(person: Person, tmp_path: Path) -> None:
    file = tmp_path / "guardian.passkey"
    person.make(file, "guardian")
    process = person.start("init", "--parties", "separate", "--party-key", f"guardian={file}")
    for change, why in (
        ({"flags": 0x01}, "did not verify"),
        ({"origin": "http://localhost:1"}, "origin"),
        ({"challenge": lambda _: b"other"}, "challenge"),
    ):
        honest = {name: getattr(person.holder, name) for name in change}
        vars(person.holder).update(change)
        with pytest.raises(urllib.error.HTTPError) as refused:
            person.fetch("/answer", person.assertion())
        assert refused.value.code == 422
        assert why in refused.value.read().decode()
        vars(person.holder).update(honest)
    assert not person.demo.home.exists(), "nothing is founded before everybody has signed"
    person.fetch("/answer", person.assertion())
    person.end(process)


@pytest.mark.attacks("C122")
def test_the_page_answers_to_its_own_name_only(person: Person, tmp_path: Path) -> None:
    file = tmp_path / "p"
    process = person.start("passkey", "firm", "--out", str(file), "--port", str(person.port))
    page = person.fetch("/").decode()
    assert not re.search(r"(src|href)=\"(http|//)", page)
    for path, headers, code in (
        ("/task", {"Host": "evil.example"}, 421),
        ("/task", {"Host": f"localhost.evil.example:{person.port}"}, 421),
        ("/answer", {"Origin": "http://evil.example"}, 403),
        ("/answer", {"Content-Type": "text/plain"}, 403),
        ("/../passkey.py", {}, 404),
    ):
        with pytest.raises(urllib.error.HTTPError) as refused:
            person.fetch(path, {} if path == "/answer" else None, **headers)
        assert refused.value.code == code, path
    asked = urllib.request.Request(f"http://127.0.0.1:{person.port}/")
    asked.add_header("Host", f"localhost:{person.port}")
    with urllib.request.urlopen(asked, timeout=10) as answer:
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    for address in ("127.0.0.1", "::1"):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family) as other, pytest.raises(OSError, match="in use"):
            other.bind((address, person.port))
    process.terminate()
    process.communicate(timeout=10)
    assert not file.exists()


def test_ssh_keygen_signs_with_a_key_in_a_device(tmp_path: Path, monkeypatch) -> None:
    """A stand-in for `ssh-keygen` and the device: what it gives is what OpenSSH would give."""
    token = Token("firm")
    wire = token.public(Party.FIRM).wire
    head = b"openssh-key-v1\0" + b"".join(
        len(part).to_bytes(4) + part for part in (b"none", b"none", b"")
    )
    blob = head + (1).to_bytes(4) + len(wire).to_bytes(4) + wire
    text = base64.b64encode(blob).decode()
    key = tmp_path / "id_ed25519_sk"
    key.write_text(
        f"-----BEGIN OPENSSH PRIVATE KEY-----\n{text}\n-----END OPENSSH PRIVATE KEY-----\n"
    )
    signer = openssh.read_party_key(key, "firm", lambda _: "")
    assert signer.public == token.public(Party.FIRM)

    def stand_in(flags: int) -> None:
        armored = sshsig.armor(Token("firm", flags=flags).sign(dsse.pae(PAYLOAD_TYPE, b"{}")))
        script = tmp_path / "ssh-keygen"
        script.write_text(f"#!/bin/sh\ncat >/dev/null\ncat <<'X'\n{armored}X\n")
        script.chmod(0o755)

    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    stand_in(0x05)
    dsse.verify_envelope(dsse.sign(b"{}", [signer]), {signer.public.ident: signer.public})
    stand_in(0x01)
    with pytest.raises(NotProven, match="did not verify"):
        dsse.sign(b"{}", [signer])


@pytest.mark.attacks("C122")
def test_the_pages_own_script(tmp_path: Path) -> None:
    """Node.js runs `page.js` with its own cryptography: first it makes a passkey, then it signs."""
    demo, port, pem = Demo(tmp_path / "home"), free_port(), tmp_path / "key.pem"
    person, origin = Person(demo, port, "guardian"), f"http://localhost:{port}"
    script = ROOT / "src" / "bastide" / "adapters" / "keys" / "page" / "page.js"
    driver = Path(__file__).with_name("passkey_browser.mjs")
    file = tmp_path / "guardian.passkey"

    def browse() -> Any:
        command = [SDKS / "node" / "bin" / "node", driver, script, origin, pem]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    process = person.start("passkey", "guardian", "--out", str(file), "--port", str(port))
    assert "Done." in browse()["said"]
    person.end(process)
    out, digest = tmp_path / "revocation.json", "sha256:" + "7" * 64
    process = person.start(
        "revoke", "release", "bad é", "--digest", digest, "--reason", "x",
        "--key", str(file), "--out", str(out),
    )  # fmt: skip
    shown = browse()
    assert "Done." in shown["said"]
    person.end(process)
    envelope = json.loads(out.read_text())
    assert json.loads(shown["text"]) == json.loads(base64.b64decode(envelope["payload"]))
    key = json.loads(file.read_text())
    tool.check_envelope(envelope, tool.enrolled([key], "keys"), "here")
    # It shows a challenge, too, which shows that the key is here.
    process = person.start("init", "--parties", "separate", "--party-key", f"guardian={file}")
    assert "Done." in browse()["said"]
    person.end(process)
    (names := tmp_path / "names.txt").write_text("Anna Schmidt-Müller\n")
    made = ("guard", "erasure", "make", str(names), str(tmp_path / "list.json"))
    process = person.start(*made, "--key", str(file))
    shown = browse()
    assert "Done." in shown["said"]
    assert json.loads(shown["text"])["action"] == "erasure-list"
    person.end(process)
