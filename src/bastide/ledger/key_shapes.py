# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""KEY_SHAPES: the fields of the kinds that speak of keys, as ledger/shapes.py has them of all."""

from bastide.core.party import Party
from bastide.core.register import KeyState
from bastide.core.store_key import SERVICES
from bastide.ledger.field_checks import Check
from bastide.ledger.field_checks import beginning as _beginning
from bastide.ledger.field_checks import count as _count
from bastide.ledger.field_checks import digest as _digest
from bastide.ledger.field_checks import fields as _fields
from bastide.ledger.field_checks import list_of as _list_of
from bastide.ledger.field_checks import one_of as _one_of
from bastide.ledger.field_checks import or_null as _or_null
from bastide.ledger.field_checks import text as _text

__all__ = ["KEY_SHAPES"]

_texts = _list_of(_text)

KEY_SHAPES: dict[str, dict[str, Check]] = {
    "key-enrolment/v1": {
        "key": lambda value: isinstance(value, dict),
        "holder": _text,
        "state": _one_of("pre-active", "active"),
        "replaces": _or_null(
            _fields(
                {
                    "key": _text,
                    "state": _one_of("deactivated", "compromised"),
                    "trusted_before": _or_null(_count),
                }
            )
        ),
        "reason": _text,
        "time_ms": _count,
    },
    "key-state/v1": {
        "key": _text,
        "state": _one_of("active", "suspended", "deactivated", "compromised", "destroyed"),
        "trusted_before": _or_null(_count),
        "reason": _text,
        "time_ms": _count,
    },
    "party-revocation/v1": {
        "party": _one_of(*(party.value for party in Party)),
        "keys": lambda value: _texts(value) and bool(value) and sorted({*value}) == value,
        "trusted_before": _or_null(_count),
        "reason": _text,
        "time_ms": _count,
    },
    "ceremony/v1": {"record": _digest, "time_ms": _count},
    "quorum/v1": {
        "set": _text,
        "previous": _text,
        "threshold": _count,
        "custodians": _list_of(
            _fields(
                {
                    "custodian": _one_of(*(party.value for party in Party)),
                    "recipient": _text,
                    "digest": _digest,
                }
            )
        ),
        "time_ms": _count,
    },
    "store-key/v1": {
        "key": _text,
        "service": _one_of(*SERVICES),
        "state": _one_of(*(state.value for state in KeyState)),
        "order": _or_null(_digest),
        "proof": _or_null(_text),
        "time_ms": _count,
    },
    "denial/v1": {
        "name": _beginning,
        "party": _one_of(*(party.value for party in Party)),
        "reason": _text,
        "time_ms": _count,
    },
    "denial-end/v1": {
        "name": _beginning,
        "denial": _digest,
        "reason": _text,
        "time_ms": _count,
    },
    "store-key-move/v1": {
        "key": _text,
        "from": _text,
        "to": _text,
        "reason": _text,
        "time_ms": _count,
        "expires_ms": _count,
    },
    "store-key-shred/v1": {
        "key": _text,
        "service": _one_of(*SERVICES),
        "means": _text,
        "leaves": _list_of(_text),
        "reason": _text,
        "time_ms": _count,
        "expires_ms": _count,
    },
}
