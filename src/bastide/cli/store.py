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


_KEY = click.option("--key", metavar="FILE", help="A party's key: it says who you are.")


@parameters(
    "openings",
    "bastide store openings --limit 20",
    click.option("--limit", type=click.IntRange(1), default=100, show_default=True),
    _KEY,
)
def openings(call: Call, limit: int, key: str | None) -> None:
    """List the newest openings: time, object, who held the key, process, outcome.

    While the environment is locked it needs no key, and no policy is asked.
    """
    from bastide.app.store_denials import openings as read
    from bastide.app.store_denials import openings_locked

    with call.environment_if_open(call.party_key(key)) as env:
        rows = openings_locked(call.home, limit) if env is None else read(env, limit)
    call.rows(rows, ("time_ms", "outcome", "process", "object"), "nothing was opened")


_NAMES = click.argument("names", nargs=-1, required=True, metavar="NAME...")


@parameters("deny", "bastide store deny '*'", _NAMES, _KEY)
def deny(call: Call, names: tuple[str, ...], key: str | None) -> None:
    """Let nobody open objects whose names begin so; '*' is all. It holds for the next opening.

    What is open stays open: `bastide revoke` ends what runs. While the environment is locked it
    needs no key, and no policy is asked: a stop does not wait.
    """
    from bastide.app.store_denials import deny as put
    from bastide.app.store_denials import deny_locked

    with call.environment_if_open(call.party_key(key)) as env:
        listed = deny_locked(call.home, names) if env is None else put(env, names)
    call.show({"denied": listed}, "\n".join(f"denied  {name}" for name in listed))


@parameters("allow", "bastide store allow '*' --key guardian.key", _NAMES, _KEY)
def allow(call: Call, names: tuple[str, ...], key: str | None) -> None:
    """Take names off the deny list: the guardian, unless the policies say otherwise."""
    from bastide.app.store_denials import allow as take

    with call.environment(call.party_key(key)) as env:
        listed = take(env, names)
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
