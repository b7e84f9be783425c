# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Where sealed objects are, and how they get somewhere else.

A move copies what is stored, bytes for bytes: no object is opened; the policies say who may. Bodies
go before the headers that name them, and every copy is read back before the setting changes; then
the old copies are deleted. A kill before that costs what was copied last.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from bastide.app import wiring
from bastide.app.alone import alone
from bastide.app.config import Home, read_settings
from bastide.app.duties import require
from bastide.app.environment import open_environment
from bastide.app.services import running_pid
from bastide.app.wiring_store import far_store, stays_near
from bastide.core.bucket import SCHEME, verify_store
from bastide.core.errors import Misconfigured, NotFound, Refused, Unavailable
from bastide.core.limits import MIB
from bastide.ports import Store

__all__ = ["move", "objects"]

Progress = Callable[[str, int, int], None]
_PIECE_BYTES: Final = 4 * MIB
_SUFFIX: Final = re.compile(r"(\.[0-9a-f]{32}\.body|\.header)$")
_SETTING: Final = re.compile(r"^store *=.*$", re.MULTILINE)
_PROBE: Final = "probe"


def objects(home: Home) -> dict[str, Any]:
    """Where sealed objects are. Of a bucket, also whether a write there honours its condition.

    Raises Unavailable or Misconfigured if it cannot be asked.
    """
    url = read_settings(home).store
    row: dict[str, Any] = {"objects": url or f"local:{home.store}", "conditional": None}
    if url.startswith(SCHEME):
        store: Any = far_store(home, url)
        store.put(_PROBE, [b"bastide"])
        row["conditional"] = not store.put_over(_PROBE, b"bastide", "")
        store.delete(_PROBE)
    return row


def move(home: Home, passphrase: str, to: str, progress: Progress) -> dict[str, Any]:
    """Bring all sealed objects to another place, and the setting with them.

    Raises Refused while the services run, or if other objects are there; Unavailable.
    """
    if running_pid(home) is not None:
        raise Refused("the services use the store", fix="bastide down")
    with open_environment(home, passphrase) as env:
        require(env, "store-move")
    target_url = "" if to in ("", "home") else to
    verify_store(target_url)
    with alone(home.root, lambda: None):
        url = read_settings(home).store
        if url == target_url:
            raise Misconfigured("the objects are there already", fix="name another place")
        source, target = _store(home, url), _store(home, target_url)
        names = [name for name in source.names() if not stays_near(_SUFFIX.sub("", name))]
        others = {name for name in target.names() if not stays_near(_SUFFIX.sub("", name))}
        if strange := sorted(others - set(names)):
            raise Refused(
                f"{to} holds objects that this store does not have",
                reasons=strange[:10],
                fix="name an empty place, for instance another prefix",
            )
        # A header may be another one of the same size; a body is named after its own nonce.
        names.sort(key=lambda name: (name.endswith(".header"), name))
        copied = 0
        for number, name in enumerate(names):
            progress("copying objects", number, len(names))
            known = name in others and not name.endswith(".header")
            copied += (
                0 if known and _same_size(source, target, name) else _copy(source, target, name)
            )
        progress("copying objects", len(names), len(names))
        _set(home, target_url)
        for number, name in enumerate(reversed(names)):  # headers first
            progress("deleting the old copies", number, len(names))
            source.delete(name)
        progress("deleting the old copies", len(names), len(names))
    return {"from": url or "home", "to": target_url or "home", "objects": len(names),
            "bytes": copied}  # fmt: skip


def _store(home: Home, url: str) -> Store:
    return far_store(home, url or f"local:{home.store}")


def _same_size(source: Store, target: Store, name: str) -> bool:
    with source.open(name) as one, target.open(name) as other:
        return one.size == other.size


def _copy(source: Store, target: Store, name: str) -> int:
    read = hashlib.sha256()

    def pieces() -> Iterator[bytes]:
        for piece in _pieces(source, name):
            read.update(piece)
            yield piece

    size = target.put(name, pieces())
    back = hashlib.sha256()
    for piece in _pieces(target, name):
        back.update(piece)
    if back.digest() != read.digest():
        raise Unavailable(f"{name} did not arrive as it was sent", fix="move again")
    return size


def _pieces(store: Store, name: str) -> Iterator[bytes]:
    with store.open(name) as reader:
        for offset in range(0, reader.size, _PIECE_BYTES):
            if not (piece := reader.read_at(offset, _PIECE_BYTES)):
                raise NotFound(f"{name} ends before its size")
            yield piece


def _set(home: Home, url: str) -> None:
    text = home.config.read_text()
    line = f"store = {json.dumps(url)}"
    text, count = _SETTING.subn(lambda _: line, text)
    if not count:
        text = f"{text.rstrip()}\n\n{line}\n"
    wiring.replace_small(home.config, text.encode())
