# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Which document is in a packing and where, checked by hashes of our own; NumPy's arrays; and a
policy by which only released datasets are packed.

Broken once to prove the tests: with a leaf that does not bind the places, with a proof that nobody
checks, and without the check of the policy, they fail.
"""

import hashlib
import json
import struct
from pathlib import Path
from typing import Any

import numpy
import pytest
from tokenizers import Tokenizer

from bastide.app.approvals import approve_here
from bastide.app.config import Home
from bastide.app.corpora import show_dataset
from bastide.app.corpus_build import build_dataset
from bastide.app.corpus_pack import pack_dataset, packing_folder
from bastide.app.corpus_pack_work import PIECE, object_name
from bastide.app.corpus_packing_proof import prove_packed
from bastide.app.corpus_packings import export_packing
from bastide.app.dataset_releases import approval_of, publish_dataset
from bastide.app.founding import Wishes, default_policy, found
from bastide.core.errors import NotProven, Refused
from bastide.core.evidence import Evidence
from bastide.core.policy import PACK
from paths.corpus_rig import PERSONAL_DATA, copied, found_home, seeded, write_corpus
from paths.test_collection_build import exported
from paths.test_corpus_cli import bastide
from paths.test_corpus_megatron import END, made_tokenizer, sequences

LENGTH = 64


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, Path, Evidence]:
    folder = tmp_path_factory.mktemp("proof")
    home = found_home(folder)
    recipe = write_corpus(folder / "corpus")
    recipe.write_text(recipe.read_text().replace('name = "tiny"', 'name = "mix"'))
    tokenizer = made_tokenizer(folder / "tokenizer.json")
    with seeded(home) as env:
        build_dataset(env, recipe, 1)
        row = pack_dataset(env, "mix", tokenizer, END, LENGTH)
    return home, tokenizer, row


def climbed(leaf: bytes, index: int, size: int, path: list[str]) -> bytes:
    """The root that an inclusion proof leads to, by RFC 9162, section 2.1.3.2."""
    place, last = index, size - 1
    node = hashlib.sha256(b"\0" + leaf).digest()
    for step in map(bytes.fromhex, path):
        if place & 1 or place == last:
            node = hashlib.sha256(b"\1" + step + node).digest()
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            node = hashlib.sha256(b"\1" + node + step).digest()
        place, last = place >> 1, last >> 1
    assert last == 0
    return node


def key_of(ident: str) -> bytes:
    return hashlib.sha256(f"letters\0{ident}".encode()).digest()


def test_every_document_has_a_proof_that_names_its_places(
    packed: tuple[Home, Path, Evidence], tmp_path: Path
) -> None:
    home, path, row = packed
    with seeded(home) as env:
        export_packing(env, "mix", tmp_path / "out", "megatron")
        found = {}
        texts = exported(home, tmp_path / "jsonl")
        for ident in texts:
            found[ident] = prove_packed(env, "mix", ident)
    root = bytes.fromhex(row.body["documents_root"])
    tokenizer = Tokenizer.from_file(str(path))
    rows = {
        number: list(sequences(tmp_path / "out" / f"mix-{number:05d}"))
        for number in range(row.body["shards"])
    }
    several = 0
    for ident, text in texts.items():
        assert found[ident]["present"]
        (one,) = found[ident]["proofs"]
        (leaf,) = one["proof"]["leaves"]
        tokens: list[int] = []
        places = b""
        for place in one["placements"]:
            assert place["offset"] == len(tokens)
            sequence = rows[place["shard"]][place["sequence"]]
            tokens += sequence[place["at"] : place["at"] + place["length"]]
            places += struct.pack(">5I", *place.values())
        several += len(one["placements"]) > 1
        assert tokenizer.decode(tokens[:-1], skip_special_tokens=False) == text
        data = struct.pack(f"<{len(tokens)}H", *tokens)
        assert one["tokens"] == f"sha256:{hashlib.sha256(data).hexdigest()}"
        wanted = key_of(ident) + hashlib.sha256(data).digest() + hashlib.sha256(places).digest()
        assert leaf["leaf"] == wanted.hex()
        size = one["proof"]["size"]
        assert climbed(wanted, leaf["index"], size, leaf["path"]) == root
    assert several > 5
    assert size == len(texts) == row.body["documents"]


@pytest.mark.parametrize("ident", ["d50", "d20", "nothing", "letters:nothing"])
def test_a_document_that_is_not_in_it_has_a_proof_of_that(
    packed: tuple[Home, Path, Evidence], tmp_path: Path, ident: str
) -> None:
    home, _, row = packed
    if ident == "d50":  # or the other of the two with one text
        (ident,) = {"d7", "d50"} - set(exported(home, tmp_path / "jsonl"))
    with seeded(home) as env:
        found = prove_packed(env, "mix", ident)
    assert not found["present"]
    (one,) = found["proofs"]
    key, size = key_of(ident.removeprefix("letters:")), one["proof"]["size"]
    shown = one["proof"]["leaves"]
    for leaf in shown:
        reached = climbed(bytes.fromhex(leaf["leaf"]), leaf["index"], size, leaf["path"])
        assert reached.hex() == row.body["documents_root"]
    keys = [bytes.fromhex(leaf["leaf"])[:32] for leaf in shown]
    if len(shown) == 2:
        assert keys[0] < key < keys[1]
        assert shown[1]["index"] == shown[0]["index"] + 1
    else:
        assert (shown[0]["index"], key < keys[0]) in {(0, True), (size - 1, False)}


def test_the_command_says_where(packed: tuple[Home, Path, Evidence]) -> None:
    home, _, row = packed
    said = bastide(home, "prove-packing", "mix", "--doc", "d4").stdout
    assert "d4 is in the packing" in said
    assert "in sequence" in said
    told = json.loads(bastide(home, "prove-packing", "mix", "--doc", "nobody", "--json").stdout)
    assert told["present"] is False
    assert told["documents_root"] == row.body["documents_root"]


@pytest.mark.attacks("C211")
def test_a_proof_of_changed_sequences_is_not_given(
    packed: tuple[Home, Path, Evidence], tmp_path: Path
) -> None:
    home = copied(packed[0], tmp_path / "home")
    with seeded(home) as env:
        dataset = env.ledger.find("dataset/v1")[-1]
        folder = packing_folder(dataset, packed[2].body["folder"])
        for number in range(packed[2].body["shards"]):
            name = object_name(folder, number, "sequences")
            with env.store.open(name) as reader:
                data = bytearray(reader.read_at(0, reader.size))
            data[::2] = bytes(len(data[::2]))
            env.store.put(name, [bytes(data)])
        with pytest.raises(NotProven):
            prove_packed(env, "mix", "d4")
        name = object_name(folder, 0, "pieces")
        with env.store.open(name) as reader:
            pieces = reader.read_at(0, reader.size)
        env.store.put(name, [pieces[: -PIECE.size]])
        with pytest.raises(NotProven):
            for number in range(60):
                prove_packed(env, "mix", f"d{number}")


def test_numpy_maps_the_sequences_into_memory(
    packed: tuple[Home, Path, Evidence], tmp_path: Path
) -> None:
    home, path, _ = packed
    wide = made_tokenizer(tmp_path / "wide.json", padded=66_000)
    with seeded(home) as env:
        for tokenizer, kind in ((path, "<u2"), (wide, "<i4")):
            row = pack_dataset(env, "mix", tokenizer, END, LENGTH)
            out, other = tmp_path / kind[1:], tmp_path / f"{kind[1:]}-m"
            files = export_packing(env, str(row.subject.digest), out, "numpy")
            export_packing(env, str(row.subject.digest), other, "megatron")
            arrays = sorted(file for file in files if file.suffix == ".npy")
            assert len(arrays) == row.body["shards"]
            count = 0
            for file in arrays:
                mapped = numpy.load(file, mmap_mode="r", allow_pickle=False)
                assert isinstance(mapped, numpy.memmap)
                assert (mapped.dtype.str, mapped.shape[1]) == (kind, LENGTH)
                assert mapped.offset % 64 == 0
                assert mapped.tolist() == list(sequences(other / file.stem))
                count += len(mapped)
            assert count == row.body["sequences"]


# The policy


def released(tmp_path: Path, **more: Any) -> tuple[Home, Path]:
    home = Home(tmp_path / "home")
    found(home, Wishes("solo", "127.0.0.1:1", **more))
    steps = f'{PERSONAL_DATA}\n[[steps]]\nstep = "decontaminate"'
    return home, write_corpus(tmp_path / "corpus", personal_data=steps)


@pytest.mark.attacks("C210")
def test_where_the_policy_says_so_only_a_released_dataset_is_packed(tmp_path: Path) -> None:
    home, recipe = released(tmp_path, pack_released=True)
    tokenizer = made_tokenizer(tmp_path / "tokenizer.json")
    with seeded(home) as env:
        build_dataset(env, recipe, 1)
        with pytest.raises(Refused, match="is not released"):
            pack_dataset(env, "tiny", tokenizer, END, LENGTH)
        assert not [name for name in env.store.names("corpora") if "/packings/" in name]
        assert not env.ledger.find("packing/v1")
        approve_here(env, approval_of(env, "tiny", ""), env.party_signers())
        release = publish_dataset(env, "tiny")
        row = pack_dataset(env, "tiny", tokenizer, END, LENGTH)
        assert row.body["release"] == str(release.digest)
        assert export_packing(env, "tiny", tmp_path / "out", "numpy")
        assert show_dataset(env, "tiny")["documents"] == row.body["documents"]


def test_elsewhere_any_is_and_the_packing_says_which_release_there_was(
    packed: tuple[Home, Path, Evidence],
) -> None:
    assert packed[2].body["release"] is None
    assert PACK not in default_policy("separate").rules


@pytest.mark.attacks("C210")
def test_a_rule_that_asks_for_something_else_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bastide.app import founding

    def unknown(*wishes: Any) -> Any:
        value = default_policy("solo", pack_released=True).to_json()
        value["rules"][PACK]["gates"]["of-tomorrow"] = {}
        return founding.Policy.from_json(value)

    monkeypatch.setattr(founding, "default_policy", unknown)
    home, recipe = released(tmp_path)
    tokenizer = made_tokenizer(tmp_path / "tokenizer.json")
    with seeded(home) as env:
        build_dataset(env, recipe, 1)
        with pytest.raises(Refused, match="may not be packed"):
            pack_dataset(env, "tiny", tokenizer, END, LENGTH)


def test_init_offers_it(tmp_path: Path) -> None:
    from paths.demo import Demo

    demo = Demo(tmp_path / "home")
    demo.run("init", "--parties", "solo", "--pack-released", "--listen", "127.0.0.1:1")
    with seeded(Home(tmp_path / "home")) as env:
        assert PACK in env.ledger.policy().rules
