# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""`bastide machine ...`: other machines than control's, on which runners serve."""

import asyncio
import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from bastide.cli.command import Call, parameters, read_file

__all__ = ["machine"]


@click.group()
def machine() -> None:
    """Serve on other machines: invite, join, run, list, remove."""


@parameters(
    "add",
    "bastide machine add b --out b.invitation",
    click.argument("name"),
    click.option("--out", metavar="FILE", required=True, help="Write the invitation here."),
    click.option("--address", metavar="HOST:PORT", help="Control's, as that machine sees it."),
)
def add(call: Call, name: str, out: str, address: str | None) -> None:
    """Invite a machine. Carry the file there: it is secret, good once, and for an hour.

    Control must listen for machines: control_listen in config.toml.
    """
    from bastide.app.machines import invite_machine
    from bastide.app.wiring import write_secret

    def keep(invitation: Mapping[str, Any]) -> None:
        write_secret(Path(out), json.dumps(invitation, indent=2).encode() + b"\n")

    with call.environment() as env:
        invitation = invite_machine(env, name, address, keep)
    shown = {key: invitation[key] for key in ("machine", "control", "expires_ms")}
    text = f"invited: {out}  (on that machine: bastide machine join {out} --runners HOST:PORTS)"
    call.show({**shown, "file": out}, text)


@parameters(
    "join",
    "bastide machine join b.invitation --runners 10.0.0.2:8490-8499 --tpm device:/dev/tpmrm0",
    click.argument("file"),
    click.option(
        "--runners", required=True, metavar="HOST:PORTS", help="Where gateways find its runners."
    ),
    click.option("--tpm", metavar="TCTI", help="device:/dev/tpmrm0, swtpm:path=SOCKET ..."),
    click.option("--register", type=click.IntRange(8, 15), help="Register the boot leaves empty."),
    click.option("--issuers", metavar="FILE", help="PEM of the TPM's maker, its root last."),
)
def join(
    call: Call, file: str, runners: str, tpm: str | None, register: int | None, issuers: str | None
) -> None:
    """Let this machine join: make a key here, get a certificate, write the settings.

    It needs no passphrase, and gets no key of the environment. Then: bastide machine run.
    """
    from bastide.app import wiring
    from bastide.app.config import Settings
    from bastide.app.machine_join import join_environment, read_invitation
    from bastide.app.setting_checks import read_port_range

    read_port_range(runners, "--runners")
    invitation = read_file(file, read_invitation)
    usual = Settings(invitation["environment"], attestation="tpm2", runner_listen=runners)
    wishes = replace(
        usual,
        tpm=tpm or usual.tpm,
        tpm_register=register or usual.tpm_register,
        tpm_issuers=str(Path(issuers).resolve()) if issuers else "",
    )
    joined = join_environment(call.home, invitation, wishes, wiring.clock(), wiring.entropy())
    told = {"machine": joined.node, "environment": joined.environment, "control": joined.control}
    here = f"--home {call.home.root}"
    text = (
        f"joined {joined.environment} as {joined.node}\n"
        f"  next: bastide node measure {here} --name {joined.node} --out {joined.node}.json\n"
        f"        bastide machine run {here}"
    )
    call.show(told, text)


@parameters("run", "bastide machine run")
def run(call: Call) -> None:
    """Serve what deployments name this machine, until it is interrupted.

    It follows the ledger, starts runners, and renews its certificate. Its log goes to standard
    error, a line of JSON for each event; those of runners to files in `log`.
    """
    from bastide.app import wiring
    from bastide.app.machine_agent import run_machine
    from bastide.app.process import on_stop

    os.umask(0o077)

    async def serve() -> None:
        stop = asyncio.Event()
        on_stop(stop)
        await run_machine(call.home, wiring.clock(), stop)

    asyncio.run(serve())


@parameters("ls", "bastide machine ls")
def ls(call: Call) -> None:
    """List machines: invited, joined or removed, with the digests of their keys."""
    from bastide.app.machines import list_machines

    with call.environment() as env:
        rows = [
            {
                "machine": row.name,
                "standing": row.standing.value,
                "key": row.key or None,
                "invited_until_ms": row.expires_ms,
                "time_ms": row.time_ms,
                "entry": row.entry,
            }
            for row in list_machines(env)
        ]
    call.rows(rows, ("machine", "standing", "key", "entry"), "no other machine was invited")


@parameters(
    "remove",
    "bastide machine remove b --reason 'sold'",
    click.argument("name"),
    click.option("--reason", default="", help="Why; kept in the ledger."),
)
def remove(call: Call, name: str, reason: str) -> None:
    """Remove a machine: within a second nobody talks to it, and its deployments stop.

    Its hardware may still be allowed elsewhere; for that there is `bastide revoke node`.
    """
    from bastide.app.machines import remove_machine

    with call.environment() as env:
        row = remove_machine(env, name, reason)
    call.show({"machine": name, "entry": row.entry}, f"removed {name}  (entry {row.entry})")


for _command in (add, join, run, ls, remove):
    machine.add_command(_command)
