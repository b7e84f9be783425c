# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Control's side of other machines: lets them join, gives certificates, entries and objects.

* ``machine-join``: who has an invitation shows a request for a certificate of a key of its own,
  and `machine-key/v1` states that key. Asked again with the same key it answers again; another
  key gets nothing: an invitation is good once.
* ``certificate``: a new one, for the key of before; for gateways of control's machine, which show
  it to runners on others, one that names their process.
* ``ledger``: entries from an index on, up to a signed head (ledger/follow.py).
* ``object``: a piece of the body of a sealed object that a deployment of the machine needs; its
  header it gets as a node, for its quoted key (app/node_broker.py).
"""

import threading
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Engine

from bastide.app.config import Settings
from bastide.app.frame_bodies import read_count, read_text
from bastide.app.machines import Machines, machine_statement
from bastide.core.errors import NotAllowed
from bastide.core.limits import OBJECT_PIECE_BYTES
from bastide.core.service import Caller, Credential
from bastide.core.spiffe import service_id
from bastide.crypto import p256, service_x509
from bastide.crypto.dsse import Signer
from bastide.ledger import Ledger
from bastide.ledger.follow import page
from bastide.ports import Clock, Entropy, Store

__all__ = ["MachineBroker"]


class MachineBroker:
    """Answers machines and gateways. Its methods may be called from several threads.

    secret: the key of the services' authority. store: sealed objects as they lie; may_have: the
    names of those that a deployment (its digest) needs.
    """

    def __init__(
        self,
        ledger: Ledger,
        records: Engine,
        settings: Settings,
        secret: bytes,
        signer: Callable[[], Signer],
        store: Store,
        may_have: Callable[[str], list[str]],
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self.machines = Machines(ledger)
        self._ledger, self._records, self._settings = ledger, records, settings
        self._secret, self._signer = secret, signer
        self._store, self._may_have = store, may_have
        self._clock, self._entropy = clock, entropy
        self._authority = service_x509.services_authority(
            secret, settings.environment, entropy.token(16), clock.now_ms()
        ).decode()
        self._joining = threading.Lock()

    @property
    def answers(self) -> dict[str, Callable[[Caller, dict[str, Any]], Any]]:
        """What each kind of frame asks for."""
        return {
            "machine-join": self.join,
            "certificate": self.certificate,
            "ledger": self.entries,
            "object": self.piece,
        }

    def own(self) -> Credential:
        """What control itself shows: a new key, and a certificate of it."""
        key = p256.secret_from(self._entropy.token(48))
        made = self._issue(service_x509.public_of(key), ("control",), listens=True)
        return Credential(made, service_x509.private_pem(key).decode(), self._authority)

    def join(self, caller: Caller, body: Mapping[str, Any]) -> dict[str, Any]:
        """Let a machine in. Raises NotAllowed if its invitation was used, or is over."""
        public = service_x509.read_request(read_text(body, "request"))
        key = str(service_x509.key_of(public))
        with self._joining:
            self.machines.verify(caller)
            found = self.machines.now()[caller.machine]
            now_ms = self._clock.now_ms()
            taken = self._taken(found.name, found.invitation)
            if taken not in ("", key):
                raise NotAllowed(
                    f"the invitation of {found.name} was used by another key",
                    fix=f"was that not you? bastide machine remove {found.name}",
                )
            if now_ms >= found.expires_ms:
                raise NotAllowed(f"the invitation of {found.name} is over")
            if not taken:
                told = {"invitation": found.invitation, "key": key}
                stated = machine_statement("machine-key/v1", found.name, now_ms, **told)
                self._ledger.append_statement(stated, [self._signer()])
        cost = self._settings.cost
        return {
            **self._given(
                self._issue(public, ("machine", found.name), listens=True, connects=True)
            ),
            "share_prompt_weight": cost.prompt,
            "share_output_weight": cost.output,
        }

    def certificate(self, caller: Caller, body: Mapping[str, Any]) -> dict[str, Any]:
        """A certificate for who asks. Raises NotAllowed for another key than a machine's own."""
        public = service_x509.read_request(read_text(body, "request"))
        if not caller.machine:
            path = (caller.role, str(caller.process))
            return self._given(self._issue(public, path, connects=True))
        if str(service_x509.key_of(public)) != caller.key:
            raise NotAllowed(f"the machine {caller.machine} joined with another key")
        path = ("machine", caller.machine)
        return self._given(self._issue(public, path, listens=True, connects=True))

    def entries(self, caller: Caller, body: Mapping[str, Any]) -> dict[str, Any]:
        """Entries from an index on, and the head that closes them if they end at one."""
        del caller
        entries, head = page(self._records, read_count(body, "base"), read_count(body, "from"))
        return {"entries": entries, "head": head}

    def piece(self, caller: Caller, body: Mapping[str, Any]) -> dict[str, Any]:
        """Bytes of a sealed object's body from an offset on, and its size. Raises NotAllowed."""
        name, at = read_text(body, "name"), read_count(body, "at")
        stem, _, kind = name.rpartition(".")
        of, _, _ = stem.rpartition(".")
        if kind != "body" or of not in self._may_have(read_text(body, "deployment")):
            raise NotAllowed(f"no deployment of {caller.machine} needs the object {name}")
        with self._store.open(name) as reader:
            return {"size": reader.size, "data": reader.read_at(at, OBJECT_PIECE_BYTES)}

    def _taken(self, name: str, invitation: str) -> str:
        """The key that an invitation was used for."""
        rows = self._ledger.find("machine-key/v1", name=name)
        used = [row.body["key"] for row in rows if row.body["invitation"] == invitation]
        return used[0] if used else ""

    def _given(self, certificate: str) -> dict[str, str]:
        return {"certificate": certificate, "authority": self._authority}

    def _issue(self, public: bytes, path: tuple[str, ...], **ends: bool) -> str:
        environment = self._settings.environment
        made = service_x509.issue_service(
            self._secret,
            environment,
            service_id(environment, *path),
            public,
            self._entropy.token(16),
            self._clock.now_ms(),
            **ends,
        )
        return made.decode()
