# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Options that commands about corpora share."""

import click

__all__ = ["WORKERS"]

WORKERS = click.option(
    "--workers", type=click.IntRange(1), help="Processes.  [default: one for each core]"
)
