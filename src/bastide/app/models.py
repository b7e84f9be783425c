# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Use cases about models: bring one in, list, show, measure, take one out."""

import asyncio
import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bastide.app import wiring
from bastide.app.alone import alone
from bastide.app.built_in import BUILT_IN, open_built_in
from bastide.app.denials import SignedDenials
from bastide.app.duties import require
from bastide.app.environment import Environment
from bastide.app.loading import engine_folder, engine_start, start_proven
from bastide.app.naming import newest_named
from bastide.app.services import prepare_run
from bastide.core.artifact import Artifact
from bastide.core.denying import denies
from bastide.core.engine import ENGINES, LLAMACPP, engine_for
from bastide.core.errors import Misconfigured, NotFound, Refused, Unavailable
from bastide.core.evidence import Evidence, refusals
from bastide.core.key import Purpose
from bastide.stages import deploy
from bastide.stages import evaluate as evaluating
from bastide.stages.admit import Claim, SourceFile, admit
from bastide.suites import SUITES, Suite, suite_for

__all__ = [
    "Progress",
    "add_built_in",
    "add_model",
    "evaluate_model",
    "export_model",
    "find_model",
    "list_models",
    "show_model",
]

Progress = Callable[[str, int, int], None]


def add_model(env: Environment, path: Path, claim: Claim, progress: Progress | None) -> Evidence:
    """Admit a model file, or a folder of safetensors. Raises Refused with every reason.

    Admissions take turns, for two of one file would write the same object. What a killed one left
    half-written is cleared away first.
    """
    require(env, "model-admit")
    signed = claim.signature
    with ExitStack() as stack:
        stack.enter_context(alone(env.home.store, lambda: None))
        env.store.sweep("models")
        sources = [
            SourceFile(name, stack.enter_context(wiring.open_source(file)))
            for name, file in _files(path)
            if signed is None or not signed.leaves_out(name)
        ]
        signer = env.signer(Purpose.EVIDENCE)
        return admit(env.ledger, env.store, sources, claim, signer, env.clock, progress)


def add_built_in(env: Environment, name: str, progress: Progress | None) -> Evidence:
    """Admit a model that an installed package carries. Raises NotFound if it is not there."""
    require(env, "model-admit", name)
    with ExitStack() as stack:
        stack.enter_context(alone(env.home.store, lambda: None))
        env.store.sweep("models")
        source, claim = open_built_in(name, stack), BUILT_IN[name].claim
        signer = env.signer(Purpose.EVIDENCE)
        return admit(env.ledger, env.store, [source], claim, signer, env.clock, progress)


def find_model(env: Environment, name: str) -> Evidence:
    """The newest admission of a model, by name or digest. Raises NotFound."""
    return newest_named(env.ledger.find("admission/v1"), name, "model")


def list_models(env: Environment) -> list[dict[str, Any]]:
    """One row per admitted model."""
    require(env, "read")
    return [_row(env, admission) for admission in env.ledger.find("admission/v1")]


def show_model(env: Environment, name: str) -> dict[str, Any]:
    """All that the ledger states about a model."""
    require(env, "read")
    admission = find_model(env, name)
    evaluations = env.ledger.find("evaluation/v1", subject=admission.subject.digest)
    return {
        **_row(env, admission),
        "artifact": admission.body["artifact"],
        "origin": admission.body["origin"],
        "licence": admission.body["licence"],
        "signature": admission.body.get("signature"),
        "template": admission.body["template"],
        "scan": admission.body["scan"],
        "trainings": [
            {"entry": row.entry, "datasets": row.body["datasets"], "runs": row.body["runs"]}
            for row in env.ledger.find("training/v1", subject=admission.subject.digest)
        ],
        "evaluations": [
            {"entry": row.entry, "suite": row.body["suite"], "scores": row.body["scores"]}
            for row in evaluations
        ],
    }


def evaluate_model(
    env: Environment, name: str, suite_name: str | None, progress: Progress | None
) -> Evidence:
    """Run a suite, or the one for its kind, against a model in the sandbox; record the scores.

    Finished items survive a kill; running again goes on where it stopped. What is denied meanwhile
    is asked nothing more: Refused.
    """
    require(env, "model-evaluate", name)
    admission = find_model(env, name)
    if suite_name is None:
        suite_name = suite_for(admission.body["architecture"]).name
    if suite_name not in SUITES:
        raise NotFound(f"there is no suite {suite_name!r}", fix=f"one of: {', '.join(SUITES)}")
    reasons = refusals(evaluating.judge(env.ledger, admission))
    if reasons:
        raise Refused(f"{name} may not be evaluated", reasons=reasons)
    return asyncio.run(_evaluate(env, admission, SUITES[suite_name], progress))


def export_model(
    env: Environment, name: str, folder: Path, progress: Progress | None = None
) -> list[Path]:
    """Write a model's sealed objects as age files, which the exit identity opens with `age`."""
    require(env, "read")
    admission = find_model(env, name)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for row in admission.body["objects"]:
        target = folder / (row["path"].replace("/", "_") + ".age")
        partial = target.with_name(target.name + ".partial")
        done = 0
        try:
            with partial.open("wb") as file:
                for chunk in env.store.export(row["object"]):
                    file.write(chunk)
                    done += len(chunk)
                    if progress is not None:
                        progress(f"exporting {row['path']}", done, done)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(target)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise Unavailable(f"{target} cannot be written: {error.strerror}") from error
        written.append(target)
    return written


async def _evaluate(
    env: Environment, admission: Evidence, suite: Suite, progress: Progress | None
) -> Evidence:
    settings, signer = env.settings, env.signer(Purpose.EVIDENCE)
    chosen = engine_for(admission.body["architecture"], admission.subject.name, settings.engine)
    jail = wiring.sandbox(settings.sandbox)
    prepare_run(env.home)
    folder = engine_folder(env.home.run, f"eval-{os.getpid()}")
    engine = await start_proven(
        env.ledger,
        env.store,
        admission,
        engine_start(
            admission,
            settings,
            chosen,
            jail,
            folder,
            settings.evaluation_threads(bool(deploy.active(env.ledger))),
            alone=True,
        ),
    )
    info = evaluating.EngineInfo(ENGINES.get(chosen, ENGINES[LLAMACPP]), engine.version)
    denied = SignedDenials(env.ledger)
    try:
        with evaluating.open_journal(
            env.store, admission.subject.digest, suite, info, signer
        ) as journal:

            def finished(ident: str, answer: str, done: int, total: int) -> None:
                journal.add(ident, answer)
                _verify_allowed(env, denied, admission)
                if progress is not None:
                    progress(f"evaluating on {suite.name}", done, total)

            results = await evaluating.run_suite(
                engine,
                suite,
                admission.subject.name,
                settings.slots,
                finished,
                journal.done,
                clock=env.clock,
            )
    finally:
        await engine.close()
        shutil.rmtree(folder, ignore_errors=True)
    return evaluating.record_evaluation(
        env.ledger, env.store, admission, results, info, jail.name, signer, env.clock
    )


def _verify_allowed(env: Environment, signed: SignedDenials, admission: Evidence) -> None:
    """Check that what an engine holds was not denied since. Raises Refused; Unavailable."""
    names = (*wiring.deny_list(env.home.denied).read(), *signed())
    for row in admission.body["objects"]:
        if against := [name for name in names if denies(name, row["object"])]:
            raise Refused(
                f"the opening of {row['object']} was denied meanwhile, so the evaluation ends here",
                reasons=[f"denied: {name}" for name in dict.fromkeys(against)],
                fix="bastide store where; when it is let go, run it again: it goes on from here",
            )


def _row(env: Environment, admission: Evidence) -> dict[str, Any]:
    body: Mapping[str, Any] = admission.body
    artifact = Artifact.from_manifest(body["artifact"])
    return {
        "model": admission.subject.name,
        "digest": str(admission.subject.digest),
        "format": body["format"],
        "architecture": body["architecture"],
        "parameters": body["parameters"],
        "bytes": artifact.size,
        "entry": admission.entry,
        "evaluated": bool(env.ledger.find("evaluation/v1", subject=admission.subject.digest)),
    }


def _files(path: Path) -> list[tuple[str, Path]]:
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if not file.is_dir())
        if not files:
            raise Misconfigured(f"{path} is an empty folder")
        return [(str(file.relative_to(path)), file) for file in files]
    return [(path.name, path)]
