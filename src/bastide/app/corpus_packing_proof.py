# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A proof that a document is in a packing and where, or that it is not.

The tree of documents of a packing (`documents_root` of `packing/v1`) is sorted by key. A leaf binds
the document's tokens and every place where a piece of it stands. Before a proof is given, the
places are read in the sealed sequences, and the tokens there are compared with the leaf.
"""

import hashlib
import struct
from collections.abc import Iterator
from typing import Any

import msgspec

from bastide.app.corpora import find_dataset
from bastide.app.corpus_export import proven_chunks
from bastide.app.corpus_objects import find_row, read_rows
from bastide.app.corpus_pack import packing_folder
from bastide.app.corpus_pack_work import LEAF_WIDTH, PACKED_WIDTH, PIECE, object_name
from bastide.app.corpus_packings import find_packing, packing_manifest
from bastide.app.corpus_pseudonyms import names_in
from bastide.app.duties import require
from bastide.app.environment import Environment
from bastide.core.dataset import document_key
from bastide.core.errors import NotFound, NotProven
from bastide.core.packing import PLACEMENT, Packing, document_leaf
from bastide.crypto.sorted_tree import prove, verify_absent, verify_present
from bastide.ports import SealingStore

__all__ = ["Documents", "prove_packed"]


class Documents:
    """The leaves of a packing's tree of documents; they can be read more than once."""

    def __init__(self, store: SealingStore, folder: str) -> None:
        self._store, self._name = store, f"{folder}/documents"

    def __iter__(self) -> Iterator[bytes]:
        return (row[:LEAF_WIDTH] for row in read_rows(self._store, self._name, PACKED_WIDTH))


def prove_packed(env: Environment, name: str, ident: str) -> dict[str, Any]:
    """Proofs for a document of each source that may have it, checked before they are given.

    Raises NotFound for a packing without a tree of documents, NotProven for a damaged one.
    """
    require(env, "read")
    row = find_packing(env, name)
    dataset = find_dataset(env, row.body["dataset"])
    folder = packing_folder(dataset, row.body["folder"])
    packing = packing_manifest(env, row, folder)
    if not packing.documents_root:
        raise NotFound(
            f"the packing {row.subject.digest} was made without a tree of documents",
            fix=f"bastide corpus pack {row.subject.name} ... makes one with it",
        )
    root = bytes.fromhex(packing.documents_root)
    sources = [source["name"] for source in dataset.body["sources"]]
    head, _, tail = ident.partition(":")
    wanted = [(head, tail)] if tail and head in sources else [(one, ident) for one in sources]
    proofs = []
    for source, own in wanted:
        for known in names_in(env, dataset, own):
            key = document_key(source, known)
            proof = prove(key, Documents(env.store, folder), row.body["documents"])
            found = find_row(env.store, f"{folder}/documents", PACKED_WIDTH, key)
            told: dict[str, Any] = {"source": source, "present": found is not None}
            if found is None:
                verify_absent(proof, key, root)
            else:
                tokens, places = _read(env.store, folder, packing, found)
                verify_present(proof, document_leaf(key, tokens, places), root)
                told["tokens"] = f"sha256:{hashlib.sha256(tokens).hexdigest()}"
                told["placements"] = _shown(places)
            proofs.append({**told, "proof": msgspec.to_builtins(proof)})
    return {
        "dataset": row.subject.name,
        "packing": str(row.subject.digest),
        "documents_root": packing.documents_root,
        "document": ident,
        "present": any(one["present"] for one in proofs),
        "proofs": proofs,
    }


def _shown(places: bytes) -> list[dict[str, int]]:
    names = ("shard", "sequence", "at", "offset", "length")
    return [dict(zip(names, one, strict=True)) for one in PLACEMENT.iter_unpack(places)]


def _read(store: SealingStore, folder: str, packing: Packing, row: bytes) -> tuple[bytes, bytes]:
    """The tokens of a document and its placements, from pieces and sequences. Raises NotProven."""
    number, document = struct.unpack(">II", row[LEAF_WIDTH:])
    shard = packing.shards[number]
    pieces: list[tuple[int, int, int, int]] = []  # offset, sequence, first token, length
    sequence = at = 0
    name = object_name(folder, number, "pieces")
    for chunk in proven_chunks(store, name, shard.objects["pieces"], PIECE.size * 65_536):
        for here, one, offset, length in PIECE.iter_unpack(chunk):
            at = at if here == sequence else 0
            sequence = here
            if one == document:
                pieces.append((offset, here, at, length))
            at += length
    pieces.sort()
    width = 2 if packing.dtype == "uint16" else 4
    tokens, places = bytearray(), bytearray()
    with store.open(object_name(folder, number, "sequences")) as reader:
        for offset, here, first, length in pieces:
            begin = (here * packing.length + first) * width
            data = reader.read_at(begin, length * width)
            if offset * width != len(tokens) or len(data) != length * width:
                raise NotProven(f"{name} does not fit its sequences", fix="pack again")
            tokens += data
            places += PLACEMENT.pack(number, here, first, offset, length)
    return bytes(tokens), bytes(places)
