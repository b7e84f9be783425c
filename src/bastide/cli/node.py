# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""`bastide node ...`: machines that prove what they are before they get weights."""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bastide.cli.command import Call, parameters, read_file, write_envelope
from bastide.core.errors import Misconfigured

if TYPE_CHECKING:
    from bastide.core.evidence import Evidence
    from bastide.crypto.attestation import Said

__all__ = ["node"]

_TPM = click.option("--tpm", metavar="TCTI", help="device:/dev/tpmrm0, swtpm:path=SOCKET ...")
_REGISTER = click.option(
    "--register", type=click.IntRange(8, 15), help="Register that the boot leaves empty."
)


_ISSUERS = click.option(
    "--issuers", metavar="FILE", help="PEM of the TPM's maker, its root last: then that is checked."
)


@click.group()
def node() -> None:
    """Attested nodes: measure, allow, join, list."""


@parameters(
    "measure",
    "bastide node measure --tpm device:/dev/tpmrm0 --out machines.json",
    _TPM,
    _REGISTER,
    _ISSUERS,
    click.option("--name", default="machines", show_default=True, help="Name of the values."),
    click.option("--out", metavar="FILE", help="Write the values here."),
)
def measure(
    call: Call,
    tpm: str | None,
    register: int | None,
    issuers: str | None,
    name: str,
    out: str | None,
) -> None:
    """Measure this machine: a draft of reference values, for the guardian to judge.

    Digests of software, engine and sandbox, the boot's registers, and the TPM's endorsement key.
    It needs no passphrase. Measuring extends the register, which only a boot empties.
    """
    from bastide.app.node_trial import draft_reference, with_tpm

    settings = with_tpm(call.home, tpm, register, issuers)
    values = draft_reference(call.home, settings, name).to_json()
    text = json.dumps(values, indent=2) + "\n"
    if out is None:
        call.show(values, text.rstrip())
        return
    Path(out).write_text(text)
    call.show(values, f"measured: {out}  (the guardian signs it: bastide node reference {out})")


@parameters(
    "reference",
    "bastide node reference machines.json --key guardian.key\n"
    "bastide node reference machines.json --key guardian.key --out signed.json\n"
    "bastide node reference --import signed.json\n"
    "bastide node reference",
    click.argument("file", required=False),
    click.option("--key", metavar="FILE", help="OpenSSH private key of the guardian."),
    click.option("--out", metavar="FILE", help="Sign on a machine of your own: write the file."),
    click.option("--import", "carried", metavar="FILE", help="Record carried values."),
)
def reference(
    call: Call, file: str | None, key: str | None, out: str | None, carried: str | None
) -> None:
    """Sign reference values: what nodes may be and may have measured. Without FILE, list them.

    Newer values of a name take the place of older ones at once: nodes that they do not allow get
    no more weights, and cannot renew.
    """
    from bastide.app import nodes
    from bastide.ledger.reference_values import reference_values

    if out is not None:
        if file is None or key is None:
            raise Misconfigured("--out needs FILE and --key", fix="bastide node reference --help")
        _sign_elsewhere(call, file, key, out)
        return
    signer = call.party_key(key)
    with call.environment(signer) as env:
        if carried is not None:
            row = read_file(carried, partial(nodes.import_reference, env))
        elif file is not None:
            statement = nodes.reference(read_file(file, nodes.read_reference), env.clock)
            row = nodes.sign_reference_here(env, statement, signer)
        else:
            known = [_reference_row(row) for row in reference_values(env.ledger).values()]
            call.rows(known, ("name", "kind", "valid_s", "entry"), "no node is allowed")
            return
    result = _reference_row(row)
    call.show(result, f"allowed by {row.body['name']}  {row.digest}  (entry {row.entry})")


def _sign_elsewhere(call: Call, file: str, key: str, out: str) -> None:
    from bastide.app import nodes, wiring

    signer = call.party_key(key)
    assert signer is not None
    statement = nodes.reference(read_file(file, nodes.read_reference), wiring.clock())
    write_envelope(out, nodes.sign_reference(statement, signer))
    text = f"signed: {out}  (carry it over: bastide node reference --import {out})"
    call.show({"reference": out}, text)


def _reference_row(row: "Evidence") -> dict[str, Any]:
    return {**row.body, "digest": str(row.digest), "entry": row.entry}


@parameters(
    "join",
    "bastide node join --tpm device:/dev/tpmrm0",
    _TPM,
    _REGISTER,
    _ISSUERS,
)
def join(call: Call, tpm: str | None, register: int | None, issuers: str | None) -> None:
    """Let this machine's runners prove what they are before they get weights.

    It goes through the handshake once, says what was checked and what not, and writes the
    settings. Services take them up at their next start: bastide down, bastide up.
    """
    from bastide.app.node_trial import join_machine, with_tpm

    settings = with_tpm(call.home, tpm, register, issuers)
    with call.environment() as env:
        joined = join_machine(env, settings)
    head = f"joined     {joined.stated['node']}, allowed by {joined.reference}"
    _show(call, joined.stated, joined.reference, joined.said, head)


@parameters("ls", "bastide node ls")
def ls(call: Call) -> None:
    """List the nodes whose quotes are in force: a row for each replica."""
    from bastide.app.nodes import list_nodes

    with call.environment() as env:
        rows = [_node_row(row) for row in list_nodes(env)]
    columns = ("node", "kind", "replica", "expires_ms", "statement")
    call.rows(rows, columns, "no node is in force")


@parameters("show", "bastide node show node-1", click.argument("name"))
def show(call: Call, name: str) -> None:
    """Show a node's newest attestation: what it proves, and what it does not.

    NAME is the node's, or the digest of its machine or statement. The quote is checked again.
    """
    from bastide.app.node_trial import describe
    from bastide.app.nodes import show_node

    with call.environment() as env:
        row, standing = show_node(env, name)
        reference_name, said = describe(env.ledger, row.body)
    state = "in force" if standing else "not in force"
    head = f"node       {row.body['node']}, entry {row.entry}, {state}"
    _show(call, {**row.body, "in_force": standing}, reference_name, said, head)


def _show(call: Call, body: Mapping[str, Any], name: str, said: "Said", head: str) -> None:
    stated = body["attestation"]
    lines = [
        head,
        f"is         {said.what}",
        f"identity   {stated['identity']}",
        *(f"checked    {row}" for row in said.checked),
        *(f"unchecked  {row}" for row in said.unchecked),
    ]
    told = {"what": said.what, "checked": list(said.checked), "unchecked": list(said.unchecked)}
    call.show({**body, "reference": name, **told}, "\n".join(lines))


def _node_row(row: "Evidence") -> dict[str, Any]:
    kind, identity = (row.body["attestation"][name] for name in ("kind", "identity"))
    plain = {name: row.body[name] for name in ("node", "deployment", "replica", "expires_ms")}
    return {**plain, "kind": kind, "identity": identity, "statement": str(row.digest)}


for _command in (measure, reference, join, ls, show):
    node.add_command(_command)
