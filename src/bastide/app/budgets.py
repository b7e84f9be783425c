# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Use cases about budgets: set them, and see what is used of them."""

from collections.abc import Iterable
from typing import Any

from bastide.app.duties import require
from bastide.app.environment import Environment
from bastide.app.projects import project_id, require_tenant
from bastide.core.billing import Accounts
from bastide.core.budget import Budget, Per, Scope, Unit
from bastide.core.canonical import canonical
from bastide.core.errors import Misconfigured, NotFound, Refused
from bastide.core.evidence import Evidence, Statement
from bastide.core.key import Purpose
from bastide.core.limits import BUDGET_LIMIT_MAX, BUDGETS_MAX
from bastide.core.money import PICO_PER_MICRO, euros
from bastide.core.subject import Digest, Subject

__all__ = ["find_scope", "in_force", "list_budgets", "set_budget"]


def find_scope(env: Environment, tenant: str, project: str | None, key: str | None) -> Scope:
    """Whose budget is meant, by ids. Raises NotFound, Misconfigured for a project and a key."""
    require_tenant(env, tenant)
    if project is not None and key is not None:
        raise Misconfigured("a budget is a project's or a key's", fix="give one of both")
    if project is not None:
        return Scope(tenant, project_id(env, tenant, project))
    if key is None:
        return Scope(tenant)
    for row in env.ledger.api_keys(active=False):
        if (row.subject.name, row.body["tenant"]) == (key, tenant):
            return Scope(tenant, key=key)
    raise NotFound(f"the tenant {tenant} has no key {key!r}", fix="`bastide key ls` shows the ids")


def set_budget(
    env: Environment, scope: Scope, unit: Unit, per: Per, limit: int | None, soft_percent: int
) -> Evidence:
    """Set a budget, in tokens or micro-euros; None ends it. The same again changes nothing.

    Raises Misconfigured for impossible numbers, NotFound if there is none to end.
    """
    require(env, "budget-set")
    if limit is not None and not 0 <= limit <= BUDGET_LIMIT_MAX:
        raise Misconfigured("a budget has at most 10^12 tokens, or a million EUR")
    if not 1 <= soft_percent <= 100:
        raise Misconfigured("the soft limit is between 1 and 100 percent of the budget")
    whose = [scope.tenant, scope.project, scope.key, str(unit), str(per)]
    subject = Subject("/".join(whose), Digest.of(canonical({"budget": whose})))
    known = [row for row in env.ledger.budgets() if row.subject == subject]
    if known and (known[0].body["limit"], known[0].body["soft_percent"]) == (limit, soft_percent):
        return known[0]
    if limit is None and (not known or known[0].body["limit"] is None):
        raise NotFound("there is no such budget", fix="`bastide budget ls` shows them")
    if limit is not None and not known and len(in_force(env.ledger.budgets())) >= BUDGETS_MAX:
        raise Refused(f"there are {BUDGETS_MAX} budgets already", fix="end one with --off")
    names = ("tenant", "project", "key", "unit", "per")
    body = {
        **dict(zip(names, whose, strict=True)),
        "limit": limit,
        "soft_percent": soft_percent,
        "time_ms": env.clock.now_ms(),
    }
    signer = env.signer(Purpose.EVIDENCE)
    return env.ledger.append_statement(Statement("budget/v1", (subject,), body), [signer])


def in_force(rows: Iterable[Evidence]) -> list[Budget]:
    """The budgets that the newest statements set."""
    return [
        Budget(
            Scope(body["tenant"], body["project"], body["key"]),
            Unit(body["unit"]),
            Per(body["per"]),
            body["limit"],
            body["soft_percent"],
        )
        for body in (row.body for row in rows)
        if body["limit"] is not None
    ]


def list_budgets(env: Environment, tenant: str | None) -> list[dict[str, Any]]:
    """One row per budget, with what is used of it now, counted from the receipts."""
    require(env, "read")
    budgets = [
        budget for budget in in_force(env.ledger.budgets()) if tenant in (None, budget.scope.tenant)
    ]
    accounts = Accounts()
    for receipt in env.book.receipts():
        accounts.take(receipt)
    rows = []
    for spent in accounts.spent(budgets, env.clock.now_ms()):
        budget, money = spent.budget, spent.budget.unit is Unit.EUR
        rows.append(
            {
                "tenant": budget.scope.tenant,
                "project": budget.scope.project or None,
                "key": budget.scope.key or None,
                "unit": str(budget.unit),
                "per": str(budget.per),
                "used": euros(spent.used) if money else spent.used,
                "limit": euros(budget.limit * PICO_PER_MICRO) if money else budget.limit,
                "percent": spent.percent,
                "soft_percent": budget.soft_percent,
                "state": "over" if spent.used >= budget.hard else "soft" if spent.warns else "ok",
                "ends_ms": spent.ends_ms,
            }
        )
    return rows
