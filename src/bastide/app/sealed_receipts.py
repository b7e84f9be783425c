# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Check the receipt of a sealed answer: it is about this ciphertext and about that node."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bastide.app.receipts import read_object
from bastide.core.errors import NotProven
from bastide.core.receipt import Receipt
from bastide.ledger.verify import Chain, trace_bundle, verify_content

__all__ = ["read_kept", "trace_kept"]

_FIELDS = ("type", "node", "request", "answer", "end")


def read_kept(path: Path) -> dict[str, Any]:
    """Read what a client kept of an answer. Raises NotFound, NotProven or Unavailable."""
    value = read_object(path, "what was kept")
    if set(value) != set(_FIELDS):
        raise NotProven(f"{path}: not what a sealed client keeps")
    return value


def trace_kept(
    kept: Mapping[str, Any], bundle: Mapping[str, Any], anchors: Mapping[str, Any], key: str
) -> Chain:
    """Verify a receipt as `bastide verify` does, and that it is this answer's. Raises NotProven."""
    chain = trace_bundle(bundle, anchors)
    receipt: Receipt = chain.receipt
    try:
        request, answer = kept["request"].encode(), kept["answer"].encode()
        end = dict(kept["end"])
    except (AttributeError, TypeError, ValueError) as error:
        raise NotProven("what was kept is no sealed answer that came to its end") from error
    verify_content(receipt, key, request, answer)
    if kept["node"] not in receipt.attestations:
        raise NotProven("receipt.attestations: not of the node to which the request was sealed")
    stated = {
        "receipt": receipt.ident,
        "deployment": receipt.deployment,
        "release": receipt.release,
        "prompt_tokens": receipt.prompt_tokens,
        "completion_tokens": receipt.completion_tokens,
        "cached_tokens": receipt.cached_tokens,
    }
    for name, value in stated.items():
        if end.get(name) != value:
            raise NotProven(f"receipt.{name}: {value!r}, and the node sealed {end.get(name)!r}")
    return chain
