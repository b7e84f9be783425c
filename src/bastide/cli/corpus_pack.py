# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""`bastide corpus pack`, `packings`, `export-packing` and `prove-packing`."""

from pathlib import Path

import click

from bastide.cli.amounts import many
from bastide.cli.command import Call, parameters
from bastide.cli.corpus_options import WORKERS
from bastide.cli.events import telling

__all__ = ["COMMANDS"]

_KEY = click.option("--key", metavar="FILE", help="OpenSSH key of the firm, where it is separate.")


@parameters(
    "pack",
    "bastide corpus pack nordic --tokenizer tokenizer.json --end-token '<|endoftext|>'",
    click.argument("dataset"),
    click.option(
        "--tokenizer", type=click.Path(path_type=Path), required=True, help="tokenizer.json."
    ),
    click.option("--end-token", required=True, help="Token after each document."),
    click.option("--length", type=int, default=4096, show_default=True, help="Tokens a sequence."),
    click.option(
        "--method",
        type=click.Choice(["best-fit", "concat"]),
        default="best-fit",
        show_default=True,
        help="Keep documents whole where they fit, or cut wherever a sequence is full.",
    ),
    WORKERS,
    _KEY,
)
def pack(
    call: Call,
    dataset: str,
    tokenizer: Path,
    end_token: str,
    length: int,
    method: str,
    workers: int | None,
    key: str | None,
) -> None:
    """Tokenize a dataset and pack it into training sequences of one length.

    What was stopped or killed goes on. The sequences lie sealed beside the dataset;
    `export-packing` writes them in clear. With --json every line of the output is one event; the
    last is the result or the error.
    """
    from bastide.app.corpus_pack import pack_dataset
    from bastide.app.corpus_packings import show_packing
    from bastide.app.corpus_pool import cores

    with telling(call) as work, call.environment(call.party_key(key)) as env:
        work.follow(env.clock)
        row = pack_dataset(
            env, dataset, tokenizer, end_token, length, method, workers or cores(), work.progress
        )
        result = show_packing(env, str(row.subject.digest))
    if work.events:
        work.events.write("packed", **result)
        return
    call.show(result, "\n".join(_card(result)))


@parameters("packings", "bastide corpus packings", click.argument("packing", required=False))
def packings(call: Call, packing: str | None) -> None:
    """List packings, or show the newest of a dataset, or the one of a digest."""
    from bastide.app.corpus_packings import list_packings, show_packing

    with call.environment() as env:
        if packing is not None:
            row = show_packing(env, packing)
            call.show(row, "\n".join(_card(row)))
            return
        rows = list_packings(env)
    columns = ("dataset", "length", "method", "sequences", "tokens", "fill", "packing", "entry")
    call.rows(rows, columns, "nothing is packed yet: bastide corpus pack DATASET")


@parameters(
    "export-packing",
    "bastide corpus export-packing nordic --to out --form megatron",
    click.argument("packing"),
    click.option("--to", required=True, help="Folder, or s3://BUCKET/PREFIX."),
    click.option(
        "--form",
        type=click.Choice(["megatron", "parquet", "numpy"]),
        default="megatron",
        show_default=True,
    ),
    _KEY,
)
def export_packing(call: Call, packing: str, to: str, form: str, key: str | None) -> None:
    """Write a packing in clear: sequences for Megatron-LM, in Parquet or as NumPy's arrays, and
    which documents are in each. PACKING is a dataset's name (the newest) or a digest. An export
    that was killed goes on."""
    from bastide.app.corpus_packings import export_packing as export

    with call.environment(call.party_key(key)) as env:
        files = export(env, packing, to, form, call.progress())
    call.show({"files": [str(file) for file in files]}, f"wrote {many(len(files), 'file')} to {to}")


@parameters(
    "prove-packing",
    "bastide corpus prove-packing nordic --doc ID --json > proof.json",
    click.argument("packing"),
    click.option("--doc", required=True, help="A document's id, or SOURCE:ID."),
)
def prove_packing(call: Call, packing: str, doc: str) -> None:
    """Prove that a document is in a packing, and in which sequences, or that it is not."""
    from bastide.app.corpus_packing_proof import prove_packed

    with call.environment() as env:
        row = prove_packed(env, packing, doc)
    lines = [
        f"{doc} {'is' if row['present'] else 'is not'} in the packing {row['packing']} of"
        f" {row['dataset']} (root of the documents {row['documents_root']}). --json prints the"
        " proof."
    ]
    lines += [
        f"  {one['source']}: {place['length']} tokens from {place['offset']} in sequence"
        f" {place['sequence']} of shard {place['shard']}, from token {place['at']}"
        for one in row["proofs"]
        for place in one.get("placements", ())
    ]
    call.show(row, "\n".join(lines))


def _card(row: dict) -> list[str]:
    languages = sorted(row["languages"].items(), key=lambda item: (-item[1], item[0]))
    return [
        f"packed {row['name']}  {row['packing']}  (entry {row['entry']})",
        f"  {many(row['sequences'], 'sequence')} of {row['length']} tokens,"
        f" {row['fill']:.2%} filled, {row['method']}",
        f"  {many(row['tokens'], 'token')} of {many(row['documents'], 'document')},"
        f" {row['split']:,} of them in more than one piece",
        "  " + ", ".join(f"{language} {count}" for language, count in languages),
    ]


COMMANDS = (pack, packings, export_packing, prove_packing)
