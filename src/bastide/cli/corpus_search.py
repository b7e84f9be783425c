# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""`bastide corpus index` and `bastide corpus find`."""

from dataclasses import asdict

import click

from bastide.cli.amounts import many
from bastide.cli.command import Call, parameters
from bastide.cli.events import telling

__all__ = ["find", "index"]

_KEY = click.option("--key", metavar="FILE", help="OpenSSH key of the firm, where it is separate.")


@parameters(
    "index",
    "bastide corpus index nordic",
    click.argument("dataset"),
    click.option(
        "--memory", type=int, default=512, show_default=True, help="MiB that sorting may take."
    ),
    _KEY,
)
def index(call: Call, dataset: str, memory: int, key: str | None) -> None:
    """Make the index that `corpus find` needs. What was stopped or killed goes on.

    An index that is there is checked, and what is damaged is made again. With --json every line of
    the output is one event; the last is the result or the error.
    """
    from bastide.app.corpus_index import build_index

    with telling(call) as work, call.environment(call.party_key(key)) as env:
        work.follow(env.clock)
        row = build_index(env, dataset, memory, work.progress)
    if work.events:
        work.events.write("indexed", **row)
        return
    call.show(
        row,
        f"indexed {row['dataset']}: {many(row['documents'], 'document')} in"
        f" {many(row['segments'], 'segment')},"
        f" {row['kept']} of them were there",
    )


@parameters(
    "find",
    'bastide corpus find nordic --text "for those in peril"',
    click.argument("dataset"),
    click.option("--text", required=True, help="What to look for, as it stands in the dataset."),
    click.option(
        "--limit", type=click.IntRange(0), default=10, show_default=True, help="Places to show."
    ),
    _KEY,
)
def find(call: Call, dataset: str, text: str, limit: int, key: str | None) -> None:
    """Find every place of a text in a finished dataset, verbatim. `corpus index` comes first."""
    from bastide.app.corpus_search import find_spans

    with call.environment(call.party_key(key)) as env:
        spans = find_spans(env, dataset, text, limit)
    lines = [f"{many(spans.count, 'place')} in {spans.dataset}, {len(spans.found)} shown"]
    for span in spans.found:
        lines.append(
            f"{span.source}:{span.document}  character {span.position}"
            f"  (shard {span.shard}, line {span.line})"
        )
        lines.append("    " + " ".join(f"{span.before}[{text}]{span.after}".split()))
    call.show(asdict(spans), "\n".join(lines))
