# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A guard policy says where it is wrong, and its guard does what it says."""

import json
import re
import weakref
from pathlib import Path
from typing import Any

import pytest

from bastide.app.guards import read_policy
from bastide.core.chat import (
    CallPart,
    Delta,
    FinishReason,
    GenerateRequest,
    Message,
    Tool,
    ToolCall,
    Usage,
)
from bastide.core.errors import Filtered, Misconfigured, Unavailable
from bastide.core.guard import GROUPS, Action, GuardPolicy
from bastide.core.limits import GUARD_CALL_CHARS_MAX, GUARD_STEP_CHARS
from bastide.detectors.guard import Guard, finish, make_kit

IBAN = "DE89 3704 0044 0532 0130 00"


def guard(value: dict[str, Any]) -> Guard:
    return Guard(make_kit(GuardPolicy.from_json(value), None), "acme", 1_700_000_000_000)


def asked(*messages: Message, schema: str | None = None, tool: str = "pay") -> GenerateRequest:
    tools = tuple(map(Tool, ("a", "b", "mail", tool)))
    rows = messages or (Message("user", "hi"),)
    return GenerateRequest("i", "m", rows, tools=tools, schema=schema)


WRONG = [
    ("[inn]\niban = 'mask'", "inn"),
    ("[in]\nibann = 'mask'", "in.ibann"),
    ("[in]\niban = 'hide'", "in.iban"),
    ("[in]\niban = true", "in.iban"),
    ("[in]\nprompt-leak = 'mask'", "in.prompt-leak"),
    ("out = 'mask'", "out"),
    ("[links]\nhosts = 'docs.eu'", "links.hosts"),
    ("[links]\nhosts = ['https://docs.eu']", "links.hosts"),
    ("[links]\nhosts = ['*']", "links.hosts"),
    ("[links]\nhost = []", "links.host"),
    ("[erasure]\nage_days_max = 'a week'", "erasure.age_days_max"),
    ("[erasure]\nage_days_max = -1", "erasure.age_days_max"),
    ("[erasure]\nstale = 'mask'", "erasure.stale"),
    ("[tools]\ncedar = 'permit(everything'", "tools.cedar"),
    ("[tools]\ncedar = 5", "tools.cedar"),
    ("[tools]\ncedar = '" + "x" * 20_000 + "'", "tools.cedar"),
    ("[in", "policy"),
]


@pytest.mark.parametrize(("text", "place"), WRONG)
def test_what_is_wrong_is_named(text: str, place: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        read_policy(text)
    assert caught.value.place == place


def test_groups_are_resolved_and_a_single_name_says_otherwise() -> None:
    policy = read_policy("[out]\niban = 'refuse'\nemail = 'off'\npersonal = 'mask'")
    assert dict(policy.outward) == {
        name: Action.REFUSE if name == "iban" else Action.MASK
        for name in GROUPS["personal"]
        if name != "email"
    }


def test_a_policy_survives_the_ledger() -> None:
    policy = read_policy(
        "[in]\nsecrets = 'refuse'\n[out]\nlink = 'mask'\n[links]\nhosts = ['Docs.eu', '*.a.eu']\n"
        "[erasure]\nage_days_max = 7\nstale = 'observe'\n"
        "[tools]\ncedar = 'permit(principal, action, resource);'"
    )
    again = GuardPolicy.from_json(json.loads(json.dumps(policy.to_json())))
    assert again == policy
    assert again.digest == policy.digest


def test_an_empty_policy_does_nothing() -> None:
    one = guard({})
    request = asked(Message("user", IBAN))
    assert one.inward(request) is request
    assert one.outward(Delta(IBAN)) == (Delta(IBAN),)
    assert one.outward(Delta("", FinishReason.STOP)) == (Delta("", FinishReason.STOP),)
    assert len(one.decisions()) == 1


def test_every_part_of_a_prompt_is_looked_at() -> None:
    one = guard({"in": {"iban": "mask"}})
    call = ToolCall("c", "pay", json.dumps({"to": [{"iban": IBAN}]}))
    rows = ("system", "user", "tool")
    messages = [Message(role, f"see {IBAN}") for role in rows]
    seen = one.inward(asked(*messages, Message("assistant", "", (call,))))
    assert [row.content for row in seen.messages[:3]] == ["see [iban]"] * 3
    assert json.loads(seen.messages[3].calls[0].arguments) == {"to": [{"iban": "[iban]"}]}
    assert one.inward(GenerateRequest("i", "m", prompt=IBAN)).prompt == "[iban]"
    assert finish(one.texts_steps((IBAN, "a"))) == ("[iban]", "a")
    assert "in:iban:mask:6" in one.decisions()


def test_a_long_prompt_is_read_in_steps_and_masked_across_them() -> None:
    one = guard({"in": {"iban": "mask"}})
    text = "a " * 2_040 + IBAN + " b" * 10_000
    steps = one.inward_steps(asked(Message("user", text)))
    assert sum(1 for _ in steps) == -(-len(text) // GUARD_STEP_CHARS)
    assert one.inward(asked(Message("user", text))).messages[0].content == text.replace(
        IBAN, "[iban]"
    )


@pytest.mark.attacks("C88")
def test_a_refusal_names_the_detector_and_not_what_it_found() -> None:
    one = guard({"in": {"iban": "refuse"}})
    with pytest.raises(Filtered) as caught:
        one.inward(asked(Message("user", IBAN)))
    assert "iban" in caught.value.message
    assert "3704" not in repr(caught.value) + repr(one.decisions())


def test_counts_so_far_go_on_while_text_is_held_back() -> None:
    one = guard({"out": {"iban": "mask"}})
    one.inward(asked())
    assert one.outward(Delta("DE89", usage=Usage(1, 1))) == (Delta("", usage=Usage(1, 1)),)
    assert one.outward(Delta("!", usage=Usage(1, 2))) == (Delta("DE89!", usage=Usage(1, 2)),)


def test_after_a_refusal_nothing_follows() -> None:
    one = guard({"out": {"iban": "refuse"}})
    one.inward(asked())
    out = one.outward(Delta(f"a {IBAN}.", usage=Usage(1, 5)))
    assert out == (Delta("a "), Delta("", FinishReason.FILTERED, Usage(1, 5)))
    assert one.outward(Delta("more")) == ()
    assert one.outward(Delta("", FinishReason.STOP)) == ()


def test_a_tool_call_comes_whole_and_filtered() -> None:
    one = guard({"out": {"iban": "mask", "card": "mask"}})
    one.inward(asked())
    arguments = json.dumps({"to": IBAN, "card": 4111111111111111, "n": 5, "b": True})
    assert one.outward(Delta(call=CallPart(0, "c1", "pay"))) == ()
    for letter in arguments:
        assert one.outward(Delta(call=CallPart(0, arguments=letter))) == ()
    call, end = one.outward(Delta("", FinishReason.TOOL_CALLS, Usage(1, 9)))
    assert call.call is not None
    assert (call.call.ident, call.call.name) == ("c1", "pay")
    made = json.loads(call.call.arguments)
    assert made == {"to": "[iban]", "card": "[card]", "n": 5, "b": True}
    assert end == Delta("", FinishReason.TOOL_CALLS, Usage(1, 9))


def test_arguments_that_are_no_json_are_filtered_as_text() -> None:
    one = guard({"out": {"iban": "mask"}})
    one.inward(asked())
    one.outward(Delta(call=CallPart(0, "c1", "pay", "{to: " + IBAN)))
    call, _ = one.outward(Delta("", FinishReason.TOOL_CALLS))
    assert call.call is not None
    assert call.call.arguments == "{to: [iban]"


def test_several_calls_keep_their_order_and_places() -> None:
    one = guard({"out": {"iban": "mask"}})
    one.inward(asked())
    first = one.outward(Delta("So: "))
    assert first == (Delta("So: "),)
    assert one.outward(Delta(call=CallPart(0, "c1", "a", "{}"))) == ()
    assert one.outward(Delta(call=CallPart(1, "c2", "b", "{}"))) == (
        Delta(call=CallPart(0, "c1", "a", "{}")),
    )
    out = one.outward(Delta("", FinishReason.TOOL_CALLS))
    assert out[0] == Delta(call=CallPart(1, "c2", "b", "{}"))


@pytest.mark.attacks("C90")
def test_a_call_without_end_is_refused() -> None:
    one = guard({"out": {"iban": "mask"}})
    one.inward(asked())
    out = one.outward(Delta(call=CallPart(0, "c1", "a", "x" * (GUARD_CALL_CHARS_MAX + 1))))
    assert [row.finish for row in out] == [FinishReason.FILTERED]


@pytest.mark.parametrize("arguments", ["[" * 50_000, '{"a": ' * 5_000])
def test_hostile_arguments_are_text(arguments: str) -> None:
    one = guard(
        {"out": {"iban": "mask"}, "tools": {"cedar": "permit(principal, action, resource);"}}
    )
    one.inward(asked())
    one.outward(Delta(call=CallPart(0, "c1", "a", arguments)))
    assert one.outward(Delta("", FinishReason.TOOL_CALLS))[-1].finish is FinishReason.FILTERED


@pytest.mark.attacks("C87")
@pytest.mark.parametrize("name", ['x"; permit', "", "näme", "a b", "x" * 200])
def test_a_tool_name_cannot_leave_its_quotes(name: str) -> None:
    one = guard({"tools": {"cedar": "permit(principal, action, resource);"}})
    one.inward(asked(tool=name))
    one.outward(Delta(call=CallPart(0, "c1", name, "{}")))
    assert one.outward(Delta("", FinishReason.TOOL_CALLS))[-1].finish is FinishReason.FILTERED


def test_a_rule_can_ask_for_no_tool_result_at_all() -> None:
    rules = "permit(principal, action, resource) unless { context.tool_results };"
    for messages, allowed in (
        ((Message("user", "hi"),), True),
        ((Message("user", "hi"), Message("tool", "nothing of it", answers="c0")), False),
    ):
        one = guard({"tools": {"cedar": rules}})
        one.inward(asked(*messages))
        one.outward(Delta(call=CallPart(0, "c1", "mail", '{"to": "bob"}')))
        finish = one.outward(Delta("", FinishReason.TOOL_CALLS))[-1].finish
        assert finish is (FinishReason.TOOL_CALLS if allowed else FinishReason.FILTERED)


def test_without_a_list_an_erasing_policy_refuses() -> None:
    one = guard({"out": {"erasure": "mask"}})
    with pytest.raises(Unavailable):
        one.inward(asked())
    assert "erasure-list:none:stale" in one.decisions()


def test_a_call_of_a_tool_that_was_not_given_is_refused() -> None:
    """Its name could say anything."""
    one = guard({"out": {"iban": "mask"}})
    one.inward(asked())
    one.outward(Delta(call=CallPart(0, "c1", "Anna_Schmidt", "{}")))
    assert one.outward(Delta("", FinishReason.TOOL_CALLS))[-1].finish is FinishReason.FILTERED


def test_text_after_a_refused_call_does_not_go_on() -> None:
    one = guard({"out": {"iban": "mask"}})
    one.inward(asked())
    one.outward(Delta(call=CallPart(0, "c1", "strange", "{}")))
    assert one.outward(Delta("more")) == (Delta("", FinishReason.FILTERED),)
    assert one.outward(Delta("and more")) == ()


def test_escapes_hide_nothing_in_an_answer_by_a_schema() -> None:
    one = guard({"out": {"iban": "mask"}})
    one.inward(asked(schema='{"type": "object"}'))
    hidden = '{"to": "' + IBAN.replace("D", "\\u0044") + '"}'
    assert IBAN not in hidden
    for letter in hidden:
        assert one.outward(Delta(letter, usage=Usage(1, 1))) == (Delta("", usage=Usage(1, 1)),)
    said, end = one.outward(Delta("", FinishReason.STOP, Usage(1, 9)))
    assert json.loads(said.text) == {"to": "[iban]"}
    assert end == Delta("", FinishReason.STOP, Usage(1, 9))


def test_an_answer_by_a_schema_is_refused_whole() -> None:
    one = guard({"out": {"iban": "refuse"}})
    one.inward(asked(schema="{}"))
    one.outward(Delta(json.dumps({"a": IBAN})))
    assert one.outward(Delta("", FinishReason.STOP)) == (Delta("", FinishReason.FILTERED),)


def test_the_documented_policy_is_one() -> None:
    page = (Path(__file__).parents[2] / "docs/reference/guard.md").read_text()
    blocks = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 3
    first, *rest = (read_policy(block) for block in blocks)
    assert not any(action is Action.REFUSE for _, action in (*first.inward, *first.outward))
    assert rest[0] == GuardPolicy()
    assert "delete_file" in rest[1].tool_rules


def test_what_was_observed_until_an_answer_broke_off_is_counted() -> None:
    """Observing waits for more text; who asks what was found does not."""
    one = guard({"out": {"iban": "observe"}})
    one.inward(asked())
    for piece in ("Pay to ", IBAN, " now, or to ", IBAN[:9]):
        assert one.outward(Delta(piece)) == (Delta(piece),)
    assert one.decisions()[1:] == ("out:iban:observe:1",)
    one.outward(Delta(IBAN[9:]))
    assert one.decisions()[1:] == ("out:iban:observe:1",)  # a longer number is none
    assert one.outward(Delta(".", FinishReason.STOP))[-1].finish is FinishReason.STOP
    assert one.decisions()[1:] == ("out:iban:observe:2",)


def test_a_prompt_of_many_short_messages_is_read_in_turns_too() -> None:
    one = guard({"in": {"iban": "mask"}})
    rows = tuple(Message("user", "word " * 100) for _ in range(100))
    assert sum(1 for _ in one.inward_steps(asked(*rows))) == 50_000 // GUARD_STEP_CHARS


@pytest.mark.parametrize("more", ["", "word " * 1_000, "word " * 20_000])
def test_what_was_observed_in_a_prompt_that_is_refused_is_counted(more: str) -> None:
    one = guard({"in": {"iban": "refuse", "email": "observe"}})
    with pytest.raises(Filtered):
        one.inward(asked(Message("user", f"From anna@firma.eu to {IBAN}. {more}")))
    assert one.decisions()[1:] == ("in:email:observe:1", "in:iban:refuse:1")


def test_a_prompt_without_tools_is_not_kept_while_its_answer_waits() -> None:
    """Broken once to prove it: with the request kept as it is, the text stays.

    Thousands of streams wait at once, and each prompt may be long.
    """

    class Text(str):
        """One that can be looked for."""

    held = guard({"in": {"secrets": "mask"}, "out": {"secrets": "mask"}})
    text = Text("Which town has a wall?")
    gone = weakref.ref(text)
    assert held.inward(GenerateRequest("i", "m", (Message("user", text),))).messages
    del text
    assert gone() is None
