# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""`bastide corpus check`."""

import click

from bastide.cli.amounts import many
from bastide.cli.command import Call, parameters
from bastide.core.errors import Refused

__all__ = ["check"]


@parameters(
    "check",
    "bastide corpus check collection/flag",
    click.argument("directory"),
)
def check(call: Call, directory: str) -> None:
    """Find every fault of an OpenEuroLLM collection: metadata, annotations, counts, table, mix.

    DIRECTORY may be s3://BUCKET/PREFIX. Exits with 0 if there is none, with 3 if there are some.
    Nothing is written.
    """
    from bastide.app.corpus_check import check_collection, collection_at

    row = check_collection(collection_at(call.home, directory), call.progress())
    faults = row["faults"]
    looked = f"{many(row['datasets'], 'dataset')}, {many(row['files'], 'file')},"
    looked += f" {many(row['counts'], 'count')}"
    lines = []
    for fault in faults:
        where = ":".join(str(fault[key]) for key in ("file", "line", "field") if fault[key])
        lines += [f"{where}: {fault['code']}: {fault['message']}", f"    {fault['fix']}"]
    call.show(row, "\n".join([*lines, f"{len(faults)} faults in {looked}"]))
    if faults:
        raise click.exceptions.Exit(Refused.exit_status)
