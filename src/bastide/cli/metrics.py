# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""`bastide metrics`."""

import asyncio

from bastide.cli.command import Call, parameters
from bastide.core.errors import Unavailable

__all__ = ["metrics"]


@parameters("metrics", "bastide metrics")
def metrics(call: Call) -> None:
    """Print the metrics of all processes in the text format of Prometheus. Needs no key.

    With --json the same samples, by process. Exit 7 if the services are stopped.
    """
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
