# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Use cases of a machine that is to become a node: what it measures, and whether it is allowed.

`join_machine` goes through the whole handshake with control's own code, with keys that it throws
away; only then it writes the settings. The runners join by themselves, each with keys of its own.
"""

import asyncio
import dataclasses
import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bastide.app import wiring
from bastide.app.config import Home, Settings, read_settings, write_settings
from bastide.app.duties import require
from bastide.app.environment import Environment, active_signer
from bastide.app.joining import Node
from bastide.app.measuring import measure_node
from bastide.app.node_broker import NodeBroker
from bastide.core.key import Purpose
from bastide.core.reference import Reference
from bastide.core.subject import Digest
from bastide.crypto.attestation import Said, said_of
from bastide.crypto.hardware_chain import read_chain, root_digest
from bastide.crypto.tpm import read_public
from bastide.crypto.tpm_evidence import BOOT
from bastide.ledger import Ledger

__all__ = ["Joined", "describe", "draft_reference", "join_machine", "with_tpm"]

_NOWHERE = "sha256:" + "0" * 64  # a deployment that is none
_DRAFT_VALID_S = 86_400


def with_tpm(home: Home, tpm: str | None, register: int | None, issuers: str | None) -> Settings:
    """The settings of a home, with another TPM. Raises NotFound or Misconfigured."""
    settings = read_settings(home)
    return dataclasses.replace(
        settings,
        attestation="tpm2",
        tpm=settings.tpm if tpm is None else tpm,
        tpm_issuers=settings.tpm_issuers if issuers is None else str(Path(issuers).resolve()),
        tpm_register=settings.tpm_register if register is None else register,
    )


def draft_reference(home: Home, settings: Settings, name: str) -> Reference:
    """Reference values that allow this machine as it is now: for the guardian to judge and sign.

    It extends the register. Raises Unavailable or Refused.
    """
    attester = wiring.attester(settings, home.measurements)
    try:
        event = measure_node(settings.engine, wiring.sandbox(settings.sandbox).name)
        attester.measure(event)
        identity = read_public(attester.identify()["ek"], "ek").digest
        parts = attester.quote(bytes(32))
        values = parts["registers"]
    finally:
        attester.close()
    boot = {f"pcr{n}": (values[32 * n : 32 * n + 32].hex(),) for n in BOOT}
    if "ek_chain" in parts:
        boot["root"] = (root_digest(read_chain(parts["ek_chain"], "ek_chain")),)
    measured = {**{part: (digest,) for part, digest in event.items()}, **boot}
    return Reference(name, "tpm2", (str(identity),), measured, {}, _DRAFT_VALID_S)


@dataclasses.dataclass(frozen=True, slots=True)
class Joined:
    """What control found: the statement that it would make, the values that allow it, in words."""

    stated: Mapping[str, Any]
    reference: str
    said: Said


def join_machine(env: Environment, settings: Settings) -> Joined:
    """Try the handshake, and let runners attest from now on. Raises NotProven or Refused.

    The services take the settings up when they start.
    """
    require(env, "node-join")
    signer = functools.partial(active_signer, env.ledger, env.keyring, Purpose.EVIDENCE)
    broker = NodeBroker(env.ledger, env.store, signer, env.clock, env.entropy)
    control = _Loopback({"node-challenge": broker.challenge, "node-join": broker.judge})
    attester = wiring.attester(settings, env.home.measurements)
    try:
        event = measure_node(settings.engine, wiring.sandbox(settings.sandbox).name)
        node = Node(control, attester, settings.node, _NOWHERE, 1, event, env.entropy, env.clock)
        stated = asyncio.run(node.prove())
    finally:
        attester.close()
    wiring.replace_small(env.home.config, write_settings(settings).encode())
    return Joined(stated, *describe(env.ledger, stated))


def describe(ledger: Ledger, body: Mapping[str, Any]) -> tuple[str, Said]:
    """The reference values that allowed a node, by name, and what its attestation proves."""
    values = Reference.from_json(
        ledger.by_digest(Digest.parse(body["attestation"]["reference"])).body
    )
    return values.name, said_of(values)


class _Loopback:
    """Control's answers without a control process."""

    def __init__(self, answers: Mapping[str, Callable[[dict[str, Any]], Any]]) -> None:
        self._answers = answers

    async def ask(self, kind: str, body: Any) -> Any:
        """What control would answer."""
        return await asyncio.to_thread(self._answers[kind], body)
