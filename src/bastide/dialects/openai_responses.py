# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""OpenAI responses: ``POST /v1/responses``, and the tokens that one would have.

Nothing is kept: an answer says ``"store": false`` whatever was asked, and what would need an
earlier answer (`previous_response_id`, `conversation`) is refused by name. Tools that OpenAI's
servers would run are refused by name too.
"""

from operator import attrgetter
from typing import Any, Final, Never
from urllib.parse import unquote

import msgspec

from bastide.core.chat import GenerateRequest, Tool
from bastide.core.errors import Misconfigured, NotFound
from bastide.dialects.json_schema import ANY_OBJECT
from bastide.dialects.openai_fields import (
    ABSENT,
    decode_body,
    model_name,
    refuse_unsupported,
    sampling,
    tokens_max,
)
from bastide.dialects.openai_responses_input import Item, messages_of
from bastide.dialects.openai_responses_writer import ResponseAsked, ResponseWriter
from bastide.dialects.openai_tools import (
    Choice,
    Format,
    Function,
    choice_of,
    format_schema,
    function_tool,
    listed,
    unsupported,
)
from bastide.dialects.surface import Count, Deny, Generate, Route

__all__ = ["RESPONSE_NOT_FOUND", "ROOT", "decode", "route"]

ROOT: Final = "/v1/responses"
RESPONSE_NOT_FOUND: Final = "response_not_found"
_SHOWN_MAX: Final = 64

# Fields that would change the answer, with the values that ask for nothing.
_UNSUPPORTED: Final[dict[str, tuple[Any, ...]]] = {
    "background": (False,),
    "context_management": ([],),
    "conversation": (),
    "image": (),
    "moderation": (),
    "previous_response_id": (),
    "prompt": (),
    "top_logprobs": (0,),
    "truncation": ("disabled",),
}
_NAMES = tuple(_UNSUPPORTED)
_unsupported_of = attrgetter(*_NAMES)
_ALL_ABSENT = (ABSENT,) * len(_NAMES)
_NOT_KEPT: Final = ("previous_response_id", "conversation")
_LOGPROBS: Final = "message.output_text.logprobs"  # the one thing to `include` that we could have
_NO_EFFORT: Final = (None, "none")
_encode = msgspec.json.Encoder().encode


class _Tool(Function):
    type: str | None = None


class _Text(msgspec.Struct):
    format: Format | None = None
    verbosity: str | None = None


class _Reasoning(msgspec.Struct):
    effort: str | None = None


class _Body(msgspec.Struct, kw_only=True):
    model: str | None = None
    input: str | list[Item] | None = None
    instructions: str | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stream: bool | None = None
    tools: list[_Tool] | None = None
    tool_choice: str | Choice | None = None
    parallel_tool_calls: bool | None = None
    text: _Text | None = None
    reasoning: _Reasoning | None = None
    include: list[str] | None = None
    metadata: dict[str, str] | None = None
    background: msgspec.Raw = ABSENT
    context_management: msgspec.Raw = ABSENT
    conversation: msgspec.Raw = ABSENT
    image: msgspec.Raw = ABSENT
    moderation: msgspec.Raw = ABSENT
    previous_response_id: msgspec.Raw = ABSENT
    prompt: msgspec.Raw = ABSENT
    top_logprobs: msgspec.Raw = ABSENT
    truncation: msgspec.Raw = ABSENT


_decoder = msgspec.json.Decoder(_Body)


def decode(body: bytes, ident: str) -> ResponseAsked:
    """Read a request. Raises Misconfigured; its `place` is the API's `param`."""
    given = decode_body(_decoder, body)
    _refuse(given)
    tools = listed(given.tools or (), _tool, "tools")
    usable, choice = choice_of(given.tool_choice, given.parallel_tool_calls, tools)
    text = given.text or _Text()
    drawn = sampling(
        tokens=tokens_max("max_output_tokens", given.max_output_tokens),
        temperature=given.temperature,
        top_p=given.top_p,
        seed=None,
        stop=None,
        frequency_penalty=None,
        presence_penalty=None,
    )
    request = GenerateRequest(
        ident,
        model_name(given.model),
        messages_of(given.instructions, given.input),
        None,
        drawn,
        usable,
        choice,
        format_schema(text.format, "text.format"),
    )
    return ResponseAsked(request, bool(given.stream), True, _echo(given, tools, request.schema))


def route(path: str) -> Route | None:
    """What a request at or below ``/v1/responses`` asks for; None if it is not there."""
    if path == ROOT:
        return _CREATE
    if path == f"{ROOT}/input_tokens":
        return _COUNT
    if not path.startswith(f"{ROOT}/"):
        return None
    name = unquote(path.removeprefix(f"{ROOT}/").partition("/")[0])[:_SHOWN_MAX]

    def refuse(body: bytes, ident: str) -> Never:
        raise NotFound(
            f"Response with id '{name}' not found: no response is kept here.",
            reasons=[RESPONSE_NOT_FOUND],
            place="id",
        )

    return Route(("GET", "HEAD", "DELETE", "POST"), Deny(refuse))


def _refuse(given: _Body) -> None:
    extras = _unsupported_of(given)
    if extras != _ALL_ABSENT:
        fields = dict(zip(_NAMES, extras, strict=True))
        try:
            refuse_unsupported(fields, _UNSUPPORTED)
        except Misconfigured as error:
            if not set(error.reasons) & set(_NOT_KEPT):
                raise
            raise Misconfigured(
                f"{error.message} No response is kept here: send its items again in 'input'.",
                reasons=error.reasons,
                place=error.place,
            ) from error
    if given.reasoning is not None and given.reasoning.effort not in _NO_EFFORT:
        unsupported("reasoning.effort", "this model has no levels of effort")
    if given.text is not None and given.text.verbosity not in (None, "medium"):
        unsupported("text.verbosity", "this model has no levels of verbosity")
    if _LOGPROBS in (given.include or ()):
        unsupported("include", f"'{_LOGPROBS}' is not there")


def _tool(given: _Tool, place: str) -> Tool:
    if given.type != "function":
        kind = (given.type or "")[:_SHOWN_MAX]
        unsupported(f"{place}.type", f"'{kind}' is a tool that nobody runs here, use 'function'")
    return function_tool(given, place, strict=True)  # the default of this API, not of chats


def _echo(given: _Body, tools: tuple[Tool, ...], schema: str | None) -> dict[str, Any]:
    """What an answer repeats of its request: what was read, never bytes that nobody checked."""
    return {
        "instructions": given.instructions,
        "max_output_tokens": given.max_output_tokens,
        "metadata": given.metadata or {},
        "parallel_tool_calls": given.parallel_tool_calls is not False,
        "temperature": given.temperature,
        "text": {"format": _format_json(given.text, schema), "verbosity": "medium"},
        "tool_choice": _choice_json(given.tool_choice),
        "tools": [
            {
                "type": "function",
                "name": tool.name,
                "description": tool.description or None,
                "parameters": msgspec.Raw(tool.parameters.encode()),
                "strict": tool.strict,
            }
            for tool in tools
        ],
        "top_p": given.top_p,
    }


def _format_json(given: _Text | None, schema: str | None) -> dict[str, Any]:
    form = given.format if given is not None else None
    if form is None or form.type != "json_schema":
        return {"type": "text" if form is None else form.type}
    return {
        "type": form.type,
        "name": form.name,
        "description": form.description,
        "schema": msgspec.Raw((schema or ANY_OBJECT).encode()),
        "strict": form.strict,
    }


def _choice_json(given: str | Choice | None) -> Any:
    if given is None or isinstance(given, str):
        return given or "auto"
    shown = msgspec.to_builtins(given)
    return {**shown, "mode": given.mode} if given.type == "allowed_tools" else shown


def _count_json(tokens: int) -> bytes:
    return _encode({"object": "response.input_tokens", "input_tokens": tokens})


_CREATE: Final = Route(("POST",), Generate(decode, ResponseWriter, failing=ResponseWriter.failed))
_COUNT: Final = Route(
    ("POST",), Count(lambda body, ident: decode(body, ident).request, _count_json)
)
