# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Use cases about datasets: list, show, follow one document, prove, take out."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from bastide.app.bucket_path import folder_at
from bastide.app.corpus_build import folder_of
from bastide.app.corpus_export import Export
from bastide.app.corpus_export_forms import FORMS, TOKENIZED
from bastide.app.corpus_objects import find_row, read_object, read_segments
from bastide.app.corpus_part import KEY_WIDTH, Example, Life, PartReport
from bastide.app.corpus_pseudonyms import names_in
from bastide.app.corpus_removed import DUPLICATE_WIDTH, REASONS
from bastide.app.corpus_shards import LEAF_WIDTH, BatchReport, Leaves, shard_name
from bastide.app.dataset_releases import release_state
from bastide.app.duties import require
from bastide.app.environment import Environment
from bastide.app.naming import named_dataset
from bastide.app.remedies import outside
from bastide.core.dataset import Manifest, document_key, leaf_of
from bastide.core.errors import Misconfigured, NotFound, NotProven
from bastide.core.evidence import Evidence
from bastide.core.limits import CORPUS_EXAMPLES
from bastide.crypto.sorted_tree import prove, verify_absent, verify_present
from bastide.ledger.erased import datasets, successors
from bastide.stages.dataset_release import find_release

__all__ = [
    "explain_document",
    "export_dataset",
    "find_dataset",
    "list_datasets",
    "manifest_of",
    "prove_document",
    "show_dataset",
]

_PLACE: Final = 8


def find_dataset(env: Environment, name: str) -> Evidence:
    """The newest dataset of a name, or the one of a digest. Raises NotFound, and Refused for one
    from which a person was erased: it names the successor.
    """
    return named_dataset(env.ledger, name)


def list_datasets(env: Environment) -> list[dict[str, Any]]:
    """One row per dataset. successor: of one from which a person was erased."""
    require(env, "read")
    followed = successors(env.ledger)
    return [
        {
            "dataset": row.subject.name,
            "digest": str(row.subject.digest),
            "documents": row.body["documents"],
            "bytes": row.body["bytes"],
            "sources": len(row.body["sources"]),
            "entry": row.entry,
            "successor": followed.get(str(row.subject.digest), {}).get("new"),
        }
        for row in datasets(env.ledger)
    ]


def show_dataset(env: Environment, name: str, examples: bool = False) -> dict[str, Any]:
    """The card of a dataset. With `examples`, also the beginnings of removed texts."""
    if examples:
        require(env, "dataset-text", name)
    require(env, "read")
    row = find_dataset(env, name)
    manifest = manifest_of(env, row)
    card = {
        **manifest.to_json(),
        "digest": str(row.subject.digest),
        "entry": row.entry,
        "verdicts": row.body["verdicts"],
        **release_state(env, row),
    }
    if examples:
        card["examples"] = [msgspec.to_builtins(one) for one in _examples(env, row)]
    return card


def explain_document(env: Environment, name: str, ident: str) -> dict[str, Any]:
    """The life of one document: where it was read, what every step made of it, where it is now.

    `ident` is the document's, or `source:ident` where several sources have it. Raises NotFound.
    """
    require(env, "dataset-text", name)
    row = find_dataset(env, name)
    folder = folder_of(row.body["build"])
    source, own, key, place = _locate(env, row, folder, ident)
    part, position = int.from_bytes(place[:4], "big"), int.from_bytes(place[4:], "big")
    life = _life(env, f"{folder}/parts/{part:06d}", position)
    shown: dict[str, Any] = {
        "dataset": row.subject.name,
        "document": own,
        "source": source,
        "key": key.hex(),
        "file": life.file,
        "steps": _steps(row.body["plan"], life),
        "removed": life.reason or None,
        "instead": None,
        "shard": None,
        "notes": life.notes,
    }
    leaf = find_row(env.store, f"{folder}/leaves", LEAF_WIDTH, key)
    if leaf is not None:
        shown["shard"] = _shard(manifest_of(env, row), leaf)
    gone = find_row(env.store, f"{folder}/duplicates", DUPLICATE_WIDTH, key)
    if gone is not None:
        shown["removed"] = REASONS[gone[64]]
        shown["instead"] = gone[32:64].hex() if any(gone[32:64]) else None
    return shown


def prove_document(env: Environment, name: str, ident: str) -> dict[str, Any]:
    """A proof that a document is in a dataset, or is not, checked once before it is given."""
    require(env, "read")
    row = find_dataset(env, name)
    folder, root = folder_of(row.body["build"]), bytes.fromhex(row.body["root"])
    candidates = [(source["name"], ident) for source in row.body["sources"]]
    if ":" in ident and (split := tuple(ident.split(":", 1)))[0] in dict(candidates):
        candidates = [(split[0], split[1])]
    proofs = []
    for source, own in _named(env, row, candidates):
        key = document_key(source, own)
        proof = prove(key, Leaves(env.store, folder), row.body["documents"])
        leaf = find_row(env.store, f"{folder}/leaves", LEAF_WIDTH, key)
        if leaf is None:
            verify_absent(proof, key, root)
        else:
            verify_present(proof, leaf_of(key, leaf[32:64]), root)
        proofs.append(
            {"source": source, "present": leaf is not None, "proof": msgspec.to_builtins(proof)}
        )
    return {
        "dataset": row.subject.name,
        "digest": str(row.subject.digest),
        "root": row.body["root"],
        "document": ident,
        "present": any(one["present"] for one in proofs),
        "proofs": proofs,
    }


def export_dataset(
    env: Environment,
    name: str,
    target: Path | str,
    form: str,
    progress: Any = None,
    *,
    tokenizer: Path | None = None,
    end_token: str = "",
) -> list[Path]:
    """Write a dataset in clear, as files that public tools open; every digest is checked.

    target: a folder, or ``s3://bucket/prefix``; there an export that was cut off goes on.
    tokenizer, end_token: see corpus_export.Export. Raises Misconfigured for a form without tokens.
    """
    require(env, "dataset-export", name)
    if form not in FORMS:
        raise Misconfigured(f"there is no form {form!r}", fix=f"one of: {', '.join(FORMS)}")
    if form not in TOKENIZED and (tokenizer or end_token):
        raise Misconfigured(
            f"the form {form} takes no tokenizer", fix=f"--form {' or '.join(sorted(TOKENIZED))}"
        )
    row = find_dataset(env, name)
    manifest = manifest_of(env, row)
    released = find_release(env.ledger, row)
    try:
        folder = folder_at(env.home, target)
        folder.mkdir(parents=True, exist_ok=True)
        return FORMS[form](
            Export(env.store, manifest, row, released, folder, progress, tokenizer, end_token)
        )
    except OSError as error:
        raise outside(error, str(target)) from error


def manifest_of(env: Environment, row: Evidence) -> Manifest:
    """The manifest that the ledger names. Raises NotProven for any other."""
    require(env, "read")
    name = f"{folder_of(row.body['build'])}/manifest"
    try:
        manifest = Manifest.decode(read_object(env.store, name))
    except msgspec.DecodeError as error:
        raise NotProven(f"{name} is no manifest", fix="restore it from a backup") from error
    if manifest.digest != row.subject.digest:
        raise NotProven(
            f"{name} is not the manifest of {row.subject.name}", fix="restore it from a backup"
        )
    return manifest


def _named(
    env: Environment, row: Evidence, wanted: Sequence[tuple[str, str]]
) -> list[tuple[str, str]]:
    """Sources and idents, also those as the dataset masks them."""
    names = {own: names_in(env, row, own) for own in {own for _, own in wanted}}
    return [(source, known) for source, own in wanted for known in names[own]]


def _locate(
    env: Environment, row: Evidence, folder: str, ident: str
) -> tuple[str, str, bytes, bytes]:
    """Source, ident, key and place of a document that was read."""
    names = [source["name"] for source in row.body["sources"]]
    wanted = [(name, ident) for name in names]
    if ":" in ident and ident.split(":", 1)[0] in names:
        head, own = ident.split(":", 1)
        wanted.insert(0, (head, own))
    found = []
    for source, own in _named(env, row, wanted):
        key = document_key(source, own)
        place = find_row(env.store, f"{folder}/keys", KEY_WIDTH, key)
        if place is not None:
            found.append((source, own, key, place[-_PLACE:]))
    if not found:
        raise NotFound(
            f"no document {ident!r} was read for {row.subject.name}",
            fix=f"`bastide corpus prove {row.subject.name} --doc ID` proves that it is not there",
        )
    if len(found) > 1:
        raise Misconfigured(
            f"{ident!r} is in several sources",
            fix=f"--doc {found[0][0]}:{ident}, or another source",
        )
    return found[0]


def _life(env: Environment, part: str, position: int) -> Life:
    report = _report(env, part, PartReport)
    lives: Iterator[Life] = read_segments(
        env.store, f"{part}/lives", report.objects.get("lives", 0), Life
    )
    for life in lives:
        if life.position == position:
            return life
    raise NotProven(f"{part}/lives lacks a document", fix="restore it from a backup")


def _report(env: Environment, name: str, kind: Any) -> Any:
    return msgspec.msgpack.decode(read_object(env.store, f"{name}/report"), type=kind)


def _steps(names: Sequence[str], life: Life) -> list[dict[str, Any]]:
    """What each step made of it: characters before and after, or that it ended there."""
    rows = []
    for number, name in enumerate(names):
        if number >= len(life.lengths) or (not life.reason and number + 1 >= len(life.lengths)):
            break
        ended = bool(life.reason) and number + 1 == len(life.lengths)
        rows.append(
            {
                "step": name,
                "chars_before": life.lengths[number],
                "chars_after": None if ended else life.lengths[number + 1],
                "removed": life.reason if ended else None,
            }
        )
    return rows


def _shard(manifest: Manifest, leaf: bytes) -> dict[str, Any]:
    """The shard that holds a document: its number from 0, as in an export, and the line from 1."""
    batch, shard, line = (int.from_bytes(leaf[at : at + 4], "big") for at in (64, 68, 72))
    # A successor has shards in several folders.
    ending = shard_name("", batch, shard)
    number = [row.object.endswith(ending) for row in manifest.shards].index(True)
    return {"number": number, "line": line + 1, "text_digest": f"sha256:{leaf[32:64].hex()}"}


def _examples(env: Environment, row: Evidence) -> Iterator[Example]:
    """The first examples of every reason, in the order of the parts."""
    folder, seen = folder_of(row.body["build"]), dict[str, int]()
    names = sorted(name for name in env.store.names(folder) if name.endswith("/report"))
    for name in names:
        kind = PartReport if "/parts/" in name else BatchReport
        for example in _report(env, name.removesuffix("/report"), kind).examples:
            seen[example.reason] = seen.get(example.reason, 0) + 1
            if seen[example.reason] <= CORPUS_EXAMPLES:
                yield example
