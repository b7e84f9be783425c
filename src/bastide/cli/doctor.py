# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""`bastide doctor`."""

from dataclasses import asdict

from bastide.cli.command import Call, parameters
from bastide.core.errors import NotAllowed, NotProven, Unavailable

__all__ = ["doctor"]

_MARKS = {"ok": "ok  ", "warn": "warn", "bad": "BAD "}


@parameters("doctor", "bastide doctor --json")
def doctor(call: Call) -> None:
    """Check clock, disk, keys, ledger, policies, memory, sandbox, files, sockets and more.

    Exit 0 if nothing is bad; warnings are for you to judge.
    """
    from bastide.app import wiring
    from bastide.app.doctor import examine

    try:
        passphrase = call.passphrase() if call.home.founded else None
    except (NotAllowed, Unavailable):
        passphrase = None
    findings = examine(call.home, passphrase, wiring.clock())
    lines = []
    for finding in findings:
        lines.append(f"{_MARKS[finding.state]}  {finding.ident:<9}{finding.seen}")
        if finding.fix:
            lines.append(f"               fix: {finding.fix}")
    bad = [finding.ident for finding in findings if finding.state == "bad"]
    call.show({"well": not bad, "findings": [asdict(row) for row in findings]}, "\n".join(lines))
    if bad:
        raise SystemExit(NotProven.exit_status if "ledger" in bad else 1)
