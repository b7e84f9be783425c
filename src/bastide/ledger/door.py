# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Door: what the ledger learns of its entries, and why a statement may not be appended now."""

import dataclasses
import functools
from collections.abc import Iterator, Mapping

from sqlalchemy import Connection

from bastide.core.errors import BastideError, NotProven
from bastide.core.evidence import Evidence
from bastide.core.key import PublicKey
from bastide.core.register import KEY_KINDS, Register
from bastide.crypto.dsse import Envelope
from bastide.ledger import queries, statements
from bastide.ledger.acts import verify_actor
from bastide.ledger.commit import Batch
from bastide.ledger.decided import DECIDED, FOLLOWED, Decisions
from bastide.ledger.denials import DENIAL_KINDS, DenialLog
from bastide.ledger.once import verify_new

__all__ = ["ALONE", "State", "holds", "learn", "refusal"]

# What depends on the entry before it, so that nothing may come between: each has its own commit.
ALONE = (*KEY_KINDS, *DECIDED, *DENIAL_KINDS)


# What it holds: its keys, what was decided and denied, who may sign now, its size, and the time.
State = tuple[Register, Decisions, DenialLog, Mapping[str, PublicKey], int, int]


def learn(
    connection: Connection,
    register: Register,
    decisions: Decisions,
    denials: DenialLog,
    start: int,
    size: int,
) -> Register:
    """The register after the entries from `start` up to a size.

    `decisions` and `denials` follow them, too.
    """
    for row in queries.since(connection, (*KEY_KINDS, *DENIAL_KINDS, *FOLLOWED), start):
        if row.kind in KEY_KINDS:
            register = register.after(row)
        elif row.kind not in DENIAL_KINDS:
            decisions.follow(row, register.known())
        elif holds(queries.entry(connection, row.entry or 0)[0], register.known()):
            denials.follow(row)
    if decisions.open:  # every entry since the oldest of them tells the time then
        begun = min(row.entry or 0 for row in decisions.open.values())
        for chunk in queries.chunks(connection, max(start, begun), size):
            for _, _, row in chunk:
                decisions.follow(row, register.known())
    return register


def _said(connection: Connection, row: Evidence, register: Register) -> Iterator[Evidence]:
    """The statements with a row's payload whose signatures hold: others never passed the door."""
    for envelope, other in queries.saying(connection, row):
        if holds(envelope, register.known()):
            yield other


def holds(envelope: Envelope, keys: Mapping[str, PublicKey]) -> bool:
    """Whether a row of the database is a statement as the door takes it, signed by these keys.

    What reads the index asks it of whatever may have been written beside the door.
    """
    try:
        statements.read_signed(envelope, keys)
    except BastideError:
        return False
    return True


def refusal(connection: Connection, batch: Batch, state: State) -> BastideError | None:
    """Why a batch may not be written; None if it may."""
    register, decisions, denials, signing, size, now_ms = state
    find = functools.partial(queries.find, connection)
    for item in batch.items:
        evidence = dataclasses.replace(item.evidence, entry=size)
        new = {evidence.body["key"]["id"]} if evidence.kind == "key-enrolment/v1" else set()
        if gone := set(evidence.signers) - signing.keys() - new:
            return NotProven(f"the signer {min(gone)} may not sign any more")
        try:
            verify_actor(connection, evidence, size)
            # Alone in their commits (ALONE), so they stand at the end of what there is.
            if evidence.kind in KEY_KINDS:
                register.after(evidence)
            if evidence.kind in DECIDED:
                decisions.verify(evidence, signing, now_ms)
            denials.verify(evidence, register, find)
            said = _said(connection, evidence, register)
            verify_new(evidence, signing, said)  # last: the others say more of why
        except BastideError as error:
            return error
    return None
