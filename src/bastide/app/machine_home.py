# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The home of a machine that joined: its key, its certificate, the key of its replica's database.

`machine/secrets.json` is made once and never leaves the machine. Nothing in it opens a model: what
does is in the memory of runners only (app/joining.py).
"""

import json
from typing import Any, Final

from bastide.app import wiring
from bastide.app.config import Home
from bastide.core.errors import Misconfigured, NotFound, NotProven
from bastide.core.limits import SERVICE_CERTIFICATE_DAYS, SERVICE_RENEW_S
from bastide.core.service import Credential
from bastide.crypto import p256, service_x509, x509
from bastide.ports import Entropy

__all__ = ["MachineHome"]

_DAY_S: Final = 86_400


class MachineHome:
    """Files below `machine/` of a home, each written whole or not at all."""

    def __init__(self, home: Home) -> None:
        self._secrets, self._shown = (
            home.machine / name for name in ("secrets.json", "certificate.json")
        )

    def make(self, entropy: Entropy) -> None:
        """Make the secrets, unless there are some."""
        if not self._secrets.exists():
            key, replica = p256.secret_from(entropy.token(48)), entropy.token(32)
            made = {"key": key.hex(), "replica": replica.hex()}
            wiring.replace_small(self._secrets, json.dumps(made).encode())

    def request(self) -> str:
        """A request for a certificate of its key."""
        return service_x509.request_for(self._key())

    def keep(self, given: dict[str, Any]) -> None:
        """Show this certificate from now on."""
        told = {name: given[name] for name in ("certificate", "authority")}
        wiring.replace_small(self._shown, json.dumps(told).encode())

    def credential(self) -> Credential:
        """What it shows now. Raises NotFound before it has joined."""
        told = self._read(self._shown)
        key = service_x509.private_pem(self._key()).decode()
        return Credential(told["certificate"], key, told["authority"])

    def verify_lasts(self, now_ms: int) -> None:
        """Raise NotProven if its certificate has ended: nobody would say so in the handshake."""
        if self._ends_ms() <= now_ms:
            raise NotProven(
                "the certificate of this machine has ended: it was off for too long",
                fix="on control's machine: bastide machine add NAME; here: bastide machine join",
            )

    def due(self, now_ms: int) -> bool:
        """True if its certificate should be replaced, by the time that stands in it."""
        return (
            self._ends_ms() - now_ms < (SERVICE_CERTIFICATE_DAYS * _DAY_S - SERVICE_RENEW_S) * 1000
        )

    def replica_key(self) -> bytes:
        """The key of its copy of the ledger."""
        return bytes.fromhex(self._read(self._secrets)["replica"])

    def _ends_ms(self) -> int:
        return x509.ends_ms(self._read(self._shown)["certificate"].encode())

    def _key(self) -> bytes:
        return bytes.fromhex(self._read(self._secrets)["key"])

    def _read(self, path: Any) -> dict[str, Any]:
        try:
            return json.loads(path.read_text())
        except FileNotFoundError as error:
            fix = "bastide machine join FILE"
            raise NotFound("this machine has not joined an environment", fix=fix) from error
        except (OSError, ValueError) as error:
            raise Misconfigured(f"{path} cannot be read") from error
