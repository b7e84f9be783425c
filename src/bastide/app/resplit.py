# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Splitting the quorum again: another custodian in the place of one who left.

The quorum itself agrees: enough custodians bring their shares, and each says for whom the new ones
are. The keyring gets a new passphrase, so the old shares open it no more. The ledger says which
splitting is in force, so that a keyring and a record put back from a backup are refused, too.

A kill at any moment leaves one set of shares that opens. The order: the new shares; the record,
with the new one as `next`; the keyring; the ledger; the record alone. What a kill leaves undone is
done when the new shares come.
"""

import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from bastide.app import wiring
from bastide.app.alone import alone
from bastide.app.config import Home
from bastide.app.custody import admit_custodians
from bastide.app.environment import Environment, open_environment
from bastide.app.quorum import new_quorum, verify_custodians
from bastide.app.services import running_pid
from bastide.app.unsealing import read_record
from bastide.core.canonical import canonical
from bastide.core.errors import Misconfigured, Refused
from bastide.core.evidence import Evidence, Statement
from bastide.core.key import Purpose
from bastide.core.party import Party
from bastide.core.subject import Digest, Subject

__all__ = ["custodians_then", "purpose_of", "resplit", "settle", "verify_ready"]

KIND: Final = "quorum/v1"


def custodians_then(record: Mapping[str, Any], given: Mapping[Party, str]) -> dict[Party, str]:
    """The recipients of all custodians once those that are given took their places."""
    now = {Party(row["custodian"]): row["recipient"] for row in record["custodians"]}
    return {**now, **given}


def purpose_of(record: Mapping[str, Any], custodians: Mapping[Party, str]) -> str:
    """What a custodian's share is given for, so that nobody's is used for another splitting."""
    to = {party.value: recipient.strip() for party, recipient in custodians.items()}
    return str(Digest.of(canonical({"from": record["set"], "to": to})))


def resplit(
    home: Home,
    passphrase: str,
    record: Mapping[str, Any],
    came: Iterable[str],
    custodians: Mapping[Party, str],
    out: Path,
) -> dict[str, Any]:
    """Give the keyring a new passphrase and write its shares to a new folder.

    `record` is that of the shares which opened it. Raises Refused while the services run or for
    shares that were replaced, NotAllowed if the policies do not let these custodians.
    """
    verify_ready(home, custodians, out)
    with open_environment(home, passphrase) as env, alone(home.root, lambda: None):
        admit_custodians(env, came, "quorum-split")
        settle(env, record)
        secret, new, sealed = new_quorum(record["environment"], custodians, env.entropy.token)
        files = _write_shares(out, sealed)
        _write(home, {**record, "next": new})
        wiring.save_keyring(home.keyring, env.reread_keyring(), passphrase, env.entropy, secret)
        entry = settle(env, new)
    return {**new, "entry": entry, "shares": [str(path) for path in files]}


def verify_ready(home: Home, custodians: Mapping[Party, str], out: Path) -> None:
    """What can be known before anybody brings a share. Raises Refused or Misconfigured."""
    verify_custodians(custodians)
    if running_pid(home) is not None:
        raise Refused("the services run with the keyring of now", fix="bastide down")
    if out.exists():
        raise Misconfigured(f"{out} exists already", fix="name a new folder: --out FOLDER")


def settle(env: Environment, record: Mapping[str, Any]) -> int | None:
    """Check that a splitting is the one in force, and end what a kill interrupted; its entry.

    None for that of the founding, which the ledger does not name. Raises Refused for one that was
    replaced, or that nobody stated.
    """
    rows, on_file = env.ledger.find(KIND), read_record(env.home)
    newest = rows[-1].body["set"] if rows else None
    if record["set"] in {row.body["previous"] for row in rows}:
        (by,) = [row for row in rows if row.body["previous"] == record["set"]]
        raise Refused(
            f"these shares were replaced in entry {by.entry}",
            fix="use the shares that were made then; this keyring or its record is an old copy",
        )
    if record["set"] != newest:
        if newest not in (None, on_file["set"]):
            raise Refused("the ledger knows no such splitting of the quorum", fix="use a backup")
        if record["set"] == on_file["set"]:
            return None
        rows = [_state(env, record, on_file["set"])]
    if on_file != record:
        _write(env.home, record)
    return rows[-1].entry


def _state(env: Environment, record: Mapping[str, Any], previous: str) -> Evidence:
    body = {
        "set": record["set"],
        "previous": previous,
        "threshold": record["threshold"],
        "custodians": list(record["custodians"]),
        "time_ms": env.clock.now_ms(),
    }
    about = Subject("quorum", Digest.of(canonical({"quorum": record["set"]})))
    statement = Statement(KIND, (about,), body)
    return env.ledger.append_statement(statement, [env.signer(Purpose.EVIDENCE)])


def _write_shares(out: Path, sealed: Mapping[Party, str]) -> list[Path]:
    """All of them in a new folder, or none and no folder."""
    files = [out / f"{party.value}.share.age" for party in sealed]
    out.mkdir(mode=0o700, parents=True)
    try:
        for file, text in zip(files, sealed.values(), strict=True):
            wiring.replace_small(file, text.encode())
    except BaseException:
        shutil.rmtree(out)
        raise
    return files


def _write(home: Home, record: Mapping[str, Any]) -> None:
    wiring.replace_small(home.quorum, (json.dumps(record, indent=2) + "\n").encode(), mode=0o644)
