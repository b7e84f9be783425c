# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The SpanFinder port: what every finder does, and what happens to one that does not.

The programs are real, in the real sandbox; each finder looks for the same names.
"""

import asyncio
import contextlib
import json
import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from bastide.adapters.compute.processes import ProcessCompute
from bastide.adapters.spans import program
from bastide.app import wiring, wiring_engines, wiring_spans
from bastide.app.asked_finder import AskedFinder
from bastide.core.errors import Misconfigured, Refused, Unavailable
from bastide.core.limits import FINDER_ASKED_TWICE
from bastide.filters.names import SCHEMES
from bastide.ports import Jail, Process, SpanFinder
from contracts import compute_tasks

LIST = "name\tAino Kallasvuori\nname\tAino\naddress\tHämeentie 14\n"
GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "names.md"
PROGRAM = GUIDE.read_text().partition("```python\n")[2].partition("```")[0]
TEXTS = (
    "Aino Kallasvuori lives at Hämeentie 14, says Aino. 𝒳 is no name.",
    "Nobody is here.",
    "𝒳𝒳 Aino",
)
FOUND = [[(0, 16, "name"), (26, 38, "address"), (45, 49, "name")], [], [(3, 7, "name")]]


def opened(scheme: str, source: str = PROGRAM) -> SpanFinder:
    if scheme == "list":
        return wiring_spans.open_finder("list", "names.txt", [LIST.encode])
    files = [source.encode, LIST.encode]
    return wiring_spans.open_finder("program", "find.py", files)


@pytest.fixture(scope="module", params=SCHEMES)
def finder(request: pytest.FixtureRequest) -> Iterator[AskedFinder]:
    finder = AskedFinder("find.py", opened(request.param))
    yield finder
    finder.close()
    finder.close()


def test_spans_are_characters_in_order(finder: AskedFinder) -> None:
    assert finder.find(TEXTS) == FOUND
    assert finder.find([]) == []


def test_a_text_has_the_same_spans_alone_and_among_others(finder: AskedFinder) -> None:
    assert [finder.find([text])[0] for text in reversed(TEXTS)] == FOUND[::-1]
    assert finder.find([*TEXTS, *TEXTS]) == FOUND + FOUND


def test_a_long_text_with_many_spans(finder: AskedFinder) -> None:
    (spans,) = finder.find(["Aino, " * 200_000])
    assert len(spans) == 200_000
    assert spans[-1] == (1_199_994, 1_199_998, "name")


def test_an_unknown_finder_and_a_broken_list() -> None:
    with pytest.raises(Misconfigured, match="no finder 'oracle'"):
        wiring_spans.open_finder("oracle", "x", [b"".join])
    for data, told in ((b"name Aino", "names.txt:1"), (b"nick\tA", "names.txt:1"),
                       (b"\xff", "not UTF-8"), (b"\n", "is empty")):  # fmt: skip
        with pytest.raises(Misconfigured, match=told):
            wiring_spans.open_finder("list", "names.txt", [lambda data=data: data])


ANSWERS = "import sys\nfor number, line in enumerate(sys.stdin):\n    print({}, flush=True)\n"
WRONG = {
    "ends": ("raise SystemExit", "it ended"),
    "raises": ("import sys\nsys.stdin.readline()\nraise ValueError(0)", "it ended"),
    "babbles": (ANSWERS.format("'names: Aino'"), "no list of first, last and kind"),
    "two numbers": (ANSWERS.format("[[0, 4]]"), "no list of first, last and kind"),
    "no numbers": (ANSWERS.format("'[[0.0, 4, \"name\"]]'"), "not two numbers and a kind"),
    "a kind of its own": (ANSWERS.format("'[[0, 4, \"nick\"]]'"), "a kind that does not exist"),
    "beyond the text": (ANSWERS.format("'[[0, 9999, \"name\"]]'"), "from 0 to 9999 in 64"),
    "before it": (ANSWERS.format("'[[-4, 4, \"name\"]]'"), "from -4 to 4"),
    "empty": (ANSWERS.format("'[[4, 4, \"name\"]]'"), "from 4 to 4"),
    "one inside another": (
        ANSWERS.format("'[[0, 9, \"name\"], [3, 5, \"name\"]]'"), "after one that ends at 9"),
    "says more": (
        "import sys\nfor line in sys.stdin:\n    print('[]\\n[]', flush=True)\n", "says more"),
    "otherwise each time": (
        ANSWERS.format("f'[[0, {number % 60 + 1}, \"name\"]]'"), "the same text in two ways"),
}  # fmt: skip


@pytest.mark.attacks("C236")
@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_answer_refuses_and_quotes_nothing(case: str) -> None:
    source, told = WRONG[case]
    finder = AskedFinder("find.py", opened("program", source))
    with pytest.raises(Refused) as caught:
        for _ in range(FINDER_ASKED_TWICE):
            finder.find(TEXTS[:1])
    finder.close()
    assert told in "".join(caught.value.reasons)
    assert "Aino" not in repr(caught.value.reasons) + str(caught.value)


def test_a_program_that_cannot_be_run_is_told() -> None:
    finder = wiring_spans.open_finder("program", "find", ["no program".encode])
    with pytest.raises(Refused, match="the finder find failed"):
        finder.find(TEXTS)


SLOW = {
    "silent": "import time\ntime.sleep(600)\n",
    # Each byte comes soon after the one before, and the answer never ends.
    "drips": "import os, time\nos.read(0, 9)\nwhile os.write(1, b'['):\n    time.sleep(0.1)\n",
}


@pytest.mark.attacks("C236")
@pytest.mark.timeout(60)
@pytest.mark.parametrize("source", SLOW.values(), ids=SLOW)
def test_a_finder_that_does_not_answer_in_time_is_not_waited_for(
    source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "FINDER_ANSWER_S", 3.0)
    finder = opened("program", source)
    begun = time.monotonic()
    with pytest.raises(Refused, match="failed") as caught:
        finder.find(TEXTS)
    assert "did not answer within 3 s" in "".join(caught.value.reasons)
    assert time.monotonic() - begun < 20


@pytest.mark.timeout(60)
def test_a_program_that_starts_too_late_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    class LateSandbox:
        async def start(self, jail: Jail) -> Process:
            process = await wiring.sandbox("auto").start(jail)
            await asyncio.sleep(1.0)
            return process

    monkeypatch.setattr(program, "FINDER_ANSWER_S", 0.5)
    files = [SLOW["silent"].encode]
    python = wiring_engines.interpreter_files()
    late = program.ProgramFinder("find.py", files, python, LateSandbox, wiring.clock())
    before, start = set(psutil.Process().children(recursive=True)), time.monotonic()
    with pytest.raises(Unavailable, match="cannot be started"):
        late.find(TEXTS)
    assert time.monotonic() - start < 8, "it waited for a program that nobody had ended"
    begun = set(psutil.Process().children(recursive=True)) - before
    _, alive = psutil.wait_procs(begun, timeout=5)
    assert not alive


def test_a_worker_ends_its_finder_when_it_ends(tmp_path: Path) -> None:
    (tmp_path / "find.py").write_text(PROGRAM)
    (tmp_path / "names.txt").write_text(LIST)
    compute = ProcessCompute(1, tmp_path, lambda: None)
    try:
        # It is opened once, whatever number of parts asks it.
        (_, first), (_, second) = compute.each(compute_tasks.ask_finder, [1, 2])
        assert first == second != []
        assert not (tmp_path / "closed").exists()
    finally:
        compute.close()
    assert (tmp_path / "closed").read_text() == "closed"
    for pid in first:
        with contextlib.suppress(psutil.NoSuchProcess):
            assert psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_a_finder_that_is_killed_refuses() -> None:
    ours = opened("program")
    before = set(psutil.Process().children(recursive=True))
    ours.find(TEXTS)
    begun = set(psutil.Process().children(recursive=True)) - before
    assert begun
    for process in begun:
        with contextlib.suppress(psutil.NoSuchProcess):  # they take each other along
            process.kill()
    with pytest.raises(Refused):
        ours.find(TEXTS)
    _, alive = psutil.wait_procs(begun, timeout=20)
    assert not alive


HOSTILE = """
import json, os, socket, sys
told = []
for path in {paths}:
    try:
        folder = os.path.isdir(path)
        told.append(bool(os.listdir(path) if folder else open(path).read()))
    except OSError:
        told.append(False)
try:
    socket.create_connection(("127.0.0.1", {port}), 2)
    told.append(True)
except OSError:
    told.append(False)
try:
    open("/tmp/finder-was-here", "w").write("Aino")
    told.append(True)
except OSError:
    told.append(False)
for line in sys.stdin:
    print(json.dumps([[0, 1 + sum(told), "name"]]), flush=True)
"""


def test_a_process_may_hold_more_descriptors_than_select_knows() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 4_096:
        pytest.skip("this machine lets no process hold as many")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4_096), hard))
    with contextlib.ExitStack() as held:
        held.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        for _ in range(1_100):
            held.enter_context(Path(os.devnull).open())
        finder = opened("program")
        held.callback(finder.close)
        assert finder.find(TEXTS) == finder.find(TEXTS) == FOUND


@pytest.mark.attacks("C237")
def test_a_program_reaches_no_network_and_no_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("x")
    with socket.create_server(("127.0.0.1", 0)) as server:
        paths = [str(secret), str(tmp_path), "/etc/passwd", str(GUIDE)]
        source = HOSTILE.format(paths=paths, port=server.getsockname()[1])
        finder = opened("program", source)
        assert finder.find(TEXTS[:1]) == [[(0, 1, "name")]]
        finder.close()
    assert not Path("/tmp/finder-was-here").exists()


def test_the_program_of_the_guide_can_be_tried_by_hand(tmp_path: Path) -> None:
    (tmp_path / "find.py").write_text(PROGRAM)
    (tmp_path / "names.txt").write_text(LIST)
    lines = "".join(json.dumps({"text": text}) + "\n" for text in TEXTS)
    done = subprocess.run(
        [sys.executable, "find.py", "names.txt"], input=lines, cwd=tmp_path,
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert rows == json.loads(json.dumps(FOUND))
