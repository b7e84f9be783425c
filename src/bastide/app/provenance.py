# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""SLSA provenance v1 of everything that a stage made: in-toto Statements in DSSE envelopes.

https://slsa.dev/spec/v1.0/provenance. Each is the signed statement of the stage in other words,
made from it alone and signed by the evidence key, so the same ledger gives the same bytes. The
invocation's id is the digest of that statement: who has a proof of it in the ledger has the
builder's own record. Signatures are Ed25519, which any DSSE verifier checks with the public key.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from bastide.app.duties import require
from bastide.app.environment import Environment
from bastide.core.canonical import canonical
from bastide.core.errors import NotFound
from bastide.core.evidence import STATEMENT_TYPE, Evidence
from bastide.core.key import Purpose
from bastide.core.subject import Digest
from bastide.core.utc import utc_time
from bastide.crypto import dsse
from bastide.crypto.dsse import Envelope

__all__ = ["BUILD_TYPE", "PREDICATE_TYPE", "export_provenance", "provenance_of"]

PREDICATE_TYPE: Final = "https://slsa.dev/provenance/v1"
BUILD_TYPE: Final = "https://bastide.eu/build/{}/v1"  # the stage's name in it
_BUILDER: Final = "https://bastide.eu/environment/"

Row = Mapping[str, Any]


def export_provenance(env: Environment, name: str) -> list[Envelope]:
    """The provenance of what has a name or digest, and of all that it rests on, oldest first.

    `name` is that of a dataset, model or release, or the digest of one, of an evaluation's
    answers, or of a statement. Raises NotFound.
    """
    require(env, "read")
    made = {row.digest: row for kind in _STAGES for row in env.ledger.find(kind)}
    waiting = [row for row in made.values() if name in _names(row)]
    if not waiting:
        raise NotFound(
            f"nothing that a stage made is called {name!r}",
            fix="give the name or digest of a dataset, a model or a release",
        )
    found: dict[Digest, Evidence] = {}
    while waiting:
        row = waiting.pop()
        found[row.digest] = row
        waiting += [made[rest] for rest in _rests_on(row) if rest in made and rest not in found]
    signer, charter = env.signer(Purpose.EVIDENCE), env.ledger.charter()
    ordered = sorted(found.values(), key=lambda row: row.entry or 0)
    return [dsse.sign(canonical(provenance_of(row, charter)), [signer]) for row in ordered]


def provenance_of(row: Evidence, charter: Evidence) -> dict[str, Any]:
    """The provenance that a stage's statement gives. `charter` names the builder."""
    stage, write = _STAGES[row.kind]
    subjects, given, inside, used, beside = write(row)
    beside = [*beside, _resource(f"statement {row.kind}", str(row.digest))]
    started = row.body["time_ms"] - round(row.body["seconds"] * 1000) if _timed(row) else None
    return {
        "_type": STATEMENT_TYPE,
        "subject": subjects,
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE.format(stage),
                "externalParameters": given,
                "internalParameters": inside,
                "resolvedDependencies": used,
            },
            "runDetails": {
                "builder": {"id": _BUILDER + charter.digest.hex},
                "metadata": {
                    "invocationId": str(row.digest),
                    **({} if started is None else {"startedOn": utc_time(started)}),
                    "finishedOn": utc_time(row.body["time_ms"]),
                },
                "byproducts": beside,
            },
        },
    }


# What each stage made, of what, how: subjects, external and internal parameters, materials,
# by-products. A statement of another environment's Bastide has the same fields (ledger/shapes.py).

_Parts = tuple[list[Row], Row, Row, list[Row], list[Row]]


def _dataset(row: Evidence) -> _Parts:
    body = row.body
    used = [_resource("recipe", body["recipe"])]
    used.append(_resource("recipe, input files and versions of the tools", body["build"]))
    searched = body.get("decontaminated", ())
    used += [_resource(f"evaluation suite {one['suite']}", one["digest"]) for one in searched]
    given = {"dataset": body["dataset"], "recipe": body["recipe"], "sources": body["sources"]}
    inside = {"plan": body["plan"], "quarantine_share": body["quarantine_share"]}
    beside = [_content("steps", body["steps"]), _content("verdicts", body["verdicts"])]
    return [_subject(row)], given, inside, used, beside


def _dataset_release(row: Evidence) -> _Parts:
    body = row.body["release"]
    used = [_resource(f"dataset {body['name']}", body["dataset"])]
    used += [_resource("statement dataset/v1", body["account"]), *_approvals(row)]
    beside = [_content("verdicts", row.body["verdicts"])]
    return [_subject(row)], {"name": body["name"]}, {"policy": body["policy"]}, used, beside


def _admission(row: Evidence) -> _Parts:
    """Nothing is converted: what comes out, sealed, is what came in, so both have its digests."""
    body = row.body
    files = [_resource(part["path"], part["digest"]) for part in body["artifact"]["parts"]]
    given = {"model": body["model"], "origin": body["origin"], "licence": body["licence"]}
    sealed = [
        _resource(f"{one['object']} {half}", one[half])
        for one in body["objects"]
        for half in ("header", "body")
    ]
    beside = [*sealed, _content("scan", body["scan"])]
    return [_subject(row), *files], given, {"format": body["format"]}, files, beside


def _evaluation(row: Evidence) -> _Parts:
    body = row.body
    suite = body["suite"]
    used = [
        _resource(f"model {row.subject.name}", str(row.subject.digest)),
        _resource(f"suite {suite['name']} {suite['version']}", suite["digest"]),
        _resource("statement admission/v1", body["admission"]),
    ]
    given = {"model": row.subject.name, "suite": suite["name"]}
    inside = {"engine": body["engine"], "sandbox": body["sandbox"]}
    answers = [_resource("answers", body["items_digest"])]
    return answers, given, inside, used, [_content("scores", body["scores"])]


def _release(row: Evidence) -> _Parts:
    body = row.body["release"]
    used = [
        _resource(f"model {row.statement.subjects[1].name}", body["model"]),
        _resource("statement admission/v1", body["admission"]),
        _resource("statement evaluation/v1", body["evaluation"]),
        _resource("statement candidate/v1", row.body["candidate"]),
        *_approvals(row),
    ]
    beside = [_resource("model.sig", row.body["model_signing"])]
    beside.append(_content("verdicts", row.body["verdicts"]))
    return [_subject(row)], {"name": body["name"]}, {"policy": body["policy"]}, used, beside


_STAGES: Final[Mapping[str, tuple[str, Callable[[Evidence], _Parts]]]] = {
    "dataset/v1": ("corpus", _dataset),
    "dataset-release/v1": ("dataset-release", _dataset_release),
    "admission/v1": ("admit", _admission),
    "evaluation/v1": ("evaluate", _evaluation),
    "release/v1": ("release", _release),
}


def _names(row: Evidence) -> set[str]:
    """What a person may call it: names and digests of what was made, and of the statement."""
    made = _STAGES[row.kind][1](row)[0]
    names = {row.statement.subjects[0].name, row.digest.hex}
    names |= {one["name"] for one in made} | {one["digest"]["sha256"] for one in made}
    return names | {f"sha256:{name}" for name in names}


def _rests_on(row: Evidence) -> list[Digest]:
    used = _STAGES[row.kind][1](row)[3]
    return [Digest.parse("sha256:" + one["digest"]["sha256"]) for one in used]


def _approvals(row: Evidence) -> list[Row]:
    return [_resource("statement approval/v1", digest) for digest in row.body["approvals"]]


def _timed(row: Evidence) -> bool:
    return "seconds" in row.body


def _subject(row: Evidence) -> Row:
    return _resource(row.subject.name, str(row.subject.digest))


def _resource(name: str, digest: str) -> Row:
    return {"name": name, "digest": {"sha256": digest.removeprefix("sha256:")}}


def _content(name: str, value: Any) -> Row:
    """A small value as a resource: its digest, and the value beside it for who reads."""
    return {
        **_resource(name, str(Digest.of(canonical(value)))),
        "annotations": {"value": value},
    }
