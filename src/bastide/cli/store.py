# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""`bastide store ...`."""

import click

from bastide.cli.command import Call, parameters
from bastide.cli.store_key import keys, shred

__all__ = ["store"]


@click.group()
def store() -> None:
    """Sealed objects and their keys: where they are, who opened what, deny, rotate, move."""


@parameters("where", "bastide store where")
def where(call: Call) -> None:
    """Say where sealed objects are and who holds the key that opens them, and try both once."""
    from bastide.app.store_keys import where as find

    row = find(call.home, call.passphrase())
    lines = [f"held by    {row['holds']}"]
    lines += [f"sealed to  {recipient[:72]}" for recipient in row["recipients"]]
    lines += [f"denied     {name}" for name in row["denied"]]
    lines.append(f"objects in {row['objects']}")
    if row["conditional"] is False:
        lines.append(
            "           which ignores conditions: two machines must not write to it at once"
        )
    if row["rotation"]:
        lines.append("rotation   under way; go on with: bastide store rotate")
    call.show(row, "\n".join(lines))


@parameters(
    "openings",
    "bastide store openings --limit 20",
    click.option("--limit", type=click.IntRange(1), default=100, show_default=True),
)
def openings(call: Call, limit: int) -> None:
    """List the newest openings: time, object, who held the key, process, outcome. Needs no key."""
    from bastide.app.store_keys import openings as read

    rows = read(call.home, limit)
    call.rows(rows, ("time_ms", "outcome", "process", "object"), "nothing was opened")


_NAMES = click.argument("names", nargs=-1, required=True, metavar="NAME...")


@parameters("deny", "bastide store deny '*'", _NAMES)
def deny(call: Call, names: tuple[str, ...]) -> None:
    """Let nobody open objects whose names begin so; '*' is all. It holds for the next opening.

    What is open stays open: `bastide revoke` ends what runs.
    """
    from bastide.app.store_keys import deny as put

    listed = put(call.home, names)
    call.show({"denied": listed}, "\n".join(f"denied  {name}" for name in listed))


@parameters("allow", "bastide store allow '*'", _NAMES)
def allow(call: Call, names: tuple[str, ...]) -> None:
    """Take names off the deny list."""
    from bastide.app.store_keys import allow as take

    listed = take(call.home, names)
    text = "\n".join(f"denied  {name}" for name in listed) or "nothing is denied"
    call.show({"denied": listed}, text)


@parameters(
    "rotate",
    "bastide store rotate --to file",
    click.option(
        "--to",
        metavar="PLACE",
        default="file",
        show_default=True,
        help="Where the new key is: file, pkcs11:..., openbao:... or tpm:...",
    ),
    click.option("--rekey-data", is_flag=True, help="New file keys too: after a compromise."),
)
def rotate(call: Call, to: str, rekey_data: bool) -> None:
    """Give all sealed objects to new keys, while the services are down. A kill costs nothing.

    Only headers are written. Who copied a header before, and has its key, can still open that
    copy; after a compromise --rekey-data encrypts the data anew as well.
    """
    from bastide.app.store_keys import rotate as renew

    row = renew(call.home, call.passphrase(), to, rekey_data, call.progress())
    done = f"{row['objects']} objects sealed to the new key"
    done += f", {row['bytes']} bytes encrypted anew" if row["rekeyed"] else ", no data copied"
    call.show(row, f"{done}; {row['retired']} old keys left the keyring")


@parameters(
    "move",
    "bastide store move --to s3://models/bastide",
    click.option(
        "--to",
        metavar="PLACE",
        required=True,
        help="s3://BUCKET/PREFIX, local:/FOLDER, or home: the folder `store` of the home.",
    ),
)
def move(call: Call, to: str) -> None:
    """Bring all sealed objects to another place, while the services are down. A kill costs nothing.

    They stay the age files that they are: no key is needed. Each is read back before the setting
    `store` changes and the old copies go.
    """
    from bastide.app.store_move import move as bring

    row = bring(call.home, to, call.progress())
    call.show(row, f"{row['objects']} objects are in {row['to']} now, {row['bytes']} bytes copied")


for command in (where, openings, deny, allow, rotate, move, keys, shred):
    store.add_command(command)
