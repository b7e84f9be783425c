# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Use cases about receipts: export one with its proofs, and verify one with public keys only."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from bastide.app.duties import require
from bastide.app.environment import Environment
from bastide.core.batch import batch_secret
from bastide.core.errors import Misconfigured, NotFound, NotProven, Unavailable
from bastide.core.receipt import Receipt
from bastide.dialects.batch_answers import read_answer
from bastide.dialects.batch_lines import read_line
from bastide.ledger.bundle import export_bundle
from bastide.ledger.verify import Chain, trace_bundle, verify_content

__all__ = [
    "export_receipt",
    "open_lines",
    "open_receipt",
    "read_anchors",
    "read_bundle",
    "read_content",
    "read_object",
    "trace_receipt",
]

_SEALED_WITHIN_S = 5.0
_ANCHORS = "it is the file public/keys.json of the environment that is meant"


def export_receipt(env: Environment, ident: str, sleep: Callable[[float], None]) -> dict[str, Any]:
    """The self-contained file of a receipt: `newest` names the last one.

    A receipt is sealed into the ledger within a second of its answer; until then this waits.
    Raises NotFound.
    """
    require(env, "read")
    if ident == "newest":
        newest = env.book.newest()
        if newest is None:
            raise NotFound("there is no receipt yet", fix='ask something: bastide chat "Hello"')
        ident = newest
    deadline = env.clock.monotonic() + _SEALED_WITHIN_S
    while True:
        try:
            return export_bundle(env.ledger, env.book, ident, env.heads)
        except Unavailable:
            if env.clock.monotonic() > deadline:
                raise
            sleep(0.1)


def read_anchors(path: Path) -> dict[str, Any]:
    """Read a keys.json: the public keys that an auditor trusts. Raises NotFound or NotProven."""
    value = read_object(path, "the trust anchors")
    if missing := {"charter", "keys", "origin"} - set(value):
        raise NotProven(
            f"the trust anchors: {path} lacks {', '.join(sorted(missing))}", fix=_ANCHORS
        )
    return value


def read_bundle(path: Path) -> dict[str, Any]:
    """Read a receipt file. Raises NotFound, or NotProven if it is damaged."""
    return read_object(path, "the receipt")


def trace_receipt(bundle: dict[str, Any], anchors: dict[str, Any]) -> Chain:
    """Verify a receipt file back to its model. Raises NotProven, saying where it fails."""
    return trace_bundle(bundle, anchors)


def open_receipt(bundle: dict[str, Any], api_key: str, prompt: bytes, answer: bytes) -> None:
    """Check that a receipt is about this prompt and answer. Raises NotProven."""
    receipt = Receipt.from_json(bundle["receipt"])
    verify_content(receipt, api_key, prompt, answer)


def open_lines(
    find: Callable[[str], Receipt], api_key: str, batch: str, asked: bytes, results: bytes
) -> int:
    """Check that the receipts of a batch are about exactly its lines; how many there are.

    `asked` is its input file and `results` its output file; `find` gives a receipt by its id.
    Raises NotProven naming the line that does not hold, Misconfigured for a file that is none.
    """
    secret = batch_secret(api_key, batch)
    bodies = {line.custom_id: line.body for line in map(read_line, _lines(asked, "input"))}
    seen = set[str]()
    for number, data in enumerate(_lines(results, "output"), 1):
        try:
            row = read_answer(data)
        except Misconfigured as error:
            raise Misconfigured(f"output, line {number}: {error.message}") from error
        if row.custom_id not in bodies:
            raise NotProven(f"output, line {number}: the input has no {row.custom_id!r}")
        if not row.receipt or row.receipt in seen:
            raise NotProven(f"output, line {number}: it has no receipt of its own")
        seen.add(row.receipt)
        try:
            verify_content(find(row.receipt), secret, bodies[row.custom_id], row.answer)
        except NotProven as error:
            raise NotProven(f"output, line {number} ({row.receipt}): {error.message}") from error
    if not seen:
        raise NotProven("output: no line has a receipt")
    return len(seen)


def _lines(data: bytes, what: str) -> list[bytes]:
    rows = [row for row in data.split(b"\n") if row.strip()]
    if what == "input":
        for number, row in enumerate(rows, 1):
            try:
                read_line(row)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                raise Misconfigured(f"input, line {number}: it is no line of a batch") from error
    return rows


def read_content(path: Path) -> bytes:
    """Read a prompt or an answer. Raises NotFound or Unavailable."""
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise NotFound(f"there is no file {path}", fix="check the path") from error
    except OSError as error:
        raise Unavailable(f"{path}: {error.strerror}") from error


def read_object(path: Path, what: str) -> dict[str, Any]:
    """Read a file with one JSON object. Raises NotFound, NotProven or Unavailable."""
    try:
        value = json.loads(path.read_bytes(), object_pairs_hook=_once)
    except FileNotFoundError as error:
        raise NotFound(f"{what}: there is no file {path}", fix="check the path") from error
    except OSError as error:
        raise Unavailable(f"{what}: {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        # A damaged proof is none: the same answer as for a flipped bit anywhere else in it.
        raise NotProven(f"{what}: {path} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise NotProven(f"{what}: {path} is not a JSON object")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object in which no key stands twice: readers would not agree on what it says."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return found
