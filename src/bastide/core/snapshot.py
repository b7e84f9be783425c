# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Snapshot: all that the gateway needs to know, held in memory and replaced as a whole."""

from dataclasses import dataclass, field, fields, replace

from bastide.core.budget import Spent
from bastide.core.errors import Down, NotFound
from bastide.core.money import Price
from bastide.core.share import Promise


@dataclass(frozen=True, slots=True)
class KeyGrant:
    """What one API key may do.

    `key` is its id; `scopes` are names of models or aliases for them, or ``*`` for all. Without
    `dialects`, `networks` or `peers` every one will do; `expires_ms` of 0 is never.
    """

    key: str
    tenant: str
    scopes: tuple[str, ...]
    project: str = "default"  # its id
    dialects: tuple[str, ...] = ()  # names of families
    networks: tuple[str, ...] = ()  # address ranges that clients may call from
    expires_ms: int = 0
    peers: tuple[str, ...] = ()  # SPIFFE IDs; a client's certificate must have one of them

    def ended(self, now_ms: int) -> bool:
        """True if the key has ended by itself."""
        return 0 < self.expires_ms <= now_ms


@dataclass(frozen=True, slots=True)
class Served:
    """One active deployment: the model name that clients ask for, and what stands behind it."""

    name: str
    release: str  # release digest
    deployment: str  # deployment digest
    socket: str  # path of the first runner's Unix socket; core/service.py says others
    node: str
    sandbox: str
    slots: int  # of each replica
    context_tokens: int
    created_s: int
    embeds: bool = False  # it makes vectors of texts, and answers nothing
    others: tuple[str, ...] = ()  # the same of its further replicas
    # The `node/v1` of its runners that are in force; None where nodes are not asked to attest.
    attested: tuple[str, ...] | None = None
    machine: str = ""  # the name of another than control's, whose runners they are

    @property
    def sockets(self) -> tuple[str, ...]:
        """The sockets of all replicas."""
        return (self.socket, *self.others)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Keys by the hex HMAC under which they are stored, deployments by name, aliases for them.

    `version` grows with every change; `issued_ms` is when control last confirmed it.
    """

    version: int
    issued_ms: int
    environment: str
    policy: str  # policy digest
    keys: dict[str, KeyGrant] = field(default_factory=dict)
    served: dict[str, Served] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    guards: dict[str, str] = field(default_factory=dict)  # JSON of a policy, by tenant or "*"
    erasure: str = ""  # digest of the erasure list in force
    prices: dict[str, Price] = field(default_factory=dict)  # by the deployment's name
    budgets: tuple[Spent, ...] = ()  # with what was used of each when this was issued
    workers: int = 1  # gateways, which share what is left of a budget
    # What tenants are promised, by the deployment's name and the tenant's.
    shares: dict[str, dict[str, Promise]] = field(default_factory=dict)
    receipts: str = "durable"  # what an answer's end waits for; or "promised"
    # What loads, and takes the place of what is served under its name when it can answer.
    coming: tuple[Served, ...] = ()
    # Digests of deployments that may serve no more though nobody has ended them: their answers
    # are cut. Those of an ended one may come to their end.
    stopped: tuple[str, ...] = ()
    denied: tuple[str, ...] = ()  # beginnings of objects' names that parties let nobody open
    certificates: frozenset[str] = frozenset()  # of clients, revoked: SHA-256 of their DER, in hex

    def sharing(self, old: "Snapshot") -> "Snapshot":
        """The same, with the very parts of an older one that are equal.

        One comes every moment, and each answer holds the one that it began with: of keys that
        nobody has changed there is one copy.
        """
        parts = {row.name: getattr(old, row.name) for row in fields(self)}
        return replace(
            self, **{name: part for name, part in parts.items() if part == getattr(self, name)}
        )

    def meant(self, name: str) -> str:
        """The model that a name means. A model's own name is never taken for an alias."""
        return name if name in self.served else self.aliases.get(name, name)

    def serving(self, name: str, asked: str) -> Served:
        """What serves a model. `asked` is how the client called it.

        Raises NotFound; or Down, where nodes must be attested and none is.
        """
        served = self.served.get(name)
        if served is None:
            raise NotFound(f"The model '{asked}' does not exist.", place="model")
        if served.attested == ():
            raise Down(f"No attested node serves the model '{asked}' now.")
        return served

    def opens(self, grant: KeyGrant, model: str) -> bool:
        """True if a key may use a model, by its own name: one of its scopes means it."""
        scopes = grant.scopes
        return "*" in scopes or model in scopes or model in map(self.meant, scopes)
