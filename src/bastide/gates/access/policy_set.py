# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""PolicySet: Cedar policies that passed the schema, and what they decide.

Default deny: what no policy permits is refused, as is what Cedar cannot judge. The rails are
always part of a set. In an emergency the set is asked twice: without it, and, if that refuses,
again with `context.break_glass`; so an emergency only ever adds.
"""

import functools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bastide.core.errors import Misconfigured
from bastide.core.party import Party, Principal
from bastide.core.subject import Digest
from bastide.gates.access.actions import ACTIONS
from bastide.gates.access.calls import CALLS
from bastide.gates.access.default_policies import DEFAULT, RAILS
from bastide.gates.access.policy_slices import Slices
from bastide.gates.access.policy_source import Source, split
from bastide.gates.access.schema import SCHEMA

if TYPE_CHECKING:
    import cedarpy

__all__ = ["POLICY_BYTES_MAX", "Decision", "PolicySet", "Reason", "default_policies"]

POLICY_BYTES_MAX: Final = 32_768  # with its signatures a set must fit into an entry
_RAILS_FILE: Final = "rails"
_FIX: Final = "bastide policy show --schema prints what there is"


@dataclass(frozen=True, slots=True)
class Reason:
    """A policy that determined a decision: its `@id`, and where it stands."""

    ident: str
    file: str
    line: int

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {"policy": self.ident, "file": self.file, "line": self.line}


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided. `reasons`: permits if allowed; forbids, or nothing, if not."""

    allowed: bool
    reasons: tuple[Reason, ...]
    emergency: bool = False  # allowed only because the glass is broken


class PolicySet:
    """A set of policies, parsed once."""

    def __init__(self, text: str, file: str) -> None:
        """Read a set from the text of a file. Raises Misconfigured, naming line and column."""
        if len(text.encode()) > POLICY_BYTES_MAX:
            raise Misconfigured(f"{file}: more than {POLICY_BYTES_MAX} bytes", place=file)
        self.text, self.file = text, file
        self._sources = split(text)
        self._rails = split(RAILS)
        self._slices = self._parse()
        self._require_change()

    @property
    def digest(self) -> Digest:
        """The digest of the text."""
        return Digest.of(self.text.encode())

    def decide(
        self, principal: Principal, action: str, on: tuple[str, str], emergency: bool = False
    ) -> Decision:
        """Whether a person may do something to a thing, `on`: its type and name."""
        person = ("Person", principal.name, "Party", principal.parties)
        decision = self._decide(person, action, on, broken=False)
        if decision.allowed or not emergency:
            return decision
        extra = self._decide(person, action, on, broken=True)
        return Decision(extra.allowed, extra.reasons or decision.reasons, extra.allowed)

    def calls(self, role: str) -> frozenset[str]:
        """The kinds of frames that a service of a role may send to control, or get from it."""
        service = ("Service", role, "Role", frozenset({role}))
        on = ("Environment", "")
        return frozenset(
            call
            for call in CALLS
            if self._decide(service, f"call-{call}", on, broken=False).allowed
        )

    def holders(self, action: str) -> tuple[Party, ...]:
        """The parties that may do something to the environment as a whole."""
        on = ("Environment", "")
        alone = [(party, Principal(party.value, frozenset({party}))) for party in Party]
        return tuple(party for party, who in alone if self.decide(who, action, on).allowed)

    def left_out(self) -> list[str]:
        """The actions that no party alone may, and that no policy names: nobody thought of them.

        Most often the set was signed before they were there. An action that a policy names, be it
        to forbid it or to give it to one person, was thought of.
        """
        return [
            action for action in ACTIONS if not self._names(action) and not self.holders(action)
        ]

    def permits(self, action: str) -> tuple[Reason, ...]:
        """The permits whose heads take an action in, whatever their conditions ask."""
        rows = self._slices.about(action).items()
        return tuple(self._reason(one) for one, row in rows if row["effect"] == "permit")

    def heads_and_bodies(self, action: str) -> list[Mapping[str, Any]]:
        """All policies whose heads take an action in, in Cedar's JSON form."""
        return list(self._slices.about(action).values())

    def _names(self, action: str) -> bool:
        return any(number < len(self._sources) for number in self._slices.named(action))

    def widens(self, other: "PolicySet") -> list[str]:
        """What another set lets parties do, or keeps them from, that this one does not."""
        rows = []
        for action in ACTIONS:
            before, after = set(self.holders(action)), set(other.holders(action))
            rows += [f"{party.value} may {action} from now on" for party in sorted(after - before)]
            rows += [f"{party.value} may not {action} any more" for party in sorted(before - after)]
        return rows

    def _decide(
        self,
        who: tuple[str, str, str, frozenset[str]],
        action: str,
        on: tuple[str, str],
        broken: bool,
    ) -> Decision:
        """`who`: type and name, and the type and names of the groups that one belongs to."""
        import cedarpy  # here and below: it takes as long to import as a whole command

        groups = [(who[2], str(group)) for group in who[3]]
        numbers = self._slices.select((who[0], who[1]), groups, action, on)
        if not numbers:
            return Decision(False, ())  # no policy is about it
        asked = {
            "principal": {"type": who[0], "id": who[1]},
            "action": {"type": "Action", "id": action},
            "resource": {"type": on[0], "id": on[1]},
            "context": '{"break_glass":true}' if broken else '{"break_glass":false}',
        }
        entities = _entities(*who)
        try:
            policies = self._slices.policies(numbers)
            judged = cedarpy.is_authorized(asked, policies, entities, _schema())
        except ValueError:
            return Decision(False, ())
        allowed = judged.allowed and not judged.diagnostics.errors
        found = (int(name.removeprefix("policy")) for name in judged.diagnostics.reasons)
        return Decision(allowed, tuple(self._reason(numbers[one]) for one in sorted(found)))

    def _reason(self, number: int) -> Reason:
        inside = number < len(self._sources)
        source = self._sources[number] if inside else self._rails[number - len(self._sources)]
        return Reason(source.ident, self.file if inside else _RAILS_FILE, source.line)

    def _parse(self) -> Slices:
        import cedarpy

        # 1. Each policy by itself, so that an error has a place.
        for source in self._sources:
            try:
                cedarpy.PolicySet.from_str(source.text)
            except ValueError as error:
                raise self._wrong(source, str(error)) from error
        # 2. All of them by the schema.
        whole = f"{self.text}\n{RAILS}"
        judged = cedarpy.validate_policies(whole, _schema())
        if not judged.validation_passed:
            raise self._invalid(judged.errors)
        return Slices([source.text for source in (*self._sources, *self._rails)], _groups())

    def _invalid(self, errors: "Iterable[cedarpy.ValidationError]") -> Misconfigured:
        found: dict[str, Misconfigured] = {}
        for error in errors:
            number = int(error.policy_id.removeprefix("policy"))
            # The rails hold by our own tests: what is wrong there was opened in the text before.
            source = self._sources[min(number, len(self._sources) - 1)]
            wrong = self._wrong(source, error.error)
            found.setdefault(wrong.place, wrong)  # one mistake is told for each action
        first, *rest = found.values()
        reasons = [wrong.message for wrong in rest]
        return Misconfigured(first.message, reasons=reasons, place=first.place, fix=_FIX)

    def _wrong(self, source: Source, message: str) -> Misconfigured:
        line, column = source.find(message)
        place = f"{self.file}:{line}:{column}"
        said = message.replace("for policy `", "policy `").split("`, ", 1)[-1]
        return Misconfigured(f"{place}: {source.ident}: {said}", place=place, fix=_FIX)

    def _require_change(self) -> None:
        if not self.holders("policy-apply"):
            raise Misconfigured(
                f"{self.file}: no party may policy-apply: this set could never be changed again",
                place=self.file,
                fix='permit (principal, action in Action::"sign", resource);',
            )


@functools.cache
def default_policies() -> PolicySet:
    """The set in force until the parties sign another."""
    return PolicySet(DEFAULT, "default.cedar")


def _groups() -> dict[str, tuple[str, ...]]:
    """Every action, and the groups that the schema puts it in."""
    people = {
        name: () if name == row.duty.value else (row.duty.value,) for name, row in ACTIONS.items()
    }
    return {**people, **{f"call-{call}": () for call in CALLS}}


@functools.cache
def _schema() -> "cedarpy.Schema":
    import cedarpy

    return cedarpy.Schema.from_str(SCHEMA)


@functools.lru_cache(64)
def _entities(kind: str, name: str, group: str, groups: frozenset[str]) -> "cedarpy.Entities":
    import cedarpy

    parents = [{"type": group, "id": str(parent)} for parent in sorted(groups)]
    someone = {"uid": {"type": kind, "id": name}, "attrs": {}, "parents": parents}
    # With the schema, which knows the groups of actions.
    return cedarpy.Entities.from_json_str(json.dumps([someone]), _schema())
