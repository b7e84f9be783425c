# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What our own services know of each other: who calls, with what they prove it, where one is."""

from dataclasses import dataclass
from typing import Final

from bastide.core.errors import Misconfigured

__all__ = ["Caller", "Credential", "far_socket", "is_far", "read_far"]

_FAR: Final = "tls://"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is at the other end of a connection to control.

    process: its id, where it is on control's machine; machine: the name of another one.
    key: the digest of the key of its certificate, where it showed one.
    """

    role: str
    process: int = 0
    machine: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class Credential:
    """A service's certificate and private key, and the authority of the others, in PEM. Secret."""

    certificate: str
    key: str
    authority: str


def far_socket(address: str, machine: str) -> str:
    """Where a runner of another machine answers, as snapshots say it."""
    return f"{_FAR}{address}/{machine}"


def is_far(socket: str) -> bool:
    """True for what `far_socket` made; a path otherwise."""
    return socket.startswith(_FAR)


def read_far(socket: str) -> tuple[str, int, str]:
    """Host, port and machine of a runner. Raises Misconfigured."""
    address, _, machine = socket.removeprefix(_FAR).rpartition("/")
    host, _, port = address.rpartition(":")
    if not is_far(socket) or not host or not port.isdigit() or not machine:
        raise Misconfigured(f"{socket!r} is no place of a runner")
    return host.strip("[]"), int(port), machine
