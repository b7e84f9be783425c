# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""`bastide exit-codes`: what each exit status means, from the error tree itself."""

from bastide.cli.command import Call, parameters
from bastide.core import errors

__all__ = ["exit_codes"]

_LEAVES = (
    errors.NotFound,
    errors.Misconfigured,
    errors.Refused,
    errors.NotAllowed,
    errors.Waiting,
    errors.NotProven,
    errors.Unavailable,
)


@parameters("exit-codes", "bastide exit-codes --json")
def exit_codes(call: Call) -> None:
    """Explain the exit codes."""
    rows = [{"status": 0, "code": "ok", "meaning": "it worked"}]
    for leaf in sorted(_LEAVES, key=lambda leaf: leaf.exit_status):
        meaning = (leaf.__doc__ or "").split("\n")[0]
        rows.append({"status": leaf.exit_status, "code": leaf.code, "meaning": meaning})
    rows.append({"status": 130, "code": "interrupted", "meaning": "Ctrl-C"})
    call.rows(rows, ("status", "code", "meaning"), "")
