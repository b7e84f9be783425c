# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""`bastide unseal` and `bastide resplit`."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bastide.cli.command import Call, parameters, parties_of, read_text
from bastide.core.errors import Misconfigured

if TYPE_CHECKING:
    from bastide.app.quorum import Collected

__all__ = ["resplit", "unseal"]

_SHARE = click.option(
    "--share", "shares", multiple=True, required=True, metavar="FILE",
    help="A custodian's share; - reads an opened one from standard input.",
)  # fmt: skip
_IDENTITY = click.option(
    "--identity", "identities", multiple=True, metavar="FILE",
    help="age identity file that opens the share (repeatable).",
)  # fmt: skip
_WAIT = click.option(
    "--wait", type=click.FloatRange(0, 24 * 60), default=15, show_default=True,
    help="Minutes to wait for other custodians.",
)  # fmt: skip


@parameters(
    "unseal",
    "bastide unseal --share firm.share.age --identity firm.txt\n"
    "age -d -i firm.txt firm.share.age | bastide unseal --share -",
    _SHARE,
    _IDENTITY,
    _WAIT,
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
    from bastide.app.resplit import settle
    from bastide.app.services import start_services
    from bastide.app.unsealing import collect

    home, clock = call.home, wiring.clock()
    collected = _collected(call, shares, identities)
    if _handed_over(call, collected, ""):
        return

    def opened(passphrase: str) -> float:
        # Are they right, all together, may they, and are they those in force?
        with open_environment(home, passphrase) as env:
            admit_custodians(env, collected.shares)
            settle(env, collected.record)
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


@parameters(
    "resplit",
    "bastide resplit --custodian guardian=age1... --share firm.share.age --identity firm.txt"
    " --out shares\n"
    "bastide resplit --custodian guardian=age1... --share operator.share.age --identity o.txt",
    click.option(
        "--custodian", "custodians", multiple=True, required=True, metavar="PARTY=AGE1...",
        help="age recipient of a custodian from now on (repeatable); the others stay.",
    ),
    _SHARE,
    _IDENTITY,
    _WAIT,
    click.option("--out", metavar="FOLDER", help="Where the new shares go; a new folder."),
)  # fmt: skip
def resplit(
    call: Call,
    custodians: tuple[str, ...],
    shares: tuple[str, ...],
    identities: tuple[str, ...],
    wait: float,
    out: str | None,
) -> None:
    """Split the quorum again, for other custodians; the old shares open nothing more.

    Enough custodians bring their shares as for `bastide unseal`, and each names the same new ones.
    All get new shares. It is stated in the ledger. Backups of the keyring open with the old shares
    for ever: where that matters, rotate the store's keys and shred the old ones.
    """
    from bastide.app import wiring
    from bastide.app.resplit import custodians_then, purpose_of, verify_ready
    from bastide.app.resplit import resplit as split
    from bastide.app.unsealing import collect

    collected = _collected(call, shares, identities)
    then = custodians_then(collected.record, parties_of(custodians))
    purpose = purpose_of(collected.record, then)
    if _handed_over(call, collected, purpose):
        return
    if out is None:
        raise Misconfigured("nobody collects shares yet: give --out FOLDER", fix="or wait")
    verify_ready(call.home, then, Path(out))

    def opened(passphrase: str) -> float:
        row = split(call.home, passphrase, collected.record, collected.shares, then, Path(out))
        names = " and ".join(sorted(collected.shares))
        lines = [f"split again by {names}  (entry {row['entry']}): the old shares open nothing"]
        lines += [
            f"  {path}  (give it to that person, then delete it here)" for path in row["shares"]
        ]
        call.show(row, "\n".join(lines))
        return 0

    if collected.missing:
        call.tell(f"{collected.missing} more to come within {wait:g} minutes: bastide resplit")
    collect(call.home, collected, wait * 60, wiring.clock(), call.tell, opened, purpose)


def _collected(call: Call, files: tuple[str, ...], identities: tuple[str, ...]) -> "Collected":
    from bastide.app.quorum import Collected, open_share, read_identities
    from bastide.app.unsealing import read_record

    record = read_record(call.home)
    keys = [key for file in identities for key in read_identities(read_text(file))]
    shares = []
    for file in files:
        text = read_text(file)
        if file != "-" and text.lstrip().startswith("{"):
            raise Misconfigured(
                f"{file} is an opened share on a disk: delete it",
                fix="give it through a pipe: age -d ... | bastide unseal --share -",
            )
        shares.append(open_share(text, keys))
    return Collected.of(record, shares)


def _handed_over(call: Call, collected: "Collected", purpose: str) -> bool:
    """Whether somebody collects who took these shares."""
    from bastide.app.services import prepare_run
    from bastide.app.unsealing import hand_over

    prepare_run(call.home)
    told = [hand_over(call.home, share, purpose) for share in collected.shares.values()]
    if told[-1] is None:
        return False
    result = {"handed_over": sorted(collected.shares), "missing": told[-1]}
    call.show(result, f"handed over; {told[-1]} missing")
    return True
