# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""An answer is verified by two programs on a machine without a network, and one bit breaks it.

Both verifiers run in a network namespace of their own (`unshare -n`), where not even the
loopback interface is up.
"""

import copy
import json
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from paths.demo import ARGV, ROOT, environment
from unit.chain_fixture import ANSWER, API_KEY, PROMPT, make_chain

TOOL = ROOT / "tools" / "verify_receipt.py"
DRIVER = Path(__file__).with_name("offline_driver.py")
UNSHARE = ("unshare", "--map-root-user", "--net")
SINGLE = ("charter", "admission", "evaluation", "candidate", "release", "deployment", "batch")
FLIPS_PER_TARGET = 16
FLIPS_ANYWHERE = 250
PLACE = re.compile(
    r"(NOT PROVEN )?(the receipt|the trust anchors|the bundle|keys\.json|type|receipt|inclusion"
    r"|checkpoint|entries)[ :.\[]"
)


def _unshare_refusal() -> str:
    try:
        done = subprocess.run([*UNSHARE, "true"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "there is no program `unshare`"
    return done.stderr.strip() if done.returncode else ""


refusal = _unshare_refusal()
offline = pytest.mark.skipif(bool(refusal), reason=f"no network namespace: {refusal}")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("offline")
    chain = make_chain(folder)
    paths = {"receipt": folder / "receipt.json", "keys": folder / "keys.json"}
    # As `bastide receipt export` and `bastide init` write them.
    paths["receipt"].write_text(json.dumps(chain.bundle(), indent=2, ensure_ascii=False))
    paths["keys"].write_text(json.dumps(chain.anchors, indent=2) + "\n")
    for name, data in (("prompt", PROMPT), ("answer", ANSWER.encode()), ("key", API_KEY.encode())):
        paths[name] = folder / name
        paths[name].write_bytes(data)
    (folder / "key").write_text(API_KEY + "\n")
    return {**paths, "folder": folder}


def _drive(which: str, files: dict[str, Path], flips: list[Any]) -> list[tuple[int, str]]:
    """Run a verifier over the flips, without a network."""
    plan = files["folder"] / f"{which}-plan.json"
    named = {name: str(files[name]) for name in ("receipt", "keys", "folder")}
    plan.write_text(json.dumps({**named, "tool": str(TOOL), "flips": flips}))
    done = subprocess.run(
        [*UNSHARE, sys.executable, str(DRIVER), which, str(plan)],
        capture_output=True,
        text=True,
        env=environment(),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["reachable"] is False
    if which == "tool":
        assert report["bastide_modules"] == [], "the independent verifier stands alone"
    return report["results"]


def _targets(files: dict[str, Path]) -> Iterator[tuple[str, str, tuple[Any, ...]]]:
    """Every part that is to be damaged: its name, its file, and its path in the file."""
    yield "receipt", "receipt", ("receipt",)
    yield "receipt proof", "receipt", ("inclusion", "proof")
    yield "checkpoint", "receipt", ("checkpoint",)
    bundle = json.loads(files["receipt"].read_text())
    paths: list[tuple[Any, ...]] = [("entries", name) for name in SINGLE]
    for name in ("approvals", "deployment_approvals"):
        paths += [("entries", name, number) for number in range(len(bundle["entries"][name]))]
    for path in paths:
        yield f"statement {path[1:]}", "receipt", (*path, "envelope", "payload")
        yield f"signatures {path[1:]}", "receipt", (*path, "envelope", "signatures")
        yield f"entry {path[1:]}", "receipt", path
        yield f"proof {path[1:]}", "receipt", (*path, "proof")
    for number in range(len(json.loads(files["keys"].read_text())["keys"])):
        yield f"key {number}", "keys", ("keys", number)
    for name in ("charter", "origin", "environment", "type"):
        yield f"anchor {name}", "keys", (name,)


def _span(text: str, path: tuple[Any, ...]) -> tuple[int, int]:
    """Where a value stands in a file's bytes."""
    value = json.loads(text)
    marked = copy.deepcopy(value)
    owner = marked
    for key in path[:-1]:
        owner = owner[key]
    owner[path[-1]] = "@"
    shorter = json.dumps(marked, indent=2, ensure_ascii=False)
    whole = json.dumps(value, indent=2, ensure_ascii=False)
    assert text.rstrip("\n") == whole
    start = shorter.index('"@"')
    end = start + 3 + len(whole) - len(shorter)
    return len(whole[:start].encode()), len(whole[:end].encode())


def _flips(files: dict[str, Path]) -> list[tuple[str, str, int]]:
    chance = random.Random("one bit")
    texts = {name: files[name].read_text() for name in ("receipt", "keys")}
    rows = []
    for name, file, path in _targets(files):
        start, end = _span(texts[file], path)
        for _ in range(FLIPS_PER_TARGET):
            rows.append((name, file, chance.randrange(start * 8, end * 8)))
    for file, text in texts.items():
        bits = len(text.rstrip("\n").encode()) * 8
        rows += [("anywhere", file, chance.randrange(bits)) for _ in range(FLIPS_ANYWHERE)]
    return rows


@pytest.mark.attacks("C17")
@offline
@pytest.mark.parametrize("which", ["tool", "bastide"])
def test_one_flipped_bit_anywhere_is_refused_with_its_place(
    files: dict[str, Path], which: str
) -> None:
    flips = _flips(files)
    plan = [[None, 0], *([file, bit] for _, file, bit in flips)]
    (status, said), *damaged = _drive(which, files, plan)
    assert status == 0 and said.startswith("VERIFIED"), said
    assert len(damaged) == len(flips) > 1000
    wrong = [
        (flip, status, said)
        for flip, (status, said) in zip(flips, damaged, strict=True)
        if status != 6 or not PLACE.match(said)
    ]
    assert wrong == []


@pytest.mark.attacks("C17")
@offline
def test_every_byte_of_the_receipt_is_proven(files: dict[str, Path]) -> None:
    """Not a sample: each byte of the receipt itself, by the independent verifier."""
    text = files["receipt"].read_text()
    start, end = _span(text, ("receipt",))
    plan = [["receipt", bit] for bit in range(start * 8, end * 8, 7)]
    statuses = [status for status, _ in _drive("tool", files, plan)]
    assert statuses == [6] * len(plan)


def _tool(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*UNSHARE, sys.executable, "-I", str(TOOL), *args],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.attacks("C18")
@offline
def test_the_tool_as_an_auditor_runs_it(files: dict[str, Path]) -> None:
    given = (str(files["receipt"]), "--keys", str(files["keys"]))
    done = _tool(*given)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("VERIFIED r_")
    assert all(party in done.stdout for party in ("firm", "guardian", "operator"))
    row = json.loads(_tool(*given, "--json").stdout)
    assert row["verified"] is True
    assert row["content"] == "not given"
    content = ("--prompt", str(files["prompt"]), "--answer", str(files["answer"]))
    content += ("--api-key-file", str(files["key"]))
    row = json.loads(_tool(*given, *content, "--json").stdout)
    assert row["content"] == "checked"
    other = tuple(text.replace(str(files["answer"]), str(files["prompt"])) for text in content)
    done = _tool(*given, *other, "--json")
    assert done.returncode == 6
    assert "receipt.answer_commitment" in done.stderr
    assert json.loads(done.stdout)["verified"] is False
    assert _tool(*given, "--prompt", str(files["prompt"])).returncode == 2
    assert _tool(str(files["receipt"])).returncode == 2
    assert _tool("missing.json", "--keys", str(files["keys"])).returncode == 2


@offline
@pytest.mark.parametrize("number", range(3))
def test_a_damaged_file_ends_both_programs_with_status_6(
    files: dict[str, Path], tmp_path: Path, number: int
) -> None:
    """Real processes and real exit codes, for bits in a proof, in a payload and in the syntax."""
    text = files["receipt"].read_text()
    paths = (("inclusion", "proof", 0), ("entries", "release", "envelope", "payload"), ("entries",))
    start, _ = _span(text, paths[number])
    data = bytearray(text.encode())
    data[start + (0 if number == 2 else 9)] ^= 1
    damaged = tmp_path / "damaged.json"
    damaged.write_bytes(data)
    done = _tool(str(damaged), "--keys", str(files["keys"]))
    assert done.returncode == 6
    assert "Traceback" not in done.stderr
    ours = subprocess.run(
        [*UNSHARE, *ARGV, "verify", str(damaged), "--keys", str(files["keys"])],
        capture_output=True,
        text=True,
        env=environment(HOME=str(tmp_path)),
        check=False,
    )
    assert ours.returncode == 6, ours.stderr
    assert "Traceback" not in ours.stderr


@pytest.mark.attacks("C18")
@offline
def test_the_command_line_verifies_without_an_environment(
    files: dict[str, Path], tmp_path: Path
) -> None:
    ours = subprocess.run(
        [*UNSHARE, *ARGV, "verify", str(files["receipt"]), "--keys", str(files["keys"])],
        capture_output=True,
        text=True,
        env=environment(HOME=str(tmp_path)),
        check=False,
    )
    assert ours.returncode == 0, ours.stderr
    assert ours.stdout.startswith("VERIFIED")
    assert list(tmp_path.iterdir()) == [], "verifying leaves nothing behind"
