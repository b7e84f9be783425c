# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""`bastide provenance`."""

from pathlib import Path

import click

from bastide.cli.command import Call, parameters

__all__ = ["provenance"]


@parameters(
    "provenance",
    "bastide provenance smollm2-135m-instruct --to smollm2.intoto.jsonl",
    click.argument("name", metavar="NAME|DIGEST"),
    click.option("--to", type=click.Path(path_type=Path), help="Write it to this file."),
)
def provenance(call: Call, name: str, to: Path | None) -> None:
    """Print the SLSA provenance of a dataset, packing, model or release, and of what it rests on.

    One signed DSSE envelope a line (in-toto bundle), the oldest first; with --json a list of them.
    """
    from bastide.app.provenance import export_provenance

    with call.environment() as env:
        rows = export_provenance(env, name)
    lines = b"".join(row.encode() + b"\n" for row in rows)
    if to is None:
        call.show([row.to_json() for row in rows], lines.decode().rstrip())
        return
    to.write_bytes(lines)
    call.show({"provenance": str(to), "statements": len(rows)}, f"wrote {to}  ({len(rows)})")
