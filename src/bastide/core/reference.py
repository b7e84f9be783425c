# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Reference values (RFC 9334): what a node must have measured before it may see weights.

The guardian signs them. A node is allowed by what they name and by nothing else: no reference, an
empty list or an unknown value refuses.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from bastide.core.errors import Misconfigured
from bastide.core.limits import NODE_LIFE_S_MAX, NODE_LIFE_S_MIN, NODE_REFERENCE_VALUES_MAX

__all__ = ["ATTESTATION_KINDS", "NEEDED", "Reference"]

# What a reference must say something about, by the kind of attestation.
NEEDED: Final[Mapping[str, tuple[str, ...]]] = {
    "tpm2": ("software", "engine", "sandbox"),
    "sev-snp": ("measurement", "root"),
    "tdx": ("mrseam", "mrtd", "rtmr1", "rtmr2", "qe_mrsigner", "root"),
}
ATTESTATION_KINDS: Final = tuple(NEEDED)


@dataclass(frozen=True, slots=True)
class Reference:
    """What one kind of node may be and may have measured.

    identities: digests of the hardware's own keys; empty for every machine whose chain ends in a
    root that `measured` names. measured: the allowed values of each measurement. minimum: the least
    of a version number. valid_s: how long one quote counts.
    """

    name: str
    kind: str
    identities: tuple[str, ...]
    measured: Mapping[str, tuple[str, ...]]
    minimum: Mapping[str, int]
    valid_s: int

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Read the body of a `node-reference/v1`, or a file of one. Raises Misconfigured."""
        try:
            if set(value) - {"time_ms"} != {
                "name", "kind", "identities", "measured", "minimum", "valid_s",
            }:  # fmt: skip
                raise Misconfigured(f"reference: unknown or missing fields in {sorted(value)}")
            found = cls(
                _text(value["name"]),
                value["kind"],
                tuple(map(_text, value["identities"])),
                {_text(name): tuple(map(_text, row)) for name, row in value["measured"].items()},
                {_text(name): least for name, least in value["minimum"].items()},
                value["valid_s"],
            )
        except (TypeError, AttributeError) as error:
            raise Misconfigured(f"reference: not reference values: {error}") from error
        found._check()
        return found

    def to_json(self) -> dict[str, Any]:
        """The values as plain JSON."""
        return {
            "name": self.name,
            "kind": self.kind,
            "identities": list(self.identities),
            "measured": {name: list(row) for name, row in self.measured.items()},
            "minimum": dict(self.minimum),
            "valid_s": self.valid_s,
        }

    def judge(self, node: Mapping[str, Any]) -> list[str]:
        """Every reason against the body of a `node/v1` whose quote holds; empty if it is allowed.

        Whether the quote holds is for `crypto.attestation.verify_evidence`.
        """
        stated = node["attestation"]
        if stated["kind"] != self.kind:
            return [f"{self.name} is about {self.kind}, not about {stated['kind']}"]
        reasons = []
        if self.identities and stated["identity"] not in self.identities:
            reasons.append(f"identity: {stated['identity']} is not in {self.name}")
        for name, allowed in self.measured.items():
            found = stated["measured"].get(name)
            if not found:
                reasons.append(f"{name}: not measured, and {self.name} asks for it")
                continue
            reasons += [
                f"{name}: {value} is not in {self.name}" for value in found if value not in allowed
            ]
        for name, least in self.minimum.items():
            found = stated["measured"].get(name, [])
            if len(found) != 1 or not found[0].isdecimal() or int(found[0]) < least:
                reasons.append(f"{name}: {', '.join(found) or 'not measured'}, below {least}")
        if not 0 < node["expires_ms"] - node["time_ms"] <= self.valid_s * 1000:
            reasons.append(f"expires_ms: a quote counts for {self.valid_s} s by {self.name}")
        return reasons

    def _check(self) -> None:
        if self.kind not in NEEDED:
            known = ", ".join(ATTESTATION_KINDS)
            raise Misconfigured(f"reference.kind: {self.kind!r}", fix=f"one of {known}")
        if missing := [name for name in NEEDED[self.kind] if not self.measured.get(name)]:
            raise Misconfigured(f"reference.measured: no value for {', '.join(missing)}")
        if not self.identities and not self.measured.get("root"):
            raise Misconfigured(
                "reference.identities: empty, and no root stands behind the machines",
                fix="name the digest that `bastide node measure` prints",
            )
        for name, least in self.minimum.items():
            if type(least) is not int or not 0 <= least < 2**32:
                raise Misconfigured(f"reference.minimum.{name}: not a version number")
        if type(self.valid_s) is not int or not NODE_LIFE_S_MIN <= self.valid_s <= NODE_LIFE_S_MAX:
            raise Misconfigured(
                f"reference.valid_s: not between {NODE_LIFE_S_MIN} and {NODE_LIFE_S_MAX}"
            )
        rows: Sequence[Sequence[str]] = [self.identities, *self.measured.values()]
        if sum(map(len, rows)) > NODE_REFERENCE_VALUES_MAX:
            raise Misconfigured(f"reference: over {NODE_REFERENCE_VALUES_MAX} values")


def _text(value: Any) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= 256:
        raise TypeError(f"{value!r:.80} is not a short text")
    return value
