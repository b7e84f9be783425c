# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A revoked party reaches what runs: a real stream over a real model ends, and nothing serves.

Broken once to prove the test: without `party-revocation/v1` in `KEY_KINDS` the stream goes on.
"""

from pathlib import Path

import httpx
import pytest

from bastide.app.config import Home
from bastide.app.environment import open_environment, read_passphrase
from bastide.core.party import Party
from paths.demo import Demo, found_apart
from paths.furnished import running_copy
from paths.test_access_policies import signer
from paths.test_revoking import Stream, stated_s


@pytest.mark.attacks("C274")
def test_a_revoked_party_ends_what_rests_on_its_approvals(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with running_copy(tmp_path_factory, "party") as (made, up):
        stream = Stream().start(up["gateway_url"], up["key"], up["model"])
        row = made.json("revoke", "party", "firm", "--reason", "its cabinet was opened")
        stream.verify_cut(stated_s(made, "party-revocation/v1"), "deployment was revoked")
        assert len(row["keys"]) == 1
        (reasons,) = made.json("status")["stopped"].values()
        assert any("approvals by the firm" in reason for reason in reasons), reasons
        # To deploy it again brings nothing back: its release rests on no approval that counts.
        made.run("deploy", up["model"], status=None)
        body = {"model": up["model"], "messages": [{"role": "user", "content": "?"}]}
        head = {"Authorization": f"Bearer {up['key']}"}
        answer = httpx.post(f"{up['gateway_url']}/v1/chat/completions", json=body, headers=head)
        assert answer.status_code == 404
        told = made.json("revoke", "party", "firm", "--reason", "again", status=3)
        assert "stopped already" in told["message"]
        made.json("ledger", "audit")


def test_the_statement_travels_and_its_party_is_nobody_then(tmp_path: Path) -> None:
    (demo, people), file = found_apart(tmp_path), tmp_path / "stop.json"
    demo.json("revoke", "party", "firm", "--reason", "a test", "--out", str(file))
    told = demo.json("revoke", "--import", str(file), status=5)
    assert told["reasons"] == ["a signature of: firm, guardian"]
    elsewhere = Demo(tmp_path / "elsewhere")
    elsewhere.json("sign", str(file), "--key", str(people / "guardian.key"))
    assert demo.json("revoke", "--import", str(file))["name"] == "firm"
    home = Home(demo.home)
    with open_environment(home, read_passphrase(home), signer(people, Party.FIRM)) as env:
        assert env.claim is None, "its key claims nothing any more"
    assert demo.json("ledger", "audit")["entries"] == 2
