# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Unsealing: one process collects shares in memory, over a socket of this user alone.

Whoever comes first with a share waits; others hand theirs over. When there are enough, the keyring
is opened to see that they are right. For as long as it is asked to, the process goes on giving the
passphrase to commands of this user; then it ends, and nothing of it was ever on the disk.
"""

import contextlib
import json
import os
import socket
import struct
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, Final

from bastide.app.config import Home
from bastide.app.hiding import hide_memory
from bastide.app.quorum import Collected, Share
from bastide.core.errors import BastideError, Misconfigured, NotAllowed, NotFound, Unavailable
from bastide.ports import Clock

__all__ = ["collect", "hand_over", "kept_passphrase", "read_record"]

_READ_S: Final = 5
_LINE_BYTES_MAX: Final = 64 * 1024

Answer = Callable[[Any], dict[str, Any]]


def read_record(home: Home) -> dict[str, Any]:
    """The record of the quorum. Raises NotFound if the environment has none."""
    try:
        return json.loads(home.quorum.read_text())
    except FileNotFoundError as error:
        raise NotFound(
            f"{home.root} has no quorum", fix="it is unlocked by a passphrase: bastide up"
        ) from error
    except ValueError as error:
        raise Misconfigured(f"{home.quorum} is damaged", fix="restore it from a backup") from error


def hand_over(home: Home, share: Share, purpose: str = "") -> int | None:
    """Give a share to whoever collects; how many are missing then. None if nobody collects.

    `purpose` is what it is given for, if not to unseal; for another one it is not taken.

    Raises NotAllowed with its reason if it is refused, Unavailable if who collects is busy.
    """
    told = _ask(home, {"share": share.to_json(), "purpose": purpose})
    if told is None:
        return None
    if "message" in told:
        raise NotAllowed(told["message"], fix=told["fix"])
    return int(told["missing"])


def kept_passphrase(home: Home) -> str | None:
    """The passphrase, if the custodians keep the environment open for commands just now."""
    with contextlib.suppress(Unavailable):
        told = _ask(home, {"passphrase": None})
        return None if told is None else told.get("passphrase")
    return None


def collect(
    home: Home,
    collected: Collected,
    wait_s: float,
    clock: Clock,
    tell: Callable[[str], None],
    opened: Callable[[str], float],
    purpose: str = "",
) -> None:
    """Wait for shares; with enough, call `opened` with the passphrase, which may refuse it.

    `opened` returns for how many seconds commands may ask for the passphrase. Raises NotAllowed if
    the time is over, and what `opened` raises.
    """
    hide_memory()

    def verify_purpose(request: Any) -> None:
        if request.get("purpose", "") != purpose:
            raise NotAllowed(
                "shares are collected here for something else",
                fix="ask the custodian who waits: `bastide unseal`, or `bastide resplit` with the"
                " same --custodian",
            )

    def take(request: Any) -> dict[str, Any]:
        if "share" not in request:
            raise NotAllowed(f"{collected.missing} shares are missing")
        verify_purpose(request)
        share = Share.from_json(json.dumps(request["share"]))
        collected.add(share)
        tell(f"  the share of the {share.custodian}: right, {collected.missing} missing")
        return {"missing": collected.missing}

    def keep(request: Any) -> dict[str, Any]:
        if "share" not in request:
            return {"passphrase": passphrase}
        if request.get("purpose", "") != purpose:
            raise NotAllowed(
                "the custodians have opened this environment: no shares are collected now",
                fix="bastide down, and once commands ask for the passphrase again: once more",
            )
        return {"missing": 0}

    with _listening(home.unsealing) as listener:
        ends = clock.monotonic() + wait_s
        while collected.missing and (left := ends - clock.monotonic()) > 0:
            _serve_one(listener, left, take)
        passphrase = collected.passphrase()
        ends = opened(passphrase) + clock.monotonic()
        while (left := ends - clock.monotonic()) > 0:
            _serve_one(listener, left, keep)


@contextlib.contextmanager
def _listening(path: Path) -> Generator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            path.unlink(missing_ok=True)  # of one that was killed
        else:
            raise Unavailable("another custodian was a moment faster", fix="run it again")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen(4)
        try:
            yield listener
        finally:
            path.unlink(missing_ok=True)


def _serve_one(listener: socket.socket, left_s: float, answer: Answer) -> None:
    """Answer one request, if one comes in time."""
    listener.settimeout(left_s)
    try:
        connection, _ = listener.accept()
    except TimeoutError:
        return
    # A client that goes away is not our trouble.
    with connection, contextlib.suppress(OSError):
        connection.settimeout(_READ_S)
        peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        _, user, _ = struct.unpack("3i", peer)
        if user != os.getuid():
            return
        try:
            told = answer(json.loads(_line(connection)))
        except (BastideError, ValueError, TypeError) as error:
            said = error if isinstance(error, BastideError) else Misconfigured("no request")
            told = {"message": said.message, "fix": said.fix}
        connection.sendall(json.dumps(told).encode() + b"\n")


def _ask(home: Home, request: Any) -> dict[str, Any] | None:
    """One answer of who collects. None if nobody does. Raises Unavailable."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_READ_S)
            connection.connect(str(home.unsealing))
            connection.sendall(json.dumps(request).encode() + b"\n")
            return json.loads(_line(connection))
    except (FileNotFoundError, ConnectionRefusedError):
        return None
    except (OSError, ValueError) as error:
        raise Unavailable(
            "who collects the shares does not answer", fix="it may be starting: run it again"
        ) from error


def _line(connection: socket.socket) -> bytes:
    data = b""
    while not data.endswith(b"\n") and len(data) < _LINE_BYTES_MAX:
        piece = connection.recv(_LINE_BYTES_MAX)
        if not piece:
            break
        data += piece
    return data
