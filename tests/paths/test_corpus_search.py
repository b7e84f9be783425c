# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A text is found wherever it stands in a dataset, and nowhere else.

Broken once to prove the tests: with another byte between documents, without the check of a leaf,
with a resumed segment that is not compared with its texts, with segments of any size, and with an
index whose fields are read before its version, they fail.
"""

import contextlib
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Generator, Iterator
from pathlib import Path

import msgspec
import pytest

from bastide.app import corpus_index, corpus_search
from bastide.app.config import Home
from bastide.app.corpus_build import build_dataset, folder_of
from bastide.app.corpus_index import build_index, index_folder
from bastide.app.corpus_objects import read_object
from bastide.app.corpus_search import delete_index, find_spans, open_index
from bastide.app.environment import Environment
from bastide.core.errors import Misconfigured, NotFound, NotProven
from paths.corpus_rig import copied, found_home, seeded, write_corpus
from paths.test_corpus import exported, lines_of
from paths.test_corpus_cli import bastide
from paths.test_sealed_at_rest import found_below

TESTS = Path(__file__).parents[1]
ALPHABETS = ("ab", "aä", "日本語", "😀e\u0301 ", "αβγ δ", "a\n\t", "xyzw")
DRIVER = """
import sys
from pathlib import Path
from bastide.app import corpus_index
from bastide.app.config import Home
from paths.corpus_rig import seeded
corpus_index._MEMORY_PER_BYTE = int(sys.argv[2])
def progress(what, done, total):
    print(what, done, total, flush=True)
with seeded(Home(Path(sys.argv[1]))) as env:
    corpus_index.build_index(env, "tiny", 8, progress)
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A dataset of two hundred random texts, many of them of few and long repetitions."""
    folder = tmp_path_factory.mktemp("search")
    recipe = write_corpus(folder / "corpus")
    chance = random.Random(4)
    for file in (folder / "corpus" / "letters").iterdir():
        rows = []
        for number in range(40):
            letters = chance.choice(ALPHABETS)
            text = "".join(chance.choices(letters, k=chance.randint(20, 120)))
            rows.append({"id": f"{file.stem}-{number}", "text": text * chance.choice((1, 1, 3))})
        file.write_text("\n".join(map(json.dumps, rows)) + "\n")
    recipe.write_text(recipe.read_text().replace('[[steps]]\nstep = "near-duplicate"', ""))
    home = found_home(folder)
    with seeded(home) as env:
        build_dataset(env, recipe, 2)
    return home


@contextlib.contextmanager
def small() -> Generator[None]:
    """Segments of 2 KiB and blocks of 8 suffixes, so that a small corpus has many of each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpus_index, "_MEMORY_PER_BYTE", 4096)
        patch.setattr(corpus_index, "BLOCK", 8)
        patch.setattr(corpus_search, "BLOCK", 8)
        patch.setattr(corpus_search, "_PIECE", 5)
        yield


@pytest.fixture(scope="module")
def with_index(built: Home, tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = copied(built, tmp_path_factory.mktemp("indexed") / "home")
    with small(), seeded(home) as env:
        assert build_index(env, "tiny", 8)["segments"] > 4
    return home


@pytest.fixture
def indexed(with_index: Home, tmp_path: Path) -> Iterator[Environment]:
    with small(), seeded(copied(with_index, tmp_path / "home")) as env:
        yield env


def test_an_index_has_one_suffix_for_each_character(indexed: Environment) -> None:
    """Of no more bits than the segment needs: the borders of documents are not asked for."""
    name = f"{index_folder(folder(indexed))}/index"
    report = msgspec.msgpack.decode(read_object(indexed.store, name), type=corpus_index.IndexReport)
    for number, segment in enumerate(report.segments):
        texts = read_object(
            indexed.store, corpus_index.segment_name(folder(indexed), number, "text")
        )
        assert segment.suffixes == len(texts.replace(corpus_index.END, b"").decode())
        part = corpus_index.segment_name(folder(indexed), number, "suffixes")
        bits = (segment.bytes - 1).bit_length()
        assert len(read_object(indexed.store, part)) == -(-segment.suffixes // 8) * bits


def places(text: str, wanted: str) -> list[int]:
    """Every place of a text in another, overlapping ones too, by str.find."""
    found, at = list[int](), text.find(wanted)
    while at >= 0:
        found.append(at)
        at = text.find(wanted, at + 1)
    return found


def test_finds_what_str_find_finds(indexed: Environment, tmp_path: Path) -> None:
    texts = {line["id"]: line["text"] for line in lines_of(exported(indexed.home, tmp_path / "o"))}
    chance = random.Random(5)
    wanted = [
        "zebra",
        "b",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "\n",
        "\0",
        "\u0301",
    ]
    idents = list(texts)
    for _ in range(150):
        number = chance.randrange(len(idents) - 1)
        text = texts[idents[number]]
        at = chance.randrange(len(text))
        wanted.append(text[at : at + chance.choice((1, 2, 3, 8, 40, 1000))])
        wanted.append(text[-3:] + texts[idents[number + 1]][:3])  # across a border
    with open_index(indexed, "tiny") as index:
        for one in wanted:
            expected = {(ident, at) for ident, text in texts.items() for at in places(text, one)}
            spans = index.find(one, None)
            assert spans.count == len(expected)
            assert {(span.document, span.position) for span in spans.found} == expected
            for span in spans.found[:5]:
                assert f"{span.before}{one}{span.after}" in texts[span.document]
            assert len(index.find(one, 2).found) == min(2, len(expected))


def test_a_span_says_where_its_document_is(indexed: Environment, tmp_path: Path) -> None:
    lines = lines_of(exported(indexed.home, tmp_path / "o"))
    wanted = max((line["text"] for line in lines), key=len)
    (span,) = find_spans(indexed, "tiny", wanted).found
    (line,) = [line for line in lines if line["text"] == wanted]
    assert (span.source, span.document, span.position) == ("letters", line["id"], 0)
    assert (span.before, span.after) == ("", "")


@pytest.mark.parametrize("text", ["", "half \ud800"])
def test_what_is_no_text_is_refused(text: str, indexed: Environment) -> None:
    with pytest.raises(Misconfigured):
        find_spans(indexed, "tiny", text)


def contents(env: Environment) -> dict[str, bytes]:
    found = {}
    for name in env.store.names(index_folder(folder(env))):
        with env.store.open(name) as reader:
            found[name] = reader.read_at(0, reader.size)
    return found


def folder(env: Environment) -> str:
    return folder_of(env.ledger.find("dataset/v1")[-1].body["build"])


@pytest.mark.parametrize("after", [1, 3, 6])
def test_a_kill_in_the_middle_changes_nothing(after: int, built: Home, tmp_path: Path) -> None:
    homes = [copied(built, tmp_path / name) for name in ("one", "two")]
    command = [sys.executable, "-c", DRIVER]
    environment = {"PYTHONPATH": os.pathsep.join([str(TESTS.parent / "src"), str(TESTS)])}
    child = subprocess.Popen(
        [*command, str(homes[0].root), "2048"],
        env=environment, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert child.stdout is not None
    for _ in range(after + 1):
        child.stdout.readline()
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    with seeded(homes[0]) as env, pytest.raises(NotFound, match="no search index"):
        find_spans(env, "tiny", "a")
    for home in homes:
        subprocess.run([*command, str(home.root), "2048"], env=environment, check=True)
    with seeded(homes[0]) as one, seeded(homes[1]) as two:
        assert contents(one) == contents(two)
        assert build_index(one, "tiny", 8)["segments"] == 1  # other segments replace these
        assert not [name for name in contents(one) if "/000001/" in name]


def test_what_is_whole_is_kept_and_what_is_damaged_is_made_again(indexed: Environment) -> None:
    before = contents(indexed)
    number = build_index(indexed, "tiny", 8)
    assert number["kept"] == number["segments"]
    flip(indexed, "000001/suffixes")
    again = build_index(indexed, "tiny", 8)
    assert again["kept"] == again["segments"] - 1
    assert contents(indexed) == before


def flip(env: Environment, part: str) -> None:
    (body,) = (env.home.store / index_folder(folder(env))).glob(f"{part}.*.body")
    data = bytearray(body.read_bytes())
    data[len(data) // 2] ^= 1
    body.write_bytes(data)


@pytest.mark.parametrize("part", ["000000/text", "000000/suffixes", "fences",
                                  "000000/documents", "000000/names", "index"])  # fmt: skip
def test_a_flipped_byte_is_refused(part: str, indexed: Environment) -> None:
    flip(indexed, part)
    with pytest.raises(NotProven) as caught:
        find_spans(indexed, "tiny", "a", None)
    assert caught.value.fix == "bastide corpus index tiny"


@pytest.mark.attacks("C113")
def test_a_text_that_the_dataset_does_not_hold_is_not_believed(indexed: Environment) -> None:
    """Sealed by who holds the keys, and so whole; but the dataset's leaves know better."""
    name = corpus_index.segment_name(folder(indexed), 0, "text")
    with indexed.store.open(name) as reader:
        data = bytearray(reader.read_at(0, reader.size))
    data[0] ^= 1
    indexed.store.put(name, [data])
    with pytest.raises(NotProven, match="holds a text that the dataset does not"):
        find_spans(indexed, "tiny", data[2:8].decode(errors="ignore")[:2], None)


@pytest.mark.attacks("C113")
def test_a_stale_index_is_refused(indexed: Environment) -> None:
    name = f"{index_folder(folder(indexed))}/index"
    report = corpus_index.IndexReport(corpus_index.INDEX_VERSION, "sha256:" + "0" * 64, 1, [])
    indexed.store.put(name, [msgspec.msgpack.encode(report)])
    with pytest.raises(NotProven, match="stale") as caught:
        find_spans(indexed, "tiny", "a")
    assert caught.value.fix == "bastide corpus index tiny"


def made_before(env: Environment, version: int) -> None:
    """The index as an earlier version wrote it: all suffixes, of four bytes, and nowhere how many
    they are. The first had fences for each segment, in none of the reports."""
    store, own = env.store, folder(env)
    name = f"{index_folder(own)}/index"
    report = msgspec.msgpack.decode(read_object(store, name))
    fences = list[bytes]()
    for number, segment in enumerate(report["segments"]):
        place = corpus_index.segment_name(own, number, "report")
        text = read_object(store, corpus_index.segment_name(own, number, "text"))
        order = sorted(range(len(text)), key=lambda at, text=text: text[at:])
        suffixes = b"".join(at.to_bytes(4, "little") for at in order)
        store.put(corpus_index.segment_name(own, number, "suffixes"), [suffixes])
        begins = [text[at : at + corpus_index.FENCE_BYTES] for at in order[:: corpus_index.BLOCK]]
        fences.append(b"".join(one.ljust(corpus_index.FENCE_BYTES, b"\0") for one in begins))
        row = msgspec.msgpack.decode(read_object(store, place))
        for one in (row, segment):
            del one["suffixes"]
            one["objects"]["suffixes"] = hashlib.sha256(suffixes).hexdigest()
        row["fences"] = fences[-1]
        if version == 1:
            store.put(corpus_index.segment_name(own, number, "fences"), [row.pop("fences")])
            del segment["fences"]
        store.put(place, [msgspec.msgpack.encode(row)])
    if version == 1:
        store.delete(corpus_index.fences_name(own))
    else:
        store.put(corpus_index.fences_name(own), fences)
    store.put(name, [msgspec.msgpack.encode({**report, "version": version})])


@pytest.mark.parametrize("version", [1, 2])
def test_an_index_of_an_earlier_version_is_refused_and_made_anew(
    version: int, indexed: Environment
) -> None:
    now, found = contents(indexed), find_spans(indexed, "tiny", "e")
    assert found.count
    made_before(indexed, version)
    assert contents(indexed) != now
    with pytest.raises(NotProven, match="of another version of Bastide") as caught:
        find_spans(indexed, "tiny", "e")
    assert caught.value.fix == "bastide corpus index tiny"
    again = build_index(indexed, "tiny", 8)
    assert not again["kept"]
    assert contents(indexed) == now
    assert find_spans(indexed, "tiny", "e") == found


@pytest.mark.attacks("C113")
def test_no_text_of_the_index_is_on_the_disk(indexed: Environment, tmp_path: Path) -> None:
    texts = [line["text"] for line in lines_of(exported(indexed.home, tmp_path / "o"))]
    for text in (texts[0], max(texts, key=len)):
        assert found_below(indexed.home.root, text[:20].encode()) == []


def test_a_deleted_index_leaves_nothing(indexed: Environment) -> None:
    delete_index(indexed.store, folder(indexed))
    assert contents(indexed) == {}
    with pytest.raises(NotFound, match="no search index"):
        find_spans(indexed, "tiny", "a")


def test_memory_is_bounded_by_the_setting(tmp_path: Path) -> None:
    recipe = write_corpus(tmp_path / "corpus")
    chance = random.Random(6)
    words = [f"{chance.getrandbits(40):x}" for _ in range(5_000)]
    for file in (tmp_path / "corpus" / "letters").iterdir():
        rows = [{"id": f"{file.stem}-{number}", "text": " ".join(chance.choices(words, k=400))}
                for number in range(350)]  # fmt: skip
        file.write_text("\n".join(map(json.dumps, rows)) + "\n")
    plain = recipe.read_text().replace('[[steps]]\nstep = "near-duplicate"', "")
    recipe.write_text(plain.replace("_bytes = ", "_bytes = 100"))
    home = found_home(tmp_path)
    with seeded(home) as env:
        size = build_dataset(env, recipe, 2).body["bytes"]
    assert size > 8_000_000
    measured = DRIVER.replace("    corpus", MEASURED + "    corpus") + (
        "    print(peak() - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", measured, str(home.root), "8"],
        env={"PYTHONPATH": os.pathsep.join([str(TESTS.parent / "src"), str(TESTS)])},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    # In one piece the sorter alone would take five bytes for each of the text.
    grown = int(done.stdout.splitlines()[-1])
    assert grown < 36 * 1024


MEASURED = """    import pydivsufsort
    from bastide.app import corpus_build
    status = Path("/proc/self/status")  # not ru_maxrss: a child begins with its parent's
    peak = lambda: int(status.read_text().split("VmHWM:")[1].split()[0])
    before = peak()
"""


def test_what_the_commands_print(built: Home, tmp_path: Path) -> None:
    home = copied(built, tmp_path / "home")
    missing = bastide(home, "find", "tiny", "--text", "a")
    assert missing.returncode == 1
    assert "bastide corpus index tiny" in missing.stderr
    done = bastide(home, "index", "tiny", "--json")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["event"] for event in events] == ["progress", "progress", "indexed"]
    found = json.loads(
        bastide(home, "find", "tiny", "--text", "日", "--limit", "3", "--json").stdout
    )
    assert found["count"] > 3 == len(found["found"])
    assert found["digest"] == events[-1]["digest"]
    shown = bastide(home, "find", "tiny", "--text", "日", "--limit", "3").stdout
    assert f"{found['count']} places in tiny, 3 shown" in shown
    assert found["found"][0]["document"] in shown
