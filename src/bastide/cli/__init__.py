# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The command line: parse, call one use case, print. One file per noun."""

import sys

__all__ = ["main"]


def main() -> None:
    """Run `bastide`. Exit codes are those of core/errors.py, and 130 for Ctrl-C."""
    from bastide.app.hiding import hide_memory
    from bastide.cli.root import run

    hide_memory()  # any command may be given a passphrase or a key
    sys.exit(run(sys.argv[1:]))
