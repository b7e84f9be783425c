# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""`bastide metrics`."""

import asyncio
from pathlib import Path

import click

from bastide.cli.command import Call, parameters
from bastide.core.errors import Misconfigured, Unavailable

__all__ = ["metrics"]


@parameters(
    "metrics",
    """bastide metrics
bastide metrics rules --to /etc/prometheus/rules
bastide metrics dashboard --to .""",
    click.argument(
        "what", type=click.Choice(["now", "rules", "dashboard"]), default="now", metavar="[WHAT]"
    ),
    click.option("--to", metavar="DIR", help="Write the file into this folder."),
)
def metrics(call: Call, what: str, to: str | None) -> None:
    """Print the metrics of all processes in the text format of Prometheus. Needs no key.

    With --json the same samples, by process. Exit 7 if the services are stopped. WHAT may be
    `rules`, the recorded series and alerts for Prometheus, or `dashboard`, the board for Grafana:
    both are the same for every environment and need none. With --to they become the files
    `bastide.rules.yml` and `bastide.dashboard.json` there.
    """
    if what == "now":
        if to is not None:
            raise Misconfigured(
                "--to is for rules and dashboard", fix="bastide metrics rules --to DIR"
            )
        _now(call)
        return
    from bastide.app.metric_files import metric_file

    name, text = metric_file(what)
    if to is None:
        call.show({"name": name, "text": text}, text.rstrip("\n"))
        return
    folder = Path(to)
    if not folder.is_dir():
        raise Misconfigured(f"--to: there is no folder {to}", fix="make it, or name another")
    path = folder / name
    path.write_text(text)
    call.show({"name": name, "path": str(path)}, f"wrote {path}")


def _now(call: Call) -> None:
    from bastide.app.config import read_settings
    from bastide.app.metering import gather
    from bastide.app.services import running_pid
    from bastide.dialects.exposition import write_page

    home = call.home
    settings = read_settings(home)
    if running_pid(home) is None:
        raise Unavailable("the services are stopped", fix="bastide up")
    told = asyncio.run(gather(home, settings))
    rows = {
        process: [dict(zip(("name", "labels", "value"), row, strict=True)) for row in samples]
        for process, samples in told.items()
    }
    call.show(rows, write_page(told).rstrip("\n"))
