# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A runner as a node: it makes keys, measures itself, has both quoted, and gets its weights' keys.

The keys are in this process's memory only and die with it. At half of a quote's life it quotes
again, about the same keys; a node that cannot ends before its quote does.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from bastide.app.clients import Asked
from bastide.core.errors import NotProven, Unavailable
from bastide.crypto import age
from bastide.crypto.base64url import b64url, unb64url
from bastide.crypto.node_quote import binding
from bastide.ports import Attester, Clock, Entropy

__all__ = ["Node", "NodeKeys", "kept_attested"]

_RETRY_S = 2.0


@dataclass(frozen=True, slots=True, repr=False)
class NodeKeys:
    """The keys that a node's quote is about. They are secret, and nowhere else."""

    age: age.HybridIdentity
    hpke: X25519PrivateKey

    def public(self) -> dict[str, str]:
        """The public halves, as `node/v1` names them."""
        return {
            "age": str(self.age.recipient()),
            "hpke": b64url(self.hpke.public_key().public_bytes_raw()),
        }


class Node:
    """One replica's runner. `event` is what it measured of itself (app/measuring.py)."""

    def __init__(
        self,
        control: Asked,
        attester: Attester,
        name: str,
        deployment: str,
        replica: int,
        event: Mapping[str, str],
        entropy: Entropy,
        clock: Clock,
    ) -> None:
        self._control, self._attester, self._event, self._clock = control, attester, event, clock
        self._about = {"node": name, "deployment": deployment, "replica": replica}
        self.keys = NodeKeys(
            age.HybridIdentity(entropy.token(32)),
            X25519PrivateKey.from_private_bytes(entropy.token(32)),
        )
        self.statement = ""  # digest of the newest `node/v1`
        self._joined_ms = self._expires_ms = 0
        self._joined = asyncio.Event()

    async def join(self) -> None:
        """Prove what this machine is. Raises Refused or NotProven with control's reasons."""
        found = await self.prove()
        self.statement, self._expires_ms = found["statement"], found["expires_ms"]
        self._joined_ms = self._clock.now_ms()
        self._joined.set()

    async def prove(self) -> dict[str, Any]:
        """Go through the handshake once, and give what control answers. Raises as `join`."""
        public = await asyncio.to_thread(self._measured)
        asked = await self._control.ask("node-challenge", public)
        keys = self.keys.public()
        body = {**self._about, "keys": keys, "attestation": {"nonce": asked["nonce"]}}
        answer, evidence = await asyncio.to_thread(self._answer, asked, binding(body))
        told = {**self._about, "keys": keys, "nonce": asked["nonce"]}
        return await self._control.ask(
            "node-join", {**told, "answer": b64url(answer), "evidence": evidence}
        )

    async def headers(self) -> dict[str, bytes]:
        """The headers of this deployment's objects, for this node's key; joins first if needed."""
        if self._clock.now_ms() >= self._renew_ms:
            await self.join()
        given = await self._control.ask("node-headers", {"statement": self.statement})
        return {name: unb64url(header) for name, header in given.items()}

    async def keep(self) -> None:
        """Quote again whenever half of a quote's life is over; ends only by raising why not."""
        await self._joined.wait()
        while True:
            await asyncio.sleep(max(0.0, (self._renew_ms - self._clock.now_ms()) / 1000))
            try:
                await self.join()
            except Unavailable as error:
                if self._clock.now_ms() + _RETRY_S * 1000 >= self._expires_ms:
                    raise NotProven(f"this node's quote has expired: {error.message}") from error
                await asyncio.sleep(_RETRY_S)

    @property
    def _renew_ms(self) -> int:
        return self._joined_ms + (self._expires_ms - self._joined_ms) // 2

    def _measured(self) -> dict[str, str]:
        self._attester.measure(self._event)
        return {name: b64url(part) for name, part in self._attester.identify().items()}

    def _answer(self, asked: Mapping[str, Any], qualifying: bytes) -> tuple[bytes, dict[str, str]]:
        challenge = {name: unb64url(asked[name]) for name in ("blob", "secret")}
        answer = self._attester.answer(challenge)
        parts = self._attester.quote(qualifying)
        return answer, {name: b64url(part) for name, part in parts.items()}


@asynccontextmanager
async def kept_attested(node: Node | None, stop: asyncio.Event) -> AsyncGenerator[None]:
    """Keep a node's quote fresh meanwhile. If that fails, `stop` is set, and it raises why."""
    if node is None:
        yield
        return
    keeping = asyncio.create_task(node.keep())
    keeping.add_done_callback(lambda _: stop.set())
    try:
        yield
    finally:
        ended = keeping.done()
        keeping.cancel()
        await asyncio.wait((keeping,))
    if ended:
        keeping.result()
