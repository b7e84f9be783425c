# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""`bastide corpus erase` and `tombstones`."""

from pathlib import Path
from typing import Any

import click

from bastide.cli.command import Call, parameters, read_file
from bastide.cli.corpus_options import WORKERS
from bastide.cli.events import telling
from bastide.core.errors import Misconfigured

__all__ = ["erase", "tombstones"]

_RESTING = ("releases", "summaries", "runs", "models", "deployments")


@parameters(
    "erase",
    "bastide corpus erase --subject anna.toml --dry-run",
    click.option("--subject", metavar="FILE", required=True, help="Who, in TOML or JSON."),
    click.option("--dry-run", is_flag=True, help="Only say what would be done."),
    click.option("--list-out", metavar="FILE", help="Write the standing list, for the guard."),
    WORKERS,
    click.option("--key", metavar="FILE", help="OpenSSH key of the firm, where it is separate."),
)
def erase(
    call: Call,
    subject: str,
    dry_run: bool,
    list_out: str | None,
    workers: int | None,
    key: str | None,
) -> None:
    """Erase a person from every dataset, and from every later one.

    FILE has the lists names, emails, phones, numbers, phrases. It is read, and not kept. An erasure
    that was stopped or killed goes on if it is called again. With --json every line of the output
    is one event; the last is the result or the error.
    """
    from bastide.app.corpus_erase import erase_subject
    from bastide.app.corpus_pool import cores
    from bastide.core.erasure_subject import ErasureSubject

    with telling(call) as work:
        if dry_run and list_out is not None:
            raise Misconfigured("a dry run makes no list", fix="leave out --list-out or --dry-run")
        person = read_file(subject, ErasureSubject.parse)
        with call.environment(call.party_key(key)) as env:
            work.follow(env.clock)
            done = erase_subject(env, person, workers or cores(), work.progress, dry_run)
        if list_out is not None and done.listed is not None:
            _write(Path(list_out), done.listed.dump())
    if work.events:
        work.events.write("would-erase" if dry_run else "erased", **done.account)
        return
    click.echo("\n".join(_lines(done.account)))
    if list_out is not None:
        click.echo(f"wrote {list_out}: `bastide guard erasure import` takes it")


@parameters(
    "tombstones",
    "bastide corpus tombstones nordic > tombstones.jsonl",
    click.argument("dataset"),
)
def tombstones(call: Call, dataset: str) -> None:
    """Print the proofs of an erasure: each removed document was in the old tree, and is in the
    new one no more. One line of JSON each; `sha256sum` of all is in the ledger.
    """
    from bastide.app.corpus_tombstones import tombstones_of

    with call.environment() as env:
        for line in tombstones_of(env, dataset):
            click.echo(line)


def _lines(row: dict[str, Any]) -> list[str]:
    would = row["dry_run"]
    lines = [f"{row['searched']} datasets were searched, {len(row['datasets'])} are concerned"]
    if not would:
        lines.append(f"  on the standing list (entry {row['entry']}): every later build obeys it")
    if row["unfinished_builds"]:
        verb = "would be" if would else "were"
        lines.append(f"  {row['unfinished_builds']} folders of unfinished builds {verb} deleted")
    for one in row["earlier"]:
        lines.append(
            f"  {one['name']}: {one['removed']} documents went before, {one['old']} is now"
        )
        lines.append(f"    {one['new']}")
    for one in row["datasets"]:
        lines += _dataset_lines(one, "would go" if would else "went")
    if row["datasets"] and not any(one["models"] for one in row["datasets"]):
        lines.append("no statement links a model to these: ask who trained on them")
    return lines


def _dataset_lines(one: dict[str, Any], went: str) -> list[str]:
    lines = [
        f"{one['dataset']}  {one['digest']}  (entry {one['entry']})",
        f"  documents       {one['documents']} of {one['of_documents']} {went}, in"
        f" {len(one['shards'])} of {one['of_shards']} shards"
        + (f" ({', '.join(map(str, one['shards']))})" if one["shards"] else ""),
        f"  records         {one['records']} beside the texts are scrubbed",
    ]
    if one["pseudonym_key"] == "destroyed":
        lines.append("  pseudonyms      their key is destroyed: nobody can say which are of whom")
    if one["successor"]:
        lines.append(f"  successor       {one['successor']}  (root {one['new_root']})")
    for what in _RESTING:
        lines += [
            f"  {what:<16}{rest['name']}  {rest['digest']}  (entry {rest['entry']})"
            for rest in one[what]
        ]
    return lines


def _write(path: Path, data: bytes) -> None:
    from bastide.app.remedies import outside

    try:
        path.touch(mode=0o600)
        path.write_bytes(data)
    except OSError as error:
        raise outside(error, str(path)) from error
