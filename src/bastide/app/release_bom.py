# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The machine-learning bill of materials of a release: CycloneDX 1.6 JSON (ECMA-424).

https://cyclonedx.org/docs/1.6/json/. Everything in it is from the signed statements that the
release rests on, also its time and its serial number: who holds the ledger writes the same bytes,
so its digest follows from the ledger and needs no entry of its own. What nobody evidenced is said
to be unknown, not left open.

What the model was trained on is what somebody said of it (`training/v1`). Each training that is
stated after the release makes another version of the bill.
"""

import re
import uuid
from typing import Any, Final

from bastide.app.environment import Environment
from bastide.app.releases import Published, find_published
from bastide.core.canonical import canonical
from bastide.core.evidence import Evidence
from bastide.core.utc import utc_time

__all__ = ["release_bom", "release_bom_of"]

_ADDRESS: Final = re.compile(r"https?://[A-Za-z0-9._~:/?#@!$&'()*+,;=%-]+")
_SUITE: Final = "evaluation-suite"
_TEMPLATE: Final = "chat-template"


def release_bom(env: Environment, name: str) -> bytes:
    """The bill of a published release as canonical JSON. Raises NotFound."""
    return canonical(release_bom_of(find_published(env, name)))


def release_bom_of(published: Published) -> dict[str, Any]:
    """The bill as JSON values: a function of the statements alone."""
    release, admission = published.release, published.admission
    parts = [*_files(admission), *_template(admission)]
    data = [*map(_data, _datasets(published)), _suite(published.evaluation)]
    trainings = [row for row in published.trained if row.kind == "training/v1"]
    later = [row for row in trainings if (row.entry or 0) > (release.entry or 0)]
    model = str(release.subject.digest)
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": uuid.uuid5(uuid.NAMESPACE_URL, f"urn:{release.digest}").urn,
        "version": 1 + len(later),
        "metadata": {
            "timestamp": utc_time((later or [release])[-1].body["time_ms"]),
            "tools": {"components": [{"type": "application", "name": "bastide"}]},
            "component": _model(published),
        },
        "components": [*parts, *data],
        "dependencies": [
            {"ref": model, "dependsOn": sorted(part["bom-ref"] for part in parts)},
            *(
                {"ref": str(row.subject.digest), "dependsOn": [row.body["dataset"]]}
                for row in published.trained
                if row.kind == "packing/v1"
            ),
        ],
        # The evidence of an admitted model begins with its files: what they were made with is
        # unknown, and whether all is named that they were trained on, too.
        "compositions": [{"aggregate": "unknown", "dependencies": [model]}],
    }


def _model(published: Published) -> dict[str, Any]:
    release, admission = published.release, published.admission
    body = admission.body
    facts = {
        "origin": body["origin"],
        "format": body["format"],
        "parameters": body["parameters"],
        "context_tokens": body["context_tokens"],
        "vocabulary": body["vocabulary"],
        "model": str(admission.subject.digest),
        "policy": release.body["release"]["policy"],
        "model_signing": release.body["model_signing"],
    }
    statements = [_property(f"statement:{row.kind}", row.digest) for row in published.rows()]
    component: dict[str, Any] = {
        "type": "machine-learning-model",
        "bom-ref": str(release.subject.digest),
        "name": release.subject.name,
        "version": str(release.subject.digest),
        "description": f"The release of the model {admission.subject.name}.",
        "licenses": [{"expression": body["licence"]}],
        "modelCard": _card(published),
        "properties": [_property(*fact) for fact in facts.items() if fact[1]] + statements,
    }
    if _ADDRESS.fullmatch(body["origin"]):
        component["externalReferences"] = [{"type": "distribution", "url": body["origin"]}]
    return component


def _card(published: Published) -> dict[str, Any]:
    """What the model is and how it scored; `value` is a string in CycloneDX."""
    evaluation, admission = published.evaluation.body, published.admission.body
    suite = evaluation["suite"]
    return {
        "modelParameters": {
            "modelArchitecture": admission["architecture"] or "unknown",
            "datasets": [
                *({"ref": str(row.subject.digest)} for row in _datasets(published)),
                {"ref": _SUITE},
            ],
        },
        "quantitativeAnalysis": {
            "performanceMetrics": [
                {
                    "type": name,
                    "value": str(score),
                    "slice": f"{suite['name']} {suite['version']},"
                    f" {evaluation['counts'].get(name, 0)} questions",
                }
                for name, score in sorted(evaluation["scores"].items())
            ]
        },
        "properties": [
            _property("engine", " ".join(evaluation["engine"].values())),
            _property("sandbox", evaluation["sandbox"]),
            _property("answers", evaluation["items_digest"]),
            *(
                _property("training-run", f"{run['name']} {run['digest']}")
                for row in published.trained
                if row.kind == "training/v1"
                for run in row.body["runs"]
            ),
        ],
    }


def _files(admission: Evidence) -> list[dict[str, Any]]:
    sealed = {row["path"]: row for row in admission.body["objects"]}
    return [
        {
            "type": "file",
            "bom-ref": f"file:{part['path']}",
            "name": part["path"],
            "hashes": _hashes(part["digest"]),
            "licenses": [{"expression": admission.body["licence"]}],
            "properties": [
                _property("bytes", part["size"]),
                _property("sealed_header", sealed[part["path"]]["header"]),
                _property("sealed_body", sealed[part["path"]]["body"]),
            ],
        }
        for part in admission.body["artifact"]["parts"]
    ]


def _template(admission: Evidence) -> list[dict[str, Any]]:
    """The chat template as a component of its own: CycloneDX has no field for one (issue 862)."""
    template = admission.body["template"]
    if template is None:
        return []
    findings = [_property("finding", finding) for finding in template["findings"]]
    return [
        {
            "type": "data",
            "bom-ref": _TEMPLATE,
            "name": _TEMPLATE,
            "description": "The model's Jinja template; of several, all names and digests.",
            "hashes": _hashes(template["digest"]),
            "data": [{"type": "configuration", "name": _TEMPLATE}],
            **({"properties": findings} if findings else {}),
        }
    ]


def _datasets(published: Published) -> list[Evidence]:
    return [row for row in published.trained if row.kind != "training/v1"]


def _data(row: Evidence) -> dict[str, Any]:
    """A dataset or a packing. Its hash is the RFC 6962 root over its documents or sequences: from
    it follows whether a document is in it."""
    body = row.body
    told = {"manifest": body["manifest"], "documents": body["documents"], "statement": row.digest}
    component: dict[str, Any] = {
        "type": "data",
        "bom-ref": str(row.subject.digest),
        "name": row.subject.name,
        "scope": "excluded",  # the model was made with it, and runs without it
        "hashes": _hashes(body["root"]),
        "data": [{"type": "dataset", "name": row.subject.name}],
    }
    if row.kind == "dataset/v1":
        component["description"] = "A dataset; its hash is the Merkle root over its documents."
        licences = sorted({source["licence"] for source in body["sources"]})
        expression = (
            licences[0] if len(licences) == 1 else " AND ".join(map("({})".format, licences))
        )
        component["licenses"] = [{"expression": expression}]
    else:
        component["description"] = (
            "A packed dataset; its hash is the Merkle root over its sequences."
        )
        names = ("dataset", "tokenizer", "length", "sequences", "tokens", "documents_root")
        told |= {name: body[name] for name in names}
    return {**component, "properties": [_property(*one) for one in told.items()]}


def _suite(evaluation: Evidence) -> dict[str, Any]:
    suite = evaluation.body["suite"]
    return {
        "type": "data",
        "bom-ref": _SUITE,
        "name": suite["name"],
        "version": suite["version"],
        "scope": "excluded",  # it measures the model, and is no part of it
        "hashes": _hashes(suite["digest"]),
        "data": [{"type": "dataset", "name": suite["name"], "classification": "public"}],
    }


def _hashes(digest: str) -> list[dict[str, str]]:
    return [{"alg": "SHA-256", "content": digest.removeprefix("sha256:")}]


def _property(name: str, value: object) -> dict[str, str]:
    return {"name": f"bastide:{name}", "value": str(value)}
