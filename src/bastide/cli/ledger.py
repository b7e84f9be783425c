# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""`bastide ledger ...`."""

from pathlib import Path

import click

from bastide.cli.amounts import many
from bastide.cli.command import Call, parameters, read_text

__all__ = ["ledger"]


@click.group()
def ledger() -> None:
    """List, show, prove, audit, rebuild and export the ledger."""


@parameters(
    "ls",
    "bastide ledger ls --kind release/v1",
    click.option("--kind", help="Only this kind of statement."),
    click.option("--after", type=int, default=-1, help="Only entries behind this one."),
    click.option("--limit", type=click.IntRange(1), default=1000, show_default=True),
)
def ls(call: Call, kind: str | None, after: int, limit: int) -> None:
    """List entries."""
    from bastide.app.records import list_entries

    with call.environment() as env:
        rows = list_entries(env, kind, after, limit)
    call.rows(
        rows, ("entry", "time", "kind", "subject", "signers", "by", "break_glass"), "no such entry"
    )


@parameters("show", "bastide ledger show 0", click.argument("entry", type=click.IntRange(0)))
def show(call: Call, entry: int) -> None:
    """Show one entry's statement and who signed it."""
    import json

    from bastide.app.records import show_entry

    with call.environment() as env:
        row = show_entry(env, entry)
    call.show(row, json.dumps(row, indent=2, ensure_ascii=False))


@parameters(
    "prove",
    "bastide ledger prove 3\nbastide ledger prove 3 --since 10\n"
    "bastide ledger prove 3 --tlog-proof 3.tlog-proof",
    click.argument("entry", type=click.IntRange(0)),
    click.option("--since", type=click.IntRange(1), help="Also prove that size N was a prefix."),
    click.option("--tlog-proof", "file", metavar="FILE", help="Write a C2SP tlog-proof there."),
)
def prove(call: Call, entry: int, since: int | None, file: str | None) -> None:
    """Prove that an entry is in the ledger: hash, inclusion proof, signed checkpoint.

    A tlog-proof is under the newest head that witnesses cosigned; its leaf is the entry's bytes,
    which `ledger export` and receipts hold.
    """
    import json

    from bastide.app.records import prove_entry, tlog_proof

    with call.environment() as env:
        if file is not None:
            Path(file).write_text(tlog_proof(env, entry))
            call.show({"tlog_proof": file}, f"written: {file}")
            return
        row = prove_entry(env, entry, since)
    call.show(row, json.dumps(row, indent=2, ensure_ascii=False))


@parameters("checkpoint", "bastide ledger checkpoint > checkpoint.txt")
def checkpoint(call: Call) -> None:
    """Print the signed checkpoint: keep copies, and nobody can rewrite history unseen."""
    from bastide.app.records import head

    with call.environment() as env:
        text = head(env)
    call.show({"checkpoint": text}, text.rstrip("\n"))


@parameters(
    "audit",
    "bastide ledger audit\nbastide ledger audit --head checkpoint.txt",
    click.option(
        "--head",
        "heads",
        multiple=True,
        metavar="FILE",
        help="A head that you or a witness kept: it must be one of this ledger.",
    ),
)
def audit(call: Call, heads: tuple[str, ...]) -> None:
    """Recompute every hash, signature and projection. Exit 6 names the first that fails.

    Every head that witnesses have cosigned must be one of this ledger, too: else it was rolled back
    or forked.
    """
    from bastide.app.emergencies import mark
    from bastide.app.records import audit_ledger

    with call.environment() as env:
        row = audit_ledger(env, [read_text(file) for file in heads])
    cosigned = row["cosigned_heads"]
    also = f", and so do {cosigned} cosigned heads" if cosigned else ""
    lines = [f"{many(row['entries'], 'entry', 'entries')}: everything holds{also}"]
    lines += [
        f"  by {act['person']} ({act['party']}): {many(act['statements'], 'statement')}"
        for act in row["acts"]
    ]
    lines += [
        f"  approval of the {one['party']} in entry {one['entry']}{mark(one)}"
        for one in row["approvals_under_break_glass"]
    ]
    call.show({**row, "holds": True}, "\n".join(lines))


@parameters("rebuild", "bastide ledger rebuild")
def rebuild(call: Call) -> None:
    """Drop every projection and replay the ledger; the rows are the same as before."""
    from bastide.app.records import rebuild_ledger

    with call.environment() as env:
        size = rebuild_ledger(env)
    call.show({"entries": size, "rebuilt": True}, f"replayed {many(size, 'entry', 'entries')}")


@parameters(
    "export",
    "bastide ledger export --to ./ledger",
    click.option("--to", "folder", type=click.Path(path_type=Path), required=True, help="Folder."),
)
def export(call: Call, folder: Path) -> None:
    """Write the ledger in the C2SP tlog-tiles layout, which public tools read."""
    from bastide.app.records import export_ledger

    with call.environment() as env:
        size = export_ledger(env, folder)
    call.show(
        {"folder": str(folder), "entries": size},
        f"wrote {many(size, 'entry', 'entries')} to {folder}",
    )


for _command in (ls, show, prove, checkpoint, audit, rebuild, export):
    ledger.add_command(_command)
