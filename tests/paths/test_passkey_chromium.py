# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The passkey page in a real Chromium: a person makes a passkey, founds, and approves with it.

Broken once to prove the tests: with a page that asks for no verification of the user, with one that
shows another text than it signs, and with a stricter policy of its content, they fail.
"""

import base64
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from paths.chromium import PROGRAM, Browser, browser
from paths.demo import Demo
from paths.test_passkeys import free_port
from paths.test_separate import MODEL, separate
from unit.two_verifiers import tool

__all__ = ["separate"]

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="no Chromium here (apt: chromium)")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as page:
        page.plug_in()
        yield page


@pytest.fixture(scope="module")
def passkey(tmp_path_factory: pytest.TempPathFactory, page: Browser) -> Path:
    """The guardian's passkey, made in the browser."""
    folder = tmp_path_factory.mktemp("passkey")
    file = folder / "guardian.passkey"
    port = str(free_port())
    process = begin(Demo(folder), page, "passkey", "guardian", "--out", str(file), "--port", port)
    assert page.text("title") == "Make a passkey"
    finish(process, page)
    return file


def begin(demo: Demo, page: Browser, *args: str) -> "subprocess.Popen[str]":
    """Start a command, and open the page that it offers as a person does."""
    process = demo.popen(*args, "--json")
    assert process.stderr is not None
    line = next(line for line in process.stderr if "Open http" in line)
    url = next(word for word in line.split() if word.startswith("http"))
    page.ask("Page.navigate", url=url)
    page.wait("document.getElementById('go')?.disabled === false")
    return process


def finish(process: "subprocess.Popen[str]", page: Browser, status: int = 0) -> Any:
    """Press the button, read that it is done, and take what the command says."""
    page.click("go")
    page.wait("document.getElementById('said').textContent.startsWith('Done.')")
    out, err = process.communicate(timeout=120)
    assert process.returncode == status, (out, err)
    return json.loads(out)


@pytest.mark.attacks("C239")
def test_an_approval_of_a_release_is_signed_in_the_browser(
    page: Browser, passkey: Path, separate: tuple[Demo, Path], tmp_path: Path
) -> None:
    demo, people = separate
    # 1. Two parties enrol the guardian's passkey, and the passkey itself.
    file = str(tmp_path / "enrol.json")
    who = ("--party", "guardian", "--holder", "the guardian's browser")
    ident = demo.json("enrol", str(passkey), *who, "--out", file)["key"]
    for party in ("firm", "operator"):
        demo.json("sign", file, "--key", str(people / f"{party}.key"))
    finish(begin(demo, page, "sign", file, "--key", str(passkey)), page)
    demo.json("enrol", "--import", file)
    # 2. On a machine without the environment the page shows what is signed, and signs that.
    request, approval = tmp_path / "request.json", tmp_path / "approval.json"
    request.write_text(demo.run("release", "request", MODEL).stdout)
    elsewhere = Demo(tmp_path / "elsewhere")
    asked = ("--request", str(request), "--keys", str(demo.home / "public" / "keys.json"))
    told = ("--key", str(passkey), "--out", str(approval), "--comment", "gelesen: ja, é")
    process = begin(elsewhere, page, "approve", *asked, *told)
    shown = json.loads(page.text("text"))
    finish(process, page)
    envelope = json.loads(approval.read_text())
    assert shown == json.loads(base64.b64decode(envelope["payload"]))
    assert shown["predicate"]["comment"] == "gelesen: ja, é"
    # 3. The ledger takes it, the release is published, and the other verifier agrees.
    assert demo.json("approve", "--import", str(approval))["party"] == "guardian"
    demo.json("approve", MODEL, "--key", str(people / "firm.key"))
    demo.json("release", "publish", MODEL)
    (row,) = [row for row in demo.json("signing-key", "ls") if row["id"] == ident]
    tool.check_envelope(envelope, tool.enrolled([json.loads(passkey.read_text())], "keys"), "here")
    assert row["state"] == "active"


@pytest.mark.attacks("C239")
def test_a_person_who_is_not_verified_signs_nothing(
    page: Browser, passkey: Path, tmp_path: Path
) -> None:
    """The same page and passkey; the device says that it does not know who holds it."""
    demo, out = Demo(tmp_path / "home"), tmp_path / "revocation.json"
    what = ("revoke", "release", "bad", "--digest", "sha256:" + "7" * 64, "--reason", "x")
    process = begin(demo, page, *what, "--key", str(passkey), "--out", str(out))
    (authenticator,) = page.authenticators
    page.ask("WebAuthn.setUserVerified", authenticatorId=authenticator, isUserVerified=False)
    try:
        page.click("go")
        said = page.wait(
            "(t => t.startsWith('Not done:') && t)(document.getElementById('said').textContent)"
        )
        assert "NotAllowed" in said or "not allowed" in said
        assert not out.exists()
        assert process.poll() is None, "the person can try again"
    finally:
        page.ask("WebAuthn.setUserVerified", authenticatorId=authenticator, isUserVerified=True)
    finish(process, page)
    assert out.exists()


@pytest.mark.attacks("C239")
def test_the_page_breaks_none_of_its_own_rules(page: Browser, tmp_path: Path) -> None:
    """Its content policy and trusted types: the browser would report what they stop."""
    args = ("passkey", "firm", "--out", str(tmp_path / "p"), "--port", str(free_port()))
    page.ask("Log.enable")
    page.heard.clear()
    process = begin(Demo(tmp_path / "home"), page, *args)
    page.evaluate("document.title")
    assert [row for row in page.heard if row["method"] == "Log.entryAdded"] == []
    # And they hold: what is put into the page from outside does not run, and nothing leaves it.
    stopped = "try { document.body.innerHTML = '<b>x</b>'; 'ran' } catch (e) { e.name }"
    assert page.evaluate(stopped) == "TypeError"
    leaving = "fetch('http://127.0.0.1:9/').then(() => 'left', (error) => error.name)"
    assert page.evaluate(leaving) == "TypeError"
    assert any("connect-src" in json.dumps(row) for row in page.heard)
    process.terminate()
    process.communicate(timeout=30)
