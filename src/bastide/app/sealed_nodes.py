# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Control's side of sealed mode: tells clients which nodes there are, with the proofs.

What it tells is the same for everybody who has seen the same head: it is not told who asks. Of what
was told last one copy is kept, so a flood of questions costs one answer for each new head.
"""

import json
import threading
from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine

from bastide.app.config import Home
from bastide.app.node_broker import open_broker
from bastide.app.nodes import in_force
from bastide.core.errors import Misconfigured
from bastide.crypto.dsse import Signer
from bastide.ledger import Ledger
from bastide.ledger.cosigned import CosignedHeads
from bastide.ledger.node_bundle import export_nodes
from bastide.ports import Clock, Keyring

__all__ = ["NodeTeller", "node_answers"]

_KEPT = 64  # answers, by what clients had seen


class NodeTeller:
    """Answers `sealed-nodes`. May be called from several threads."""

    def __init__(self, ledger: Ledger, heads: CosignedHeads, clock: Clock) -> None:
        self._ledger, self._heads, self._clock = ledger, heads, clock
        self._kept: dict[tuple[int, int, int], str] = {}
        self._turn = threading.Lock()

    def tell(self, body: dict[str, Any]) -> str:
        """The bundle as JSON text."""
        since = body.get("since")
        if type(since) is not int or since < 0:
            raise Misconfigured("sealed-nodes: since is no count", place="since")
        now_ms = self._clock.now_ms()
        with self._turn:
            cosigned = self._heads.newest()
            size = cosigned[0] if cosigned is not None else self._ledger.size
            standing = in_force(self._ledger, now_ms).values()
            expires_ms = min((row.body["expires_ms"] for row in standing), default=0)
            known = (since, size, expires_ms)
            if (text := self._kept.get(known)) is None:
                told = export_nodes(self._ledger, standing, self._heads, since)
                text = json.dumps(told, separators=(",", ":"))
                if len(self._kept) >= _KEPT:
                    self._kept.clear()
                self._kept[known] = text
            return text


def node_answers(
    home: Home,
    keyring: Keyring,
    ledger: Ledger,
    signer: Callable[[], Signer],
    clock: Clock,
    records: Engine,
) -> dict[str, Callable[[dict[str, Any]], Any]]:
    """What control answers nodes, and those who ask about nodes."""
    broker = open_broker(home, keyring, ledger, signer, clock)
    teller = NodeTeller(ledger, CosignedHeads(records), clock)
    return {**broker.answers, "sealed-nodes": teller.tell}
