# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Use cases about merge promises: delegate a gateway's key, verify a promise, and that it was kept.

See core/merge_promise.py and docs/adr/0026-promises.md.
"""

import base64
import json
from pathlib import Path
from typing import Any

from bastide.app.config import Settings
from bastide.app.duties import require
from bastide.app.environment import Environment
from bastide.app.receipts import trace_receipt
from bastide.core.errors import Misconfigured, NotFound, NotProven, Unavailable
from bastide.core.key import Purpose
from bastide.core.limits import MIB, PROMISE_KEY_S
from bastide.core.merge_promise import Delegation, MergePromise
from bastide.core.subject import Digest
from bastide.crypto.dsse import Signer
from bastide.crypto.promises import open_promise, sign_delegation
from bastide.ledger.bundle import export_bundle
from bastide.ledger.bundle_form import read_anchors

__all__ = ["delegate", "find_sealed", "read_promise", "trace_promise", "verify_kept"]

_HEADER = "x-bastide-promise:"
_COMMENT = ": bastide-promise "
_FILE_BYTES_MAX = 64 * MIB  # a whole stream may be kept


def delegate(settings: Settings, public: str, signer: Signer, now_ms: int) -> str:
    """Let a gateway's key (base64) sign promises for a day; `signer` is the evidence key.

    Raises Misconfigured unless this environment promises, NotProven if that is no key.
    """
    if settings.receipts != "promised":
        raise Misconfigured("receipts are durable here: no key may sign promises")
    made = Delegation(settings.environment, public, now_ms, now_ms + int(PROMISE_KEY_S * 1000))
    made.raw  # noqa: B018 (it raises if there is no key)
    return sign_delegation(made, signer)


def read_promise(path: Path) -> str:
    """The signed promise in a file.

    The file is the header's value, or holds the header's line or the stream's comment. Raises
    NotFound, Misconfigured.
    """
    try:
        size = path.stat().st_size
        text = path.read_text(errors="replace") if size <= _FILE_BYTES_MAX else ""
    except OSError as error:
        raise NotFound(f"{path}: {error.strerror}") from error
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for line in lines:
        if line.lower().startswith(_HEADER):
            return line[len(_HEADER) :].strip()
        if line.startswith(_COMMENT):
            return line[len(_COMMENT) :].strip()
    if len(lines) != 1:
        raise Misconfigured(
            f"{path}: there is no promise in it",
            fix=f"save the header {_HEADER[:-1]}, or the stream's line `{_COMMENT}...`",
        )
    return lines[0]


def trace_promise(text: str, anchors: dict[str, Any]) -> MergePromise:
    """Verify a promise back to the environment's evidence key. Raises NotProven."""
    trusted = read_anchors(anchors)
    evidence = [key for key in trusted.keys if key.purpose is Purpose.EVIDENCE]
    if len(evidence) != 1:
        raise NotProven("keys.json: not one evidence key")
    return open_promise(text, trusted.environment, evidence[0])


def verify_kept(promise: MergePromise, bundle: dict[str, Any], anchors: dict[str, Any]) -> None:
    """Check that the promised receipt, as its exported bundle proves it, was merged in time.

    Raises NotProven: the promise was broken, or the bundle is no proof.
    """
    receipt = trace_receipt(bundle, anchors).receipt
    if receipt.ident != promise.receipt:
        raise NotProven(f"the bundle is of the receipt {receipt.ident}, not {promise.receipt}")
    if str(Digest.of(receipt.leaf())) != promise.leaf:
        raise NotProven("broken: the ledger has another receipt under the promised id")
    payload = base64.b64decode(bundle["entries"]["batch"]["envelope"]["payload"])
    sealed_ms = json.loads(payload)["predicate"].get("sealed_ms")
    if sealed_ms is None:
        raise NotProven("the batch does not say when it was sealed: it is older than promises are")
    if sealed_ms > promise.merge_by_ms:
        late = sealed_ms - promise.merge_by_ms
        raise NotProven(f"broken: the receipt was merged {late} ms after it was promised to be")


def find_sealed(env: Environment, promise: MergePromise) -> dict[str, Any] | None:
    """The bundle of a promised receipt; None if its time is not over and it is not there yet.

    Raises NotProven if it is over and the receipt is not in the ledger.
    """
    require(env, "read")
    try:
        return export_bundle(env.ledger, env.book, promise.receipt)
    except (NotFound, Unavailable) as error:
        if env.clock.now_ms() <= promise.merge_by_ms:
            return None
        raise NotProven("broken: its time is over, and the receipt is not in the ledger") from error
