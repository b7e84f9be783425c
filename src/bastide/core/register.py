# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Register: which keys may sign, from which entry of the ledger to which, and who changed that.

States and transitions are those of NIST SP 800-57 Part 1 Rev. 5, section 7. A register is made
from the charter and the key statements that follow it, in their order; whoever has these entries
computes the same register, so an auditor and a verifier need nobody's word for it.

Rules:
1. Making a key count takes two parties: enrolment, activation, and destruction, which is for ever.
2. Stopping a key takes one: the party whose key it is, or the guardian. A service's key is stopped
   by the operator or the guardian. Two parties together stop any key. All keys of a party are
   stopped by one statement in the same way: it names each that could sign, and is said once.
3. A service that signs has one active key. The ledger's is only ever replaced, never just stopped:
   without it nothing could be written any more.
4. Who is compromised has never counted, unless the statement says up to which entry it is trusted.
   What a deactivated key signed while it was active goes on counting.
5. One key is one person's: the same public bytes are never enrolled twice.
6. What was said of a key is not said again: who keeps a signed statement cannot undo by it what was
   decided later, not even with its signatures in another order.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from bastide.core.canonical import canonical
from bastide.core.errors import Misconfigured, NotProven, Refused, Waiting
from bastide.core.evidence import Evidence
from bastide.core.key import PARTY_SCHEMES, PublicKey, Purpose, Scheme
from bastide.core.party import Party
from bastide.core.subject import Digest

__all__ = ["KEY_KINDS", "QUORUM", "TRANSITIONS", "Change", "KeyLife", "KeyState", "Register"]

QUORUM: Final = 2  # parties that must agree, of three
KEY_KINDS: Final = ("key-enrolment/v1", "key-state/v1", "party-revocation/v1")


class KeyState(StrEnum):
    """The states of SP 800-57."""

    PRE_ACTIVE = "pre-active"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    DEACTIVATED = "deactivated"
    COMPROMISED = "compromised"
    DESTROYED = "destroyed"


_S = KeyState
TRANSITIONS: Final[Mapping[KeyState, frozenset[KeyState]]] = MappingProxyType(
    {
        _S.PRE_ACTIVE: frozenset({_S.ACTIVE, _S.COMPROMISED, _S.DESTROYED}),
        _S.ACTIVE: frozenset({_S.SUSPENDED, _S.DEACTIVATED, _S.COMPROMISED}),
        _S.SUSPENDED: frozenset({_S.ACTIVE, _S.DEACTIVATED, _S.COMPROMISED}),
        _S.DEACTIVATED: frozenset({_S.COMPROMISED, _S.DESTROYED}),
        _S.COMPROMISED: frozenset({_S.DESTROYED}),
        _S.DESTROYED: frozenset(),
    }
)
_LIVE: Final = frozenset({_S.PRE_ACTIVE, _S.ACTIVE, _S.SUSPENDED})
_STOPS: Final = frozenset({_S.SUSPENDED, _S.DEACTIVATED, _S.COMPROMISED})
_SINGLE: Final = frozenset(
    {Purpose.LEDGER, Purpose.EVIDENCE, Purpose.RELEASE, Purpose.MODEL_SIGNING}
)


@dataclass(frozen=True, slots=True)
class Change:
    """A key's state from an entry on. trusted_before: for COMPROMISED, the first entry at which its
    signatures are not trusted any more; None if none ever was. said: the digest of what was said,
    or None of the charter.
    """

    entry: int
    state: KeyState
    trusted_before: int | None = None
    said: Digest | None = None


@dataclass(frozen=True, slots=True)
class KeyLife:
    """A key with its holder's name (an office, never a person) and all that became of it."""

    key: PublicKey
    holder: str
    changes: tuple[Change, ...]

    @property
    def state(self) -> KeyState:
        """The state now."""
        return self.changes[-1].state

    def state_at(self, entry: int) -> KeyState | None:
        """The state in which the key signs this entry: what earlier entries made of it."""
        found = None
        for change in self.changes:
            if change.entry < entry or (entry == 0 == change.entry):
                found = change.state
        return found

    def counts_at(self, entry: int) -> bool:
        """True if its signature in this entry counts, by all that is known now."""
        if self.state_at(entry) is not KeyState.ACTIVE or self.state is KeyState.SUSPENDED:
            return False
        return all(
            change.trusted_before is not None and entry < change.trusted_before
            for change in self.changes
            if change.state is KeyState.COMPROMISED
        )

    def to_json(self) -> dict[str, Any]:
        """The key as plain JSON values, with its state now and every change, oldest first."""
        changes = [
            {
                "entry": change.entry,
                "state": change.state.value,
                "trusted_before": change.trusted_before,
            }
            for change in self.changes
        ]
        row = {**self.key.to_json(), "party": self.key.party, "holder": self.holder}
        since = self.changes[-1].entry
        return {**row, "state": self.state.value, "since": since, "changes": changes}


@dataclass(frozen=True, slots=True)
class Register:
    """All keys that were ever enrolled, by id."""

    lives: Mapping[str, KeyLife]

    @classmethod
    def founded(cls, keys: Iterable[PublicKey]) -> "Register":
        """The register of a charter: every key active from entry 0 on."""
        active = (Change(0, KeyState.ACTIVE),)
        return cls({key.ident: KeyLife(key, key.party or key.purpose, active) for key in keys})

    # Ask

    def signing(self, entry: int) -> dict[str, PublicKey]:
        """The keys that may sign this entry when it is appended."""
        return {
            ident: life.key
            for ident, life in self.lives.items()
            if life.state_at(entry) is KeyState.ACTIVE
        }

    def counted(self, entry: int) -> dict[str, PublicKey]:
        """The keys whose signature in this entry counts, by all that is known now."""
        return {ident: life.key for ident, life in self.lives.items() if life.counts_at(entry)}

    def counts(self, evidence: Evidence) -> bool:
        """True if every signature of an entry counts by all that is known now."""
        entry = evidence.entry
        return entry is not None and all(
            ident in self.lives and self.lives[ident].counts_at(entry) for ident in evidence.signers
        )

    def known(self) -> dict[str, PublicKey]:
        """Every key that was ever enrolled, whatever became of it."""
        return {ident: life.key for ident, life in self.lives.items()}

    def active(self, purpose: Purpose) -> PublicKey | None:
        """The key with which a service signs now."""
        for life in self.lives.values():
            if life.key.purpose is purpose and life.state is KeyState.ACTIVE:
                return life.key
        return None

    def ledger_key(self, size: int) -> PublicKey:
        """The key that signs the checkpoint of a size. Raises NotProven.

        An entry that changes the ledger's key is appended alone, and its checkpoint is still
        signed by the key before.
        """
        for life in self.lives.values():
            if life.key.purpose is Purpose.LEDGER and life.state_at(size - 1) is KeyState.ACTIVE:
                return life.key
        raise NotProven(f"no ledger key was active at entry {size - 1}")

    # Change

    def after(self, evidence: Evidence) -> "Register":
        """The register after a key statement, whose signatures were verified.

        Raises Refused, with the rule, for what may not be; Misconfigured for what is not well said.
        """
        assert evidence.entry is not None
        if evidence.kind == "key-enrolment/v1":
            return self._enrolled(evidence, evidence.entry)
        if evidence.kind == "party-revocation/v1":
            return self._without_party(evidence, evidence.entry)
        return self._changed(evidence, evidence.entry)

    def _enrolled(self, evidence: Evidence, entry: int) -> "Register":
        body = evidence.body
        key = PublicKey.from_json(body["key"])
        verify_enrollable(key)
        if key.raw in {life.key.raw for life in self.lives.values()}:
            raise Refused(f"the key {key.ident} was enrolled before", reasons=("rule 5",))
        self._quorum(evidence, f"enrol the key {key.ident}", without=key.ident)
        if key.ident not in evidence.signers:
            raise Waiting(
                f"the new key {key.ident} did not sign its own enrolment",
                reasons=(f"the signature of {key.ident}",),
            )
        first = Change(entry, KeyState(body["state"]))
        lives = dict(self.lives)
        if (gone := body["replaces"]) is not None:
            old = self._life(gone["key"])
            if (old.key.purpose, old.key.party) != (key.purpose, key.party):
                raise Refused(f"the key {key.ident} cannot replace one of another purpose or party")
            if first.state is not KeyState.ACTIVE:
                raise Refused(f"the key {key.ident} replaces another, so it must be active")
            lives[old.key.ident] = self._moved(old, entry, gone)
        lives[key.ident] = KeyLife(key, body["holder"], (first,))
        active = [
            life
            for life in lives.values()
            if life.key.purpose is key.purpose and life.state is KeyState.ACTIVE
        ]
        if key.purpose in _SINGLE and len(active) > 1:
            raise Refused(
                f"there is an active {key.purpose} key already",
                fix="say in the enrolment which key it replaces",
            )
        return Register(lives)

    def _changed(self, evidence: Evidence, entry: int) -> "Register":
        body = evidence.body
        life = self._life(body["key"])
        state, what = KeyState(body["state"]), f"make the key {life.key.ident} {body['state']}"
        if life.key.purpose is Purpose.LEDGER and state in _STOPS and life.state is KeyState.ACTIVE:
            raise Refused(
                "the ledger's key cannot be stopped: nothing could be written any more",
                fix="enrol its successor, with `replaces`",
            )
        if state not in _STOPS:
            self._quorum(evidence, what)
        else:
            self._stoppers(evidence, what, life.key.party or Party.OPERATOR.value)
        moved = self._moved(life, entry, body)
        active = self.active(life.key.purpose)
        if state is KeyState.ACTIVE and life.key.purpose in _SINGLE and active is not None:
            raise Refused(f"there is an active {life.key.purpose} key already: {active.ident}")
        return Register({**self.lives, life.key.ident: moved})

    def _without_party(self, evidence: Evidence, entry: int) -> "Register":
        body = evidence.body
        party, named = body["party"], body["keys"]
        self._stoppers(evidence, f"revoke the {party}", party)
        own = {ident for ident, life in self.lives.items() if life.key.party == party}
        if strange := sorted(set(named) - own):
            raise Refused(f"the {party} has no key {strange[0]}")
        live = {ident for ident in own if self.lives[ident].state in _LIVE}
        if missing := sorted(live - set(named)):
            raise Refused(
                f"the {party} has another key, {missing[0]}", fix="write the revocation again"
            )
        told = {**body, "state": KeyState.COMPROMISED.value}
        moved = {ident: self._moved(self.lives[ident], entry, told) for ident in named}
        return Register({**self.lives, **moved})

    def _stoppers(self, evidence: Evidence, what: str, own: str) -> None:
        """Rule 2. Raises Waiting."""
        parties = self._parties(evidence)
        if not parties & {own, Party.GUARDIAN.value} and len(parties) < QUORUM:
            raise Waiting(
                f"to {what} takes the {own} or the guardian",
                reasons=(f"a signature of: {', '.join(sorted({own, 'guardian'}))}",),
            )

    def revocable(self, party: str) -> list[str]:
        """The keys of a party that a revocation of it names: all that are not stopped for good."""
        may = (row for row in self.lives.values() if _S.COMPROMISED in TRANSITIONS[row.state])
        return sorted(row.key.ident for row in may if row.key.party == party)

    def _moved(self, life: KeyLife, entry: int, told: Mapping[str, Any]) -> KeyLife:
        wanted, trusted_before = KeyState(told["state"]), told["trusted_before"]
        said = Digest.of(canonical(told))
        if said in {change.said for change in life.changes}:
            raise Refused(f"this was said of the key {life.key.ident} before", reasons=("rule 6",))
        if wanted not in TRANSITIONS[life.state]:
            raise Refused(f"the key {life.key.ident} is {life.state}: it cannot become {wanted}")
        if trusted_before is not None and wanted is not KeyState.COMPROMISED:
            raise Misconfigured(f"trusted_before is said of a key that becomes {wanted}")
        change = Change(entry, wanted, trusted_before, said)
        return replace(life, changes=(*life.changes, change))

    def _life(self, ident: str) -> KeyLife:
        if ident not in self.lives:
            raise Refused(
                f"there is no key {ident}", fix="`bastide signing-key ls --all` lists them"
            )
        return self.lives[ident]

    def _parties(self, evidence: Evidence, without: str = "") -> set[str]:
        """The parties whose keys signed."""
        known = (self.lives.get(ident) for ident in evidence.signers if ident != without)
        return {life.key.party for life in known if life is not None and life.key.party}

    def _quorum(self, evidence: Evidence, what: str, without: str = "") -> None:
        parties = self._parties(evidence, without)
        if len(parties) < QUORUM:
            had = ", ".join(sorted(parties)) or "nobody"
            others = ", ".join(party.value for party in Party if party.value not in parties)
            raise Waiting(
                f"to {what} takes {QUORUM} parties, and {had} signed",
                reasons=(f"signatures of {QUORUM - len(parties)} of: {others}",),
            )


def verify_enrollable(key: PublicKey) -> None:
    """Check that a key's scheme is one of its purpose, and its party one. Raises Misconfigured."""
    if key.purpose is Purpose.PARTY:
        right = key.scheme in PARTY_SCHEMES and key.party in {party.value for party in Party}
    elif key.purpose is Purpose.MODEL_SIGNING:
        right = key.scheme is Scheme.ECDSA_P256 and key.party is None
    else:
        right = key.purpose in _SINGLE and key.scheme is Scheme.ED25519 and key.party is None
    if not right:
        raise Misconfigured(
            f"a {key.scheme} key for {key.purpose} of {key.party or 'no party'} signs nothing here"
        )
