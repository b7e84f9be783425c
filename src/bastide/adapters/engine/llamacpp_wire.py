# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What is said to llama.cpp's server, and how its answers are read. Bytes in, values out."""

from collections.abc import Collection
from typing import Annotated, Any, TypeVar

import msgspec

from bastide.adapters.engine.saying import printable
from bastide.core.chat import Delta, FinishReason, GenerateRequest, Sampling, TokenChoice, Usage
from bastide.core.errors import BastideError, Misconfigured, TooLong, Unavailable
from bastide.core.limits import ENGINE_REPLY_BYTES_MAX
from bastide.core.slots import Lease

__all__ = [
    "AnswerReader",
    "decode_next_tokens",
    "decode_template",
    "decode_tokenize",
    "encode_next_tokens",
    "encode_request",
    "encode_template",
    "encode_tokenize",
    "failure",
    "pinned",
    "prompt_text",
]

_T = TypeVar("_T")
_SEED_RANDOM = 0xFFFFFFFF  # LLAMA_DEFAULT_SEED


class _Text(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    delta: _Text | None = None  # of a chat
    text: str | None = None  # of a completion
    finish_reason: str | None = None


# What an engine counts goes into a receipt, so it must be a number that a receipt can hold.
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**31)]


class _Cached(msgspec.Struct):
    cached_tokens: _Count = 0


class _Usage(msgspec.Struct):
    prompt_tokens: _Count
    completion_tokens: _Count
    prompt_tokens_details: _Cached | None = None


class _Error(msgspec.Struct):
    message: str = ""
    type: str = ""
    code: int = 500
    n_prompt_tokens: int | None = None
    n_ctx: int | None = None


class _Timings(msgspec.Struct):
    """What is counted so far. `prompt_n` are the prompt tokens that were not in the cache."""

    cache_n: _Count = 0
    prompt_n: _Count = 0
    predicted_n: _Count = 0


class _Verbose(msgspec.Struct):
    stopping_word: str = ""


class _Chunk(msgspec.Struct):
    choices: list[_Choice] = []
    timings: _Timings | None = None
    usage: _Usage | None = None
    error: _Error | None = None
    verbose: _Verbose | None = msgspec.field(default=None, name="__verbose")


class _Failed(msgspec.Struct):
    error: _Error


class _Ranked(msgspec.Struct):
    token: str
    logprob: float


class _Position(msgspec.Struct):
    top_logprobs: list[_Ranked]


class _Completion(msgspec.Struct):
    completion_probabilities: list[_Position] = []


class _Prompt(msgspec.Struct):
    prompt: str


class _Tokens(msgspec.Struct):
    tokens: list[int]


_prompt = msgspec.json.Decoder(_Prompt)
_tokens = msgspec.json.Decoder(_Tokens)
_chunks = msgspec.json.Decoder(_Chunk)
_failed = msgspec.json.Decoder(_Failed)
_completion = msgspec.json.Decoder(_Completion)


def encode_request(request: GenerateRequest, context_tokens: int) -> tuple[str, bytes]:
    """The path and the body of a request. Raises Misconfigured if it asks for nothing."""
    body: dict[str, Any] = {
        "stream": True,
        "stream_options": {"include_usage": True},
        "timings_per_token": True,
        **_sampling(request.sampling, context_tokens),
    }
    if request.sampling.stop:
        body["verbose"] = True  # only so does it say which sequence it met
    if request.schema is not None:
        body["json_schema"] = msgspec.Raw(request.schema.encode())
    if request.prompt is not None and not request.messages:
        return "/v1/completions", msgspec.json.encode(body | {"prompt": request.prompt})
    if request.prompt is None and request.messages:
        # The text of the model, as it is: nothing is parsed out of it.
        body |= {"messages": _turns(request), "reasoning_format": "none"}
        return "/v1/chat/completions", msgspec.json.encode(body)
    raise Misconfigured("a request needs either messages or a prompt")


def pinned(body: bytes, lease: Lease) -> bytes:
    """A body that is answered in one slot. Without `reuse` the engine forgets what it holds."""
    order = msgspec.json.encode({"id_slot": lease.slot, "cache_prompt": lease.reuse})
    return order[:-1] + b"," + body[1:]  # one object of the two


def prompt_text(request: GenerateRequest) -> str:
    """The words of a prompt in their order: two that begin alike have prompts that begin alike."""
    turns = [part for turn in request.messages for part in (turn.role, turn.content)]
    return request.prompt or "\n".join(turns)


def encode_template(request: GenerateRequest) -> tuple[str, bytes]:
    """The path and the body that ask what prompt the template makes of a chat."""
    return "/apply-template", msgspec.json.encode({"messages": _turns(request)})


def decode_template(data: bytes) -> str:
    """Read the answer to `encode_template`."""
    return _read(_prompt, data).prompt


def encode_tokenize(prompt: str) -> tuple[str, bytes]:
    """The path and the body that ask for the tokens of a prompt, as an answer would see them."""
    body = {"content": prompt, "add_special": True, "parse_special": True}
    return "/tokenize", msgspec.json.encode(body)


def decode_tokenize(data: bytes) -> int:
    """Read the number of tokens in the answer to `encode_tokenize`."""
    return len(_read(_tokens, data).tokens)


def encode_next_tokens(prompt: str, count: int) -> tuple[str, bytes]:
    """The path and the body that ask for the likeliest next tokens."""
    if count < 1 or not prompt:
        raise Misconfigured("the next tokens need a prompt, and a count of at least 1")
    body = {"prompt": prompt, "n_predict": 1, "n_probs": count, "temperature": 0, "stream": False}
    return "/completion", msgspec.json.encode(body)


def decode_next_tokens(data: bytes, count: int) -> list[TokenChoice]:
    """Read the answer to `encode_next_tokens`, likeliest first.

    Empty where the likeliest token is a part of a character: llama.cpp then shows none.
    """
    try:
        shown = _completion.decode(data).completion_probabilities
    except msgspec.DecodeError as error:
        raise Unavailable("the engine's answer has no token probabilities") from error
    ranked = shown[0].top_logprobs if shown else []
    choices = [TokenChoice(row.token, row.logprob) for row in ranked]
    return sorted(choices, key=lambda choice: -choice.logprob)[:count]


class AnswerReader:
    """Reads a stream of server-sent events, line by line.

    Without `reuse` the engine was told to forget what its slot held, and may not say otherwise.
    `stops` are the sequences that it was told to stop at.
    """

    def __init__(self, reuse: bool = False, stops: Collection[str] = ()) -> None:
        self._reuse = reuse
        self._stops = stops
        self._met = ""
        self._finish: str | None = None
        self._usage: _Usage | None = None
        self._length = 0
        self.counted: Usage | None = None  # so far

    def feed(self, line: bytes) -> str:
        """The text in one line. Raises what the engine reports, or Unavailable if it is odd."""
        if not line.startswith(b"data:") or line[5:].strip() == b"[DONE]":
            return ""
        try:
            chunk = _chunks.decode(line[5:])
        except msgspec.DecodeError as error:
            raise Unavailable("the engine's answer is malformed") from error
        if chunk.error is not None:
            raise _translate(chunk.error)
        self._usage = chunk.usage or self._usage
        if chunk.verbose is not None and chunk.verbose.stopping_word in self._stops:
            self._met = chunk.verbose.stopping_word
        if (now := chunk.timings) is not None:
            self.counted = self._counted(now.prompt_n + now.cache_n, now.predicted_n, now.cache_n)
        text = ""
        for choice in chunk.choices[:1]:
            self._finish = choice.finish_reason or self._finish
            text = (choice.delta.content if choice.delta else choice.text) or ""
        self._length += len(text)
        if self._length > ENGINE_REPLY_BYTES_MAX:
            raise Unavailable("the engine's answer is too long")
        return text

    def last(self) -> Delta:
        """The delta that ends the answer. Raises Unavailable if the stream was cut short."""
        if self._finish is None or self._usage is None:
            raise Unavailable("the engine's answer ended early")
        finish = FinishReason.LENGTH if self._finish == "length" else FinishReason.STOP
        details = self._usage.prompt_tokens_details
        usage = self._counted(
            self._usage.prompt_tokens,
            self._usage.completion_tokens,
            details.cached_tokens if details else 0,
        )
        return Delta("", finish, usage, met=self._met if finish is FinishReason.STOP else "")

    def _counted(self, prompt: int, completion: int, cached: int) -> Usage:
        if cached and not self._reuse:
            raise Unavailable("the engine reused a prompt that it was told to forget")
        if cached > prompt:
            raise Unavailable("the engine counts more cached tokens than the prompt has")
        return Usage(prompt, completion, cached)


def failure(status: int, body: bytes) -> BastideError:
    """The error that an answer with another status than 200 stands for."""
    try:
        return _translate(_failed.decode(body).error)
    except msgspec.DecodeError:
        return Unavailable(f"the engine answers with HTTP status {status}")


def _translate(error: _Error) -> BastideError:
    if error.type == "exceed_context_size_error":
        return TooLong(
            f"the prompt has {error.n_prompt_tokens} tokens, but the context of the deployment "
            f"holds {error.n_ctx}",
            fix="shorten the prompt, or deploy with more context tokens",
        )
    if 400 <= error.code < 500:
        return Misconfigured(f"the engine refuses the request: {printable(error.message)}")
    return Unavailable(f"the engine failed: {printable(error.message)}")


def _turns(request: GenerateRequest) -> list[dict[str, str]]:
    return [{"role": turn.role, "content": turn.content} for turn in request.messages]


def _read(decoder: msgspec.json.Decoder[_T], data: bytes) -> _T:
    try:
        return decoder.decode(data)
    except msgspec.DecodeError as error:
        raise Unavailable("the engine's answer is malformed") from error


def _sampling(sampling: Sampling, context_tokens: int) -> dict[str, Any]:
    body: dict[str, Any] = {
        "max_tokens": sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "frequency_penalty": sampling.frequency_penalty,
        "presence_penalty": sampling.presence_penalty,
        "stop": list(sampling.stop) or None,
        "top_k": sampling.top_k,
    }
    if sampling.seed is not None:
        body["seed"] = sampling.seed % _SEED_RANDOM
    if sampling.temperature == 0:
        body["top_k"] = 1  # whatever was asked for: the likeliest one
    if sampling.frequency_penalty or sampling.presence_penalty:
        body["repeat_last_n"] = context_tokens  # all of them; by default the last 64 only
    return {name: value for name, value in body.items() if value is not None}
