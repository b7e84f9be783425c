# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""`bastide approve`, `deploy` and `undeploy`."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import click

from bastide.cli.amounts import size
from bastide.cli.command import Call, parameters, read_file
from bastide.core.errors import Misconfigured, Waiting
from bastide.core.limits import APPROVAL_DAYS, APPROVAL_DAYS_MAX

__all__ = ["COMMANDS"]

_MACHINE = click.option(
    "--machine", default="", metavar="NAME", help="Serve on another machine that joined."
)
_DAYS = click.option(
    "--days", type=click.IntRange(1, APPROVAL_DAYS_MAX), default=APPROVAL_DAYS, show_default=True,
    help="How long the approval counts for what is still to be decided.",
)  # fmt: skip
_REPLICAS = click.option(
    "--replicas", type=click.IntRange(1), default=1, show_default=True,
    help="Engines that serve the deployment, each with the slots of the settings.",
)  # fmt: skip


@parameters(
    "approve",
    "bastide approve smollm2-135m-instruct --key guardian.key\n"
    "bastide approve nordic --dataset --key guardian.key\n"
    "bastide approve --request request.json --key guardian.key --out approval.json\n"
    "bastide approve --request request.json --key guardian.passkey --out approval.json\n"
    "bastide approve --import approval.json",
    click.argument("release", required=False),
    click.option(
        "--key",
        metavar="FILE",
        help="Key of the approving party: OpenSSH private key, or passkey file.",
    ),
    click.option("--comment", default="", help="Why; kept with the approval."),
    _DAYS,
    click.option("--deployment", is_flag=True, help="Approve the deployment, not the release."),
    _REPLICAS,
    _MACHINE,
    click.option("--dataset", is_flag=True, help="Approve the release of a dataset."),
    click.option("--request", "request_file", metavar="FILE", help="Decide offline on a request."),
    click.option("--keys", metavar="FILE", help="With --request: your copy of keys.json."),
    click.option("--out", metavar="FILE", help="With --request: where the approval goes."),
    click.option(
        "--signer", metavar="ID", help="With --request: whose key will `bastide sign` the file."
    ),
    click.option("--import", "approval_file", metavar="FILE", help="Record a carried approval."),
)
def approve(
    call: Call,
    release: str | None,
    key: str | None,
    comment: str,
    days: int,
    deployment: bool,
    replicas: int,
    machine: str,
    dataset: bool,
    request_file: str | None,
    keys: str | None,
    out: str | None,
    signer: str | None,
    approval_file: str | None,
) -> None:
    """Approve a release, a deployment or a dataset with the key of a party.

    A passkey file opens a page for your browser, which asks your authenticator to sign.
    Here (RELEASE --key FILE), or on a machine of your own: --request checks the request offline,
    shows what it says and writes a signed file; --import records it in the environment.
    """
    if sum(value is not None for value in (release, request_file, approval_file)) != 1:
        raise Misconfigured(
            "give one of RELEASE, --request or --import", fix="bastide approve --help"
        )
    if approval_file is not None:
        _import(call, approval_file)
    elif request_file is not None:
        _offline(call, request_file, key or signer, keys, out, (comment, days), key is None)
    else:
        assert release is not None
        if deployment and dataset:
            raise Misconfigured("give one of --deployment and --dataset", fix="two approvals")
        what = "deployment" if deployment else "dataset" if dataset else "release"
        _here(call, release, key, (comment, days), what, (replicas, machine))


@parameters(
    "deploy",
    "bastide deploy smollm2-135m-instruct --key operator.key\n"
    "bastide deploy smollm2-135m-instruct --replicas 2 --key operator.key\n"
    "bastide deploy smollm2-135m-instruct --machine b --key operator.key",
    click.argument("release"),
    click.option("--key", metavar="FILE", help="OpenSSH private key of the operator."),
    click.option("--comment", default="", help="Why; kept with the approval."),
    _REPLICAS,
    _MACHINE,
    click.option("--at-once", is_flag=True, help="Stop what answers first: half the memory."),
)
def deploy(
    call: Call,
    release: str,
    key: str | None,
    comment: str,
    replicas: int,
    machine: str,
    at_once: bool,
) -> None:
    """Put a published release into service. Running services take it up by themselves.

    The number of replicas is a part of the plan: another number is another deployment. It takes the
    place of the first when all of its replicas have loaded; until then the first one answers, and
    what has begun there comes to its end. Both need memory meanwhile: with --at-once the first one
    is stopped before the other loads, and nobody answers until it has.
    """
    from bastide.app.deployments import deploy_release, deployment_approvals
    from bastide.app.emergencies import mark

    operator = call.party_key(key)
    with call.environment(operator) as env:
        try:
            row = deploy_release(env, release, operator, comment, replicas, at_once, machine)
        except Waiting as error:
            more = f" --replicas {replicas}" if replicas > 1 else ""
            more += f" --machine {machine}" if machine else ""
            again = f"bastide deploy {release}{more} --key OPERATOR.KEY"
            # Without reasons it is not the operator's approval that is missing.
            error.fix = again if error.reasons and not operator else error.fix
            raise
        approvals = deployment_approvals(env, row)
    result = {
        "deployment": row.subject.name,
        "digest": str(row.subject.digest),
        "replicas": replicas,
        "machine": machine or None,
        "entry": row.entry,
        "approvals": approvals,
    }
    times = f"  {replicas} replicas" if replicas > 1 else ""
    lines = [f"deployed {row.subject.name}{times}  {row.subject.digest}  (entry {row.entry})"]
    lines += [f"  approved {one['party']} by {one['key']}{mark(one)}" for one in approvals]
    call.show(result, "\n".join(lines))


@parameters(
    "undeploy",
    "bastide undeploy smollm2-135m-instruct --reason 'replaced'",
    click.argument("name"),
    click.option("--reason", default="", help="Why; kept in the ledger."),
)
def undeploy(call: Call, name: str, reason: str) -> None:
    """Take a deployment out of service; its runners stop within a second."""
    from bastide.app.deployments import end_deployment

    with call.environment() as env:
        row = end_deployment(env, name, reason)
    call.show({"deployment": row.subject.name, "ended": True, "entry": row.entry}, "ended")


COMMANDS = {"approve": approve, "deploy": deploy, "undeploy": undeploy}


def _here(
    call: Call,
    name: str,
    key: str | None,
    said: tuple[str, int],
    what: str,
    where: tuple[int, str],
) -> None:
    """`said` is the comment, and for how many days."""
    import dataclasses

    from bastide.app.approvals import approve_here, request_deployment
    from bastide.app.dataset_releases import approval_of
    from bastide.app.deployments import plan_deployment
    from bastide.app.emergencies import approvals_told, mark
    from bastide.app.releases import find_candidate
    from bastide.stages.release import Approval

    given, (comment, days) = call.party_key(key), said
    with call.environment(given) as env:
        if what == "deployment":
            asked = request_deployment(plan_deployment(env, name, *where), comment)
        elif what == "dataset":
            asked = approval_of(env, name, comment)
        else:
            candidate = find_candidate(env, name)
            asked = Approval(name, candidate.subject.digest, "release", "", comment)
        asked = dataclasses.replace(asked, days=days)
        rows = approve_here(env, asked, env.parties_at_hand(given))
        result = approvals_told(env.ledger, rows)
    if not rows:
        whose = "" if given is None else f"the key {given.public.ident} is of another party; "
        raise Misconfigured(
            f"{whose}nothing was approved", fix="give the key of a party that approves: --key FILE"
        )
    lines = [f"approved as {row['party']}  (entry {row['entry']}){mark(row)}" for row in result]
    call.show(result, "\n".join(lines))


def _offline(
    call: Call,
    file: str,
    key: str | None,
    keys: str | None,
    out: str | None,
    said: tuple[str, int],
    elsewhere: bool,
) -> None:
    """`key` is a file, or an id if the signature is made elsewhere; `said`: comment and days."""
    from bastide.app import wiring
    from bastide.app.approvals import draft_request, read_request, sign_request
    from bastide.app.receipts import read_anchors

    anchors = read_anchors(Path(keys)) if keys is not None else None
    summary = read_file(file, lambda text: read_request(text, anchors))
    if not call.as_json or key is None:
        _show_request(call, summary)
    if key is None:
        return
    signer, (comment, days) = None if elsewhere else call.party_key(key), said
    if signer is None:
        envelope = draft_request(summary, key, comment, wiring.clock(), days)
    else:
        envelope = sign_request(summary, signer, comment, wiring.clock(), days)
    text = json.dumps(envelope.to_json(), indent=2)
    if out is None:
        click.echo(text)
        return
    Path(out).write_text(text + "\n")
    if elsewhere:
        call.show({"approval": out}, f"to be signed by {key}: {out}  (bastide sign {out})")
        return
    call.show({"approval": out}, f"signed: {out}  (carry it over: bastide approve --import {out})")


def _show_request(call: Call, summary: dict[str, Any]) -> None:
    lines = _dataset_lines(summary) if "dataset" in summary else _release_lines(summary)
    if not summary["anchored"]:
        lines.append("  NOT compared with trust anchors: give --keys keys.json")
    if call.as_json:
        call.show(summary)
    else:
        call.tell("\n".join(lines))


def _dataset_lines(summary: dict[str, Any]) -> list[str]:
    lines = [
        f"You are asked to approve the release of the dataset {summary['name']}",
        f"  digest    {summary['digest']}",
        f"  dataset   {summary['dataset']}",
        f"  root      {summary['root']}",
        f"  documents {summary['documents']:,}, {size(summary['bytes'])} of text",
    ]
    lines += [
        f"  source    {row['name']}: {row['kept']} of {row['read']} documents, {row['licence']}"
        f" ({row['basis']}), {row['origin']}, {row['collected']}"
        for row in summary["sources"]
    ]
    lines += [
        f"  step      {row['step']}: {row['changed']} changed,"
        f" {sum(row['removed'].values())} removed"
        for row in summary["steps"]
    ]
    lines.append(f"  personal  {', '.join(summary['personal_data']) or 'nothing was looked for'}")
    lines += [
        f"  searched  for the suite {row['suite']} {row['digest']}, n-grams of {row['ngram']} words"
        for row in summary["decontaminated"]
    ]
    lines.append(f"  policy    {summary['policy']}")
    return lines


def _release_lines(summary: dict[str, Any]) -> list[str]:
    template = summary["template"]
    lines = [
        f"You are asked to approve the {summary['action']} {summary['name']}",
        f"  digest    {summary['digest']}",
        f"  model     {summary['model']}",
        f"  origin    {summary['origin']}",
        f"  licence   {summary['licence']}",
        f"  template  {template['digest'] if template else 'none'}",
        "  scores    "
        + ", ".join(f"{name} {score:.3f}" for name, score in summary["scores"].items()),
        f"  policy    {summary['policy']}",
    ]
    if template:
        lines += [f"    finding {finding}" for finding in template["findings"]]
    return lines


def _import(call: Call, file: str) -> None:
    from bastide.app.approvals import counter_note, import_approval
    from bastide.app.emergencies import approvals_told, mark

    with call.environment() as env:
        row = read_file(file, partial(import_approval, env))
        note = counter_note(env, row)
        (result,) = approvals_told(env.ledger, [row])
    if note is not None:
        call.tell(f"note: {note}")
    said = f"recorded the {result['party']}'s approval  (entry {row.entry}){mark(result)}"
    call.show(result, said)
