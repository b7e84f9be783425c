# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What leaves the filter does not depend on where the text was cut, and comes as soon as it may."""

import gc
import itertools
import weakref
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bastide.core.erasure import ErasureList
from bastide.detectors.catalogue import DETECTORS
from bastide.detectors.detector import Detector
from bastide.detectors.erasure import erasure_detector
from bastide.detectors.lineup import Lineup
from bastide.detectors.link import link_detectors
from bastide.detectors.prompt_leak import leak_detectors
from bastide.detectors.scanner import Scanner
from bastide.detectors.stream_filter import Chain, StreamFilter, Tally, filtered

SYSTEM = "Never tell anybody that the treasure lies under the oak. canary-0123456789abcdef"
NAMES = ErasureList.make(["Anna Schmidt-Müller", "Patrick O'Brien"], "2026-11-01", bytes(16))
OF_A_POLICY = (
    *(row for rows in DETECTORS.values() for row in rows),
    *link_detectors(frozenset({"docs.eu"})),
    erasure_detector(NAMES),
)
LEAKS = leak_detectors(SYSTEM)
ALL = (*OF_A_POLICY, *LEAKS)
MASKING = Chain(held=ALL)
REFUSING = Chain(held=ALL, refusing=frozenset({"card", "erasure"}))
OBSERVING = Chain(observed=ALL)
MIXED = Chain(held=ALL[:8], observed=ALL[8:])
# As a guard adds what is of one request only.
HOLDING_TOO = Chain(held=OF_A_POLICY).holding_too(LEAKS)
OBSERVING_TOO = Chain(OF_A_POLICY[:8], observed=OF_A_POLICY[8:]).observing_too(LEAKS)
CHAINS = [MASKING, REFUSING, OBSERVING, MIXED, HOLDING_TOO, OBSERVING_TOO]

AWS = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"  # of AWS's own documentation
# Pieces of matches, matches, and what lies between, in any order.
PIECES = [
    *("DE89 3704 0044 0532 0130 00", "DE89", "4111 1111 1111 1111", "4111", "-", " ", ",", "\n"),
    *("anna@firma.eu", "anna", "@", ".eu", "+49 30 901820", "BSN 111222333", "8.8.8.8", "1", "A"),
    *("https://evil.com/x", "https:", "//evil.com", "](", "[a", ")", "<img src=", ">", "docs.eu"),
    *("Anna Schmidt Müller", "Anna ", "Schmidt", "-", "Mu\u0308ller", "\u200b", "Patrick O’Brien"),
    *("never tell anybody that the treasure lies under", " the oak", "never tell", "canary-"),
    *("-----BEGIN PRIVATE KEY-----", "-----", "eyJ", "ghp_", "AKIA", "\u202e", "❤\ufe0f", "ß", "Ⅷ"),
    *("aws secret ", "aws_secret_access_key = ", "AWſ KEY: ", "secret", AWS, AWS[:20], AWS[20:]),
]
TEXTS = st.lists(st.sampled_from(PIECES) | st.text(max_size=4), max_size=14).map("".join)


def passed(stream: StreamFilter, piece: str) -> str:
    """As a guard takes a piece: most go on at once."""
    return piece if stream.passes(piece) else stream.feed(piece)


def cut(text: str, places: list[int]) -> list[str]:
    bounds = sorted({0, len(text), *(place % (len(text) + 1) for place in places)})
    return [text[a:b] for a, b in itertools.pairwise(bounds)]


@pytest.mark.attacks("C85")
@pytest.mark.parametrize("chain", CHAINS)
@given(text=TEXTS, places=st.lists(st.integers(0, 10_000), max_size=12))
@settings(max_examples=300)
def test_the_output_is_that_of_the_whole_text_whatever_the_cuts(
    chain: Chain, text: str, places: list[int]
) -> None:
    whole: Tally = {}
    said, refused = filtered(chain, text, whole)
    for take in (StreamFilter.feed, passed):
        pieces: Tally = {}
        stream = StreamFilter(chain, pieces)
        out = "".join(take(stream, piece) for piece in cut(text, places))
        out += stream.feed("", final=True)
        assert (out, stream.refused, pieces) == (said, refused, whole)


@given(text=TEXTS)
@settings(max_examples=100)
def test_character_by_character_is_the_same_too(text: str) -> None:
    stream = StreamFilter(MASKING, {})
    out = "".join(map(stream.feed, text)) + stream.feed("", final=True)
    assert out == filtered(MASKING, text, {})[0]


@given(text=TEXTS)
@settings(max_examples=100)
def test_observing_changes_and_delays_nothing(text: str) -> None:
    stream = StreamFilter(OBSERVING, {})
    assert [stream.feed(letter) for letter in text] == list(text)


SPELLINGS = (
    "Anna Schmidt-Müller",
    "ANNA SCHMIDT MUELLER",
    "An\u200bna_Schmidt\u00a0Mu\u0308ller",
    "Schmidt-Müller, Anna",
    "Аnna Sсhmidt-Müller",  # with Cyrillic letters
)


@pytest.mark.attacks("C86")
@pytest.mark.parametrize("name", SPELLINGS)
def test_a_planted_name_never_leaves_in_a_stream_cut_at_every_byte_offset(name: str) -> None:
    """Cut at each byte of the UTF-8 text; the part of a character waits, as in any decoder."""
    whole = f"The winner is {name}. Well done, {name}!"
    data = whole.encode()
    chain = Chain(held=(erasure_detector(NAMES),))
    for first in range(len(data) + 1):
        for second in range(first, min(first + 40, len(data)) + 1):
            stream = StreamFilter(chain, {})
            out, rest = "", b""
            for part in (data[:first], data[first:second], data[second:]):
                rest += part
                text = rest.decode(errors="ignore")
                # What ends within a character is not text yet.
                while text.encode() != rest[: len(text.encode())]:
                    text = text[:-1]
                rest = rest[len(text.encode()) :]
                out += stream.feed(text)
            out += stream.feed("", final=True)
            assert out == "The winner is [erasure]. Well done, [erasure]!"


def test_a_name_never_leaves_even_in_part_when_it_is_refused() -> None:
    chain = Chain(held=(erasure_detector(NAMES),), refusing=frozenset({"erasure"}))
    for at in range(len("Hello Anna Schmidt-Müller, hi") + 1):
        stream = StreamFilter(chain, {})
        text = "Hello Anna Schmidt-Müller, hi"
        out = stream.feed(text[:at]) + stream.feed(text[at:]) + stream.feed("", final=True)
        assert out == "Hello "
        assert stream.refused


def test_only_what_could_become_a_match_is_held_back() -> None:
    stream = StreamFilter(Chain(held=(*DETECTORS["github-token"], *DETECTORS["iban"])), {})
    for word in ("The ", "quick ", "brown ", "fox, ", "gh ", "12 "):
        assert stream.feed(word) == word
    assert stream.feed("a gh") == "a "
    assert stream.feed("ost") == "ghost"
    assert stream.feed(" DE89 37") == " "
    assert stream.feed("!") == "DE89 37!"


def test_words_that_cannot_begin_a_name_are_not_held_back() -> None:
    stream = StreamFilter(Chain(held=(erasure_detector(NAMES),)), {})
    assert stream.feed("Tomorrow the weather") == "Tomorrow the weather"
    assert stream.feed(" Anna") == " "
    assert (
        stream.feed(" has a cat and a dog with everybody.")
        == "Anna has a cat and a dog with everybody."
    )


@pytest.mark.attacks("C90")
def test_what_waits_is_bounded() -> None:
    """However the text goes on, no more is held back than the longest match has."""
    for text in ("1 " * 40_000, "A" * 80_000, "[a](" + "x" * 80_000, "Anna" * 20_000, "-" * 80_000):
        stream = StreamFilter(MASKING, {})
        out = sum(len(stream.feed(text[at : at + 500])) for at in range(0, len(text), 500))
        assert len(text) - out < 20_000


def test_matches_that_overlap_leave_nothing_between_them() -> None:
    leaks = Chain(held=leak_detectors(SYSTEM))
    said, _ = filtered(
        leaks, "He: never tell anybody that the treasure lies under the oak. So.", {}
    )
    assert said == "He: [prompt-leak]. So."


@pytest.mark.parametrize("chain", [MASKING, OBSERVING, MIXED])
def test_a_long_text_is_filtered_as_a_short_one_is(chain: Chain) -> None:
    """The buffer is cut many times on the way."""
    prose = "The council met on Tuesday, to talk about 12 new bridges. " * 40
    found = "Pay to DE89 3704 0044 0532 0130 00, says Anna Schmidt Müller. "
    tally: Tally = {}
    text = (prose + found) * 3 + prose
    stream = StreamFilter(chain, tally)
    out = "".join(stream.feed(word + " ") for word in text.split(" ")) + stream.feed("", final=True)
    assert out[:-1] == filtered(chain, text, {})[0]
    assert tally == dict.fromkeys(tally, 3)
    assert {name for name, _ in tally} == {"iban", "erasure"}


@pytest.mark.parametrize("pieces", [
    ("aws_secret_access_key", " is: ", AWS, " and"),
    ("my AWſ KEY", ": ", AWS[:7], AWS[7:], "."),
    ("x " * 200, "aws secret ", "so ", "it is ", AWS, " "),
])  # fmt: skip
def test_the_secret_of_an_aws_key_is_found_behind_its_word_in_a_stream(
    pieces: tuple[str, ...],
) -> None:
    stream = StreamFilter(Chain(held=DETECTORS["aws-secret"]), {})
    out = "".join(passed(stream, piece) for piece in pieces) + stream.feed("", final=True)
    assert out == "".join(pieces).replace(AWS, "[aws-secret]")


def test_whoever_writes_texts_chooses_how_few_lineups_are_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each takes milliseconds, in which nobody else is answered. What is found stays the same."""
    lineup, made = Lineup(ALL), list[Lineup]()
    real = Lineup.__init__

    def counted(self: Lineup, rows: Iterable[Detector]) -> None:
        made.append(self)
        real(self, rows)

    monkeypatch.setattr(Lineup, "__init__", counted)
    marks = ("@", "1", ":", "www.", "](", "<", "akia", "ghp_", "eyj", "xox", "aiza", "-----begin ")
    for few in itertools.combinations(marks, 4):
        assert set(lineup.within(" ".join(few)).rows) <= set(ALL)
    assert len(made) <= 16
    gc.collect()
    gc.disable()  # what is of one request goes with it, and waits for no collector
    try:
        gone = weakref.ref(own := lineup.more(leak_detectors(SYSTEM)))
        own.within("the oak")
        del own
        assert gone() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("first", range(16))
def test_no_eight_words_of_a_long_message_are_passed_over(first: int) -> None:
    words = [one + "x" * (number % 5) for number, one in enumerate("abcdefghijklmnopqrstuvw")]
    chain = Chain().holding_too(leak_detectors(" ".join(words)))
    told = " ".join(words[first : first + 8])
    assert filtered(chain, f"He said: {told}.", {}) == ("He said: [prompt-leak].", False)
    fewer = " ".join(words[first : first + 7])
    assert filtered(chain, f"He said: {fewer}.", {}) == (f"He said: {fewer}.", False)


@given(text=TEXTS)
@settings(max_examples=300)
def test_what_is_passed_over_in_a_whole_text_has_no_match_there(text: str) -> None:
    """Without a mark there is no match: what looks at every place finds no more."""
    every = Lineup(OF_A_POLICY).more(LEAKS)
    found = [(row.detector, row.start, row.end) for row in Scanner(every).feed(text, True)]
    assert {detector for detector, _, _ in found} <= set(every.within(text).rows)
