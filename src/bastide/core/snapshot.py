# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Snapshot: all that the gateway needs to know, held in memory and replaced as a whole."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class KeyGrant:
    """What one API key may do. `key` is its id; `scopes` are model names, or ``*`` for all."""

    key: str
    tenant: str
    scopes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Served:
    """One active deployment: the model name that clients ask for, and what stands behind it."""

    name: str
    release: str  # release digest
    deployment: str  # deployment digest
    socket: str  # path of the runner's Unix socket
    node: str
    sandbox: str
    slots: int
    context_tokens: int
    created_s: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Keys by the hex HMAC under which they are stored, and deployments by name.

    `version` grows with every change; `issued_ms` is when control last confirmed it.
    """

    version: int
    issued_ms: int
    environment: str
    policy: str  # policy digest
    keys: dict[str, KeyGrant] = field(default_factory=dict)
    served: dict[str, Served] = field(default_factory=dict)
