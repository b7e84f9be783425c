# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A thousand personal values and secrets go through a build and are nowhere in its state.

They stand in texts that stay, in equal and in similar ones, in names of records, in documents that
a step removes and in lines that are broken. The build is stopped again and again, and every file of
the home, half-written ones and temporary ones too, is searched: plain, in hex, in base64 at each
alignment, and inside gzip, zlib and Zstandard streams. Broken once to prove the test: with a
worker's temporary file of the broken lines in clear, and with names of records in a compressed
file beside the store, it fails.
"""

import base64
import contextlib
import gzip
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

import pytest
import re2
import zstandard

from bastide.app.corpora import export_dataset
from bastide.crypto.age import bech32
from paths.corpus_rig import RECIPE, found_home, seeded, sentence
from paths.test_canary import texts
from paths.test_sealed_at_rest import forms
from personal_data.make import cases

TESTS = Path(__file__).parents[1]
DRIVER = Path(__file__).with_name("corpus_driver.py")
PERSONAL, SECRETS = 700, 300
BYTES_MIN = 12  # of a value: a shorter one in base64 is found in any random bytes
STEPS = '[[steps]]\nstep = "personal-data"\n\n[[steps]]\nstep = "secrets"'


def secrets(chance: random.Random) -> Iterator[str]:
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
    while True:
        yield "AKIA" + "".join(chance.choices(letters, k=16))
        yield "AI" + "zaSy" + "".join(chance.choices(letters.lower(), k=33))
        yield bech32.encode("AGE-SECRET-KEY-", chance.randbytes(32)).upper()


def planted() -> list[tuple[str, str]]:
    """Values, each with a sentence that has it."""
    rows: dict[str, str] = {}
    for case in cases(11, 40):
        value = case.text[case.start : case.end]
        if case.kind and case.spoken and len(value.encode()) >= BYTES_MIN:
            rows.setdefault(value, case.text)
    personal = random.Random(3).sample(sorted(rows.items()), PERSONAL)
    made = secrets(random.Random(4))
    return [*personal, *((value, f"key {value} of it") for value, _ in zip(made, range(SECRETS)))]  # noqa: B905


def write(folder: Path, values: list[tuple[str, str]]) -> Path:
    """Each value where its number says."""
    (folder / "letters").mkdir(parents=True)
    lines: list[str] = []
    for number, (value, said) in enumerate(values):
        row = {"id": f"d{number}", "text": f"{sentence(number)}\n{said}\n{sentence(number + 400)}"}
        match number % 10:
            case 0:
                lines.append(json.dumps({**row, "id": f"e{number}"}, ensure_ascii=False))
            case 1:
                similar = {"id": f"s{number}", "text": row["text"] + " ember"}
                lines.append(json.dumps(similar, ensure_ascii=False))
            case 2:
                row["id"] = said
            case 3:
                row["text"] = said[-60:] if value in said[-60:] else value
            case 4:
                lines.append(json.dumps({**row, "id": "half"}, ensure_ascii=False)[:-2])
        lines.append(json.dumps(row, ensure_ascii=False))
    for number in range(10):
        text = "\n".join(lines[number::10]) + "\n"
        (folder / "letters" / f"{number}.jsonl").write_text(text)
    recipe = folder / "tiny.toml"
    text = RECIPE.format(share=0.2, personal_data=STEPS)
    text = text.replace("chars_min = 20", "chars_min = 80")
    recipe.write_text(text.replace("= 6000", "= 60_000").replace("= 9000", "= 90_000"))
    return recipe


def views(path: Path) -> Iterator[bytes]:
    """A file as it is, and every stream in it unpacked."""
    try:
        for _, data in texts(path):
            yield data
        raw = path.read_bytes()
    except FileNotFoundError:
        return
    start = raw.find(b"\x28\xb5\x2f\xfd")
    while start >= 0:
        # Any four bytes may look like the beginning of a stream.
        with contextlib.suppress(zstandard.ZstdError):
            yield zstandard.ZstdDecompressor().decompressobj().decompress(raw[start:])
        start = raw.find(b"\x28\xb5\x2f\xfd", start + 1)


def search(values: list[str]) -> "re2._Regexp[bytes]":
    options = re2.Options()
    options.max_mem = 1 << 30
    options.encoding = re2.Options.Encoding.LATIN1
    wanted = {form for value in values for form in forms(value.encode()) if len(form) >= 8}
    return re2.compile(b"|".join(re2.escape(form) for form in sorted(wanted)), options)


def found_in(root: Path, wanted: "re2._Regexp[bytes]") -> list[str]:
    return [
        f"{path.relative_to(root)}: {hit.group()!r}"
        for path in sorted(root.rglob("*"))
        if path.is_file()
        for view in views(path)
        if (hit := wanted.search(view))
    ]


def test_the_search_finds_what_is_there(tmp_path: Path) -> None:
    value = "DE89370400440532013000"
    raw = value.encode()
    hidden = {
        "raw": raw,
        "hex": raw.hex().encode(),
        "base64": base64.b64encode(b"x" + raw),
        "gz": gzip.compress(b"a" + raw),
        "zst": b"head" + zstandard.compress(b"b" + raw),
    }
    for name, data in hidden.items():
        (tmp_path / name).write_bytes(b"." + data + b".")
    (tmp_path / "none").write_bytes(os.urandom(1 << 20))
    found = {line.partition(":")[0] for line in found_in(tmp_path, search([value]))}
    assert found == set(hidden)


@pytest.mark.slow
def test_a_thousand_values_are_nowhere_during_a_build_and_after(tmp_path: Path) -> None:
    rows = planted()
    values = [value for value, _ in rows]
    assert len(set(values)) == PERSONAL + SECRETS
    recipe = write(tmp_path / "corpus", rows)
    home = found_home(tmp_path)
    (home.root / "tmp").mkdir()
    wanted = search(values)
    assert found_in(tmp_path / "corpus", wanted)
    child = subprocess.Popen(
        [sys.executable, "-B", str(DRIVER), str(home.root), str(recipe)],
        env={"PYTHONPATH": os.pathsep.join([str(TESTS.parent / "src"), str(TESTS)]),
             "TMPDIR": str(home.root / "tmp")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )  # fmt: skip
    said, looks = "", 0
    try:
        for line in cast(IO[str], child.stdout):
            said += line
            # The whole family stands still while it is looked at.
            os.killpg(child.pid, signal.SIGSTOP)
            assert found_in(home.root, wanted) == [], line
            looks += any(home.store.glob("corpora/**/*.body"))
            os.killpg(child.pid, signal.SIGCONT)
        assert child.wait() == 0, said
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
    assert "built " in said
    assert looks >= 10
    assert not wanted.search(said.encode())
    assert found_in(home.root, wanted) == []
    with seeded(home) as env:
        files = export_dataset(env, "tiny", tmp_path / "out", "jsonl")
    kept = b"".join(view for path in files for view in views(path))
    left = [value for value in values if value.encode() in kept]
    # What a build keeps is masked, but for what the detectors do not know.
    assert len(left) <= len(values) * 0.02, left[:20]
