# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Control's side of sealed mode: tells clients which nodes there are, with the proofs.

What it tells is the same for everybody who has seen the same head: it is not told who asks. It is
kept while head, cosignatures and nodes are the same, so a flood of questions costs one answer: what
a client has seen before adds one proof of a few hashes, whatever it says.
"""

import json
import threading
from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine

from bastide.app.config import Home
from bastide.app.denials import reasons_against
from bastide.app.node_broker import open_broker
from bastide.app.nodes import in_force
from bastide.app.succession import serving
from bastide.core.errors import Misconfigured
from bastide.crypto.dsse import Signer
from bastide.ledger import Ledger
from bastide.ledger.cosigned import CosignedHeads
from bastide.ledger.node_bundle import continues, export_nodes
from bastide.ports import Clock, Keyring

__all__ = ["NodeTeller", "node_answers"]


class NodeTeller:
    """Answers `sealed-nodes`. May be called from several threads."""

    def __init__(self, ledger: Ledger, heads: CosignedHeads, clock: Clock) -> None:
        self._ledger, self._heads, self._clock = ledger, heads, clock
        self._kept: tuple[tuple[object, ...], str, str] = ((), "", "")  # of, checkpoint, text
        self._turn = threading.Lock()

    def tell(self, body: dict[str, Any]) -> str:
        """The bundle as JSON text."""
        since = body.get("since")
        if type(since) is not int or since < 0:
            raise Misconfigured("sealed-nodes: since is no count", place="since")
        now_ms = self._clock.now_ms()
        with self._turn:
            cosigned = self._heads.newest()
            serve = serving(self._ledger.deployments(active=True)).values()
            # What loads to take another's place is asked by nobody yet.
            asked = {
                str(row.subject.digest)
                for row in serve
                if not reasons_against(self._ledger, row.subject.digest)
            }
            nodes = in_force(self._ledger, now_ms).values()
            standing = [row for row in nodes if row.body["deployment"] in asked]
            # A head of the same size gets more cosignatures, and later ones.
            known = (cosigned or self._ledger.size, *(row.digest for row in standing))
            if self._kept[0] != known:
                told = export_nodes(self._ledger, standing, cosigned, 0)
                del told["consistency"]
                self._kept = known, told["checkpoint"], json.dumps(told, separators=(",", ":"))
            _, checkpoint, text = self._kept
            proof = json.dumps(continues(self._ledger, checkpoint, since), separators=(",", ":"))
            return f'{text[:-1]},"consistency":{proof}}}'


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
