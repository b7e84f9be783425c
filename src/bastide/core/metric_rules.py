# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Rules over the metrics: what Prometheus computes beforehand, and when somebody is woken.

Every expression is made of rows of the table in core/metrics.py, so a metric that is renamed is
renamed here; tests/vectors/prometheus has each rule's metrics and outcome written out, so that it
is noticed. Recorded names are ``bastide:what:how``, as Prometheus' own advice has them
(https://prometheus.io/docs/practices/rules/).
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from bastide.core import metrics as m
from bastide.core.limits import (
    RECEIPT_BATCH_MAX,
    SNAPSHOT_AGE_MAX_S,
    TLS_RENEW_BEFORE_DAYS,
    TLS_SERVER_DAYS,
)

__all__ = ["ALERTS", "RECORDINGS", "Alert", "Recording", "Severity"]


class Severity(StrEnum):
    """How soon somebody should look."""

    CRITICAL = "critical"  # now: nobody is answered, or evidence is not kept
    WARNING = "warning"  # today
    INFO = "info"  # whoever owns the budget or the policy


@dataclass(frozen=True, slots=True)
class Recording:
    """A series that Prometheus computes at every evaluation."""

    name: str
    expr: str


@dataclass(frozen=True, slots=True)
class Alert:
    """When to wake somebody. `lasts`: how long it must be so; `then`: what to do."""

    name: str
    expr: str
    lasts: str
    severity: Severity
    summary: str
    then: str


_ERROR: Final = '{finish="error"}'
_REFUSE: Final = '{action="refuse"}'
_MODEL: Final = m.RESPONSE_MODEL.replace(".", "_")


def _rate(metric: m.Metric, by: str, over: str = "5m", where: str = "") -> str:
    return f"sum by ({by}) (rate({metric.exposed}{where}[{over}]))"


def _quantile(part: float, metric: m.Metric, by: str = "") -> str:
    labels = f"le, {by}" if by else "le"
    inner = f"sum by ({labels}) (rate({metric.exposed}_bucket[5m]))"
    return f"histogram_quantile({part}, {inner})"


ANSWERS: Final = Recording("bastide:answers:rate5m", _rate(m.ANSWERS, "tenant, model"))
_ALL: Final = _rate(m.ANSWERS, "model")
FAILED: Final = Recording(
    "bastide:answers_failed:ratio_rate5m",
    f"({_rate(m.ANSWERS, 'model', where=_ERROR)} or 0 * {_ALL}) / {_ALL}",
)
TOKENS: Final = Recording("bastide:tokens:rate5m", _rate(m.TOKENS, "tenant, model, direction"))
COST: Final = Recording(
    "bastide:cost_euros:increase1h", f"sum by (tenant) (increase({m.COST.exposed}[1h]))"
)
REFUSED: Final = Recording("bastide:refusals:rate5m", _rate(m.REFUSALS, "status"))
FIRST_P50: Final = Recording(
    "bastide:first_token_seconds:p50_5m", _quantile(0.5, m.FIRST_TOKEN, _MODEL)
)
FIRST_P99: Final = Recording(
    "bastide:first_token_seconds:p99_5m", _quantile(0.99, m.FIRST_TOKEN, _MODEL)
)
FSYNC_P99: Final = Recording("bastide:ledger_fsync_seconds:p99_5m", _quantile(0.99, m.FSYNC))
# Seconds of every second in which something that was promised waited; replicas add up.
STARVED: Final = Recording("bastide:share_starved:rate5m", _rate(m.STARVED, "tenant, model"))
GUARD_REFUSED: Final = Recording(
    "bastide:guard_refused:rate5m", _rate(m.GUARD, "tenant, detector", where=_REFUSE)
)
GUARD_REFUSED_HOUR: Final = Recording(
    "bastide:guard_refused:rate1h",
    _rate(m.GUARD, "tenant, detector", "1h", _REFUSE),
)
# A budget at the end of its day or month, if it goes on as in the last hour. Both are UTC's.
_DAY_LEFT: Final = "86400 - time() % 86400"
_MONTH_LEFT: Final = "scalar(days_in_month() - day_of_month() + 1) * 86400 - time() % 86400"
_BUDGET: Final = ", ".join(m.BUDGET_USED.labels)
BURN: Final = Recording(
    "bastide:budget_used_at_end:ratio",
    " or ".join(
        f'max by ({_BUDGET}) (predict_linear({m.BUDGET_USED.exposed}{{per="{per}"}}[1h], {left}))'
        for per, left in (("day", _DAY_LEFT), ("month", _MONTH_LEFT))
    ),
)

RECORDINGS: Final = (
    *(ANSWERS, FAILED, TOKENS, COST, REFUSED, FIRST_P50, FIRST_P99, FSYNC_P99, STARVED),
    *(GUARD_REFUSED, GUARD_REFUSED_HOUR, BURN),
)

_SERVER_DAYS: Final = TLS_RENEW_BEFORE_DAYS - 2  # two days of renewals have failed
_AUTHORITY_DAYS: Final = TLS_SERVER_DAYS  # from then on a start makes a new one

_PROCESSES: Final = (
    Alert(
        "BastideSilent",
        f"absent({m.UP.exposed})",
        "2m",
        Severity.CRITICAL,
        "Nothing of Bastide is scraped",
        "bastide status; the metrics process, its token, the scraper's target",
    ),
    Alert(
        "BastideProcessDown",
        f"{m.UP.exposed} == 0",
        "1m",
        Severity.CRITICAL,
        "{{ $labels.process }} does not answer",
        "its log below log/, then bastide doctor",
    ),
    Alert(
        "BastideProcessRestarts",
        f"sum by (child) (increase({m.RESTARTS.exposed}[10m])) > 3",
        "0m",
        Severity.WARNING,
        "{{ $labels.child }} ends again and again",
        "its log below log/",
    ),
    Alert(
        "BastideEngineDown",
        f"{m.ENGINE_UP.exposed} == 0",
        "2m",
        Severity.CRITICAL,
        "An engine of {{ $labels.model }} cannot answer ({{ $labels.process }})",
        "the runner's log; memory, and whether its release was revoked",
    ),
    Alert(
        "BastideEngineReloads",
        f"sum by (model, process) (increase({m.ENGINE_LOADS.exposed}[30m])) > 3",
        "0m",
        Severity.WARNING,
        "An engine of {{ $labels.model }} ends and is loaded again and again",
        "the runner's log; memory",
    ),
    Alert(
        "BastideGatewayCutOff",
        f"{m.SNAPSHOT_AGE.exposed} > {SNAPSHOT_AGE_MAX_S * 0.6:g}",
        "0m",
        Severity.CRITICAL,
        "{{ $labels.process }} does not hear from control",
        f"control's log; at {SNAPSHOT_AGE_MAX_S:g} s every request is refused",
    ),
    Alert(
        "BastideCertificateExpiring",
        f'{m.CERTIFICATE.exposed}{{certificate="server"}} - time() < {_SERVER_DAYS} * 86400'
        f' or {m.CERTIFICATE.exposed}{{certificate="authority"}} - time()'
        f" < {_AUTHORITY_DAYS} * 86400",
        "5m",
        Severity.WARNING,
        "The {{ $labels.certificate }} certificate ends in {{ $value | humanizeDuration }}",
        "server: the supervisor's log (renewal-failed); authority: start again, clients need the"
        " new public/ca.pem",
    ),
    Alert(
        "BastideBatchesStand",
        f"{m.BATCHES_WAITING.exposed} > 0 and {m.BATCHES_RUNNING.exposed} == 0",
        "15m",
        Severity.WARNING,
        "Batches wait and none runs",
        "the desk's log; whether their model is served",
    ),
)

_EVIDENCE: Final = (
    Alert(
        "BastideReceiptsLost",
        f"increase({m.RECEIPTS_REFUSED.exposed}[5m]) > 0",
        "0m",
        Severity.CRITICAL,
        "Receipts could not be made durable",
        "the disk of the database; control's log",
    ),
    Alert(
        "BastideReceiptsLate",
        f"{m.RECEIPTS_PENDING.exposed} > {RECEIPT_BATCH_MAX}"
        f" or ({m.RECEIPTS_PENDING.exposed} > 0 and {m.HEAD_AGE.exposed} > 30)",
        "1m",
        Severity.WARNING,
        "{{ $value }} receipts are durable and not sealed into the ledger",
        "control's log",
    ),
    Alert(
        "BastideLedgerSlow",
        f"{FSYNC_P99.name} > 0.25",
        "5m",
        Severity.WARNING,
        "One in a hundred groups of receipts takes {{ $value | humanizeDuration }} to be durable",
        "the disk of the database: answers wait for it",
    ),
    Alert(
        "BastideWitnessBehind",
        f"{m.WITNESS_BEHIND.exposed} > 0",
        "5m",
        Severity.WARNING,
        "The witness of {{ $labels.party }} has not cosigned the last {{ $value }} entries",
        "bastide status says why; a witness that refuses has seen another history",
    ),
    Alert(
        "BastideGateRefused",
        f"increase({m.DENIALS.exposed}[10m]) > 0",
        "0m",
        Severity.INFO,
        "A gate refused",
        "bastide ledger ls --kind refusal/v1",
    ),
    Alert(
        "BastideEmergencyOpen",
        f"{m.EMERGENCY.exposed} == 1",
        "0m",
        Severity.WARNING,
        "An emergency is open: somebody acts beyond the policy",
        "bastide break-glass ls",
    ),
)

_ANSWERING: Final = (
    Alert(
        "BastideShareStarved",
        f"{STARVED.name} > 0.01"
        f" and on (tenant, model) sum by (tenant, model) ({m.GUARANTEED.exposed}) > 0",
        "5m",
        Severity.CRITICAL,
        "{{ $labels.tenant }} does not get what it is promised of {{ $labels.model }}",
        "bastide share prove; another replica, or fewer promises",
    ),
    Alert(
        "BastideFirstTokenSlow",
        f"{FIRST_P99.name} > 5",
        "10m",
        Severity.WARNING,
        f"One in a hundred answers of {{{{ $labels.{_MODEL} }}}} begins after"
        " {{ $value | humanizeDuration }}",
        "who waits (bastide_queue_waiting); more slots or replicas",
    ),
    Alert(
        "BastideAnswersFail",
        f"{FAILED.name} > 0.05",
        "5m",
        Severity.WARNING,
        "{{ $value | humanizePercentage }} of the answers of {{ $labels.model }} end in an error",
        "the runner's log",
    ),
    Alert(
        "BastideRefusedForLoad",
        f'sum({REFUSED.name}{{status=~"429|503"}})'
        f" / (sum({REFUSED.name}) + sum({ANSWERS.name})) > 0.1",
        "10m",
        Severity.WARNING,
        "{{ $value | humanizePercentage }} of the requests are refused for load",
        "more slots or replicas; whose budget is used up",
    ),
    Alert(
        "BastideKeysGuessed",
        f'sum({REFUSED.name}{{status="401"}}) > 1',
        "5m",
        Severity.WARNING,
        "{{ $value | humanize }} requests a second come with a key that is none",
        "a client with an old key, or somebody who guesses: the proxy's log has the address",
    ),
    # New, or five times what it was in the hour before.
    Alert(
        "BastideGuardJump",
        f"{GUARD_REFUSED.name} > 0.05 unless"
        f" {GUARD_REFUSED.name} <= 5 * ({GUARD_REFUSED_HOUR.name} offset 10m)",
        "5m",
        Severity.WARNING,
        "The guard refuses much more of {{ $labels.tenant }} ({{ $labels.detector }})",
        "what its application sends; the receipts name the detector",
    ),
)

_BUDGETS: Final = (
    Alert(
        "BastideBudgetBurn",
        f"{BURN.name} >= 1 and on ({_BUDGET}) max by ({_BUDGET}) ({m.BUDGET_USED.exposed}) < 1"
        f" and on ({_BUDGET}) max by ({_BUDGET}) ({m.BUDGET_USED.exposed}) > 0.1",
        "15m",
        Severity.INFO,
        "The {{ $labels.unit }} of {{ $labels.tenant }} will not last to the end of the"
        " {{ $labels.per }}",
        "bastide usage; the tenant, or its budget",
    ),
    Alert(
        "BastideBudgetNear",
        f"{m.BUDGET_SOFT.exposed} > 0",
        "0m",
        Severity.INFO,
        "{{ $labels.tenant }} is over the soft limit of its {{ $labels.unit }} a {{ $labels.per }}",
        "bastide status",
    ),
    Alert(
        "BastideBudgetUsedUp",
        f"{m.BUDGET_HARD.exposed} > 0",
        "0m",
        Severity.WARNING,
        "{{ $labels.tenant }} is refused: its {{ $labels.unit }} of the {{ $labels.per }}"
        " are used up",
        "bastide usage; bastide budget set",
    ),
)

ALERTS: Final = {
    "processes": _PROCESSES,
    "evidence": _EVIDENCE,
    "answering": _ANSWERING,
    "budgets": _BUDGETS,
}
"""By the group that Prometheus evaluates together."""
