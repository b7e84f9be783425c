# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""`bastide login`, `logout`, `whoami`."""

import time
import webbrowser
from datetime import UTC, datetime

import click

from bastide.cli.command import Call, parameters

__all__ = ["COMMANDS"]


@parameters(
    "login",
    "bastide login\nbastide login --no-browser\nbastide login --device",
    click.option("--device", is_flag=True, help="Confirm a code on another device."),
    click.option("--no-browser", is_flag=True, help="Print the URL, and open nothing."),
)
def login(call: Call, device: bool, no_browser: bool) -> None:
    """Log in at the issuer that two parties signed for, as one of their people.

    It holds for this terminal, for the minutes that they signed. It signs nothing: who approves
    still gives a key. Connects to that issuer and to nothing else.
    """
    from bastide.app import wiring
    from bastide.app.login import begin_login, log_in_by_browser, log_in_by_device

    with call.environment() as env:
        begun = begin_login(env, wiring.ask_issuer)
        if device:
            row = log_in_by_device(
                env,
                begun,
                lambda url, code: call.tell(f"Open {url}\nand confirm this code: {code}"),
                time.sleep,
            )
        else:
            with wiring.loopback() as browser:
                row = log_in_by_browser(
                    env, begun, browser, lambda url: _open(call, url, no_browser)
                )
    until = datetime.fromtimestamp(row.body["until_ms"] / 1000, UTC).strftime("%H:%M UTC")
    call.show(
        {"entry": row.entry, **row.body},
        f"{row.body['person']} is logged in for the {row.body['party']} until {until}"
        f"  (entry {row.entry})",
    )


@parameters("logout", "bastide logout")
def logout(call: Call) -> None:
    """End the session of this terminal. Needs no key."""
    from bastide.app.sessions import end_session

    ended = end_session(call.home)
    call.show({"ended": ended}, "logged out" if ended else "nobody was logged in here")


@parameters("whoami", "bastide whoami --json")
def whoami(call: Call) -> None:
    """Say who one is at this terminal, and for which parties one acts."""
    with call.environment() as env:
        parties = sorted(party.value for party in env.principal.parties)
        row = {"name": env.principal.name, "parties": parties}
    call.show(row, f"{row['name']}: {', '.join(parties) or 'no party'}")


def _open(call: Call, url: str, quiet: bool) -> None:
    call.tell(f"Log in here:\n{url}")
    if not quiet:
        webbrowser.open(url)


COMMANDS = {"login": login, "logout": logout, "whoami": whoami}
