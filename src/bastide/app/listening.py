# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Listening sockets. The gateway's are bound by the supervisor: they outlive the workers behind."""

import contextlib
import ipaddress
import os
import resource
import socket
from pathlib import Path

from bastide.app.setting_checks import split_address
from bastide.core.errors import Misconfigured, Unavailable

__all__ = ["bind_address", "bind_private", "bind_shared", "check_plain", "raise_descriptors"]


def raise_descriptors() -> int:
    """Raise the soft limit of open descriptors to the hard one. Returns what it is then."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # what is there then is what counts
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def bind_address(listen: str, *, shared: bool = False) -> socket.socket:
    """A socket bound to ``host:port``. Raises Unavailable if the port is taken.

    shared: more sockets of this user may be bound to it; the kernel deals connections among them.
    """
    host, port = split_address(listen)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise Unavailable(
            f"cannot listen on {listen}: {error.strerror}", fix="free the port"
        ) from error
    bound.setblocking(False)
    return bound


def bind_shared(listen: str, count: int) -> list[socket.socket]:
    """`count` sockets on one address. Raises Unavailable."""
    # The first comes alone, so that a port that another environment shares is not joined.
    if count == 1:
        return [bind_address(listen)]
    bind_address(listen).close()
    return [bind_address(listen, shared=True) for _ in range(count)]


def check_plain(bound: socket.socket, name: str = "listen") -> None:
    """Raise Misconfigured if plain HTTP on this socket would cross a network."""
    if bound.family == socket.AF_UNIX:
        return
    host = bound.getsockname()[0]
    if not ipaddress.ip_address(host).is_loopback:
        raise Misconfigured(
            f"{name} = {host}: plain HTTP is served on loopback addresses only",
            fix="give the address to tls_listen, and listen on 127.0.0.1"
            if name == "listen"
            else "127.0.0.1, and a proxy of yours in front of it",
        )


def bind_private(path: Path) -> socket.socket:
    """A socket that only its owner may open. Replaces what an earlier run left."""
    path.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)  # from the first moment on: bind creates the file
    try:
        listening.bind(str(path))
    except OSError as error:
        listening.close()
        raise Unavailable(f"{path} cannot be listened on: {error.strerror}") from error
    finally:
        os.umask(before)
    return listening
