# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""`bastide release ...`."""

import json
from pathlib import Path
from typing import Any

import click

from bastide.cli.command import Call, parameters, read_text, verify_one_way, write_envelope
from bastide.cli.registry import REGISTRY, open_registry
from bastide.core.errors import Misconfigured

__all__ = ["release"]


@click.group()
def release() -> None:
    """Propose, show and publish releases."""


@parameters(
    "propose",
    "bastide release propose smollm2-135m-instruct --key firm.key",
    click.argument("model"),
    click.option("--name", help="Name of the release.  [default: the model's]"),
    click.option("--key", metavar="FILE", help="OpenSSH key of the proposing party."),
)
def propose(call: Call, model: str, name: str | None, key: str | None) -> None:
    """State a candidate for an evaluated model. It then waits for its approvals."""
    from bastide.app.releases import propose_release

    author = call.party_key(key)
    with call.environment(author) as env:
        row = propose_release(env, model, name, author)
    result = {"release": row.subject.name, "digest": str(row.subject.digest), "entry": row.entry}
    call.show(result, f"proposed {row.subject.name}  {row.subject.digest}  (entry {row.entry})")


@parameters("ls", "bastide release ls")
def ls(call: Call) -> None:
    """List releases and what they wait for."""
    from bastide.app.releases import list_releases

    with call.environment() as env:
        rows = list_releases(env)
    columns = (
        "release",
        "state",
        "approved_by",
        "under_break_glass",
        "waits_for",
        "digest",
        "entry",
    )
    call.rows(rows, columns, "nothing is proposed yet: bastide release propose MODEL")


@parameters("show", "bastide release show smollm2-135m-instruct", click.argument("name"))
def show(call: Call, name: str) -> None:
    """Show a release: its evidence, its approvals, and every gate's verdict."""
    from bastide.app.emergencies import mark
    from bastide.app.pushes import list_pushes
    from bastide.app.releases import show_release

    with call.environment() as env:
        row: dict[str, Any] = show_release(env, name)
        row["pushes"] = list_pushes(env, name)
    lines = [f"{row['release']}  {row['state']}  {row['digest']}  (entry {row['entry']})"]
    lines += [f"  {field:<9}{row[field]}" for field in ("model", "origin", "licence")]
    if row["template"]:
        lines.append(f"  template {row['template']['digest']}")
    lines.append("  scores   " + ", ".join(f"{k} {v:.3f}" for k, v in row["scores"].items()))
    if (who := row["proposed_by"]) is not None:
        lines.append(f"  by       {who['person']} ({who['party']}), login in entry {who['login']}")
    for approval in row["approvals"]:
        comment = f": {approval['comment']}" if approval["comment"] else ""
        lines.append(
            f"  approved {approval['party']} by {approval['key']}{comment}{mark(approval)}"
        )
    for push in row["pushes"]:
        why = f": {push['reason']}" if push["reason"] else ""
        lines.append(f"  pushed   to {push['recipient']}  (entry {push['entry']}){why}")
    for verdict in row["verdicts"]:
        lines.append(f"  {'pass' if verdict['passed'] else 'FAIL'}     {verdict['gate']}")
        lines += [f"           - {reason}" for reason in verdict["reasons"]]
    call.show(row, "\n".join(lines))


@parameters("publish", "bastide release publish smollm2-135m-instruct", click.argument("name"))
def publish(call: Call, name: str) -> None:
    """Judge every gate and sign the release. Exit 5 while approvals are missing, 3 if refused."""
    from bastide.app.releases import publish_release

    with call.environment() as env:
        row = publish_release(env, name)
    result = {"release": row.subject.name, "digest": str(row.subject.digest), "entry": row.entry}
    call.show(result, f"published {row.subject.name}  {row.subject.digest}  (entry {row.entry})")


@parameters(
    "request",
    "bastide release request smollm2-135m-instruct > request.json",
    click.argument("name"),
)
def request(call: Call, name: str) -> None:
    """Print what a party needs to decide and sign on a machine of its own."""
    from bastide.app.approvals import request_release

    with call.environment() as env:
        row = request_release(env, name)
    call.show(row, json.dumps(row, indent=2))


@parameters(
    "bundle",
    "bastide release bundle smollm2-135m-instruct --to model.sig --public-key model.pem",
    click.argument("name"),
    click.option("--to", type=click.Path(path_type=Path), required=True, help="Signature file."),
    click.option("--public-key", type=click.Path(path_type=Path), help="Also write the PEM key."),
)
def bundle(call: Call, name: str, to: Path, public_key: Path | None) -> None:
    """Write the OpenSSF model-signing bundle, which the stock `model_signing verify` accepts."""
    from bastide.app.releases import bundle_key_pem, export_bundle

    with call.environment() as env:
        data = export_bundle(env, name)
        pem = bundle_key_pem(env, name)
    to.write_bytes(data)
    if public_key is not None:
        public_key.write_text(pem)
    row = {"signature": str(to), "public_key": str(public_key) if public_key else None}
    call.show(row, f"wrote {to}" + (f" and {public_key}" if public_key else ""))


@parameters(
    "bom",
    "bastide release bom smollm2-135m-instruct --to smollm2.cdx.json",
    click.argument("name"),
    click.option("--to", type=click.Path(path_type=Path), help="Write it to this file."),
)
def bom(call: Call, name: str, to: Path | None) -> None:
    """Print the bill of materials of a published release: CycloneDX 1.6, with a model card.

    It is made of signed statements alone: the same ledger gives the same bytes.
    """
    from bastide.app.release_bom import release_bom
    from bastide.cli.bom import show_bom

    with call.environment() as env:
        data = release_bom(env, name)
    show_bom(call, data, to)


@parameters(
    "push",
    "bastide release push smollm2 registry.example/models/smollm2:1 --to AGE1... --key firm.key\n"
    "bastide release push smollm2 --to AGE1... --out push.json\n"
    "bastide release push smollm2 registry.example/m/smollm2:1 --to AGE1... --signed push.json",
    click.argument("name"),
    click.argument("where", metavar="[HOST/REPOSITORY[:TAG]]", required=False),
    click.option("--to", "recipient", metavar="AGE1...", required=True, help="Who can open it."),
    click.option("--key", metavar="FILE", help="The firm's key."),
    click.option("--reason", default="", help="Why; kept in the ledger."),
    click.option("--out", metavar="FILE", help="Write the statement for the firm to sign."),
    click.option("--signed", metavar="FILE", help="What the firm signed elsewhere."),
    *REGISTRY,
)
def push(
    call: Call,
    name: str,
    where: str | None,
    recipient: str,
    key: str | None,
    reason: str,
    out: str | None,
    signed: str | None,
    login: str | None,
    ca: Path | None,
    plain_http: bool,
    token_host: str | None,
) -> None:
    """Push a published release to an OCI registry, sealed to one age recipient.

    The registry, and whoever reads it, sees names, sizes, signature and provenance, never weights.
    An environment pulls it with `bastide model pull`; any OCI client and `age` do as well.
    `bastide store where` shows an environment's recipient. The firm signs to whom a release goes,
    once for each recipient, and the ledger keeps it. A push that was killed goes on when it is run
    again.
    """
    from bastide.app.pushes import draft_push
    from bastide.app.release_push import push_release

    verify_one_way(out, signed)
    if (out is None) == (where is None):
        raise Misconfigured("say where it goes, or give --out FILE", place="where")
    if where is None:
        assert out is not None
        with call.environment() as env:
            write_envelope(out, draft_push(env, name, recipient, reason))
        told = f"wrote {out}: the firm runs `bastide sign {out} --key KEY`; then --signed {out}"
        call.show({"statement": out}, told)
        return
    reference, registry = open_registry(where, login, ca, plain_http, token_host)
    carried = None if signed is None else read_text(signed)
    with call.environment(call.party_key(key)) as env:
        row = push_release(
            env, name, reference, registry, recipient, reason, carried, call.progress()
        )
    call.show(row, f"pushed {row['repository']}@{row['digest']}  ({row['layers']} layers)")


for _command in (propose, ls, show, publish, request, bundle, bom, push):
    release.add_command(_command)
