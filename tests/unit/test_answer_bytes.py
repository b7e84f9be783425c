# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What a receipt commits to as the answer, for text, calls and vectors."""

import base64
import gc
import struct
import tracemalloc

from bastide.core.chat import CallPart, Delta, Hearing, Said, ToolCall
from bastide.core.receipt import answer_bytes, vector_bytes


def test_text_is_itself() -> None:
    assert answer_bytes(Said("Grüße")) == "Grüße".encode()
    assert answer_bytes(Said()) == b""


def test_calls_are_canonical_json_with_every_character_of_their_arguments() -> None:
    said = Said("Let me see.", (ToolCall("c1", "weather", '{ "city":"Köln"}'),))
    text = (
        '{"calls":[{"arguments":"{ \\"city\\":\\"Köln\\"}","id":"c1","name":"weather"}],'
        '"text":"Let me see."}'
    )
    assert answer_bytes(said) == text.encode()


def test_a_text_can_never_stand_for_a_call() -> None:
    called = Said("", (ToolCall("c1", "weather", "{}"),))
    other = Said("", (ToolCall("c1", "weather", "{} "),))
    assert answer_bytes(called) != answer_bytes(other)


def test_pieces_put_together_are_what_was_said() -> None:
    hearing = Hearing()
    for delta in (
        Delta("a"),
        Delta(call=CallPart(0, "c0", "first")),
        Delta(call=CallPart(0, arguments='{"x"')),
        Delta("b", call=CallPart(1, "c1", "second", "{")),
        Delta(call=CallPart(0, arguments=":1}")),
        Delta(call=CallPart(1, arguments="}")),
    ):
        hearing.hear(delta)
    calls = (ToolCall("c0", "first", '{"x":1}'), ToolCall("c1", "second", "{}"))
    assert hearing.said() == Said("ab", calls)


def test_vectors_are_what_the_client_decodes_from_base64() -> None:
    data = vector_bytes(((1.0, -0.5), (0.25, 0.0)))
    assert struct.unpack("<4f", data) == (1.0, -0.5, 0.25, 0.0)
    assert base64.b64encode(vector_bytes(((1.0,),))) == b"AACAPw=="


def test_many_pieces_are_what_was_said_at_any_moment() -> None:
    hearing, words = Hearing(), [f"w{number} " for number in range(500)]
    for count, word in enumerate(words, 1):
        hearing.hear(Delta(word))
        if count % 61 == 0 or count % 64 in (0, 1, 63):
            assert hearing.said() == Said("".join(words[:count]))
    assert hearing.begun and hearing.said() == Said("".join(words))


def test_many_pieces_take_little_more_than_their_letters() -> None:
    count = 20_000
    hearing = Hearing()
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for number in range(count):
            hearing.hear(Delta(f" {number:04}"))
        held = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert held < 2 * len(hearing.said().text)
