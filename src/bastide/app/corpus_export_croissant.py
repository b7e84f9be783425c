# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Croissant 1.1 with RAI 1.0: what a dataset is, for machines, beside its Parquet files.

https://docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html and croissant-rai-spec.html.
Everything is read from the dataset's manifest and its signed account. What nobody evidenced is
left out, or is said not to be evidenced: there is no assessment of biases here, only counts.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from bastide.app.corpus_export import Export, whole, write_manifest
from bastide.app.corpus_export_parquet import parquet_files
from bastide.core.dataset import Manifest
from bastide.core.evidence import Evidence
from bastide.core.limits import MIB
from bastide.core.utc import utc_day

__all__ = ["croissant_of", "export_croissant"]

_FILE: Final = "croissant.json"
_CONFORMS: Final = ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"]
_CONTEXT: Final[dict[str, Any]] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
_FIELDS: Final = {
    "id": "The record's own name, or a digest of where it stood.",
    "text": "The text, as the last step left it.",
    "source": "The source that it is from.",
    "url": "The address, if the record had one.",
    "language": "Such as ces_Latn, if a step found it.",
    "notes": "What the steps found, as a text in JSON.",
}
_IDENTIFIER: Final = re.compile(r"[A-Za-z0-9.+-]+")


def export_croissant(export: Export) -> list[Path]:
    """Write Parquet files and `croissant.json` beside them; every file, `dataset.json` last."""
    files = parquet_files(export)
    rows = [(path.name, path.stat().st_size, _sha256(path)) for path in files]
    described = croissant_of(export.manifest, export.account, export.release, rows)
    target = export.target / _FILE
    with whole(target) as file:
        file.write(json.dumps(described, indent=2, ensure_ascii=False).encode() + b"\n")
    return [*files, target, write_manifest(export)]


def croissant_of(
    manifest: Manifest,
    account: Evidence,
    release: Evidence | None,
    files: Sequence[tuple[str, int, str]],
) -> dict[str, Any]:
    """The description as JSON values. `files`: name, bytes and hex SHA-256 of each Parquet file."""
    published = account.body["time_ms"] if release is None else release.body["time_ms"]
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": _CONFORMS,
        "name": manifest.name,
        "description": _description(manifest, account, release),
        "identifier": str(account.subject.digest),
        "url": f"urn:{account.subject.digest}",
        "version": f"1.0.0+{account.subject.digest.hex[:12]}",
        "citeAs": f"{manifest.name}, {account.subject.digest}, root {manifest.root}",
        "datePublished": utc_day(published),
        "dateCreated": utc_day(account.body["time_ms"]),
        "license": _licences(manifest),
        "inLanguage": [name.replace("_", "-") for name in manifest.languages],
        "isLiveDataset": False,
        "distribution": _distribution(files),
        "recordSet": [_records()],
        **_rai(manifest, account),
    }


def _description(manifest: Manifest, account: Evidence, release: Evidence | None) -> str:
    state = "It is not released."
    if release is not None:
        state = f"Its release is the signed statement {release.digest}."
    return (
        f"{manifest.documents} texts, {manifest.text_bytes} bytes in UTF-8, from"
        f" {len(manifest.sources)} sources. Signed account: {account.digest}. {state}"
    )


def _licences(manifest: Manifest) -> list[str]:
    """Each source's SPDX expression, as the list's address where it is one identifier of it."""
    found = sorted({source.licence for source in manifest.sources})
    return [
        f"https://spdx.org/licenses/{licence}.html"
        if _IDENTIFIER.fullmatch(licence) and not licence.startswith("LicenseRef-")
        else licence
        for licence in found
    ]


def _distribution(files: Sequence[tuple[str, int, str]]) -> list[dict[str, Any]]:
    objects = [
        {
            "@type": "cr:FileObject",
            "@id": file,
            "name": file,
            "contentUrl": file,
            "contentSize": f"{size} B",
            "encodingFormat": "application/x-parquet",
            "sha256": digest,
        }
        for file, size, digest in files
    ]
    every = {
        "@type": "cr:FileSet",
        "@id": "shards",
        "name": "shards",
        "description": "All files of the dataset.",
        "encodingFormat": "application/x-parquet",
        "includes": "*.parquet",
    }
    return [*objects, every]


def _records() -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": "documents",
        "name": "documents",
        "description": "One record for each text.",
        "key": [{"@id": "documents/source"}, {"@id": "documents/id"}],
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"documents/{name}",
                "name": name,
                "description": about,
                "dataType": "sc:Text",
                "source": {"fileSet": {"@id": "shards"}, "extract": {"column": name}},
            }
            for name, about in _FIELDS.items()
        ],
    }


def _rai(manifest: Manifest, account: Evidence) -> dict[str, Any]:
    """The fields of RAI 1.0 that evidence speaks of."""
    body = account.body
    days = sorted(source.collected for source in manifest.sources)
    broken = sum(manifest.broken.values())
    spoken = ", ".join(f"{name} {count}" for name, count in manifest.languages.items())
    return {
        "rai:dataCollection": "; ".join(
            f"{source.name}: {source.kept} of {source.read} texts kept, from {source.origin},"
            f" collected {source.collected}, licence {source.licence}, used because of:"
            f" {source.basis}"
            for source in manifest.sources
        ),
        "rai:dataCollectionTimeFrame": sorted({*days[:1], *days[-1:]}),
        "rai:dataCollectionMissingData": f"{broken} places of the sources could not be read.",
        "rai:dataPreprocessingProtocol": [_step(row) for row in body["steps"]],
        "rai:machineAnnotationTools": [
            f"{name} {version}" for name, version in sorted(manifest.made_with.items())
        ],
        "rai:personalSensitiveInformation": _personal(body),
        "rai:dataBiases": [
            f"Not assessed. Texts by language: {spoken or 'no step looked for languages'}.",
        ],
        "rai:dataLimitations": _limits(body),
        "rai:dataReleaseMaintenancePlan": (
            "A changed dataset has another digest; the ledger links versions of one name."
        ),
    }


def _step(row: Mapping[str, Any]) -> str:
    removed = ", ".join(f"{reason} {count}" for reason, count in sorted(row["removed"].items()))
    return (
        f"{row['step']}: {row['entered']} texts entered, {row['changed']} changed,"
        f" {sum(row['removed'].values())} removed{f' ({removed})' if removed else ''}"
    )


def _personal(body: Mapping[str, Any]) -> list[str]:
    rows = [row for row in body["steps"] if row["step"] == "personal-data"]
    if not rows:
        return ["No step looked for personal data."]
    kinds = ", ".join(body["personal_data"])
    return [
        f"Looked for, and masked or removed: {kinds}.",
        _step(rows[-1]),
        "Kinds that are not named here, such as names of people, were not looked for.",
    ]


def _limits(body: Mapping[str, Any]) -> list[str]:
    rows = body.get("decontaminated") or ()
    if not rows:
        return ["The texts were searched for the questions of no evaluation suite."]
    return [
        f"Searched for the evaluation suite {row['suite']} ({row['digest']}) by n-grams of"
        f" {row['ngram']} words; what is worded otherwise is not found."
        for row in rows
    ]


def _sha256(path: Path) -> str:
    state = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(MIB):
            state.update(chunk)
    return state.hexdigest()
