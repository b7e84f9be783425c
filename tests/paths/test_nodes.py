# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Attested nodes, from the first measurement to an answer and to a stop: real services, a real
model, and a TPM emulator that speaks for the machine.

To see these tests fail I once broke the code: with `_revoked_nodes` left out the stream ran to its
end and the deployment stayed in service.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from bastide.app.children import UNCACHED
from bastide.app.config import Home
from bastide.app.environment import open_environment, read_passphrase
from bastide.app.first_run import embedded_model
from bastide.app.founding import free_address
from bastide.app.models import add_model
from bastide.app.services import running_pid
from bastide.stages.admit import Claim
from paths.demo import ROOT, Demo
from paths.furnished import move_addresses
from paths.loading_rig import state_scores
from paths.swtpm_rig import SoftTpm, needs_swtpm
from paths.test_revoking import Stream, stated_s

pytestmark = needs_swtpm
PATIENCE_S = 60
BUILT_IN = Claim("smollm2-135m-instruct", "a package", "Apache-2.0")


@dataclass
class Machine:
    """A home, its TPM, and what the first `up` printed."""

    demo: Demo
    tpm: SoftTpm
    values: Path
    up: dict[str, Any] = field(default_factory=dict)

    def loads(self) -> list[dict[str, Any]]:
        """What its runners loaded, by their own words."""
        logs = (self.demo.home / "log").glob("runner-*.log")
        lines = [line for path in logs for line in path.read_text().splitlines()]
        return [json.loads(line) for line in lines if '"loaded"' in line]


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    folder = tmp_path_factory.mktemp("nodes")
    demo, tpm = Demo(folder / "home"), SoftTpm()
    try:
        demo.run("init", "--attested", "--listen", free_address(0))
        _admit(demo)
        yield Machine(demo, tpm, folder / "machines.json")
    finally:
        demo.run("down", status=None)
        tpm.remove()


def _admit(demo: Demo) -> None:
    """Admit the built-in model, and state its scores, which would take a while to compute."""
    with open_environment(Home(demo.home), read_passphrase(Home(demo.home))) as env:
        state_scores(env, add_model(env, embedded_model(), BUILT_IN, None))


def test_1_without_the_guardian_no_machine_joins(machine: Machine) -> None:
    refused = machine.demo.run("node", "join", "--tpm", machine.tpm.tcti, status=3)
    assert "the guardian has signed no reference values" in refused.stderr
    # The policy asks for attested nodes: nothing is deployed either.
    refused = machine.demo.run("up", status=3)
    assert "attested-node: the guardian has signed no reference values for nodes" in refused.stderr
    assert 'attestation = ""' in (machine.demo.home / "config.toml").read_text()


def test_2_a_machine_is_measured_allowed_and_joins(machine: Machine) -> None:
    demo, values = machine.demo, machine.values
    measured = demo.json("node", "measure", "--tpm", machine.tpm.tcti, "--out", str(values))
    assert json.loads(values.read_text()) == measured
    demo.json("node", "reference", str(values))
    assert [row["name"] for row in demo.json("node", "reference")] == ["machines"]
    joined = demo.json("node", "join", "--tpm", machine.tpm.tcti)
    assert joined["what"].startswith("software TPM")
    assert any("may say anything" in row for row in joined["unchecked"])
    assert "confidential" not in json.dumps(joined)
    assert demo.json("node", "ls") == [], "trying is not serving"
    # Its runner proves itself when it starts, and opens the weights with a key of its own.
    move_addresses(demo.home)
    machine.up = demo.json("up")
    (node,) = demo.json("node", "ls")
    assert node["identity"] == measured["identities"][0]
    assert demo.json("node", "show", node["node"])["in_force"] is True
    assert machine.loads()[-1]["attestation"] == node["statement"]
    answer = demo.json("chat", "What is a bastide?", "--max-tokens", "8")
    assert answer["answer"]
    # It runs the sources that it measured, and no compiled cache beside them.
    family = psutil.Process(running_pid(Home(demo.home))).children(recursive=True)
    (runner,) = (row for row in family if "bastide.app.runner_main" in row.cmdline())
    assert set(UNCACHED) <= set(runner.cmdline())
    # Its receipt names the node, and both verifiers say what that proves and what it does not.
    bundle = demo.json("receipt", "export", answer["receipt"])
    assert bundle["receipt"]["attestations"] == [node["statement"]]
    path = machine.values.with_name("receipt.json")
    path.write_text(json.dumps(bundle))
    anchors = str(demo.home / "public" / "keys.json")
    shown = demo.run("verify", str(path), "--keys", anchors).stdout
    assert "software TPM, or one whose maker nobody checked, allowed by machines" in shown
    assert "not checked: who made the TPM" in shown
    tool = [sys.executable, str(ROOT / "tools" / "verify_receipt.py"), str(path)]
    told = subprocess.run([*tool, "--keys", anchors], capture_output=True, text=True, check=True)
    assert "not checked: who made the TPM" in told.stdout
    demo.run("ledger", "audit")


def test_3_only_control_opens_what_is_stored(machine: Machine) -> None:
    rows = machine.demo.json("store", "openings", "--limit", "50")
    weights = [row["process"] for row in rows if row["object"].startswith("models/")]
    bundle = [row["process"] for row in rows if row["object"].startswith("releases/")]
    # Both at once, by the process that has the ledger's keys: the runner has asked for headers.
    assert weights[-1] == bundle[-1]
    log = (machine.demo.home / "log" / "control.log").read_text()
    assert log.count('"ready"') == 1


def test_4_what_else_was_measured_locks_the_machine_until_it_boots(machine: Machine) -> None:
    demo, tpm = machine.demo, machine.tpm
    assert tpm.tool("pcrreset", "14").returncode != 0, "no software resets it"
    tpm.tool("pcrextend", f"14:sha256={'9' * 64}")
    refused = demo.run("node", "join", "--tpm", tpm.tcti, status=3)
    assert "register 14 holds measurements that" in refused.stderr
    tpm.boot()
    demo.json("node", "join", "--tpm", tpm.tcti)


@pytest.mark.attacks("C154")
def test_5_a_revoked_node_ends_with_its_streams(machine: Machine) -> None:
    demo, up = machine.demo, machine.up
    (node,) = demo.json("node", "ls")
    stream = Stream().start(up["gateway_url"], up["key"], up["model"])
    row = demo.json("revoke", "node", node["node"], "--reason", "stolen at night")
    stream.verify_cut(stated_s(demo, "revocation/v1"), "deployment was revoked")
    assert row["what"] == "node"
    (reasons,) = demo.json("status")["stopped"].values()
    assert any("stolen at night" in reason for reason in reasons)
    deadline = time.monotonic() + PATIENCE_S
    while list((demo.home / "run").glob("runner-*.sock")):
        assert time.monotonic() < deadline, "the runner goes on"
        time.sleep(0.05)
    assert demo.json("node", "ls") == []
    # The machine does not come back, however often it is measured anew.
    refused = demo.run("node", "join", "--tpm", machine.tpm.tcti, status=3)
    assert "was revoked in entry" in refused.stderr
