# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""ACCESS_SHAPES: the fields of the kinds that say who may do what, of logins and emergencies."""

from bastide.core.party import Party
from bastide.ledger.field_checks import (
    Check,
    count,
    digest,
    list_of,
    long_text,
    one_of,
    or_null,
    text,
)

__all__ = ["ACCESS_SHAPES"]

ACCESS_SHAPES: dict[str, dict[str, Check]] = {
    "access-policy/v1": {
        "version": count,
        "previous": or_null(digest),
        "policies": long_text,
        "reason": text,
        "time_ms": count,
    },
    "people/v1": {
        "version": count,
        "previous": or_null(digest),
        "provider": or_null(lambda value: isinstance(value, dict)),  # read by core/people.py
        "person": list_of(lambda value: isinstance(value, dict)),
        "reason": text,
        "time_ms": count,
    },
    "login/v1": {
        "person": text,
        "party": one_of(*(party.value for party in Party)),
        "people": digest,
        "how": one_of("code", "device"),
        "until_ms": count,
        "time_ms": count,
    },
    "break-glass/v1": {
        "party": one_of(*(party.value for party in Party)),
        "reason": text,
        "minutes": count,
        "time_ms": count,
    },
    "incident/v1": {"what": one_of("break-glass"), "about": digest, "time_ms": count},
    "incident-end/v1": {"about": digest, "report": text, "time_ms": count},
}
