# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Whatever happens to a model file, its validator answers: within bounds, with an answer.

Hypothesis spoils real headers. For every result the validator returns or raises Refused with
reasons; it reads a bounded number of bytes, executes a bounded number of lines and allocates a
bounded amount of memory.
"""

import sys
import tracemalloc
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bastide.core.errors import Refused
from bastide.core.limits import MIB
from bastide.formats import checkpoint, gguf, safetensors
from unit.model_files import MemorySource, make_checkpoint, make_gguf, real_model

SMALL = make_gguf(blocks=2, vocabulary=80).encode()
WEIGHTS = make_checkpoint()["model.safetensors"]
INTERESTING = [
    0,
    1,
    2,
    7,
    8,
    9,
    0x7F,
    0x80,
    0xFF,
    2**16,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**63,
    2**64 - 1,
]
FAST = settings(max_examples=250, derandomize=True)

Change = tuple[str, int, int]


def changes(places: int) -> st.SearchStrategy[list[Change]]:
    place = st.integers(0, places - 1)
    number = st.sampled_from(INTERESTING) | st.integers(0, 2**64 - 1)
    kinds = st.sampled_from(["byte", "four", "eight", "cut", "drop", "double"])
    return st.lists(st.tuples(kinds, place, number), min_size=1, max_size=4)


def spoilt(data: bytes, what: list[Change]) -> bytes:
    out = bytearray(data)
    for kind, place, number in what:
        if kind == "cut":
            del out[place:]
        elif kind == "drop":
            del out[place : place + 1 + number % 16]
        elif kind == "double":
            out[place:place] = out[place : place + 1 + number % 64]
        else:
            width = {"byte": 1, "four": 4, "eight": 8}[kind]
            raw = (number % 2 ** (8 * width)).to_bytes(width, "little")
            out[place : place + width] = raw[: max(len(out) - place, 0)]
    return bytes(out)


def answers(inspect: Callable[[Any], object], given: Any) -> bool:
    """True if it was admitted; a refusal must say why."""
    try:
        inspect(given)
    except Refused as refused:
        assert refused.reasons
        assert all(reason and len(reason) < 2_000 for reason in refused.reasons)
        return False
    return True


class StepCounter:
    """Counts the lines that run inside our own formats package, and stops at a bound."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.steps = 0

    def __call__(self, frame: FrameType, event: str, argument: object) -> Any:
        if "formats" not in frame.f_code.co_filename:
            return None
        self.steps += event == "line"
        assert self.steps <= self.most, "too many steps"
        return self

    def run(self, inspect: Callable[[Any], object], given: Any) -> bool:
        before = sys.gettrace()
        sys.settrace(self)
        try:
            return answers(inspect, given)
        finally:
            sys.settrace(before)


@pytest.mark.attacks("C35")
@FAST
@given(changes(len(SMALL)))
def test_a_spoilt_gguf_file_is_answered_in_bounded_steps(what: list[Change]) -> None:
    data = spoilt(SMALL, what)
    source = MemorySource(data)
    StepCounter(60_000).run(gguf.inspect, source)
    assert source.bytes_read <= 2 * len(data) + 70_000


@FAST
@given(changes(len(WEIGHTS)))
def test_a_spoilt_safetensors_file_is_answered_in_bounded_steps(what: list[Change]) -> None:
    source = MemorySource(spoilt(WEIGHTS, what))
    StepCounter(20_000).run(safetensors.inspect, source)
    assert source.bytes_read <= 2 * len(source.data) + 70_000


@FAST
@given(st.sampled_from(sorted(make_checkpoint())), changes(400))
def test_a_spoilt_checkpoint_is_answered(name: str, what: list[Change]) -> None:
    files = {key: MemorySource(data) for key, data in make_checkpoint().items()}
    files[name] = MemorySource(spoilt(files[name].data, what))
    answers(checkpoint.inspect, files)


@pytest.mark.attacks("C35")
@settings(max_examples=60, derandomize=True)
@given(changes(1_800_000))
def test_a_spoilt_real_model_costs_bounded_memory(what: list[Change]) -> None:
    source = SpoiltHead(what)
    tracemalloc.start()
    try:
        answers(gguf.inspect, source)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # The header grows by doubling and may, if a length is wrong, reach into the data.
    assert peak < 3 * source.bytes_read + 32 * MIB


REAL = real_model().read_bytes()


class SpoiltHead(MemorySource):
    """The real model with changes in its first bytes, without a copy of its weights."""

    def __init__(self, what: list[Change]) -> None:
        super().__init__(b"")
        self.head = spoilt(REAL[: 2 * MIB], what)

    @property
    def size(self) -> int:
        return len(REAL) - 2 * MIB + len(self.head)

    def read_at(self, offset: int, length: int) -> bytes:
        piece = self.head[offset : offset + length]
        rest = length - len(piece)
        start = max(offset - len(self.head), 0) + 2 * MIB
        piece += REAL[start : start + rest]
        self.bytes_read += len(piece)
        return piece


def test_the_unspoilt_files_are_admitted_within_the_same_bounds() -> None:
    assert StepCounter(60_000).run(gguf.inspect, MemorySource(SMALL))
    assert StepCounter(20_000).run(safetensors.inspect, MemorySource(WEIGHTS))
    assert answers(gguf.inspect, SpoiltHead([]))


def test_the_step_counter_does_stop_an_endless_reader() -> None:
    counter = StepCounter(50)
    try:
        counter.run(gguf.inspect, MemorySource(SMALL))
    except AssertionError as error:
        assert str(error).startswith("too many steps")
    assert counter.steps == 51
