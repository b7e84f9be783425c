# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""MACHINE_SHAPES: the fields of the kinds about machines that our services run on."""

from bastide.ledger.field_checks import Check, count, digest, text

__all__ = ["MACHINE_SHAPES"]

MACHINE_SHAPES: dict[str, dict[str, Check]] = {
    "machine/v1": {"machine": text, "invitation": digest, "expires_ms": count, "time_ms": count},
    "machine-key/v1": {"machine": text, "invitation": digest, "key": digest, "time_ms": count},
    "machine-end/v1": {"machine": text, "reason": text, "time_ms": count},
}
