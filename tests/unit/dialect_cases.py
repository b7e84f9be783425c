# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Reads the vectors of a dialect: what a request means, and which deltas make an answer."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from bastide.core.chat import (
    CallPart,
    Delta,
    FinishReason,
    GenerateRequest,
    Hearing,
    Message,
    Said,
    Sampling,
    Tool,
    ToolCall,
    ToolChoice,
    Usage,
)
from bastide.dialects.surface import Writer

VECTORS = Path(__file__).parent.parent / "vectors"
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
FINITE = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
INPUTS = st.dictionaries(
    st.text(max_size=5), FINITE | st.text(max_size=5) | st.lists(FINITE, max_size=3), max_size=3
)


def cases(family: str, name: str) -> list[Any]:
    rows = json.loads((VECTORS / family / f"{name}.json").read_text())["cases"]
    return [pytest.param(row, id=f"{row.get('path', '')} {row['name']}".strip()) for row in rows]


def request_of(want: dict[str, Any]) -> GenerateRequest:
    """The request that a vector describes. Turns are [role, text, calls, or what it answers]."""
    messages = tuple(
        Message(role, text, answers=more[0])
        if role == "tool"
        else Message(role, text, tuple(ToolCall(*call) for call in (more or [[]])[0]))
        for role, text, *more in want["messages"]
    )
    sampling = Sampling(**{**want["sampling"], "stop": tuple(want["sampling"]["stop"])})
    tools = tuple(
        Tool(
            row["name"],
            row["description"],
            compact(row["parameters"]),
            row.get("strict", False),
        )
        for row in want.get("tools", [])
    )
    schema = compact(want["schema"]) if "schema" in want else None
    choice = ToolChoice(*want.get("choice", ()))
    return GenerateRequest("ID", want["model"], messages, None, sampling, tools, choice, schema)


def compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def deltas_of(case: dict[str, Any]) -> list[Delta]:
    return [
        Delta(
            row.get("text", ""),
            FinishReason(row["finish"]) if "finish" in row else None,
            Usage(*row["usage"]) if "usage" in row else None,
            CallPart(*row["call"]) if "call" in row else None,
            row.get("met", ""),
        )
        for row in case["deltas"]
    ]


def calling(inputs: Sequence[dict[str, Any]], data: st.DataObject) -> list[Delta]:
    """An answer that calls a tool with each of these inputs; each is cut at any place."""
    deltas = [Delta("text")]
    for index, arguments in enumerate(inputs):
        text = json.dumps(arguments)
        cut = data.draw(st.integers(0, len(text)))
        deltas.append(Delta(call=CallPart(index, f"c{index}", "f", text[:cut])))
        deltas.append(Delta(call=CallPart(index, arguments=text[cut:])))
    return [*deltas, Delta("", FinishReason.TOOL_CALLS, Usage(1, 2))]


def said_in(deltas: Sequence[Delta]) -> Said:
    heard = Hearing()
    for delta in deltas:
        heard.hear(delta)
    return heard.said()


def stream_of(writer: Writer, deltas: Sequence[Delta]) -> bytes:
    stream = writer.first()
    for delta in deltas[:-1]:
        stream += writer.piece(delta.text) if delta.call is None else writer.call(delta.call)
    return stream + writer.last(deltas[-1])
