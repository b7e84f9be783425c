# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Evaluate: from an admitted model and a suite to scores that everyone can recompute.

1. `judge` asks the gates of the row `evaluate`.
2. `open_journal` finds the answers that an interrupted run left.
3. `run_suite` asks the engine every other item.
4. `record_evaluation` seals one line per item and states the scores.

An answer is kept, not its score: scores are computed again from the answers whenever they are
needed, so a journal can never disagree with the suite.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType, TracebackType
from typing import Any, Self

from bastide.core.canonical import canonical
from bastide.core.chat import EmbedRequest, FinishReason, GenerateRequest, Message, Sampling
from bastide.core.errors import (
    Misconfigured,
    NotFound,
    NotProven,
    Refused,
    Unavailable,
)
from bastide.core.evidence import Evidence, Statement, Verdict, refusals
from bastide.core.limits import MIB
from bastide.core.subject import Digest
from bastide.crypto import dsse
from bastide.crypto.dsse import Envelope, Signer
from bastide.gates.dossier import Dossier
from bastide.gates.panel import judge_stage
from bastide.ledger import Ledger
from bastide.ports import Clock, Engine, Store
from bastide.suites import Item, Method, Suite, closest, pick, score

__all__ = [
    "EngineInfo",
    "Journal",
    "Progress",
    "Results",
    "judge",
    "open_journal",
    "record_evaluation",
    "run_suite",
]

CHOICES = 200  # tokens read of each distribution; an option further down has a share below 1/200
JOURNAL_EVERY = 50  # answers between two writes: about a second of a small model on two cores
JOURNAL_BYTES_MAX = 64 * MIB
JOURNAL_TYPE = "https://bastide.eu/evaluation-journal/v1"
NONE_DONE: Mapping[str, str] = MappingProxyType({})

# What `run_suite` calls after each item: its ident, its answer, items finished, items in all.
Progress = Callable[[str, str, int, int], None]


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """The engine that answered."""

    name: str
    version: str


@dataclass(frozen=True, slots=True)
class Results:
    """The answers of one model to one suite, by item ident, and the seconds they took."""

    suite: Suite
    answers: Mapping[str, str]
    seconds: float = 0.0

    def counts(self) -> dict[str, int]:
        """Items of each benchmark that is complete. One with a missing item does not count."""
        items: dict[str, list[Item]] = {}
        for item in self.suite.items:
            items.setdefault(item.benchmark, []).append(item)
        return {
            benchmark: len(members)
            for benchmark, members in items.items()
            if all(item.ident in self.answers for item in members)
        }

    def scores(self) -> dict[str, float]:
        """The mean of each complete benchmark: 0 to 1, rounded to six digits."""
        counts = self.counts()
        sums = dict.fromkeys(counts, 0.0)
        for item in self.suite.items:
            if item.benchmark in counts:
                sums[item.benchmark] += score(item, self.answers[item.ident])
        return {benchmark: round(sums[benchmark] / counts[benchmark], 6) for benchmark in counts}

    def lines(self) -> bytes:
        """One canonical JSON line for each item, in the order of the suite."""
        rows = (
            {
                "id": item.ident,
                "benchmark": item.benchmark,
                "answer": self.answers[item.ident],
                "score": int(score(item, self.answers[item.ident])),
            }
            for item in self.suite.items
            if item.ident in self.answers
        )
        return b"".join(canonical(row) + b"\n" for row in rows)


# Asking


async def run_suite(
    engine: Engine,
    suite: Suite,
    model_name: str,
    concurrency: int,
    progress: Progress,
    done: Mapping[str, str] = NONE_DONE,
    *,
    clock: Clock,
) -> Results:
    """Ask every item that is not in `done`; at most `concurrency` at a time, temperature 0.

    A group of items is asked in a row, so that an engine finds the start of a prompt in its
    cache. The results do not depend on the order in which answers arrive. Raises Unavailable
    when the engine fails; what `progress` was told until then is finished and may be `done`.
    """
    started = clock.monotonic()
    answers = {item.ident: done[item.ident] for item in suite.items if item.ident in done}
    groups = suite.groups()

    async def work() -> None:
        for group in groups:  # shared: each worker takes the next group
            for item in group:
                if item.ident not in answers:
                    answers[item.ident] = await _ask(engine, item, model_name)
                    progress(item.ident, answers[item.ident], len(answers), len(suite.items))

    workers = [asyncio.create_task(work()) for _ in range(max(1, concurrency))]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
    return Results(suite, answers, round(clock.monotonic() - started, 3))


async def _ask(engine: Engine, item: Item, model_name: str) -> str:
    if item.method is Method.CHOICE:
        return pick(item, await engine.next_tokens(item.prompt, CHOICES))
    if item.method is Method.NEAREST:
        texts = (item.prompt, *item.options)
        made = await engine.embed(EmbedRequest(f"evaluate-{item.ident}", model_name, texts))
        return closest(item, made.vectors)
    plain = item.method is Method.EXACT
    turns = (Message("system", item.system),) if item.system else ()
    request = GenerateRequest(
        ident=f"evaluate-{item.ident}",
        model=model_name,
        messages=() if plain else (*turns, Message("user", item.prompt)),
        prompt=item.prompt if plain else None,
        sampling=Sampling(
            max_tokens=item.tokens_max,
            temperature=0.0,
            seed=0,
            stop=("\n",) if plain else (),
        ),
    )
    pieces, finish = [], None
    async for delta in engine.generate(request):
        pieces.append(delta.text)
        finish = delta.finish
    if finish not in (FinishReason.STOP, FinishReason.LENGTH):
        raise Unavailable(f"the engine broke off its answer to {item.ident}")
    return "".join(pieces)


# Recording


def judge(ledger: Ledger, admission: Evidence) -> list[Verdict]:
    """Judge every gate of the row `evaluate` for an admitted model."""
    policy = ledger.policy()
    dossier = Dossier(
        subject=admission.subject.digest,
        action="evaluate",
        admission=admission,
        evaluation=None,
        candidate=None,
        approvals=(),
        keys=ledger.known_keys(),
        policy=policy,
    )
    return judge_stage(policy, "evaluate", dossier)


def record_evaluation(
    ledger: Ledger,
    store: Store,
    admission: Evidence,
    results: Results,
    engine_info: EngineInfo,
    sandbox: str,
    signer: Signer,
    clock: Clock,
) -> Evidence:
    """Judge the row `evaluate`, seal the items, state the scores, and drop the journal.

    Raises Refused with every reason of the gates, and if no benchmark is complete.
    """
    subject, suite = admission.subject, results.suite
    reasons = refusals(judge(ledger, admission))
    if not results.counts():
        reasons = (*reasons, "no benchmark of the suite is complete")
    if reasons:
        raise Refused(f"{subject.name} may not be evaluated", reasons=reasons)
    lines = results.lines()
    digest = Digest.of(lines)
    name = f"evaluations/{digest.hex}"
    store.put(name, [lines])
    body: dict[str, Any] = {
        "admission": str(admission.digest),
        "suite": {"name": suite.name, "version": suite.version, "digest": str(suite.digest)},
        "scores": results.scores(),
        "counts": results.counts(),
        "items_object": name,
        "items_digest": str(digest),
        "engine": {"name": engine_info.name, "version": engine_info.version},
        "sandbox": sandbox,
        "seconds": results.seconds,
        "time_ms": clock.now_ms(),
    }
    evidence = ledger.append_statement(Statement("evaluation/v1", (subject,), body), [signer])
    store.delete(_journal_name(subject.digest, suite))
    return evidence


# The journal


class Journal:
    """The answers of an unfinished run, signed and sealed every JOURNAL_EVERY items.

    Leaving the `with` block writes what is not yet written, also when the engine failed.
    """

    def __init__(self, store: Store, name: str, head: Mapping[str, Any], signer: Signer) -> None:
        self._store, self._name, self._head, self._signer = store, name, dict(head), signer
        self._answers = self._read()
        self._unsaved = 0

    @property
    def done(self) -> Mapping[str, str]:
        """The answers so far, for `run_suite`."""
        return MappingProxyType(dict(self._answers))

    def add(self, ident: str, answer: str) -> None:
        """Keep one answer."""
        self._answers[ident] = answer
        self._unsaved += 1
        if self._unsaved >= JOURNAL_EVERY:
            self.save()

    def save(self) -> None:
        """Write every answer that is not yet in the store."""
        if self._unsaved:
            payload = canonical({**self._head, "answers": self._answers})
            self._store.put(self._name, [dsse.sign(payload, [self._signer]).encode()])
            self._unsaved = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.save()

    def _read(self) -> dict[str, str]:
        """The answers in the store; none if they are another engine's, damaged or not ours."""
        try:
            with self._store.open(self._name) as reader:
                data = reader.read_at(0, min(reader.size, JOURNAL_BYTES_MAX))
            envelope = Envelope.from_json(json.loads(data))
            dsse.verify_envelope(envelope, {self._signer.public.ident: self._signer.public})
            value = json.loads(envelope.payload)
        except (NotFound, NotProven, Misconfigured, ValueError):
            return {}
        answers = value.pop("answers", {})
        return dict(answers) if value == self._head else {}


def open_journal(
    store: Store, model: Digest, suite: Suite, engine_info: EngineInfo, signer: Signer
) -> Journal:
    """The journal of one model and one suite; empty if there is none that this engine began.

    A sealed object does not prove who wrote it, so the journal is signed as well: whoever can
    write to the store cannot add answers.
    """
    head = {
        "type": JOURNAL_TYPE,
        "model": str(model),
        "suite": str(suite.digest),
        "engine": {"name": engine_info.name, "version": engine_info.version},
    }
    return Journal(store, _journal_name(model, suite), head, signer)


def _journal_name(model: Digest, suite: Suite) -> str:
    key = Digest.of(canonical({"model": str(model), "suite": str(suite.digest)}))
    return f"evaluations/{key.hex}.partial"
