# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What replicas tell each other of promises counts once, whatever becomes of the messages."""

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pytest

from bastide.app.takings import Takings
from bastide.core.errors import Misconfigured, Unavailable
from bastide.core.limits import (
    REPLICAS_MAX,
    SHARE_BURST_S_MAX,
    SHARE_LEASE_S,
    TAKEN_FORGOTTEN,
    TAKEN_KEPT_S,
    TAKEN_LIVES_MAX,
)
from bastide.core.share import Cost, Promise
from bastide.core.snapshot import Served, Snapshot
from bastide.core.taken import Exchange, Heard, Report, Taken

RATES = {"a": 1.0, "b": 1.0}
AT_ONCE = 1e6  # nobody here takes as much


@dataclass
class Life:
    """One life of a replica, whose clocks stand at what it knows to be taken: no time passes."""

    exchange: Exchange
    own: dict[str, float] = field(default_factory=dict)  # all that it took
    untold: dict[str, float] = field(default_factory=dict)
    known: dict[str, float] = field(default_factory=dict)
    counted: dict[str, float] = field(default_factory=dict)  # of the others, one by one

    def take(self, tenant: str, units: float) -> None:
        for rows in (self.own, self.untold, self.known):
            rows[tenant] = rows.get(tenant, 0.0) + units

    def report(self) -> Report:
        untold, self.untold = self.untold, {}
        return self.exchange.report("m", untold, dict(self.known))

    def hear(self, report: Report, heard: Heard) -> None:
        others = self.exchange.hear(report, heard)
        if others is None:
            return
        for tenant, ahead in heard.ahead.items():
            with_untold = ahead + self.untold.get(tenant, 0.0)
            self.known[tenant] = max(self.known.get(tenant, 0.0), with_untold)
        for tenant, units in others.items():
            for rows in (self.known, self.counted):
                rows[tenant] = rows.get(tenant, 0.0) + units


class Net:
    """Some replicas, control, and a net that loses messages, doubles them, and mixes them up."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.control = Taken()
        self.lives: list[Life] = []
        self.all: list[Life] = []
        for _ in range(self.chance.choice([2, 3, 5])):
            self.begin()
        self.on_the_way: list[tuple[Life, Report]] = []

    def begin(self) -> None:
        life = Life(Exchange(("d", len(self.all) + 1), f"life {len(self.all)}"))
        self.lives.append(life)
        self.all.append(life)

    def step(self, births: bool, restarts: bool, gives: bool = True) -> None:
        one = self.chance.choice(self.lives)
        match self.chance.choice(
            ["take", "take", "give", "ask", "ask", "late", "birth", "restart"]
        ):
            case "take":
                one.take(self.chance.choice("ab"), self.chance.uniform(0.0, 9.0))
            case "give" if gives:
                tenant = self.chance.choice("ab")
                one.take(tenant, -self.chance.uniform(0.0, one.own.get(tenant, 0.0)))
            case "ask":
                self.ask(one, one.report())
            case "late" if self.on_the_way:
                # Nobody waits for the answer any more, but control counts what comes.
                _, report = self.chance.choice(self.on_the_way)
                self.control.tell(0.0, report, RATES, AT_ONCE)
            case "birth" if births:
                if self.chance.random() < 0.5 and len(self.lives) > 2 and not one.untold:
                    self.ask(one, one.report(), safe=True)  # what it could not tell is lost
                    self.lives.remove(one)
                self.begin()
            case "restart" if restarts and self.chance.random() < 0.3:
                self.control = Taken()
                self.on_the_way.clear()

    def ask(self, one: Life, report: Report, safe: bool = False) -> None:
        self.on_the_way.append((one, report))
        lost = 1.0 if safe else self.chance.random()
        if lost < 0.2:
            return
        heard = self.control.tell(0.0, report, RATES, AT_ONCE)
        if lost < 0.5:
            return  # it counted, and the answer is lost
        one.hear(report, heard)

    def settle(self) -> None:
        """Every replica tells and hears; once more if control did not know it."""
        for _ in range(3):
            for one in self.lives:
                self.ask(one, one.report(), safe=True)

    def taken(self) -> dict[str, float]:
        return {tenant: sum(one.own.get(tenant, 0.0) for one in self.all) for tenant in "ab"}


@pytest.mark.attacks("C244")
@pytest.mark.parametrize(
    ("births", "restarts"), [(False, False), (True, False), (False, True)],
    ids=["a bad net", "replicas that come and go", "a control that begins anew"],
)  # fmt: skip
def test_everybody_knows_exactly_what_was_taken(births: bool, restarts: bool) -> None:
    for seed in range(400):
        net = Net(seed)
        net.settle()
        for _ in range(200):
            net.step(births, restarts)
        net.settle()
        wanted = net.taken()
        for one in net.lives:
            known = {tenant: one.known.get(tenant, 0.0) for tenant in "ab"}
            assert known == pytest.approx(wanted, abs=1e-6), seed


@pytest.mark.attacks("C244")
def test_nothing_counts_twice_whatever_happens_at_once() -> None:
    for seed in range(400):
        net = Net(seed)
        for _ in range(200):
            net.step(births=True, restarts=True, gives=False)
        net.settle()
        taken = net.taken()
        for one in net.lives:
            for tenant, units in one.counted.items():
                assert units <= taken[tenant] - one.own.get(tenant, 0.0) + 1e-6, seed


ONE, TWO = ("deployment", 1), ("deployment", 2)


def told(taken: Taken, exchange: Exchange, now: float = 0.0, **units: float) -> dict[str, float]:
    report = exchange.report("m", units, {})
    others = exchange.hear(report, taken.tell(now, report, RATES, AT_ONCE))
    assert others is not None
    return others


def test_a_replica_learns_what_the_others_took():
    taken, one, two = Taken(), Exchange(ONE, "1"), Exchange(TWO, "2")
    assert told(taken, one) == told(taken, two) == {}
    assert told(taken, one, a=5.0) == {}
    assert told(taken, two, a=1.0, b=2.0) == {"a": 5.0}
    assert told(taken, one, a=-3.0) == {"a": 1.0, "b": 2.0}
    assert told(taken, two) == {"a": -3.0}
    assert told(taken, two) == {}


def test_an_answer_that_is_lost_after_it_counted_changes_nothing():
    taken, one, two = Taken(), Exchange(ONE, "1"), Exchange(TWO, "2")
    assert told(taken, one) == told(taken, two) == {}
    assert told(taken, two, a=3.0) == {}
    lost = one.report("m", {"a": 5.0}, {})
    taken.tell(0.0, lost, RATES, AT_ONCE)
    assert told(taken, one, a=1.0) == {"a": 3.0}, "what the lost answer said comes again"
    assert told(taken, two) == {"a": 6.0}, "and what it answered counts once"
    taken.tell(0.0, lost, RATES, AT_ONCE)  # it was on its way for long
    assert told(taken, two) == {}


def test_one_that_has_just_begun_is_given_clocks_and_no_sums():
    taken, one, two = Taken(), Exchange(ONE, "1"), Exchange(TWO, "2")
    told(taken, one, now=10.0, a=100.0)
    report = two.report("m", {"a": 7.0}, {})
    heard = taken.tell(20.0, report, RATES, AT_ONCE)
    assert two.hear(report, heard) == {}
    assert heard.ahead == {"a": 97.0}, "100 s from 10, of which 10 are over, and its own 7"
    assert heard.replicas == 2
    assert told(taken, one, now=20.0) == {"a": 7.0}
    # Once it was answered, sums say all.
    report = two.report("m", {}, {})
    assert taken.tell(20.0, report, RATES, AT_ONCE).ahead == {}


def test_a_control_that_begins_anew_takes_clocks_up_and_counts_nothing_again():
    old, new, one, two = Taken(), Taken(), Exchange(ONE, "1"), Exchange(TWO, "2")
    told(old, one, a=40.0)
    told(old, two)
    report = one.report("m", {"a": 2.0}, {"a": 42.0})
    heard = new.tell(0.0, report, RATES, AT_ONCE)
    assert heard.have == 0 and one.hear(report, heard) is None, "it does not know what was before"
    report = one.report("m", {}, {"a": 42.0})
    assert one.hear(report, new.tell(0.0, report, RATES, AT_ONCE)) == {}
    report = two.report("m", {}, {})
    assert two.hear(report, new.tell(0.0, report, RATES, AT_ONCE)) is None
    assert told(new, two) == {"a": 2.0}
    third = Exchange(("deployment", 3), "3").report("m", {}, {})
    assert new.tell(0.0, third, RATES, AT_ONCE).ahead == {"a": 42.0}


def test_who_meets_a_replica_that_control_knows_only_from_later_counts_from_there():
    new, one, two = Taken(), Exchange(ONE, "1"), Exchange(TWO, "2")
    told(Taken(), one, a=1_000.0)
    told(new, two)
    for _ in "ab":
        report = one.report("m", {}, {"a": 5.0})
        one.hear(report, new.tell(0.0, report, RATES, AT_ONCE))
    assert told(new, one, a=3.0) == {}
    assert told(new, two) == {"a": 3.0}


def test_what_was_taken_in_a_silence_is_a_debt_of_that_time():
    taken, one = Taken(), Exchange(ONE, "1")
    told(taken, one, now=0.0)
    told(taken, one, now=50.0, a=60.0)
    heard = taken.tell(50.0, Exchange(TWO, "2").report("m", {}, {}), RATES, AT_ONCE)
    assert heard.ahead == {"a": 10.0}


def test_another_rate_begins_a_clock_anew_and_no_promise_has_none():
    taken, one = Taken(), Exchange(ONE, "1")
    told(taken, one, a=60.0, b=60.0)
    fresh = Exchange(TWO, "2").report("m", {}, {})
    assert taken.tell(0.0, fresh, {"a": 2.0, "b": 1.0}, AT_ONCE).ahead == {"b": 60.0}
    assert taken.tell(0.0, fresh, {"a": 2.0}, AT_ONCE).ahead == {}


def test_who_is_silent_is_forgotten():
    taken, one, two = Taken(), Exchange(ONE, "1"), Exchange(TWO, "2")
    told(taken, one)
    told(taken, two, a=1.0)
    assert told(taken, one) == {"a": 1.0}
    late = TAKEN_KEPT_S + 1
    report = one.report("m", {}, {})
    assert taken.tell(late, report, RATES, AT_ONCE).have == 0, "it was silent itself"
    report = one.report("m", {}, {})
    assert one.hear(report, taken.tell(late, report, RATES, AT_ONCE)) is None
    assert told(taken, one, now=late) == {}
    assert one._heard.keys() == {"2"}, "who lives may have been silent for a moment"
    for _ in range(TAKEN_FORGOTTEN):
        told(taken, one, now=late)
    assert not one._heard
    # It comes back after all: what it took before is not taken now.
    for _ in "ab":
        report = two.report("m", {}, {})
        two.hear(report, taken.tell(late, report, RATES, AT_ONCE))
    told(taken, two, now=late, a=2.0)
    assert told(taken, one, now=late) == {"a": 2.0}


def test_replicas_of_all_deployments_of_a_model_share_one_promise():
    """What answers of the old one still take, the new one's replicas hear of."""
    shares = {"m": {"a": Promise(10.0)}, "n": {"a": Promise(10.0)}}
    takings = Takings(Cost())
    served = {"m": Served("m", "", "new", "", "", "", slots=2, context_tokens=8, created_s=0)}
    snapshot = Snapshot(1, 0, "", "", served=served, shares=shares)
    old, new, other = Exchange(("old", 1), "1"), Exchange(("new", 1), "2"), Exchange(("x", 1), "3")

    def tell(exchange: Exchange, model: str = "m", **units: float) -> dict[str, float] | None:
        report = exchange.report(model, units, {})
        return exchange.hear(report, takings.tell(0.0, snapshot, report))

    assert tell(old) == tell(new) == {}
    assert tell(old, a=7.0) == {}
    assert tell(new, a=1.0) == {"a": 7.0}
    assert tell(old) == {"a": 1.0}
    assert tell(other, "n") == {}
    shares["m"] = {}
    assert tell(old, a=1.0) is None, "nothing is promised there, and nothing counted"
    shares["m"] = {"a": Promise(10.0)}
    tell(old)
    assert takings.tell(0.0, snapshot, old.report("m", {}, {})).replicas == 1


@pytest.mark.attacks("C277")
def test_no_report_sets_a_clock_farther_ahead_than_all_may_give_together() -> None:
    """Its machine may be another's: what it says must not keep a promise from the others."""
    ahead_s = 2 * SHARE_BURST_S_MAX + TAKEN_KEPT_S + 2 * (SHARE_LEASE_S + 8.0)
    taken, one, liar = Taken(), Exchange(ONE, "1"), Exchange(TWO, "2")
    tell(taken, one)
    for _ in range(50):
        tell(taken, liar, a=1e300)
        assert tell(taken, one).get("a", 0.0) <= ahead_s
    assert sum(total["a"] for _, total in one._heard.values()) == pytest.approx(ahead_s)
    assert clocks(taken) == {"a": pytest.approx(ahead_s)}
    # Later it takes no more of the promise than there is: its clock goes on with time.
    tell(taken, liar, now=10.0, a=1e300)
    assert tell(taken, one, now=10.0) == {"a": pytest.approx(10.0)}
    # One that says that another control knew it takes clocks up, no others.
    for told in (Exchange(TWO, "3"), Exchange(ONE, "4")):
        told._fresh = False
        taken.tell(10.0, told.report("m", {"b": 1e300}, {"b": 1e300}), RATES, 8.0)
    assert clocks(taken, now=10.0) == {"a": pytest.approx(ahead_s), "b": pytest.approx(ahead_s)}
    # And gives back no more than what may run yet.
    told = Exchange(TWO, "5")
    told._fresh = False
    for more in (1_000.0, -1e300):
        taken.tell(10.0, told.report("m", {"a": more}, {}), RATES, 8.0)
    assert clocks(taken, now=10.0)["a"] == pytest.approx(ahead_s - 8.0 - SHARE_BURST_S_MAX)


@pytest.mark.attacks("C277")
@pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan])
def test_what_is_no_number_is_refused_and_counts_nowhere(number: float) -> None:
    taken, one = Taken(), Exchange(ONE, "1")
    for units, ahead in (({"a": number}, {}), ({}, {"a": number})):
        with pytest.raises(Misconfigured):
            taken.tell(0.0, Exchange(TWO, "2").report("m", units, ahead), RATES, AT_ONCE)
    assert told(taken, one) == {}
    assert clocks(taken) == {}


@pytest.mark.attacks("C277")
def test_a_replica_has_a_number_and_few_lives() -> None:
    """Each that is counted makes everybody's lease smaller, and is remembered for a minute."""
    taken = Taken()
    for number in (0, REPLICAS_MAX + 1):
        with pytest.raises(Misconfigured):
            tell(taken, Exchange(("deployment", number), "1"))
    for life in range(TAKEN_LIVES_MAX):
        tell(taken, Exchange(ONE, f"life {life}"))
    with pytest.raises(Unavailable):
        tell(taken, Exchange(ONE, "one more"))
    tell(taken, Exchange(TWO, "another's"))
    tell(taken, Exchange(ONE, "one more"), now=TAKEN_KEPT_S + 1)


@pytest.mark.attacks("C277")
def test_no_replica_speaks_as_the_life_of_another() -> None:
    """It hears how they are called: it would take back what they took, and silence them."""
    taken, one, liar = Taken(), Exchange(ONE, "1"), Exchange(TWO, "2")
    tell(taken, one, a=5.0)
    tell(taken, liar)
    (name,) = liar._heard
    report = replace(liar.report("m", {}, {}), life=name, number=10**9, units={"a": 0.0})
    with pytest.raises(Misconfigured, match="as the life of another"):
        taken.tell(0.0, report, RATES, 8.0)
    assert clocks(taken) == {"a": 5.0}
    tell(taken, one, a=1.0)
    assert clocks(taken) == {"a": 6.0}


def test_of_who_is_promised_nothing_nothing_is_kept() -> None:
    taken, one = Taken(), Exchange(ONE, "1")
    tell(taken, one, nobody=5.0, a=1.0)
    assert [dict(row.units) for row in taken._lives.values()] == [{"a": 1.0}]


def tell(taken: Taken, exchange: Exchange, now: float = 0.0, **units: float) -> dict[str, float]:
    """As `told`, where all that one replica runs costs 8 units at most."""
    report = exchange.report("m", units, {})
    return exchange.hear(report, taken.tell(now, report, RATES, 8.0)) or {}


def clocks(taken: Taken, now: float = 0.0) -> Mapping[str, float]:
    """What one that begins now is told."""
    rows = Exchange(("deployment", 9), f"at {now}").report("m", {}, {})
    ahead = taken.tell(now, rows, RATES, 8.0).ahead
    taken._lives.pop(rows.life)
    return ahead
