# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The way from a client of sealed mode to the operator's gateway."""

import http.client
import ipaddress
import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit

from bastide.core.errors import Misconfigured

__all__ = ["Gateway", "is_loopback"]


@dataclass(frozen=True, slots=True)
class Gateway:
    """Where the operator's gateway is. `context` is for https.

    Every request has the API key, so http is for loopback only, unless `plain` says otherwise.
    """

    url: str
    context: ssl.SSLContext | None = None
    timeout_s: float = 300.0
    plain: bool = False

    def connect(self) -> http.client.HTTPConnection:
        """A new connection. Raises Misconfigured for what is no address."""
        parts = urlsplit(self.url)
        try:
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise Misconfigured(f"{self.url} is no address: {error}") from error
        if parts.scheme not in ("http", "https") or not host or parts.path.strip("/"):
            raise Misconfigured(f"{self.url} is no address", fix="write https://HOST:PORT")
        if parts.scheme == "http":
            if not (self.plain or is_loopback(host)):
                raise Misconfigured(
                    f"--gateway {self.url}: the API key would cross the network in clear",
                    place="gateway",
                    fix="write https://, with --ca FILE for authorities of your own; or, if you"
                    " accept that, --insecure-http",
                )
            return http.client.HTTPConnection(host, port, timeout=self.timeout_s)
        context = self.context or ssl.create_default_context()
        return http.client.HTTPSConnection(host, port, timeout=self.timeout_s, context=context)


def is_loopback(host: str) -> bool:
    """Whether a name or address is this machine's own."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
