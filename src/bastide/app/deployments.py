# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Use cases about deployments: give a release a share of this machine, and take it back."""

from typing import Any

from bastide.app import wiring_engines
from bastide.app.approvals import approve_here
from bastide.app.duties import require
from bastide.app.emergencies import approvals_told
from bastide.app.environment import Environment
from bastide.app.loading import context_of
from bastide.app.machines import Machines
from bastide.app.releases import find_candidate
from bastide.app.services import running_pid
from bastide.core.engine import engine_for, verify_evaluated
from bastide.core.errors import NotAllowed, NotFound, Refused, Waiting
from bastide.core.evidence import Evidence
from bastide.core.key import Purpose
from bastide.core.party import Party
from bastide.core.share import Share
from bastide.core.subject import Digest
from bastide.crypto.dsse import Signer
from bastide.stages import deploy
from bastide.stages.release import Approval

__all__ = ["deploy_release", "deployment_approvals", "end_deployment", "plan_deployment"]


def plan_deployment(
    env: Environment, name: str, replicas: int = 1, machine: str = ""
) -> deploy.Plan:
    """The deployment of a published release with the shares of the settings.

    machine: the name of another machine, on which the engine must be installed.

    The same settings give the same plan, so that an operator can approve its digest elsewhere.
    Raises Waiting if the release is not published, Misconfigured if the chosen engine is not
    installed or cannot serve the model, Refused if the model was evaluated with another engine.
    """
    candidate = find_candidate(env, name)
    published = env.ledger.find("release/v1", subject=candidate.subject.digest)
    if not published:
        raise Waiting(f"{name} is not published", fix=f"bastide release publish {name}")
    admission = env.ledger.by_digest(Digest.parse(candidate.body["release"]["admission"]))
    share = Share(env.settings.slots, context_of(admission, env.settings.context_tokens))
    model = candidate.subject.name
    engine = engine_for(admission.body["architecture"], model, env.settings.engine)
    if not machine:
        wiring_engines.verify_engine(engine, env.settings.vllm_python)
    evaluation = env.ledger.by_digest(Digest.parse(candidate.body["release"]["evaluation"]))
    verify_evaluated(engine, evaluation.body)
    return deploy.plan(published[-1], model, share, engine, "1", replicas, machine)


def deploy_release(
    env: Environment,
    name: str,
    operator: Signer | None,
    comment: str = "",
    replicas: int = 1,
    at_once: bool = False,
    machine: str = "",
) -> Evidence:
    """Judge the row `deploy` and put a release into service.

    The operator's approval is made here if the key is given or, under `solo`, held. An older
    deployment of the same name answers until this one can; with `at_once`, or while no services
    run, it is ended now. Raises Waiting while an approval is missing, Refused for a machine
    that has not joined.
    """
    require(env, "deployment-start", name)
    plan = plan_deployment(env, name, replicas, machine)
    if reasons := Machines(env.ledger).reasons_against(machine):
        raise Refused(reasons[0], fix=f"bastide machine add {machine}")
    signers = env.parties_at_hand(operator)
    if operator is not None and Party.OPERATOR not in signers:
        (party,) = signers
        raise NotAllowed(
            f"this is the key of the {party.value}; a deployment is the operator's",
            fix="give the operator's key: --key FILE",
        )
    if Party.OPERATOR in signers:
        asked = Approval(plan.name, plan.digest, "deploy", Party.OPERATOR.value, comment)
        approve_here(env, asked, {Party.OPERATOR: signers[Party.OPERATOR]})
    signer = env.signer(Purpose.EVIDENCE)
    older = [
        row
        for row in deploy.active(env.ledger)
        if row.subject.name == plan.name and row.subject.digest != plan.digest
    ]
    made = deploy.deploy(env.ledger, plan, signer, env.clock)
    # The one that answers goes on; of others that were still to come, this one takes the place.
    for row in older if at_once or running_pid(env.home) is None else older[1:]:
        deploy.end(env.ledger, row, "replaced", signer, env.clock)
    return made


def deployment_approvals(env: Environment, deployment: Evidence) -> list[dict[str, Any]]:
    """The approvals on which a deployment rests, marked where an emergency was open.

    For whoever has just made it, so nothing is asked: it cannot be refused any more.
    """
    named = (Digest.parse(row) for row in deployment.body["approvals"])
    return approvals_told(env.ledger, [env.ledger.by_digest(one) for one in named])


def end_deployment(env: Environment, name: str, reason: str) -> Evidence:
    """Take a deployment out of service. Raises NotFound."""
    require(env, "deployment-end", name)
    rows = [
        row
        for row in deploy.active(env.ledger)
        if name in (row.subject.name, str(row.subject.digest))
    ]
    if rows:  # by name also what was to take its place
        signer = env.signer(Purpose.EVIDENCE)
        ended = [deploy.end(env.ledger, row, reason, signer, env.clock) for row in rows]
        return ended[0]
    raise NotFound(f"there is no active deployment {name!r}", fix="`bastide status` shows them")
