# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What our own services know of each other: who calls, with what they prove it, where one is."""

from dataclasses import dataclass
from typing import Final

from bastide.core.errors import Misconfigured
from bastide.core.subject import Digest

__all__ = [
    "Caller",
    "Credential",
    "far_name",
    "far_socket",
    "is_far",
    "read_far",
    "runner_of",
]

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
    """A certificate and its private key, and the authority of the other end, in PEM. Secret."""

    certificate: str
    key: str
    authority: str


def far_name(deployment: Digest) -> str:
    """What a runner of another machine is asked for in the handshake of TLS (RFC 6066, 3)."""
    return f"{deployment.hex[:32]}.runner"


def far_socket(address: str, machine: str, deployment: Digest) -> str:
    """Where a runner of another machine answers, as snapshots say it."""
    return f"{_FAR}{address}/{machine}/{far_name(deployment)}"


def is_far(socket: str) -> bool:
    """True for what `far_socket` made; a path otherwise."""
    return socket.startswith(_FAR)


def runner_of(socket: str) -> str:
    """What a log calls the runner behind a place: as its own log file is named, or where it is."""
    if is_far(socket):
        return socket.removeprefix(_FAR)
    return socket.rpartition("/")[2].removesuffix(".sock")


def read_far(socket: str) -> tuple[str, int, str, str]:
    """Host, port and machine of a runner, and its name in the handshake. Raises Misconfigured."""
    address, _, named = socket.removeprefix(_FAR).partition("/")
    host, _, port = address.rpartition(":")
    machine, _, name = named.partition("/")
    if not is_far(socket) or not host or not port.isdigit() or not machine or not name:
        raise Misconfigured(f"{socket!r} is no place of a runner")
    return host.strip("[]"), int(port), machine, name
