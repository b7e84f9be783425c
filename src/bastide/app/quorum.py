# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Quorum: the keyring's passphrase exists nowhere; any two of three custodians make it again.

It is split by Shamir when the environment is founded, or later again (app/resplit.py). Each share
is an age file to one custodian's own recipient. The record (`public/quorum.json`) has a digest of
each share, so that a share that is damaged or of elsewhere is named before anything is combined; a
share is 256 random bits, so its digest tells nothing about it.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from bastide.core.canonical import canonical
from bastide.core.errors import BastideError, Misconfigured, NotAllowed, NotProven
from bastide.core.party import Party
from bastide.core.subject import Digest
from bastide.crypto import age, shamir

__all__ = [
    "THRESHOLD",
    "Collected",
    "Share",
    "identity_lines",
    "new_quorum",
    "open_share",
    "read_identities",
    "verify_custodians",
]

RECORD_TYPE: Final = "https://bastide.eu/quorum/v1"
SHARE_TYPE: Final = "https://bastide.eu/unseal-share/v1"
THRESHOLD: Final = 2  # of the three parties
_FIELDS: Final = {"type", "environment", "set", "custodian", "share"}


@dataclass(frozen=True, slots=True)
class Share:
    """One custodian's share, opened. It is secret."""

    environment: str
    set: str  # which splitting it is of
    custodian: str
    data: bytes = field(repr=False)

    def to_json(self) -> dict[str, str]:
        """The share as plain JSON values; secret."""
        row = {"type": SHARE_TYPE, "environment": self.environment, "set": self.set}
        return {**row, "custodian": self.custodian, "share": self.data.hex()}

    @classmethod
    def from_json(cls, text: str | bytes) -> "Share":
        """Read what `to_json` wrote. Raises Misconfigured; its message names no secret."""
        try:
            row = json.loads(text)
            if set(row) != _FIELDS or row["type"] != SHARE_TYPE:
                raise ValueError
            data = bytes.fromhex(row["share"])
            environment, mark, custodian = str(row["environment"]), row["set"], row["custodian"]
        except (ValueError, TypeError, AttributeError):
            # The cause is left out on purpose: it may quote the share.
            raise Misconfigured("not a share of an unseal key") from None
        return cls(environment, str(mark), str(custodian), data)


@dataclass
class Collected:
    """The shares that came together, checked one by one against the record."""

    record: Mapping[str, Any]
    shares: dict[str, Share] = field(default_factory=dict)

    def add(self, share: Share) -> None:
        """Take a share; the same one twice is one. Raises NotProven, naming the custodian."""
        whose = f"the share of the {share.custodian}"
        for name in ("environment", "set"):
            if getattr(share, name) != self.record[name]:
                raise NotProven(
                    f"{whose} is of another {'quorum' if name == 'set' else name}",
                    fix="use the newest share that was made for this environment",
                )
        known = {row["custodian"]: row["digest"] for row in self.record["custodians"]}
        if known.get(share.custodian) != str(Digest.of(share.data)):
            raise NotProven(f"{whose} is damaged, or not that custodian's", fix="use the backup")
        self.shares[share.custodian] = share

    @classmethod
    def of(cls, record: Mapping[str, Any], shares: Sequence[Share]) -> "Collected":
        """Shares of the record, or of the one with which a kill left it (app/resplit.py)."""
        following = record.get("next")
        mine = following is not None and {share.set for share in shares} == {following["set"]}
        plain = {name: value for name, value in record.items() if name != "next"}
        collected = cls(following if mine else plain)
        for share in shares:
            collected.add(share)
        return collected

    @property
    def missing(self) -> int:
        """How many more it takes."""
        return max(0, self.record["threshold"] - len(self.shares))

    def passphrase(self) -> str:
        """The keyring's passphrase. Raises NotAllowed if shares are missing."""
        if self.missing:
            have = ", ".join(sorted(self.shares)) or "nobody"
            raise NotAllowed(
                f"{len(self.shares)} of {self.record['threshold']} shares: {have}",
                fix="let another custodian run `bastide unseal --share FILE`",
            )
        return shamir.combine([share.data for share in self.shares.values()]).hex()


def verify_custodians(custodians: Mapping[Party, str]) -> None:
    """Raise Misconfigured unless every party has a recipient of its own."""
    if set(custodians) != set(Party) or len(set(custodians.values())) != len(custodians):
        raise Misconfigured(
            "a quorum takes three custodians: firm, operator and guardian, each a key of its own",
            fix="give PARTY=AGE1... for each, to each a key of its own",
        )
    for recipient in custodians.values():
        age.parse_recipient(recipient)


def new_quorum(
    environment: str, custodians: Mapping[Party, str], token: Callable[[int], bytes]
) -> tuple[str, dict[str, Any], dict[Party, str]]:
    """Make a passphrase and split it: the passphrase, the record, an armored age file for each.

    `custodians` are age recipients. Raises Misconfigured unless every party has its own.
    """
    recipients = {party: text.strip() for party, text in custodians.items()}
    verify_custodians(recipients)
    secret, mark = token(32), token(8).hex()
    parts = shamir.split(secret, len(recipients), THRESHOLD, token)
    rows, sealed = [], {}
    for (party, recipient), data in zip(recipients.items(), parts, strict=True):
        share = Share(environment, mark, party.value, data)
        chunks = age.seal([canonical(share.to_json())], [age.parse_recipient(recipient)], token)
        sealed[party] = age.armor(b"".join(chunks))
        digest = str(Digest.of(data))
        rows.append({"custodian": party.value, "recipient": recipient, "digest": digest})
    record = {
        "type": RECORD_TYPE,
        "environment": environment,
        "set": mark,
        "threshold": THRESHOLD,
        "custodians": rows,
    }
    return secret.hex(), record, sealed


def open_share(text: str, identities: Sequence[age.Identity]) -> Share:
    """Open a share: an armored age file, or what `age -d` made of it.

    Raises NotAllowed if no identity fits, NotProven or Misconfigured for damage.
    """
    if text.lstrip().startswith("{"):
        return Share.from_json(text)
    try:
        data = b"".join(age.open_stream([age.dearmor(text.encode())], identities))
    except NotAllowed as error:
        raise NotAllowed(
            "this share is sealed to another custodian's key",
            fix="give --identity FILE with the key that age-keygen made for you",
        ) from error
    except BastideError as error:
        raise NotProven(f"the share's file is damaged: {error.message}") from error
    return Share.from_json(data)


def read_identities(text: str) -> list[age.Identity]:
    """The identities of an age identity file. Raises Misconfigured; it names no secret."""
    return [age.parse_identity(line) for line in identity_lines(text)]


def identity_lines(text: str) -> list[str]:
    """The lines of an age identity file that are not comments."""
    lines = [line.strip() for line in text.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]
