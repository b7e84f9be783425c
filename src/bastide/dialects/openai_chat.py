# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""OpenAI chat completions: ``POST /v1/chat/completions``.

The fields that only Mistral's API has are read or refused here too: its clients use this route.
The vectors in tests/vectors/openai/ are the specification by example.
"""

from operator import attrgetter
from typing import Any, Final

import msgspec

from bastide.core.chat import ChoiceMode, GenerateRequest, Tool, ToolChoice
from bastide.dialects.openai_chat_writer import ChatWriter, FunctionsAsked
from bastide.dialects.openai_fields import (
    ABSENT,
    StreamOptions,
    decode_body,
    model_name,
    one_of,
    refuse_unsupported,
    sampling,
    tokens_max,
    wants_usage,
)
from bastide.dialects.openai_tools import (
    Choice,
    Format,
    Function,
    NamedFunction,
    Offered,
    among,
    choice_of,
    format_schema,
    function_tool,
    listed,
    missing,
    tools_of,
    wrong,
)
from bastide.dialects.openai_turns import Turn, messages_of
from bastide.dialects.surface import Asked

__all__ = ["ChatWriter", "decode"]

# Fields that would change the answer, with the values that ask for nothing.
_UNSUPPORTED: Final[dict[str, tuple[Any, ...]]] = {
    "audio": (),
    "chat_template": (),
    "chat_template_kwargs": ({},),
    "data_sources": ([],),
    "grammar": ("",),
    "guardrails": ([],),
    "guided_choice": (),
    "guided_grammar": (),
    "guided_json": (),
    "guided_regex": (),
    "json_schema": (),
    "logit_bias": ({},),
    "logprobs": (False,),
    "min_p": (0, 0.0),
    "min_tokens": (0,),
    "modalities": (["text"],),
    "moderation": (),
    "n": (1,),
    "prediction": (),
    "prompt_logprobs": (False,),
    "prompt_mode": (),
    "reasoning_effort": ("none",),
    "repetition_penalty": (1, 1.0),
    "safe_prompt": (False,),
    "structured_outputs": (),
    "top_logprobs": (0,),
    "top_prompt_logprobs": (0,),
    "verbosity": ("medium",),
    "web_search_options": (),
}
_NAMES = tuple(_UNSUPPORTED)
_unsupported_of = attrgetter(*_NAMES)
_ALL_ABSENT = (ABSENT,) * len(_NAMES)


class _Body(msgspec.Struct, kw_only=True):
    model: str | None = None
    messages: list[Turn] | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    random_seed: int | None = None
    stop: str | list[str] | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    top_k: int | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    tools: list[Offered] | None = None
    tool_choice: str | Choice | None = None
    parallel_tool_calls: bool | None = None
    functions: list[Function] | None = None
    function_call: str | NamedFunction | None = None
    response_format: Format | None = None
    audio: msgspec.Raw = ABSENT
    chat_template: msgspec.Raw = ABSENT
    chat_template_kwargs: msgspec.Raw = ABSENT
    data_sources: msgspec.Raw = ABSENT
    grammar: msgspec.Raw = ABSENT
    guardrails: msgspec.Raw = ABSENT
    guided_choice: msgspec.Raw = ABSENT
    guided_grammar: msgspec.Raw = ABSENT
    guided_json: msgspec.Raw = ABSENT
    guided_regex: msgspec.Raw = ABSENT
    json_schema: msgspec.Raw = ABSENT
    logit_bias: msgspec.Raw = ABSENT
    logprobs: msgspec.Raw = ABSENT
    min_p: msgspec.Raw = ABSENT
    min_tokens: msgspec.Raw = ABSENT
    modalities: msgspec.Raw = ABSENT
    moderation: msgspec.Raw = ABSENT
    n: msgspec.Raw = ABSENT
    prediction: msgspec.Raw = ABSENT
    prompt_logprobs: msgspec.Raw = ABSENT
    prompt_mode: msgspec.Raw = ABSENT
    reasoning_effort: msgspec.Raw = ABSENT
    repetition_penalty: msgspec.Raw = ABSENT
    safe_prompt: msgspec.Raw = ABSENT
    structured_outputs: msgspec.Raw = ABSENT
    top_logprobs: msgspec.Raw = ABSENT
    top_prompt_logprobs: msgspec.Raw = ABSENT
    verbosity: msgspec.Raw = ABSENT
    web_search_options: msgspec.Raw = ABSENT


_decoder = msgspec.json.Decoder(_Body)
_ANY_CALL, _ONE_CALL = ToolChoice(), ToolChoice(parallel=False)  # where there is nothing to call


def decode(body: bytes, ident: str, model: str | None = None) -> Asked:
    """Read a request. Raises Misconfigured; its `place` is the API's `param`.

    `model` is what the path names; then the body's is ignored.
    """
    given = decode_body(_decoder, body)
    unsupported = _unsupported_of(given)
    if unsupported != _ALL_ABSENT:
        refuse_unsupported(dict(zip(_NAMES, unsupported, strict=True)), _UNSUPPORTED)
    name, tokens = one_of(
        ("max_tokens", given.max_tokens), ("max_completion_tokens", given.max_completion_tokens)
    )
    _, seed = one_of(("random_seed", given.random_seed), ("seed", given.seed))
    tools, choice = _tools(given)
    request = GenerateRequest(
        ident,
        model_name(given.model if model is None else model),
        messages_of(given.messages),
        None,
        sampling(
            tokens=tokens_max(name, tokens),
            temperature=given.temperature,
            top_p=given.top_p,
            seed=seed,
            stop=given.stop,
            frequency_penalty=given.frequency_penalty,
            presence_penalty=given.presence_penalty,
            top_k=given.top_k,
        ),
        tools,
        choice,
        format_schema(given.response_format, "response_format"),
    )
    made = FunctionsAsked if given.functions else Asked
    return made(request, bool(given.stream), wants_usage(given.stream, given.stream_options))


def _tools(given: _Body) -> tuple[tuple[Tool, ...], ToolChoice]:
    """What may be called: `tools`, or `functions` of the time before them."""
    if given.tools is given.tool_choice is given.functions is given.function_call is None:
        return (), _ONE_CALL if given.parallel_tool_calls is False else _ANY_CALL
    if not given.functions:
        if given.function_call not in (None, "none", "auto"):
            wrong("function_call", "it needs functions to call")
        tools = tools_of(given.tools)
        return choice_of(given.tool_choice, given.parallel_tool_calls, tools)
    if given.tools or given.tool_choice is not None:
        wrong("functions", "not together with 'tools' and 'tool_choice'")
    tools = listed(given.functions, function_tool, "functions")
    named = given.function_call
    if named is None or isinstance(named, str):
        mode = {None: ChoiceMode.AUTO, "auto": ChoiceMode.AUTO, "none": ChoiceMode.NONE}.get(named)
        if mode is None:
            wrong("function_call", "use 'none', 'auto' or a function")
        return tools, ToolChoice(mode, None, parallel=False)
    if named.name is None:
        missing("function_call.name")
    among(named.name, tools, "function_call")
    return tools, ToolChoice(ChoiceMode.REQUIRED, named.name, parallel=False)
