# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""`bastide corpus ...`."""

from pathlib import Path
from typing import Any

import click

from bastide.cli import corpus_pack, corpus_release
from bastide.cli.amounts import many, size, span
from bastide.cli.command import Call, parameters
from bastide.cli.corpus_check import check
from bastide.cli.corpus_erase import erase, tombstones
from bastide.cli.corpus_options import WORKERS
from bastide.cli.corpus_quarantine import quarantine, shred_pseudonyms
from bastide.cli.corpus_release import state_lines
from bastide.cli.corpus_search import find, index
from bastide.cli.events import telling
from bastide.core.limits import CORPUS_MEMORY_MIB

__all__ = ["corpus"]

_RECIPE = click.argument("recipe", type=click.Path(path_type=Path))
_MEMORY = click.option(
    "--memory",
    type=int,
    default=CORPUS_MEMORY_MIB,
    show_default=True,
    help="MiB that sorting may take in each process.",
)
_FORMS = ("jsonl", "parquet", "croissant", "openeurollm", "megatron")  # of corpus_export_forms
_KEY = click.option("--key", metavar="FILE", help="OpenSSH key of the firm, where it is separate.")


@click.group()
def corpus() -> None:
    """Make datasets from raw text: plan, build, show, explain, prove, export."""


@parameters(
    "plan",
    "bastide corpus plan examples/nordic.toml",
    _RECIPE,
    WORKERS,
    click.option("--count", is_flag=True, help="Read everything, and count every document."),
    _KEY,
)
def plan(call: Call, recipe: Path, workers: int | None, count: bool, key: str | None) -> None:
    """Say what a build would read and do, and about how long; a second's sample is measured.

    With --count nothing of what would be read is estimated. A count that was stopped or killed goes
    on where it stopped.
    """
    from bastide.app.corpus_estimate import plan_dataset

    with call.environment(call.party_key(key)) as env:
        row = plan_dataset(env, recipe, workers or _cores(), count, call.progress())
    about = "" if count else "about "
    lines = [f"{row['recipe']}  {row['digest']}"]
    width = max([16, *(len(source["source"]) + 2 for source in row["sources"])])
    lines += [
        f"  {source['source']:<{width}}{many(source['files'], 'file')}"
        f"  {size(source['bytes'])}"
        f"  {about}{many(source['documents'], 'document')}"
        f"  {source['licence']} ({source['basis']})"
        for source in row["sources"]
    ]
    lines.append("  steps           " + ", ".join(row["steps"]))
    lines.append(
        f"  in all          {size(row['bytes'])} in {about}{many(row['parts'], 'part')}, about"
        f" {span(row['seconds'])} with {many(row['workers'], 'worker')},"
        f" {span(row['seconds_alone'])} of them in one process"
    )
    lines.append(
        f"  disk            at most {size(row['disk_bytes'])};"
        f" {size(row['disk_free_bytes'])} are free"
    )
    lines += [
        f"  budget          {_budget(one)}: {one['asked']} {one['unit']} asked for, about"
        f" {one['there']} there, duplicates included, about {one['taken']} taken"
        for one in row["budgets"]
    ]
    lines += [f"  would be refused: {reason}" for reason in row["refused"]]
    lines.append(
        f"  measured: {', '.join(row['exact'])}; reckoned from samples:"
        f" {', '.join(row['estimated'])}"
    )
    call.show(row, "\n".join(lines))


@parameters("build", "bastide corpus build examples/nordic.toml", _RECIPE, WORKERS, _MEMORY, _KEY)
def build(call: Call, recipe: Path, workers: int | None, memory: int, key: str | None) -> None:
    """Build a dataset. A build that was stopped or killed goes on where it stopped.

    With --json every line of the output is one event; the last is the result or the error.
    """
    from bastide.app.corpus_build import build_dataset

    with telling(call) as work, call.environment(call.party_key(key)) as env:
        work.follow(env.clock)
        row = build_dataset(env, recipe, workers or _cores(), work.progress, memory)
    result = {
        "dataset": row.subject.name,
        "digest": str(row.subject.digest),
        "root": row.body["root"],
        "documents": row.body["documents"],
        "bytes": row.body["bytes"],
        "entry": row.entry,
    }
    if work.events:
        work.events.write("built", **result)
        return
    call.show(
        result,
        f"built {result['dataset']}  {result['digest']}  (entry {row.entry})\n"
        f"  {many(result['documents'], 'document')}, {size(result['bytes'])} of text\n"
        f"  next: bastide corpus show {result['dataset']}",
    )


@parameters("ls", "bastide corpus ls")
def ls(call: Call) -> None:
    """List datasets."""
    from bastide.app.corpora import list_datasets

    with call.environment() as env:
        rows = list_datasets(env)
    columns = ("dataset", "documents", "bytes", "sources", "digest", "entry", "successor")
    call.rows(rows, columns, "no dataset is built yet: bastide corpus build RECIPE")


@parameters(
    "show",
    "bastide corpus show nordic",
    click.argument("dataset"),
    click.option("--examples", is_flag=True, help="Also print the beginnings of removed texts."),
    _KEY,
)
def show(call: Call, dataset: str, examples: bool, key: str | None) -> None:
    """Show a dataset's card: sources, licences, languages, and what each step removed and why."""
    from bastide.app.corpora import show_dataset

    with call.environment(call.party_key(key)) as env:
        row = show_dataset(env, dataset, examples)
    call.show(row, "\n".join(_card(row)))


@parameters(
    "explain",
    "bastide corpus explain nordic --doc ID",
    click.argument("dataset"),
    click.option("--doc", required=True, help="A document's id, or SOURCE:ID."),
    _KEY,
)
def explain(call: Call, dataset: str, doc: str, key: str | None) -> None:
    """Follow one document through every step: what changed it, what removed it, where it is."""
    from bastide.app.corpora import explain_document

    with call.environment(call.party_key(key)) as env:
        row = explain_document(env, dataset, doc)
    lines = [f"{row['source']}:{row['document']}", f"  read from       {row['file'] or '-'}"]
    for step in row["steps"]:
        after = step["removed"] or many(step["chars_after"], "character")
        lines.append(f"  {step['step']:<20}{many(step['chars_before'], 'character')} -> {after}")
    for name, value in sorted(row["notes"].items()):
        lines.append(f"    {name} = {value}")
    if row["instead"]:
        lines.append(f"  removed: {row['removed']}; the document with key {row['instead']} stays")
    elif row["removed"] and not any(step["removed"] for step in row["steps"]):
        lines.append(f"  removed: {row['removed']}")
    if row["shard"]:
        lines.append(f"  is in shard {row['shard']['number']}, line {row['shard']['line']}")
    call.show(row, "\n".join(lines))


@parameters(
    "prove",
    "bastide corpus prove nordic --doc ID --json > proof.json",
    click.argument("dataset"),
    click.option("--doc", required=True, help="A document's id, or SOURCE:ID."),
)
def prove(call: Call, dataset: str, doc: str) -> None:
    """Prove that a document is in a dataset, or that it is not."""
    from bastide.app.corpora import prove_document

    with call.environment() as env:
        row = prove_document(env, dataset, doc)
    state = "is" if row["present"] else "is not"
    sources = ", ".join(one["source"] for one in row["proofs"])
    call.show(
        row,
        f"{doc} {state} in {row['dataset']} (root {row['root']}); looked for as a document of"
        f" {sources}. --json prints the proof.",
    )


@parameters(
    "export",
    "bastide corpus export nordic --to out --form parquet",
    click.argument("dataset"),
    click.option("--to", metavar="PLACE", required=True, help="Folder, or s3://BUCKET/PREFIX."),
    click.option("--form", type=click.Choice(_FORMS), default="jsonl", show_default=True),
    click.option(
        "--tokenizer", type=click.Path(path_type=Path), help="tokenizer.json, for tokens."
    ),
    click.option("--end-token", default="", help="Token after each document, for tokens."),
    _KEY,
)
def export(
    call: Call,
    dataset: str,
    to: str,
    form: str,
    tokenizer: Path | None,
    end_token: str,
    key: str | None,
) -> None:
    """Write a dataset in clear: JSON Lines in Zstandard; Parquet, also with Croissant beside it; an
    OpenEuroLLM collection; or the tokens for Megatron-LM."""
    from bastide.app.corpora import export_dataset

    with call.environment(call.party_key(key)) as env:
        files = export_dataset(
            env, dataset, to, form, call.progress(), tokenizer=tokenizer, end_token=end_token
        )
    call.show({"files": [str(file) for file in files]}, f"wrote {many(len(files), 'file')} to {to}")


def _card(row: dict[str, Any]) -> list[str]:
    lines = [
        f"{row['name']}  {row['digest']}  (entry {row['entry']})",
        f"  {many(row['documents'], 'document')}, {many(row['chars'], 'character')},"
        f" {size(row['text_bytes'])} in {many(len(row['shards']), 'shard')}",
        f"  root            {row['root']}",
    ]
    lines += [
        f"  source          {source['name']}: {source['kept']} of {source['read']} kept,"
        f" {source['broken']} broken, {source['licence']} ({source['basis']}),"
        f" {source['origin']}, {source['collected']}"
        for source in row["sources"]
    ]
    spoken = ", ".join(f"{name} {count}" for name, count in row["languages"].items())
    lines.append(f"  languages       {spoken or '-'}")
    for reason, count in row["broken"].items():
        lines.append(f"  broken          {reason} {count}")
    for step in row["steps"]:
        lines.append(
            f"  step            {step['step']}: {step['entered']} entered,"
            f" {step['changed']} changed, {sum(step['removed'].values())} removed"
        )
        lines += [f"                    {reason} {n}" for reason, n in step["removed"].items()]
    lines += [
        f"  budget          {_budget(one)}: {one['taken']} of {one['asked']} {one['unit']} taken in"
        f" {one['documents']} documents, {one['epochs_thousandths'] / 1000:g} epochs"
        for one in row.get("budgets", ())
    ]
    for example in row.get("examples", ()):
        lines.append(
            f"  example         {example['reason']}: {example['source']}:{example['ident']}"
        )
        lines.append("                    " + " ".join(example["text"].split()))
    lines += [
        f"  {'pass' if verdict['passed'] else 'FAIL'}            {verdict['gate']}"
        for verdict in row["verdicts"]
    ]
    return lines + state_lines(row)


def _budget(row: dict[str, Any]) -> str:
    return f"{row['rule']} {row['name']}".strip()


def _cores() -> int:
    from bastide.app.corpus_pool import cores

    return cores()


for _command in (plan, build, ls, show, explain, prove, export):
    corpus.add_command(_command)
corpus.add_command(check)
corpus.add_command(erase)
corpus.add_command(tombstones)
corpus.add_command(quarantine)
corpus.add_command(index)
corpus.add_command(find)
corpus.add_command(shred_pseudonyms)
for _command in (*corpus_release.COMMANDS, *corpus_pack.COMMANDS):
    corpus.add_command(_command)
