# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""`bastide signing-key`: three people on machines of their own change the keys that sign.

To see these tests fail I once broke the code: with
`merge` keeping only the last file's signatures, and with `_follow` erasing nothing, they failed.
"""

import base64
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from bastide.app.config import Home
from bastide.app.environment import open_environment, read_passphrase
from bastide.core.key import Purpose
from paths.demo import Demo


@pytest.fixture
def people(tmp_path: Path) -> tuple[Demo, dict[str, Path]]:
    """A home of the policy `separate`, and the three people's keys elsewhere."""
    demo = Demo(tmp_path / "home")
    made = demo.json("init", "--parties", "separate")
    keys = {}
    for file in map(Path, made["key_files"]):
        keys[file.stem] = file.rename(tmp_path / file.name)
    return demo, keys


def ident_of(demo: Demo, party: str) -> str:
    rows = demo.json("signing-key", "ls")
    return next(row["id"] for row in rows if party in (row["party"], row["purpose"]))


def test_the_road_of_a_new_key(people: tuple[Demo, dict[str, Path]], tmp_path: Path) -> None:
    demo, keys = people
    if not shutil.which("ssh-keygen"):
        pytest.skip("needs OpenSSH")
    new, request = tmp_path / "new", tmp_path / "request.json"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", new], check=True)
    old = ident_of(demo, "guardian")
    asked = (f"{new}.pub", "--party", "guardian", "--holder", "data protection office")
    asked += ("--replaces", old, "--reason", "a new laptop", "--out", str(request))
    demo.json("enrol", *asked)

    # 1. Nobody has signed: it says who is missing, and changes nothing.
    before = demo.json("ledger", "audit")["entries"]
    row = demo.json("signing-key", "import", str(request), status=5)
    assert row["reasons"] == ["signatures of 2 of: firm, operator, guardian"]

    # 2. Each signs on a machine without the environment, and sees what it is.
    elsewhere, files = Demo(tmp_path / "elsewhere"), []
    for name, key in (("firm", keys["firm"]), ("guardian", keys["guardian"]), ("new", new)):
        signed = tmp_path / f"{name}.json"
        shutil.copy(request, signed)
        shown = elsewhere.run("sign", str(signed), "--key", str(key))
        assert "data protection office" in shown.stderr
        assert old in shown.stderr
        files.append(str(signed))
    assert not elsewhere.home.exists()

    # 3. What is missing is named until nothing is.
    row = demo.json("signing-key", "import", files[0], status=5)
    assert row["reasons"] == ["signatures of 1 of: operator, guardian"]
    row = demo.json("signing-key", "import", *files[:2], status=5)
    assert row["reasons"][0].startswith("the signature of SHA256:")
    row = demo.json("signing-key", "import", files[0], files[2], status=5)
    assert row["reasons"] == ["signatures of 1 of: operator, guardian"]
    assert demo.json("ledger", "audit")["entries"] == before
    done = demo.json("signing-key", "import", *files)
    assert (done["replaces"], done["entry"]) == (old, before)
    assert ident_of(demo, "guardian") == done["key"]

    # 4. Not twice, and not by the old key.
    demo.run("signing-key", "import", *files, status=6)
    target = ident_of(demo, "release")
    stop = ("signing-key", "revoke", target, "--state", "suspended", "--reason", "test")
    demo.run(*stop, "--key", str(keys["guardian"]), status=4)
    demo.run(*stop, "--key", str(new))


def test_a_service_key_is_rotated_by_people(
    people: tuple[Demo, dict[str, Path]], tmp_path: Path
) -> None:
    demo, keys = people
    request = tmp_path / "request.json"
    row = demo.json("signing-key", "rotate", "ledger", "--reason", "a year", status=5)
    assert row["reasons"] == ["signatures of 2 of: firm, operator, guardian"]
    (one,) = demo.json("signing-key", "rotate", "ledger", "--reason", "a", "--out", str(request))[
        "signers"
    ]
    by = ("--key", str(keys["operator"]), "--key", str(keys["guardian"]))
    again = demo.json("signing-key", "rotate", "ledger", "--reason", "a year", *by)
    assert again["key"] == one, "the key that waits is taken, no other is made"
    demo.run("tenant", "add", "acme")
    demo.run("ledger", "audit")
    # The request from before is of a key that is enrolled now.
    demo.run("sign", str(request), "--key", str(keys["firm"]))
    demo.run("signing-key", "import", str(request), status=3)


def test_stopped_active_and_destroyed(people: tuple[Demo, dict[str, Path]], tmp_path: Path) -> None:
    demo, keys = people
    old = ident_of(demo, "evidence")
    two = ("--key", str(keys["firm"]), "--key", str(keys["guardian"]))
    suspend = ("signing-key", "revoke", old, "--state", "suspended", "--reason", "lost")
    demo.run(*suspend, "--key", str(keys["firm"]), status=5)
    demo.run(*suspend, "--key", str(keys["guardian"]))
    assert demo.json("tenant", "add", "acme", status=1)["fix"].startswith("`bastide signing-key")
    activate = ("signing-key", "activate", old, "--reason", "found")
    demo.run(*activate, *two[:2], status=5)
    demo.run(*activate, *two)
    demo.run("tenant", "add", "acme")
    demo.run("signing-key", "rotate", "evidence", "--reason", "a year", *two)
    home = Home(demo.home)
    with open_environment(home, read_passphrase(home)) as env:
        assert len(env.keyring.signers(Purpose.EVIDENCE)) == 2
    demo.run("signing-key", "destroy", old, "--reason", "the end", *two)
    with open_environment(home, read_passphrase(home)) as env:
        (left,) = env.keyring.signers(Purpose.EVIDENCE)
        assert left.public.ident == ident_of(demo, "evidence") != old
    states = {row["id"]: row["state"] for row in demo.json("signing-key", "ls", "--all")}
    assert states[old] == "destroyed"
    assert old not in {row["id"] for row in demo.json("signing-key", "ls")}
    demo.run("tenant", "add", "beta")
    demo.run("ledger", "audit")


def test_what_is_no_request_is_refused(
    people: tuple[Demo, dict[str, Path]], tmp_path: Path
) -> None:
    demo, _ = people
    charter = demo.json("ledger", "show", "0")["statement"]
    payload = json.dumps(charter).encode()
    file = tmp_path / "file.json"
    hostile = [
        "[]",
        "{",
        json.dumps({"payload": "", "payloadType": "x", "signatures": []}),
        json.dumps(
            {
                "payload": base64.b64encode(payload).decode(),
                "payloadType": "application/vnd.in-toto+json",
                "signatures": [],
            }
        ),
    ]
    for text in hostile:
        file.write_text(text)
        demo.run("signing-key", "import", str(file), status=2)
