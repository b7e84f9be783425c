# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The toll on frames of HTTP/2: what passes, what it costs, and when it is over."""

from h2.errors import ErrorCodes
from hyperframe.frame import ContinuationFrame, HeadersFrame, PingFrame
from hypothesis import given
from hypothesis import strategies as st

from bastide.core.limits import H2_FRAME_BYTES, H2_HEADER_BLOCK_BYTES_MAX, H2_TOLL_MAX
from bastide.gateway.h2_toll import Toll

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


_frames = st.lists(
    st.tuples(st.sampled_from((0, 1, 2, 6, 7, 8, 77)), st.integers(0, 255), st.binary(max_size=40)),
    max_size=12,
)


@given(frames=_frames, cuts=st.lists(st.integers(0, 600), max_size=8))
def test_however_frames_are_cut_the_same_ones_pass(
    frames: list[tuple[int, int, bytes]], cuts: list[int]
) -> None:
    coded = [
        len(payload).to_bytes(3) + bytes((kind, flags)) + b"\x00\x00\x00\x01" + payload
        for kind, flags, payload in frames
    ]
    data = PREFACE + b"".join(coded)
    expected = PREFACE + b"".join(text for text in coded if text[3] != 7)
    toll, passed, begin = Toll(0), b"", 0
    for cut in (*sorted(cuts), len(data)):
        passed += toll.pass_on(data[begin:cut], 0)
        begin = max(begin, cut)
    assert (passed, toll.cut) == (expected, None)


def test_a_header_block_is_cut_while_it_comes() -> None:
    """Not when it has ended: it need never end (CVE-2024-27316)."""
    toll = Toll(0)
    part = bytes(H2_FRAME_BYTES)
    opening = HeadersFrame(1, part).serialize()
    passed = len(toll.pass_on(PREFACE + opening, 0))
    for _ in range(60):
        passed += len(toll.pass_on(ContinuationFrame(1, part).serialize(), 0))
        if toll.cut is not None:
            break
    assert toll.cut == ErrorCodes.ENHANCE_YOUR_CALM
    assert passed < H2_HEADER_BLOCK_BYTES_MAX + 100


@given(idle_s=st.floats(0, 1e6))
def test_a_purse_never_holds_more_than_a_burst(idle_s: float) -> None:
    toll = Toll(0)
    toll.pass_on(PREFACE, 0)
    toll.credit(10**6)
    toll.pass_on(b"", idle_s)
    ping = PingFrame(0, b"12345678").serialize()
    toll.pass_on(ping * int(H2_TOLL_MAX), idle_s)
    assert toll.cut is None
    toll.pass_on(ping, idle_s)
    assert toll.cut == ErrorCodes.ENHANCE_YOUR_CALM


def test_a_clock_that_is_set_back_takes_nothing_away() -> None:
    toll = Toll(1_000.0)
    toll.pass_on(PREFACE, 0.0)
    toll.pass_on(PingFrame(0, b"12345678").serialize() * 10, 0.0)
    assert toll.cut is None
