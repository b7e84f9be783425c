# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""How long a decision of the access policies takes: the default set, and such of 100 policies more.

    python benchmarks/policy.py          # CPU time per decision; the goal is below 150 µs

CPU time of this process, so that what else runs on the machine does not count much. Each row is
the median and the slowest of rounds over every action and every party.
"""

import statistics
import time

from bastide.core.party import Party, Principal
from bastide.gates.access.actions import ACTIONS
from bastide.gates.access.default_policies import DEFAULT
from bastide.gates.access.policy_set import PolicySet
from bastide.gates.access.policy_source import split

ROUNDS = 20
GOAL_US = 150.0


def main() -> None:
    """Measure and print a row for each set."""
    each = {
        "the default set": "",
        "100 more, of tenants": 'forbid (principal in Party::"firm", action == '
        'Action::"budget-set", resource == Tenant::"t{}");\n',
        "100 more, of one action": 'permit (principal == Person::"p{}", action == '
        'Action::"budget-set", resource);\n',
        "100 more, that match all": "permit (principal, action, resource) when "
        "{{ context.break_glass && {} == 0 }};\n",
    }
    print(f"{'set':<26}{'policies':>8}{'median µs':>11}{'worst round µs':>16}  goal {GOAL_US:.0f}")
    for name, form in each.items():
        text = DEFAULT + "".join(form.format(number) for number in range(100) if form)
        policies = PolicySet(text, "benchmark.cedar")
        rounds = [_round_us(policies) for _ in range(ROUNDS)]
        middle, worst = statistics.median(rounds), max(rounds)
        print(f"{name:<26}{len(split(text)):>8}{middle:>11.1f}{worst:>16.1f}")


def _round_us(policies: PolicySet) -> float:
    people = [Principal(party.value, frozenset({party})) for party in Party]
    began = time.process_time()
    for who in people:
        for action, row in ACTIONS.items():
            policies.decide(who, action, (row.on, "acme"))
    return (time.process_time() - began) / (len(people) * len(ACTIONS)) * 1e6


if __name__ == "__main__":
    main()
