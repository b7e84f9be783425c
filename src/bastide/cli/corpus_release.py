# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""`bastide corpus release`, `request` and `summary`."""

import json
from pathlib import Path
from typing import Any

import click

from bastide.cli.command import Call, parameters, read_text
from bastide.core.errors import Misconfigured

__all__ = ["COMMANDS", "state_lines"]


@parameters(
    "release",
    "bastide corpus release nordic --key firm.key",
    click.argument("dataset"),
    click.option("--key", metavar="FILE", help="OpenSSH key of the firm, where it is separate."),
)
def release(call: Call, dataset: str, key: str | None) -> None:
    """Judge every gate and sign a dataset's release. Exit 5 while approvals are missing."""
    from bastide.app.dataset_releases import publish_dataset

    with call.environment(call.party_key(key)) as env:
        row = publish_dataset(env, dataset)
    result = {
        "dataset": row.subject.name,
        "digest": row.body["release"]["dataset"],
        "release": str(row.subject.digest),
        "entry": row.entry,
    }
    call.show(result, f"released {row.subject.name}  {result['digest']}  (entry {row.entry})")


@parameters(
    "request",
    "bastide corpus request nordic > request.json",
    click.argument("dataset"),
)
def request(call: Call, dataset: str) -> None:
    """Print what a party needs to decide on a dataset, on a machine of its own."""
    from bastide.app.dataset_releases import request_dataset

    with call.environment() as env:
        row = request_dataset(env, dataset)
    call.show(row, json.dumps(row, indent=2))


@parameters(
    "summary",
    "bastide corpus summary nordic --answers provider.toml --to summary.html",
    click.argument("datasets", nargs=-1),
    click.option("--answers", metavar="FILE", help="What the provider states, in TOML."),
    click.option("--to", type=click.Path(path_type=Path), help="FILE.html, FILE.md or FILE.json."),
    click.option("--check", metavar="FILE", help="Say which signed summary a file is."),
    click.option("--key", metavar="FILE", help="OpenSSH key of the firm, where it is separate."),
)
def summary(
    call: Call,
    datasets: tuple[str, ...],
    answers: str | None,
    to: Path | None,
    check: str | None,
    key: str | None,
) -> None:
    """Write the public summary of training content (AI Act, Article 53(1)(d)), signed.

    Every field says where it is from, or that it is not evidenced. Without --to a draft is
    printed. Beside FILE, its signed statement is written as FILE.dsse.json.
    """
    from bastide.app import public_summary_files as pages
    from bastide.app.public_summary import Answers, read_answers
    from bastide.app.receipts import read_content
    from bastide.app.remedies import outside

    if (check is None) == (not datasets):
        raise Misconfigured("give datasets, or --check FILE", fix="bastide corpus summary --help")
    if check is not None:
        with call.environment() as env:
            row = pages.check_summary(env, read_content(Path(check)))
        result = {"summary": str(row.subject.digest), "version": row.body["version"],
                  "entry": row.entry}  # fmt: skip
        call.show(result, f"version {result['version']} of the signed summary (entry {row.entry})")
        return
    suffix = to.suffix.lstrip(".") if to is not None else "md"
    if suffix not in ("html", "md", "json"):
        raise Misconfigured(f"--to {to}: not .html, .md or .json", fix="name the form by its end")
    stated = read_answers(read_text(answers), answers) if answers else Answers()
    with call.environment(call.party_key(key)) as env:
        made = pages.make_summary(env, datasets, stated)
        if to is None:
            call.show(made.value, made.forms["md"].decode())
            return
        made = pages.record_summary(env, made)
        assert made.statement is not None
        envelope = env.ledger.envelope(made.statement.entry or 0).to_json()
    try:
        to.write_bytes(made.forms[suffix])
        to.with_name(to.name + ".dsse.json").write_text(json.dumps(envelope, indent=2) + "\n")
    except OSError as error:
        raise outside(error, str(to)) from error
    result = {"file": str(to), "digest": str(made.statement.subject.digest),
              "version": made.statement.body["version"], "entry": made.statement.entry,
              "not_evidenced": [row["field"] for row in made.value["fields"]
                                if row["value"] == "not evidenced"]}  # fmt: skip
    call.show(
        result,
        f"wrote {to}, version {result['version']}  {result['digest']}  (entry {result['entry']})\n"
        f"  {len(result['not_evidenced'])} fields are not evidenced",
    )


def state_lines(row: dict[str, Any]) -> list[str]:
    """The part of a dataset's card that says whether it is released."""
    from bastide.app.emergencies import mark

    lines = [f"  state           {row['state']}"]
    if row["release_entry"] is not None:
        lines[0] += f"  (entry {row['release_entry']})"
    for approval in row["approvals"]:
        comment = f": {approval['comment']}" if approval["comment"] else ""
        lines.append(
            f"  approved        {approval['party']} by {approval['key']}{comment}{mark(approval)}"
        )
    lines += [f"  waits for       {reason}" for reason in row["waits_for"]]
    for which in ("previous", "next"):
        if row[which]:
            lines.append(f"  {which:<16}{row[which]}")
    return lines


COMMANDS = (release, request, summary)
