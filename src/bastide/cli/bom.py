# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""`bastide bom`."""

import json
from pathlib import Path

import click

from bastide.cli.command import Call, parameters, read_text
from bastide.core.subject import Digest

__all__ = ["bom", "show_bom"]


@parameters(
    "bom",
    "bastide bom --requirements requirements/runtime.txt --to bastide.cdx.json",
    click.option("--requirements", metavar="FILE", help="Locked requirements with hashes."),
    click.option("--to", type=click.Path(path_type=Path), help="Write it to this file."),
)
def bom(call: Call, requirements: str | None, to: Path | None) -> None:
    """Print the bill of materials of Bastide itself: CycloneDX 1.6 over what is installed here.

    With locked requirements it has the hashes of every package's files, and a package that is
    installed at another version is refused (exit 6).
    """
    from bastide.app.own_bom import own_bom, read_locked

    locked = None if requirements is None else read_locked(read_text(requirements))
    show_bom(call, own_bom(locked), to)


def show_bom(call: Call, data: bytes, to: Path | None) -> None:
    """Print a bill, or write it and say what its digest is."""
    value = json.loads(data)
    if to is None:
        call.show(value, data.decode())
        return
    to.write_bytes(data)
    row = {"bom": str(to), "digest": str(Digest.of(data)), "components": len(value["components"])}
    call.show(row, f"wrote {to}  {row['digest']}  ({row['components']} components)")
