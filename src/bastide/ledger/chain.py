# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Chain: what a verified receipt bundle has proven, from the answer back to the model."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from bastide.core.receipt import Receipt

__all__ = ["AttestedNode", "Chain", "Link"]


@dataclass(frozen=True, slots=True)
class Link:
    """One proven entry: what it states, where it stands, who signed it.

    `signers` are parties where a party signed, purposes of keys elsewhere.
    """

    kind: str
    index: int
    name: str
    digest: str
    signers: tuple[str, ...]
    time_ms: int

    def to_json(self) -> dict[str, Any]:
        """The link as plain JSON values."""
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        return {**plain, "signers": list(self.signers)}


@dataclass(frozen=True, slots=True)
class AttestedNode:
    """A node whose quote was checked again: what it is, what that proves, and what it does not."""

    node: str
    kind: str
    statement: str
    reference: str
    what: str
    checked: tuple[str, ...]
    unchecked: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The node as plain JSON values."""
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        return {**plain, "checked": list(self.checked), "unchecked": list(self.unchecked)}


@dataclass(frozen=True, slots=True)
class Chain:
    """The facts behind one answer. Digests are ``sha256:<hex>``.

    parties: ``separate`` if the policy keeps the author from being the only approver, ``solo``
    otherwise; approvals and deployment_approvals: ids of the keys that approved, by party;
    batch: the entry that holds the receipt; ledger_size: that of the checkpoint; witnessed: when
    each party's witness cosigned it, in POSIX seconds; links: every entry, in the ledger's order;
    attested: the deployment's nodes, of which one answered.
    """

    receipt: Receipt
    environment: str
    parties: str
    policy: str
    release: str
    deployment: str
    model: str
    model_digest: str
    origin: str
    licence: str
    format: str
    scan: Mapping[str, Any]
    suite: str
    scores: Mapping[str, float]
    approvals: Mapping[str, tuple[str, ...]]
    deployment_approvals: Mapping[str, tuple[str, ...]]
    batch: int
    ledger_size: int
    witnessed: Mapping[str, int]
    links: tuple[Link, ...]
    attested: tuple["AttestedNode", ...] = ()

    @property
    def node(self) -> str:
        """The machine that answered."""
        return self.receipt.node

    @property
    def sandbox(self) -> str:
        """What isolated the engine."""
        return self.receipt.sandbox

    def to_json(self) -> dict[str, Any]:
        """The chain as plain JSON values; the receipt's own fields are under `receipt`."""
        nested = {
            "receipt": self.receipt.to_json(),
            "scan": dict(self.scan),
            "scores": dict(self.scores),
            "approvals": {party: list(keys) for party, keys in self.approvals.items()},
            "deployment_approvals": {
                party: list(keys) for party, keys in self.deployment_approvals.items()
            },
            "witnessed": dict(self.witnessed),
            "links": [link.to_json() for link in self.links],
            "attested": [node.to_json() for node in self.attested],
        }
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        return {**plain, **nested}
