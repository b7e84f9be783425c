# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""`bastide ceremony`."""

import os
from pathlib import Path

import click

from bastide.cli.command import Call, parameters, read_text
from bastide.core.errors import Misconfigured

__all__ = ["ceremony"]


@parameters(
    "ceremony",
    'bastide ceremony --present "A. Firm, chief engineer" --out ceremony.md\n'
    "bastide ceremony --check ceremony.md",
    click.option("--present", multiple=True, help="A person and an office (repeatable)."),
    click.option("--out", metavar="FILE", help="Where the record goes; without it, it is printed."),
    click.option("--check", "record_file", metavar="FILE", help="Find a record in the ledger."),
)
def ceremony(
    call: Call, present: tuple[str, ...], out: str | None, record_file: str | None
) -> None:
    """Print the record of a key ceremony, to be signed by hand; the ledger keeps its digest.

    It names the charter, every key with its fingerprint, the custodians, and who was there. Names
    of people are in the record only.
    """
    from bastide.app.ceremony import find_ceremony, hold_ceremony

    if record_file is not None:
        record = read_text(record_file)
        with call.environment() as env:
            row = find_ceremony(env, record)
        result = {"record": row.body["record"], "entry": row.entry}
        call.show(result, f"{record_file} is the record of entry {row.entry}")
        return
    if not present:
        raise Misconfigured("a ceremony has people: give --present", fix="bastide ceremony --help")
    if out is not None and Path(out).exists():
        raise Misconfigured(f"{out} exists already", fix="choose another --out")
    with call.environment() as env:
        record, row = hold_ceremony(env, present)
    result = {"record": row.body["record"], "entry": row.entry, "file": out}
    if out is None:
        call.show({**result, "text": record}, record.rstrip("\n"))
        return
    with open(out, "x", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
        file.write(record)
    call.show(result, f"record: {out}  {row.body['record']}  (entry {row.entry}); print and sign")
