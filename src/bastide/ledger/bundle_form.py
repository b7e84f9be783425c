# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The form of a receipt bundle and of its anchors: exactly these keys, of these types.

Nothing is proven here. What does not have the form raises NotProven with its place, written as
in ``entries.approvals[1].index``, so that a damaged file says where it is damaged.
"""

import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from bastide.core.errors import BastideError, NotProven
from bastide.core.key import PublicKey
from bastide.core.receipt import Receipt
from bastide.core.subject import Digest
from bastide.crypto.dsse import Envelope
from bastide.ledger.bundle import ANCHORS_TYPE, BUNDLE_TYPE

__all__ = [
    "Anchors", "Bundle", "Entry", "at", "read_anchors", "read_bundle", "read_count", "read_entry",
    "read_hashes", "read_list", "read_object", "read_text",
]  # fmt: skip

PROOF_HASHES_MAX = 64  # a tree of 2**64 leaves
APPROVALS_MAX = 64
KEY_STATEMENTS_MAX = 4_096
_HASH = re.compile(r"[0-9a-f]{64}")
_SINGLE = ("charter", "admission", "evaluation", "candidate", "release", "deployment", "batch")
_LISTS = ("approvals", "deployment_approvals")
# Lists that are left out: where no key ever changed, under a head that nobody cosigned, and
# where nodes are not attested.
_LATER = ("keys", "witnesses", "nodes", "node_references")


@dataclass(frozen=True, slots=True)
class Anchors:
    """What the verifier trusts beforehand."""

    environment: str
    origin: str
    charter: Digest
    keys: tuple[PublicKey, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """A claim: this envelope stands at this index. `place` is where the bundle holds it."""

    place: str
    index: int
    envelope: Envelope
    proof: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Bundle:
    """All the claims of a bundle. `entries` are in the bundle's order, `lists` name several."""

    receipt: Receipt
    leaf_index: int
    batch_size: int
    leaf_proof: tuple[bytes, ...]
    checkpoint: str
    entries: Mapping[str, Entry]
    lists: Mapping[str, tuple[Entry, ...]]

    def all(self) -> tuple[Entry, ...]:
        """Every entry of the bundle."""
        return (*self.entries.values(), *(row for rows in self.lists.values() for row in rows))


@contextmanager
def at(place: str) -> Generator[None]:
    """Turn whatever a damaged value raises into NotProven that names the place."""
    try:
        yield
    except BastideError as error:
        reasons = (f"{place}: {reason}" for reason in error.reasons)
        raise NotProven(f"{place}: {error.message}", reasons=tuple(reasons)) from error
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise NotProven(f"{place}: malformed: {error!r:.200}") from error


def read_anchors(value: Any) -> Anchors:
    """Read a keys.json. Raises NotProven."""
    read_object(value, "keys.json", ("type", "environment", "origin", "charter", "keys"))
    if value["type"] != ANCHORS_TYPE:
        raise NotProven(f"keys.json: type: not {ANCHORS_TYPE}")
    keys = []
    for number, row in enumerate(read_list(value["keys"], "keys.json: keys", APPROVALS_MAX)):
        with at(f"keys.json: keys[{number}]"):
            key = PublicKey.from_json(row)
            if key.to_json() != row:
                raise NotProven("not the one form of a public key")
            keys.append(key)
    with at("keys.json: charter"):
        charter = Digest.parse(value["charter"])
    environment = read_text(value["environment"], "keys.json: environment")
    return Anchors(
        environment, read_text(value["origin"], "keys.json: origin"), charter, tuple(keys)
    )


def read_bundle(value: Any) -> Bundle:
    """Read a receipt bundle. Raises NotProven."""
    read_object(value, "the bundle", ("type", "receipt", "inclusion", "checkpoint", "entries"))
    if value["type"] != BUNDLE_TYPE:
        raise NotProven(f"type: not {BUNDLE_TYPE}")
    inclusion, entries = value["inclusion"], value["entries"]
    read_object(inclusion, "inclusion", ("index", "size", "proof"))
    given = [name for name in _LATER if isinstance(entries, Mapping) and name in entries]
    read_object(entries, "entries", (*_SINGLE, *_LISTS, *given))
    with at("receipt"):
        receipt = Receipt.from_json(value["receipt"])
    lists = {
        name: tuple(
            read_entry(row, f"entries.{name}[{number}]")
            for number, row in enumerate(read_list(entries[name], f"entries.{name}", longest))
        )
        for name, longest in _longest(given)
    }
    return Bundle(
        receipt=receipt,
        leaf_index=read_count(inclusion["index"], "inclusion.index"),
        batch_size=read_count(inclusion["size"], "inclusion.size"),
        leaf_proof=read_hashes(inclusion["proof"], "inclusion.proof"),
        checkpoint=read_text(value["checkpoint"], "checkpoint"),
        entries={name: read_entry(entries[name], f"entries.{name}") for name in _SINGLE},
        lists=lists,
    )


def _longest(given: list[str]) -> list[tuple[str, int]]:
    lists = [(name, APPROVALS_MAX) for name in _LISTS]
    return [*lists, *((name, KEY_STATEMENTS_MAX) for name in given)]


def read_entry(value: Any, place: str) -> Entry:
    """One claim. Raises NotProven."""
    read_object(value, place, ("index", "envelope", "proof"))
    with at(f"{place}.envelope"):
        envelope = Envelope.from_json(value["envelope"])
        # base64 has several texts for one value; only one of them is in the ledger.
        if envelope.to_json() != value["envelope"]:
            raise NotProven("not the one form of a DSSE envelope")
    index = read_count(value["index"], f"{place}.index")
    return Entry(place, index, envelope, read_hashes(value["proof"], f"{place}.proof"))


def read_object(value: Any, place: str, keys: tuple[str, ...]) -> None:
    """Check that a value is an object with exactly these keys. Raises NotProven."""
    if not isinstance(value, Mapping):
        raise NotProven(f"{place}: not an object")
    wrong = sorted(map(str, value.keys() ^ set(keys)))
    if wrong:
        raise NotProven(f"{place}: unknown or missing keys: {', '.join(wrong)[:200]}")


def read_list(value: Any, place: str, longest: int) -> list[Any]:
    """A list that is not too long. Raises NotProven."""
    if not isinstance(value, list) or len(value) > longest:
        raise NotProven(f"{place}: not a list of at most {longest}")
    return value


def read_text(value: Any, place: str) -> str:
    """A string. Raises NotProven."""
    if not isinstance(value, str):
        raise NotProven(f"{place}: not a string")
    return value


def read_count(value: Any, place: str) -> int:
    """A count. Raises NotProven."""
    if type(value) is not int or not 0 <= value < 2**53:
        raise NotProven(f"{place}: not a count")
    return value


def read_hashes(value: Any, place: str) -> tuple[bytes, ...]:
    """SHA-256 hashes in hex. Raises NotProven."""
    for row in read_list(value, place, PROOF_HASHES_MAX):
        if not isinstance(row, str) or not _HASH.fullmatch(row):
            raise NotProven(f"{place}: not a list of SHA-256 hashes in hex")
    return tuple(bytes.fromhex(row) for row in value)
