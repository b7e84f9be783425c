# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""SLSA provenance v1 of everything that a stage made: in-toto Statements in DSSE envelopes.

https://slsa.dev/spec/v1.0/provenance. Each is the signed statement of the stage in other words,
made from it and signed by the evidence key, so the same ledger gives the same bytes. The
invocation's id is the digest of that statement: who has a proof of it in the ledger has the
builder's own record. Signatures are Ed25519, which any DSSE verifier checks with the public key.

Models are trained elsewhere, so a training has no provenance of ours: what was said of it is
material of the release.
"""

from collections.abc import Callable, Mapping, Sequence
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
from bastide.filters.erasure import ERASURE
from bastide.ledger.lineage import trained_on

__all__ = ["BUILD_TYPE", "PREDICATE_TYPE", "export_provenance", "provenance_of"]

PREDICATE_TYPE: Final = "https://slsa.dev/provenance/v1"
BUILD_TYPE: Final = "https://bastide.eu/build/{}/v1"  # the stage's name in it
_DATA: Final = ("dataset/v1", "dataset-erasure/v1", "packing/v1")
_BUILDER: Final = "https://bastide.eu/environment/"

Row = Mapping[str, Any]


def export_provenance(env: Environment, name: str) -> list[Envelope]:
    """The provenance of what has a name or digest, and of all that it rests on, oldest first.

    `name` is that of a dataset, model or release, or the digest of one, of a packing, of a summary,
    of an evaluation's answers, or of a statement. Raises NotFound.
    """
    require(env, "read")
    rows = [row for kind in _STAGES for row in env.ledger.find(kind) if _makes(row)]
    waiting = [row for row in rows if name in _names(row)]
    if not waiting:
        raise NotFound(
            f"nothing that a stage made is called {name!r}",
            fix="give the name or digest of a dataset, a packing, a model or a release",
        )
    makers = _makers(rows)
    signer, charter = env.signer(Purpose.EVIDENCE), env.ledger.charter()
    found: dict[Digest, tuple[int, Row]] = {}
    while waiting:
        row = waiting.pop()
        if row.digest in found:
            continue
        model = row.body["release"]["model"] if row.kind == "release/v1" else None
        trained = trained_on(env.ledger, Digest.parse(model)) if model else ()
        statement = provenance_of(row, charter, trained)
        found[row.digest] = row.entry or 0, statement
        for used in statement["predicate"]["buildDefinition"]["resolvedDependencies"]:
            waiting += makers.get(used["digest"]["sha256"], ())
    ordered = sorted(found.values(), key=lambda pair: pair[0])
    return [dsse.sign(canonical(statement), [signer]) for _, statement in ordered]


def provenance_of(
    row: Evidence, charter: Evidence, trained: Sequence[Evidence] = ()
) -> dict[str, Any]:
    """The provenance that a stage's statement gives. `charter` names the builder.

    trained: of a release, what is said of the training of its model.
    """
    stage, write = _STAGES[row.kind]
    subjects, given, inside, used, beside = write(row)
    used = [*used, *map(_trained, trained)]
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
    # Of a successor this one says little: the provenance `erase` has what it was made from.
    made_of = "recipe, input files and versions of the tools"
    if body["plan"][-1:] == [ERASURE]:
        made_of = "older dataset, its build, and who was erased"
    used.append(_resource(made_of, body["build"]))
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


def _packing(row: Evidence) -> _Parts:
    body = row.body
    used = [
        _resource(f"dataset {row.subject.name}", body["dataset"]),
        _resource("tokenizer", body["tokenizer"]),
    ]
    if body["release"] is not None:
        used.append(_resource("statement dataset-release/v1", body["release"]))
    given = {name: body[name] for name in ("name", "length", "method")}
    inside = {name: body[name] for name in ("tokenizers", "vocabulary", "dtype", "end")}
    counts = {name: body[name] for name in ("documents", "sequences", "tokens", "padding")}
    return [_subject(row)], given, inside, used, [_content("counts", counts)]


def _erasure(row: Evidence) -> _Parts:
    """The datasets without a person, of those that had the person. Who it was is not told."""
    body = row.body
    made = [_resource(one["name"], one["new"]) for one in body["datasets"]]
    used = [_resource(f"dataset {one['name']}", one["old"]) for one in body["datasets"]]
    used.append(_resource("list of who was erased", body["list"]))
    numbers = [{name: one[name] for name in ("new", "removed")} for one in body["datasets"]]
    return made, {"datasets": len(made)}, {}, used, [_content("removed", numbers)]


def _summary(row: Evidence) -> _Parts:
    body = row.body
    forms = [_resource(f"summary.{end}", digest) for end, digest in sorted(body["forms"].items())]
    used = [_resource("dataset", digest) for digest in body["datasets"]]
    return forms, {"datasets": body["datasets"], "version": body["version"]}, {}, used, []


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
    "packing/v1": ("pack", _packing),
    "dataset-erasure/v1": ("erase", _erasure),
    "summary/v1": ("summary", _summary),
    "admission/v1": ("admit", _admission),
    "evaluation/v1": ("evaluate", _evaluation),
    "release/v1": ("release", _release),
}


def _makes(row: Evidence) -> bool:
    """An erasure of somebody whom no dataset names makes none."""
    return row.kind != "dataset-erasure/v1" or bool(row.body["datasets"])


def _names(row: Evidence) -> set[str]:
    """What a person may call it: names and digests of what was made, and of the statement."""
    made = _STAGES[row.kind][1](row)[0]
    names = {row.digest.hex}
    if row.kind != "dataset-erasure/v1":  # that one is about a person
        names.add(row.statement.subjects[0].name)
    names |= {one["name"] for one in made} | {one["digest"]["sha256"] for one in made}
    return names | {f"sha256:{name}" for name in names}


def _makers(rows: Sequence[Evidence]) -> dict[str, list[Evidence]]:
    """Who made what a material's digest names: a statement, or what becomes a dataset."""
    found: dict[str, list[Evidence]] = {}
    for row in rows:
        made = _STAGES[row.kind][1](row)[0] if row.kind in _DATA else ()
        for digest in {row.digest.hex, *(one["digest"]["sha256"] for one in made)}:
            found.setdefault(digest, []).append(row)
    return found


def _trained(row: Evidence) -> Row:
    """Material of a release, as somebody said: nobody can check it from the weights."""
    if row.kind == "training/v1":
        return _resource("statement training/v1", str(row.digest))
    what = "packing of" if row.kind == "packing/v1" else "dataset"
    named = _resource(f"{what} {row.subject.name}", str(row.subject.digest))
    return {**named, "annotations": {"root": row.body["root"], "source": "training/v1"}}


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
