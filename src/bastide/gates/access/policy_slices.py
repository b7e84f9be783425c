# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Slices: of a set of policies, those that can decide a question, as a Cedar set of their own.

Cedar evaluates every policy of a set that it is given. A policy whose scope (its head, before any
`when`) does not match is neither a reason nor an error, whatever the rest of it says, so a set
without it decides the same. Scopes are read from Cedar's own JSON form; one of a form that is not
known here matches everything. tests/unit/test_policy_slices.py compares with the whole set.
"""

import json
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import cedarpy

__all__ = ["Slices"]

Uid = tuple[str, str]  # the type and the name of an entity

_KEPT_MAX: Final = 256  # parsed slices: a set has about as many as parties times actions


class Slices:
    """A set of policies, each in Cedar's text, in an order that gives them their numbers."""

    def __init__(self, texts: Sequence[str], actions: Mapping[str, Collection[str]]) -> None:
        """actions: each action's name, and the groups that it is in."""
        import cedarpy

        self._texts = texts
        self._kept: OrderedDict[tuple[int, ...], cedarpy.PolicySet] = OrderedDict()
        rows = json.loads(cedarpy.policies_to_json_str("\n".join(texts)))["staticPolicies"]
        # Templates are not among them: they decide nothing until they are linked, and nobody does.
        scopes = sorted((int(name.removeprefix("policy")), row) for name, row in rows.items())
        self._rows = dict(scopes)
        self._by_action: dict[str, list[tuple[int, Any, Any]]] = {
            action: [
                (number, _narrow(row["principal"]), _narrow(row["resource"]))
                for number, row in scopes
                if _matches(row["action"], ("Action", action), [("Action", one) for one in groups])
            ]
            for action, groups in actions.items()
        }
        self._named = {
            action: tuple(number for number, row in scopes if _names(row["action"], action, groups))
            for action, groups in actions.items()
        }

    def named(self, action: str) -> tuple[int, ...]:
        """The numbers of the policies whose heads name an action, or a group that it is in.

        A head that takes in every action names none.
        """
        return self._named.get(action, ())

    def about(self, action: str) -> dict[int, Mapping[str, Any]]:
        """The policies whose heads take an action in, by number, in Cedar's JSON form."""
        return {number: self._rows[number] for number, _, _ in self._by_action.get(action, ())}

    def select(
        self, principal: Uid, groups: Collection[Uid], action: str, resource: Uid
    ) -> tuple[int, ...]:
        """The numbers of the policies whose scopes match a question, in their order."""
        return tuple(
            number
            for number, who, what in self._by_action.get(action, ())
            if (who is None or _matches(who, principal, groups))
            and (what is None or _matches(what, resource, ()))
        )

    def policies(self, numbers: tuple[int, ...]) -> "cedarpy.PolicySet":
        """Those policies as a set, in which `policy0` is the first of them."""
        found = self._kept.get(numbers)
        if found is None:
            import cedarpy

            found = cedarpy.PolicySet.from_str("\n".join(self._texts[one] for one in numbers))
            self._kept[numbers] = found
            if len(self._kept) > _KEPT_MAX:
                self._kept.popitem(last=False)
        return found


def _narrow(scope: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """A head's part about one entity; None if it takes in every one, as most do."""
    return None if scope["op"] == "All" else scope


def _names(scope: Mapping[str, Any], action: str, groups: Collection[str]) -> bool:
    """Whether a head's part about actions holds of one because it names it, or its group."""
    inside = [("Action", one) for one in groups]
    return scope["op"] != "All" and _matches(scope, ("Action", action), inside)


def _matches(scope: Mapping[str, Any], uid: Uid, groups: Collection[Uid]) -> bool:
    """Whether a head's part about one entity holds of it. `groups`: all that it is in."""
    operator = scope["op"]
    if operator == "==":
        return _uid(scope["entity"]) == uid
    if operator == "in":
        return _inside(scope, uid, groups)
    if operator == "is":
        inside = scope.get("in")
        typed = scope["entity_type"] == uid[0]
        return typed and (inside is None or _inside(inside, uid, groups))
    return True


def _inside(scope: Mapping[str, Any], uid: Uid, groups: Collection[Uid]) -> bool:
    entities = scope["entities"] if "entities" in scope else [scope["entity"]]
    wanted = map(_uid, entities)
    return any(one == uid or one in groups for one in wanted)


def _uid(entity: Mapping[str, str]) -> Uid:
    return entity["type"], entity["id"]
