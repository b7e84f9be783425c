# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What the supervisor holds for the gateway's workers: sockets, certificate, seen signatures.

Each worker has its own socket on the shared port, and the kernel deals connections among them.
The supervisor keeps them open: when a worker dies, connections that wait there are taken by the
one that is started in its place.
"""

import os
import socket
from typing import Any

from bastide.app.certificates import (
    client_authorities,
    client_files,
    due,
    ensure_authority,
    server_certificate,
)
from bastide.app.config import Home, Settings
from bastide.app.listening import bind_shared
from bastide.app.seen import make_table
from bastide.core.key import Purpose
from bastide.crypto.x509 import Issued, ends_ms
from bastide.ports import Clock, Entropy, Keyring

__all__ = ["Gateways"]


class Gateways:
    """The ports are bound when this is made. Raises Unavailable, NotFound, Misconfigured."""

    def __init__(
        self, home: Home, settings: Settings, keyring: Keyring, clock: Clock, entropy: Entropy
    ) -> None:
        self._home = home
        self._settings = settings
        self._keyring = keyring
        self._clock = clock
        self._entropy = entropy
        self._issued: Issued | None = None
        self._authority_ends_ms = 0
        self._client_ca: dict[str, str] = {}
        self._client_ca_ns: tuple[tuple[str, int], ...] = ()
        self._tls: list[socket.socket] = []
        count = settings.gateway_workers
        self._plain = bind_shared(settings.listen, count)
        if settings.tls_listen:
            ensure_authority(home, keyring, settings, clock, entropy)
            self._authority_ends_ms = ends_ms(home.authority.read_bytes())
            self._renew()
            self._tls = bind_shared(settings.tls_listen, count)
        self._seen = make_table(clock.now_ms())

    @property
    def names(self) -> list[str]:
        """The workers' names."""
        return ["gateway", *(f"gateway-{n}" for n in range(2, len(self._plain) + 1))]

    def descriptors(self, index: int) -> tuple[int, ...]:
        """What a worker inherits."""
        sockets = (bound[index].fileno() for bound in (self._plain, self._tls) if bound)
        return (*sockets, self._seen)

    def orders(self, index: int) -> dict[str, Any]:
        """A worker's orders, with the certificate of now."""
        orders: dict[str, Any] = {
            "listen_fd": self._plain[index].fileno(),
            "control_socket": str(self._home.control_socket),
            "desk_socket": str(self._home.desk_socket),
            "seen_fd": self._seen,
            "pepper": self._keyring.secret(Purpose.PEPPER).hex(),
        }
        if self._tls:
            orders["tls_fd"] = self._tls[index].fileno()
            orders["tls"] = self._material()
        return orders

    def renewal(self) -> dict[str, Any] | None:
        """What the workers should get now, if their certificate or their clients' has changed."""
        if self._issued is None:
            return None
        if not due(self._issued, self._clock.now_ms()) and self._stamp() == self._client_ca_ns:
            return None
        self._renew()
        return {"tls": self._material()}

    def ends_ms(self) -> dict[str, int]:
        """When the certificates of now end, by whose they are; none without TLS."""
        if self._issued is None:
            return {}
        return {"server": self._issued.ends_ms, "authority": self._authority_ends_ms}

    def close(self) -> None:
        """Let go of the ports, and of what was seen."""
        for bound in (*self._plain, *self._tls):
            bound.close()
        os.close(self._seen)

    def _renew(self) -> None:
        self._issued = server_certificate(self._keyring, self._settings, self._clock, self._entropy)
        self._client_ca_ns = self._stamp()
        self._client_ca = client_authorities(self._home, self._settings)

    def _material(self) -> dict[str, Any]:
        assert self._issued is not None
        return {
            "certificate": self._issued.certificate.decode(),
            "key": self._issued.key.decode(),
            "client_ca": self._client_ca,
        }

    def _stamp(self) -> tuple[tuple[str, int], ...]:
        """Names and times of the clients' authorities; as before while the file is away."""
        if not self._settings.client_ca:
            return ()
        files = client_files(self._home.root / self._settings.client_ca)
        try:
            return tuple((file.name, file.stat().st_mtime_ns) for file in files)
        except OSError:
            return self._client_ca_ns
