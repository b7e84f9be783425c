# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What is said to OpenVINO's process, and how its answers are read: one line of JSON each.

A request has an ``op``: ``generate``, ``count``, ``next`` or ``health``. An answer's lines are
``{text, prompt, made}``, the last ``{finish, prompt, made}``; of the others, ``{count}`` or
``{tokens}``. ``{error, kind}`` ends any of them.
"""

from typing import Annotated, Any

import msgspec

from bastide.adapters.engine.saying import printable
from bastide.core.chat import Delta, FinishReason, GenerateRequest, Sampling, TokenChoice, Usage
from bastide.core.errors import BastideError, Misconfigured, TooLong, Unavailable
from bastide.core.limits import ENGINE_REPLY_BYTES_MAX

__all__ = [
    "HEALTH",
    "Line",
    "choices",
    "decode",
    "delta",
    "encode_next_tokens",
    "encode_request",
]

_COUNT_MAX = 1_024  # likeliest tokens
# What a receipt states, so it must be a number that a receipt can hold.
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**31)]
_Text = Annotated[str, msgspec.Meta(max_length=ENGINE_REPLY_BYTES_MAX)]


class Line(msgspec.Struct):
    """One line of an answer."""

    text: _Text = ""
    finish: str | None = None
    met: _Text = ""  # the stop sequence that ended it
    prompt: _Count = 0
    made: _Count = 0
    count: _Count = 0
    tokens: list[tuple[str, float]] = []
    error: str | None = None
    kind: str = "failed"


_lines = msgspec.json.Decoder(Line)
_encode = msgspec.json.Encoder().encode
HEALTH = b'{"op":"health"}\n'


def encode_request(request: GenerateRequest, op: str) -> bytes:
    """The line of a request. Raises Misconfigured if it asks for nothing, or for what cannot be."""
    body: dict[str, Any] = {"op": op}
    if request.prompt is not None and not request.messages:
        body["prompt"] = request.prompt
    elif request.prompt is None and request.messages:
        body["turns"] = [{"role": turn.role, "content": turn.content} for turn in request.messages]
    else:
        raise Misconfigured("a request needs either messages or a prompt")
    if request.schema is not None:
        _verify_schema(msgspec.json.decode(request.schema))
        body["schema"] = request.schema
    return _encode(body | _sampling(request.sampling)) + b"\n"


def encode_next_tokens(prompt: str, count: int) -> bytes:
    """The line that asks for the likeliest next tokens."""
    if not 1 <= count <= _COUNT_MAX or not prompt:
        raise Misconfigured(f"the next tokens need a prompt, and a count from 1 to {_COUNT_MAX}")
    return _encode({"op": "next", "prompt": prompt, "count": count}) + b"\n"


def decode(line: bytes, context_tokens: int) -> Line:
    """Read a line. Raises what the engine reports, or Unavailable if it is odd."""
    try:
        read = _lines.decode(line)
    except msgspec.DecodeError as error:
        raise Unavailable("the engine's answer is malformed") from error
    if read.error is not None:
        raise _failure(read, context_tokens)
    return read


def delta(line: Line) -> Delta:
    """A piece of an answer."""
    usage = Usage(line.prompt, line.made)
    if line.finish is None:
        return Delta(line.text, usage=usage)
    reason = FinishReason.LENGTH if line.finish == "length" else FinishReason.STOP
    return Delta("", reason, usage, met=line.met if reason is FinishReason.STOP else "")


def choices(line: Line, count: int) -> list[TokenChoice]:
    """The likeliest tokens, likeliest first."""
    return [TokenChoice(text, logprob) for text, logprob in line.tokens[:count]]


def _failure(line: Line, context_tokens: int) -> BastideError:
    said = printable(line.error or "")
    if line.kind == "too_long":
        return TooLong(
            f"the prompt has {line.count} tokens, but the context of the deployment holds "
            f"{context_tokens}",
            fix="shorten the prompt, or deploy with more context tokens",
        )
    if line.kind == "refused":
        return Misconfigured(f"the engine refuses the request: {said}")
    return Unavailable(f"the engine failed: {said}")


def _verify_schema(value: Any) -> None:
    # Of several alternatives that must all hold the library takes none, and only logs it.
    if isinstance(value, dict):
        if isinstance(every := value.get("allOf"), list) and len(every) > 1:
            raise Misconfigured(
                "the engine openvino cannot bind an answer by 'allOf' of more than one schema",
                fix="join them into one schema",
            )
        # A short one can take minutes to compile, on the one thread that answers everybody.
        if isinstance(value.get("pattern"), str):
            raise Misconfigured(
                "the engine openvino cannot bind an answer by a 'pattern'",
                fix="use 'enum', or deploy on the engine llamacpp",
            )
        value = list(value.values())
    if isinstance(value, list):
        for row in value:
            _verify_schema(row)


def _sampling(sampling: Sampling) -> dict[str, Any]:
    body = {
        "max_tokens": sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "seed": None if sampling.seed is None else sampling.seed % 2**32,
        "frequency_penalty": sampling.frequency_penalty,
        "presence_penalty": sampling.presence_penalty,
        "stop": list(sampling.stop) or None,
        "top_k": sampling.top_k,
    }
    return {name: value for name, value in body.items() if value is not None}
