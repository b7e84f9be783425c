# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Peers: which process is at the other end of a Unix socket, as the kernel says."""

import asyncio
import socket
import struct

__all__ = ["peer_process", "tell"]

_CREDENTIALS = struct.Struct("3i")  # struct ucred of unix(7): process, user, group


def peer_process(writer: asyncio.StreamWriter) -> int:
    """The id of the process that connected; the same when that process is gone."""
    connected = writer.get_extra_info("socket")
    data = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(data)[0])


def tell(writer: asyncio.StreamWriter, data: bytes) -> None:
    """Write to who is there still; uvloop raises RuntimeError for a connection that has closed."""
    if not writer.is_closing():
        writer.write(data)
