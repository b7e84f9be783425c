# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A witness's folder, and the process that serves it: `bastide witness run`.

The folder holds ``witness.key`` (private, mode 0600), ``witness.pub`` (its vkeys, one a line) and
``witness.db`` (what it has cosigned). A folder that was restored from a backup may have forgotten
heads: such a witness could be made to cosign a fork. So it begins anew, with a new key.
"""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from bastide.app import wiring
from bastide.app.listening import bind_address, check_plain
from bastide.app.small_http import Asked, Reply, SmallServer
from bastide.app.witness import SUBMISSION_BYTES_MAX, Witness
from bastide.core.errors import Misconfigured, NotFound
from bastide.core.key import PublicKey, Purpose
from bastide.core.witnessing import Watched
from bastide.crypto import note
from bastide.crypto.cosignature import Cosigner, CosignerKey, read_cosigner
from bastide.ports import Clock, Entropy, WitnessMemory

__all__ = [
    "make_witness",
    "read_witness",
    "refusals",
    "serve_witness",
    "watch",
    "watched",
]

_TIMEOUT_S: Final = 10.0
_SEED_BYTES: Final = 32


def make_witness(folder: Path, name: str, entropy: Entropy) -> Cosigner:
    """Make the folder of a witness with two new keys. Raises Misconfigured if there is one."""
    key = CosignerKey.from_seeds(name, entropy.token(_SEED_BYTES), entropy.token(_SEED_BYTES))
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        descriptor = os.open(_key(folder), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise Misconfigured(f"{folder} holds a witness already", fix="name a new folder") from error
    with os.fdopen(descriptor, "w") as file:
        file.write(key.to_text())
        file.flush()
        os.fsync(file.fileno())
    (folder / "witness.pub").write_text("".join(f"{vkey}\n" for vkey in key.public.vkeys()))
    _memory(folder)
    return key.public


def read_witness(folder: Path) -> Cosigner:
    """What others may know of a witness. Raises NotFound, Misconfigured."""
    try:
        return read_cosigner((folder / "witness.pub").read_text().split())
    except FileNotFoundError as error:
        raise _absent(folder) from error


def watch(folder: Path, anchors: Mapping[str, Any], further: tuple[str, ...] = ()) -> Watched:
    """Cosign the log of an environment from now on; its keys.json says whose heads.

    further: vkeys of ledger keys that came later. Raises NotFound, Misconfigured.
    """
    read_witness(folder)
    try:
        origin = anchors["origin"]
        keys = [PublicKey.from_json(row) for row in anchors["keys"]]
    except (KeyError, TypeError) as error:
        raise Misconfigured(f"not a keys.json: {error!r}") from error
    vkeys = [note.verifier_key(origin, key) for key in keys if key.purpose is Purpose.LEDGER]
    for vkey in further:
        if note.read_verifier_key(vkey)[0] != origin:
            raise Misconfigured(f"{vkey[:80]} is not of the log {origin}")
    memory = _memory(folder)
    memory.watch(origin, [*vkeys, *further])
    return memory.log(origin)


def watched(folder: Path) -> list[Watched]:
    """The logs that a witness watches, with the newest head of each. Raises NotFound."""
    read_witness(folder)
    return _memory(folder).logs()


def refusals(folder: Path) -> list[dict[str, object]]:
    """Signed heads that did not continue their logs: evidence against who signed them."""
    read_witness(folder)
    return _memory(folder).refusals()


async def serve_witness(folder: Path, listen: str, clock: Clock, stop: asyncio.Event) -> None:
    """Answer logs until `stop`. Raises NotFound, Unavailable, Misconfigured."""
    try:
        key = CosignerKey.from_text(_key(folder).read_text())
    except FileNotFoundError as error:
        raise _absent(folder) from error
    witness = Witness(key, _memory(folder), clock)

    async def answer(asked: Asked) -> Reply:
        # In a thread: a head is durable before it is cosigned.
        said = await asyncio.to_thread(witness.answer, asked.method, asked.path, asked.body)
        return Reply(said.status, said.kind, said.text.encode())

    bound = bind_address(listen)
    check_plain(bound)
    small = SmallServer(answer, _TIMEOUT_S, SUBMISSION_BYTES_MAX)
    server = await asyncio.start_server(small.connected, sock=bound, limit=small.limit)
    async with server:
        await stop.wait()


def _key(folder: Path) -> Path:
    return folder / "witness.key"


def _memory(folder: Path) -> WitnessMemory:
    return wiring.witness_memory(folder / "witness.db")


def _absent(folder: Path) -> NotFound:
    return NotFound(f"{folder} holds no witness", fix="bastide witness init --dir DIR --name NAME")
