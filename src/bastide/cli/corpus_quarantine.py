# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""`bastide corpus quarantine` and `shred-pseudonyms`."""

import json

import click

from bastide.cli.command import Call, parameters

__all__ = ["quarantine", "shred_pseudonyms"]


_KEY = click.option("--key", metavar="FILE", help="OpenSSH key of the firm, where it is separate.")


@parameters(
    "quarantine",
    "bastide corpus quarantine nordic",
    click.argument("name", metavar="DATASET|BUILD"),
    _KEY,
)
def quarantine(call: Call, name: str, key: str | None) -> None:
    """List the places that could not be read: of a dataset, or of a build that was refused.

    With --json every line of the output is one place.
    """
    from bastide.app.corpus_quarantine import quarantined

    count = 0
    with call.environment(call.party_key(key)) as env:
        for row in quarantined(env, name):
            count += 1
            if call.as_json:
                click.echo(json.dumps(row, ensure_ascii=False))
                continue
            told = f" ({row['detail']})" if row["detail"] else ""
            click.echo(
                f"{row['file']}: line {row['line']}, byte {row['byte']}: {row['meaning']}{told}"
            )
    if not count and not call.as_json:
        click.echo("nothing is in quarantine")


@parameters(
    "shred-pseudonyms",
    "bastide corpus shred-pseudonyms nordic",
    click.argument("dataset"),
    _KEY,
)
def shred_pseudonyms(call: Call, dataset: str, key: str | None) -> None:
    """Destroy the key of a dataset's pseudonyms: nobody can link a person to one any more.

    It cannot be undone. Backups of the state directory still hold the key, sealed.
    """
    from bastide.app.corpus_pseudonyms import end_pseudonym_key

    with call.environment(call.party_key(key)) as env:
        row = end_pseudonym_key(env, dataset)
    result = {
        "dataset": row.subject.name,
        "digest": str(row.subject.digest),
        "entry": row.entry,
    }
    call.show(
        result,
        f"the key of {row.subject.name}'s pseudonyms is destroyed (entry {row.entry});"
        " backups made before still hold it, sealed",
    )
