# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Tools as text: what an engine's text means does not depend on how it is cut into pieces."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bastide.core.chat import (
    ChoiceMode,
    Delta,
    FinishReason,
    GenerateRequest,
    Hearing,
    Message,
    Said,
    Tool,
    ToolCall,
    ToolChoice,
    Usage,
)
from bastide.core.errors import Misconfigured
from bastide.core.limits import SCHEMA_BYTES_MAX, SCHEMA_DEPTH_MAX, SCHEMA_REPEATS_MAX
from bastide.dialects.json_schema import schema_text
from bastide.dialects.tool_prompt import as_text

TOOLS = (Tool("weather", "of a city", '{"type":"object"}'), Tool("time"))
TURNS = (Message("system", "Be brief."), Message("user", "How warm is it?"))
ANY = ToolChoice(ChoiceMode.REQUIRED)


AUTO = ToolChoice()


def request(tools=TOOLS, choice=AUTO, messages=TURNS) -> GenerateRequest:
    return GenerateRequest("ID", "m", messages, tools=tools, choice=choice)


def heard(asked: GenerateRequest, text: str, cuts: list[int], finish=FinishReason.STOP):
    _, reading = as_text(asked)
    assert reading is not None
    places = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    hearing = Hearing()
    deltas: list[Delta] = []
    for start, end in pairwise(places):
        deltas += reading.read(text[start:end], Usage(5, start))
    deltas += reading.end(Delta("", finish, Usage(5, len(text))))
    for delta in deltas:
        hearing.hear(delta)
    assert all(delta.finish is None for delta in deltas[:-1])
    return hearing.said(), deltas[-1]


cuts = st.lists(st.integers(0, 400), max_size=30)
CALL = '<tool_call>\n{"name": "weather", "arguments": {"city": "<b>"}}\n</tool_call>'


@pytest.mark.parametrize(
    ("text", "spoken", "called"),
    [
        ("It is warm.", "It is warm.", []),
        (CALL, "", ["weather"]),
        ("Let me see. " + CALL, "Let me see. ", ["weather"]),
        (CALL + "\n" + CALL, "", ["weather", "weather"]),
        ("a < b <tool_ca", "a < b <tool_ca", []),
        (CALL.removesuffix("</tool_call>"), "", ["weather"]),
        (CALL.replace("weather", "rm -rf"), CALL.replace("weather", "rm -rf"), []),
        ("<tool_call>no JSON</tool_call>", "<tool_call>no JSON</tool_call>", []),
        ("<tool_call>[1]</tool_call>", "<tool_call>[1]</tool_call>", []),
    ],
)
@given(cuts)
def test_free_text_means_the_same_however_it_is_cut(text, spoken, called, cuts):
    said, last = heard(request(), text, cuts)
    assert said.text == spoken
    assert [call.name for call in said.calls] == called
    assert all(json.loads(call.arguments) == {"city": "<b>"} for call in said.calls)
    assert len({call.ident for call in said.calls}) == len(called)
    assert last.finish is (FinishReason.TOOL_CALLS if called else FinishReason.STOP)


@given(cuts)
def test_who_asks_for_one_call_gets_one(cuts):
    asked = request(choice=ToolChoice(parallel=False))
    said, last = heard(asked, f"One. {CALL}\n{CALL} Two.", cuts)
    assert [call.name for call in said.calls] == ["weather"]
    assert (said.text.split(), last.finish) == (["One.", "Two."], FinishReason.TOOL_CALLS)


@given(st.dictionaries(st.text(), st.text() | st.integers() | st.none()), cuts, st.booleans())
def test_a_forced_call_keeps_its_arguments_however_it_is_cut(arguments, cuts, one):
    text = json.dumps(arguments, ensure_ascii=False, indent=2)
    if one:
        said, last = heard(request(choice=ToolChoice(ChoiceMode.REQUIRED, "time")), text, cuts)
    else:
        whole = f'{{ "name": "time",\n "arguments": {text} }}\n'
        said, last = heard(request(choice=ANY), whole, cuts)
    (call,) = said.calls
    assert (call.name, call.arguments, said.text) == ("time", text, "")
    assert last.finish is FinishReason.TOOL_CALLS


@given(cuts)
def test_a_forced_call_that_is_cut_short_keeps_what_there_is(cuts):
    said, last = heard(request(choice=ANY), '{"name": "time", "arguments": {"a": {"b": 1}}',
                       cuts, FinishReason.LENGTH)  # fmt: skip
    assert said.calls[0].arguments == '{"a": {"b": 1}}'
    assert last.finish is FinishReason.LENGTH
    said, last = heard(request(choice=ANY), '{"name": "ti', cuts, FinishReason.LENGTH)
    assert said == Said() and last.finish is FinishReason.LENGTH


def test_the_engine_is_told_of_the_tools_and_nothing_else_changes():
    plain, reading = as_text(request())
    assert reading is not None and plain.tools == () and plain.schema is None
    system, user = plain.messages
    assert user == TURNS[1] and system.role == "system"
    assert system.content.startswith("Be brief.") and '"name": "weather"' in system.content
    assert as_text(request(messages=TURNS[1:]))[0].messages[0].role == "system"
    assert as_text(request(choice=ToolChoice(ChoiceMode.NONE)))[1] is None
    assert as_text(request(tools=()))[0].messages == TURNS


def test_a_forced_call_is_bound_by_a_schema():
    plain, _ = as_text(request(choice=ToolChoice(ChoiceMode.REQUIRED, "weather")))
    assert plain.schema == '{"type":"object"}'
    moved = Tool("far", "", '{"type":"object","properties":{"a":{"$ref":"#/$defs/b"}}}')
    plain, _ = as_text(request(tools=(*TOOLS, moved), choice=ANY))
    schema = json.loads(plain.schema or "")
    assert [row["properties"]["name"]["const"] for row in schema["anyOf"]] == [
        "weather", "time", "far",
    ]  # fmt: skip
    assert schema["$defs"]["tool2"]["properties"]["a"]["$ref"] == "#/$defs/tool2/$defs/b"


CITY = '{"type":"object","properties":{"city":{"$ref":"#/$defs/c"}},"$defs":{"c":{}}}'
STRICT = (*TOOLS, Tool("far", "", CITY, strict=True))


def test_a_choice_is_bound_where_a_tool_is_strict_or_the_answer_has_a_schema():
    for asked in (request(tools=STRICT), replace(request(), schema=CITY)):
        plain, _ = as_text(asked)
        schema = json.loads(plain.schema or "")
        *calls, answer = schema["anyOf"]
        assert [set(row["properties"]) for row in calls] == [{"name", "arguments"}] * len(calls)
        assert len(calls) == len(asked.tools) and answer["required"] == ["answer"]
        told = plain.messages[0].content
        assert '"answer"' in told and "<tool_call>" not in told
    refer = schema["$defs"]["answer"]["properties"]["city"]["$ref"]
    assert refer == "#/$defs/answer/$defs/c"
    assert as_text(request())[0].schema is None
    assert as_text(replace(request(choice=ANY), schema=CITY))[0].schema != CITY


@given(st.text(), cuts, st.booleans())
def test_a_text_under_a_schema_means_the_same_however_it_is_cut(text, cuts, escaped):
    whole = f' {{ "answer":  {json.dumps(text, ensure_ascii=escaped)}\n}} '
    said, last = heard(request(tools=STRICT), whole, cuts)
    assert (said, last.finish) == (Said(text), FinishReason.STOP)


@given(st.dictionaries(st.text(), st.text() | st.integers() | st.none()), cuts)
def test_an_answer_by_a_schema_means_the_same_however_it_is_cut(value, cuts):
    text = json.dumps({"a": value}, ensure_ascii=False, indent=2)
    said, _ = heard(replace(request(), schema=CITY), f'{{"answer": {text} }}\n', cuts)
    assert said == Said(text)


@given(cuts)
def test_a_call_under_a_schema_is_a_call(cuts):
    whole = '{"name": "far", "arguments": {"city": "}"} }'
    said, last = heard(request(tools=STRICT), whole, cuts)
    assert [(call.name, call.arguments) for call in said.calls] == [("far", '{"city": "}"}')]
    assert (said.text, last.finish) == ("", FinishReason.TOOL_CALLS)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"ans', ""),
        ('{"answer": ', ""),
        ('{"answer": "a \\ud83d\\ude00 b \\ud83d', "a \U0001f600 b "),
        ('{"answer": "x\\', "x"),
        ('{"answer": "\\ud83d!"}', "\ufffd!"),
    ],
)
@given(cuts)
def test_a_text_that_is_cut_short_is_given_as_far_as_it_came(text, said, cuts):
    heard_, last = heard(request(tools=STRICT), text, cuts, FinishReason.LENGTH)
    assert (heard_, last.finish) == (Said(said), FinishReason.LENGTH)
    asked = replace(request(), schema=CITY)
    assert heard(asked, '{"answer": {"a": {}', cuts, FinishReason.LENGTH)[0].text == '{"a": {}'


def test_calls_and_results_of_earlier_turns_become_text():
    turns = (
        *TURNS,
        Message("assistant", "Let me see.", (ToolCall("c1", "weather", '{"city": "Paris"}'),)),
        Message("tool", "18 degrees", answers="c1"),
    )
    plain, _ = as_text(request(tools=(), messages=turns))
    assert plain.messages[2].content == (
        "Let me see.\n<tool_call>\n"
        '{"name": "weather", "arguments": {"city": "Paris"}}\n</tool_call>'
    )
    assert plain.messages[3] == Message("user", "<tool_response>\n18 degrees\n</tool_response>")
    assert all(message.calls == () for message in plain.messages)


@pytest.mark.parametrize(
    ("given_schema", "why"),
    [
        (b"[]", "object"),
        (b"{", "JSON"),
        (b'{"$ref": "https://example.org/schema"}', "ref"),
        (b'{"properties": {"a": {"$ref": "file:///etc/passwd"}}}', "ref"),
        (b'{"maxLength": %d}' % (SCHEMA_REPEATS_MAX + 1), "maxLength"),
        (b'{"items":' * SCHEMA_DEPTH_MAX + b"{}" + b"}" * SCHEMA_DEPTH_MAX, "nested"),
        (b'{"a":"' + b"x" * SCHEMA_BYTES_MAX + b'"}', "bytes"),
    ],
)
def test_a_schema_that_could_do_harm_is_refused(given_schema, why):
    with pytest.raises(Misconfigured, match=why) as caught:
        schema_text(given_schema, "response_format.json_schema")
    assert caught.value.place == "response_format.json_schema"


def test_data_in_a_schema_is_not_taken_for_keywords():
    text = '{"enum":[{"$ref":"https://example.org","maxLength":99999}]}'
    assert json.loads(schema_text(text.encode(), "x")) == json.loads(text)
