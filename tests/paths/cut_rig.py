# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A real control over a real ledger with a deployment, keys, a price and a budget."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bastide.adapters.clock.system import SystemClock
from bastide.adapters.control.link import ControlLink
from bastide.adapters.entropy.seeded import SeededEntropy
from bastide.adapters.keys.memory import MemoryKeyring
from bastide.app.config import Home, Settings
from bastide.app.control import Control
from bastide.app.control_far import FarDoor
from bastide.core import apikey
from bastide.core.canonical import canonical
from bastide.core.evidence import Statement
from bastide.core.key import Purpose
from bastide.core.money import Price
from bastide.core.party import Party
from bastide.core.subject import Digest, Subject
from bastide.ledger.bundle import export_bundle
from bastide.ledger.decided import DECIDED
from bastide.ledger.verify import trace_bundle
from paths.gateway_rig import KEY, NARROW_KEY, PEPPER
from paths.passes import callers, passing
from unit.chain_fixture import ChainWorld, make_chain
from unit.ledger_fixture import tenant

MODEL = "demo"
PRICE = Price(150_000, 600_000, 15_000)
PROJECT = "p_42"


@dataclass
class Controlled:
    """What tests see of a running control."""

    chain: ChainWorld
    home: Home
    link: ControlLink  # a runner's

    @property
    def deployment(self) -> str:
        return str(self.chain.rows["deployment"].subject.digest)

    @property
    def socket(self) -> str:
        return str(self.home.control_socket)

    async def linked(self, role: str = "gateway") -> ControlLink:
        """One more connection to control."""
        link = ControlLink(self.socket, SystemClock(), credential=passing(role))
        await link.start()
        return link

    async def verify_sealed(self, ident: str) -> None:
        """A receipt is proven back to its model by what an auditor has. Raises NotProven."""
        async with asyncio.timeout(20):
            while self.chain.book.pending:
                await asyncio.sleep(0.05)
        bundle = export_bundle(self.chain.world.ledger, self.chain.book, ident)
        trace_bundle(bundle, self.chain.anchors)


def state(chain: ChainWorld, kind: str, name: str, about: dict[str, Any], **body: Any) -> None:
    """Append a statement of the evidence key, and of the guardian if that one decides it."""
    subject = Subject(name, Digest.of(canonical(about)))
    body["time_ms"] = chain.world.clock.now_ms()
    signers = [chain.world.signers[Purpose.EVIDENCE]]
    if kind in DECIDED:
        signers.append(chain.world.parties[Party.GUARDIAN])
    chain.world.ledger.append_statement(Statement(kind, (subject,), body), signers)


def enrol(chain: ChainWorld, key: str, whose: str, *scopes: str) -> str:
    """State an API key; its id."""
    ident = apikey.ident_of(key)
    state(
        chain, "api-key/v2", ident, {"key": ident}, key=ident, tenant=whose, project=PROJECT,
        mac=apikey.mac(PEPPER, key), last4=key[-4:], scopes=list(scopes), dialects=[], networks=[],
        expires_ms=None, replaces=None,
    )  # fmt: skip
    return ident


@asynccontextmanager
async def controlled(
    folder: Path,
    slots: int = 4,
    replicas: int = 1,
    machine: str = "",
    door: Callable[[ChainWorld, Home, Settings], FarDoor] | None = None,
    answers: Mapping[str, Callable[[dict[str, Any]], Any]] | None = None,
    **settings: Any,
) -> AsyncGenerator[Controlled]:
    """Control runs inside the block. slots: of each replica; door: for other machines; answers:
    to more kinds of frames."""
    plan: dict[str, Any] = {"share": {"slots": slots, "context_tokens": 100_000}}
    if machine:
        plan["machine"] = machine
    if replicas > 1:
        plan["replicas"] = replicas
    chain = make_chain(folder, plan_changes=plan, receipts=1)
    chain.world.ledger.append_statement(tenant("other"), [chain.world.signers[Purpose.EVIDENCE]])
    enrol(chain, KEY, "acme", "*")
    enrol(chain, NARROW_KEY, "other", "another-model")
    state(
        chain, "price/v1", MODEL, {"price": MODEL}, model=MODEL,
        input=PRICE.input, output=PRICE.output, cached=PRICE.cached,
    )  # fmt: skip
    whose = ["acme", "", "", "tokens", "day"]
    state(
        chain, "budget/v1", "/".join(whose), {"budget": whose}, tenant="acme", project="", key="",
        unit="tokens", per="day", limit=10**9, soft_percent=80,
    )  # fmt: skip
    home = Home(folder)
    home.run.mkdir()
    keyring = MemoryKeyring.generate((), SeededEntropy(b"control"))
    chosen = Settings(environment="test.example/cut", **settings)
    ledger = chain.world.ledger
    known = callers(ledger)
    control = Control(ledger, chain.book, keyring, chosen, SystemClock(), callers=known)
    if door is not None:
        control.open_far(door(chain, home, chosen))
    control.serve(answers or {})
    stop = asyncio.Event()
    running = asyncio.create_task(control.run(home, stop))
    link = ControlLink(str(home.control_socket), SystemClock(), credential=passing("runner"))
    await link.start()
    try:
        yield Controlled(chain, home, link)
    finally:
        await link.close()
        stop.set()
        await running
