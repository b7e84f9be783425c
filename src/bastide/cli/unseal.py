# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""`bastide unseal`."""

import sys
import time

import click

from bastide.cli.command import Call, parameters, read_text
from bastide.core.errors import Misconfigured

__all__ = ["unseal"]


@parameters(
    "unseal",
    "bastide unseal --share firm.share.age --identity firm.txt\n"
    "age -d -i firm.txt firm.share.age | bastide unseal --share -",
    click.option(
        "--share", "shares", multiple=True, required=True, metavar="FILE",
        help="A custodian's share; - reads an opened one from standard input.",
    ),
    click.option(
        "--identity", "identities", multiple=True, metavar="FILE",
        help="age identity file that opens the share (repeatable).",
    ),
    click.option(
        "--wait", type=click.FloatRange(0, 24 * 60), default=15, show_default=True,
        help="Minutes to wait for other custodians.",
    ),
    click.option(
        "--for", "keep", type=click.FloatRange(0, 24 * 60), default=0, show_default=True,
        help="Minutes for which commands of this user need no passphrase.",
    ),
)  # fmt: skip
def unseal(
    call: Call, shares: tuple[str, ...], identities: tuple[str, ...], wait: float, keep: float
) -> None:
    """Start the services with two of the three custodians' shares.

    The first custodian waits, the second hands over; each in a terminal of this machine. Shares are
    in memory only, and forgotten when the time is over. The access policies say which two may.
    """
    from bastide.app import wiring
    from bastide.app.custody import admit_custodians
    from bastide.app.environment import open_environment
    from bastide.app.quorum import Collected, open_share, read_identities
    from bastide.app.services import prepare_run, start_services
    from bastide.app.unsealing import collect, hand_over, read_record

    home, clock = call.home, wiring.clock()
    collected = Collected(read_record(home))
    keys = [key for file in identities for key in read_identities(read_text(file))]
    for file in shares:
        text = read_text(file)
        if file != "-" and text.lstrip().startswith("{"):
            raise Misconfigured(
                f"{file} is an opened share on a disk: delete it",
                fix="give it through a pipe: age -d ... | bastide unseal --share -",
            )
        collected.add(open_share(text, keys))
    prepare_run(home)
    told = [hand_over(home, share) for share in collected.shares.values()]
    if told[-1] is not None:
        result = {"handed_over": sorted(collected.shares), "missing": told[-1]}
        call.show(result, f"handed over; {told[-1]} missing")
        return

    def opened(passphrase: str) -> float:
        # Are they right, all together, and may they?
        with open_environment(home, passphrase) as env:
            admit_custodians(env, collected.shares)
        services = start_services(home, passphrase, clock, time.sleep)
        services.wait_ready(0, clock, time.sleep)
        names = sorted(collected.shares)
        result = {"unsealed": True, "custodians": names, "started": services.process is not None}
        call.show(result, f"unsealed by {' and '.join(names)}: the services run")
        sys.stdout.flush()
        return keep * 60

    if collected.missing:
        call.tell(f"{collected.missing} more to come within {wait:g} minutes: bastide unseal")
    collect(home, collected, wait * 60, clock, call.tell, opened)
