# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The record of a key ceremony: who was there, and what keys stand from then on.

People's names are on the paper only. The ledger keeps the record's digest; a random mark in the
text keeps anybody from guessing names from it.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

from bastide.app.duties import require
from bastide.app.environment import Environment
from bastide.app.unsealing import read_record
from bastide.core.errors import Misconfigured, NotFound, NotProven
from bastide.core.evidence import Evidence, Statement
from bastide.core.key import Purpose
from bastide.core.subject import Digest, Subject

__all__ = ["find_ceremony", "hold_ceremony"]

_KIND = "ceremony/v1"
_CELL_CHARACTERS_MAX = 120


def hold_ceremony(env: Environment, present: Sequence[str]) -> tuple[str, Evidence]:
    """Write a record (Markdown, to print and sign) and append its digest.

    `present` are people and their offices, in words. Raises Misconfigured for what breaks a table.
    """
    require(env, "ceremony-hold")
    for text in present:
        if not text.strip() or len(text) > _CELL_CHARACTERS_MAX or set(text) & set("|\r\n"):
            raise Misconfigured(f"not a person and an office: {text!r:.60}", fix="a short line")
    time_ms = env.clock.now_ms()
    when = datetime.fromtimestamp(time_ms // 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    lines = [
        f"# Key ceremony of {env.settings.environment}",
        "",
        f"* When: {when}",
        f"* Charter: `{env.ledger.charter().digest}`",
        f"* Entries in the ledger: {env.ledger.size}",
        f"* Mark: `{env.entropy.token(16).hex()}`",
        "",
        "Compare the charter with the file `public/keys.json` that you take home.",
        "",
        *_keys(env),
        *_custodians(env),
        "## Present",
        "",
        "| person | signature |",
        "| --- | --- |",
        *(f"| {text.strip()} | |" for text in present),
    ]
    record = "\n".join(lines) + "\n"
    digest = Digest.of(record.encode())
    body = {"record": str(digest), "time_ms": time_ms}
    statement = Statement(_KIND, (Subject("ceremony", digest),), body)
    return record, env.ledger.append_statement(statement, [env.signer(Purpose.EVIDENCE)])


def find_ceremony(env: Environment, record: str) -> Evidence:
    """The entry of a record that was printed. Raises NotProven if there is none."""
    require(env, "read")
    rows = env.ledger.find(_KIND, subject=Digest.of(record.encode()))
    if not rows:
        raise NotProven("the ledger knows no such record: it was changed, or is of elsewhere")
    return rows[-1]


def _keys(env: Environment) -> list[str]:
    lives = env.ledger.register().lives.values()
    rows = [(life.key.party or life.key.purpose.value, life) for life in lives]
    return [
        "## Keys that sign",
        "",
        "| whose | kind | fingerprint | state |",
        "| --- | --- | --- | --- |",
        *(
            f"| {whose} | {life.key.scheme}{' in a device' if life.key.fido else ''}"
            f" | `{life.key.ident}` | {life.state} |"
            for whose, life in rows
        ),
        "",
    ]


def _custodians(env: Environment) -> list[str]:
    try:
        record = read_record(env.home)
    except NotFound:
        return []
    return [
        f"## Custodians: any {record['threshold']} unseal",
        "",
        "| custodian | recipient | digest of the share |",
        "| --- | --- | --- |",
        *(
            f"| {row['custodian']} | `{row['recipient']}` | `{row['digest']}` |"
            for row in record["custodians"]
        ),
        "",
    ]
