# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What is said to vLLM's server, and how its answers are read. Bytes in, values out.

Read from vLLM 0.32.0 and 0.33.0 (tests/vectors/vllm/README.md says where). Only the routes of
ROUTES can be asked: vLLM has several dozen more, some of which call any method of its workers.
`priority` and `cache_salt` are ours: a request has no field through which a client could set them.
"""

import base64
import hmac
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeVar

import msgspec

from bastide.adapters.engine.saying import printable
from bastide.core.chat import Delta, FinishReason, GenerateRequest, Sampling, TokenChoice, Usage
from bastide.core.errors import BastideError, Busy, Misconfigured, TooLong, Unavailable
from bastide.core.limits import ENGINE_REPLY_BYTES_MAX

__all__ = [
    "MODEL",
    "ROUTES",
    "AnswerReader",
    "Asked",
    "encode_chat",
    "encode_completion",
    "encode_next_tokens",
    "encode_tokenize",
    "failure",
    "read_next_tokens",
    "read_tokens",
    "read_version",
    "salt_of",
]

CHAT: Final = ("POST", "/v1/chat/completions")
COMPLETION: Final = ("POST", "/v1/completions")
TOKENIZE: Final = ("POST", "/tokenize")
HEALTH: Final = ("GET", "/health")
VERSION: Final = ("GET", "/version")
ROUTES: Final = frozenset({CHAT, COMPLETION, TOKENIZE, HEALTH, VERSION})

MODEL: Final = "model"  # the only name that it serves: names are the gateway's
_SPARE_CHOICES: Final = 8  # asked for beside the likeliest ones: some are no whole characters
_NO_CHARACTER: Final = "\ufffd"
# llama.cpp's defaults, so that a model sounds alike with every engine.
_DEFAULTS: Final[Mapping[str, Any]] = {"temperature": 0.8, "top_p": 0.95, "top_k": 40}
_SEED_MAX: Final = 2**63
_FINISHES: Final = {"stop": FinishReason.STOP, "length": FinishReason.LENGTH}

_T = TypeVar("_T")
# What an engine counts goes into a receipt, so it must be a number that a receipt can hold.
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**31)]


class _Text(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    delta: _Text | None = None  # of a chat
    text: str | None = None  # of a completion
    finish_reason: str | None = None
    stop_reason: str | int | None = None  # the sequence that it met, or a token that ends all


class _Cached(msgspec.Struct):
    cached_tokens: _Count | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: _Count
    completion_tokens: _Count | None = 0
    prompt_tokens_details: _Cached | None = None


class _Error(msgspec.Struct):
    message: str = ""
    code: int = 500
    param: str | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] = []
    usage: _Usage | None = None
    error: _Error | None = None


class _Failed(msgspec.Struct):
    error: _Error


class _Logprobs(msgspec.Struct):
    top_logprobs: list[dict[str, float] | None]


class _Ranked(msgspec.Struct):
    logprobs: _Logprobs


class _Ranking(msgspec.Struct):
    choices: list[_Ranked]


class _Tokens(msgspec.Struct):
    count: _Count
    tokens: list[int]


class _Version(msgspec.Struct):
    version: str


_chunks = msgspec.json.Decoder(_Chunk)
_failed = msgspec.json.Decoder(_Failed)
_ranking = msgspec.json.Decoder(_Ranking)
_tokens = msgspec.json.Decoder(_Tokens)
_version = msgspec.json.Decoder(_Version)


@dataclass(frozen=True, slots=True)
class Asked:
    """One request to vLLM. Only the functions of this module make one, each for its route."""

    method: str
    path: str
    body: bytes = b""

    def __post_init__(self) -> None:
        if (self.method, self.path) not in ROUTES:
            raise Misconfigured(f"vLLM is never asked for {self.method} {self.path}")


def salt_of(key: bytes, tenant: str) -> str:
    """What keeps the cached prompts of a tenant apart: 256 bits that nobody else can guess."""
    return base64.urlsafe_b64encode(hmac.digest(key, tenant.encode(), "sha256")).decode()


def encode_chat(request: GenerateRequest, salt: str) -> Asked:
    """Ask for an answer to a chat."""
    body = _body(request, salt) | {
        "messages": _turns(request),
        "max_tokens": request.sampling.max_tokens,
        # The text of the model, as it is: nothing is parsed out of it.
        "include_reasoning": True,
    }
    return Asked(*CHAT, _encoded(body))


def encode_completion(
    request: GenerateRequest, salt: str, tokens: list[int], context_tokens: int
) -> Asked:
    """Ask what follows a prompt, whose tokens are known.

    vLLM's own default would be 16 tokens, and "as many as fit" cannot be said, so it is counted.
    Raises TooLong.
    """
    room = context_tokens - len(tokens)
    if room < 1:
        raise _too_long(f"the prompt has {len(tokens)} tokens", context_tokens)
    wanted = request.sampling.max_tokens
    most = room if wanted is None else min(wanted, room)
    body = _body(request, salt) | {"prompt": tokens, "max_tokens": most}
    return Asked(*COMPLETION, _encoded(body))


def encode_tokenize(request: GenerateRequest) -> Asked:
    """Ask for the tokens of a prompt, with the template of the model if it is a chat.

    Raises Misconfigured if the request has neither.
    """
    if request.prompt and not request.messages:
        return Asked(*TOKENIZE, _encoded({"model": MODEL, "prompt": request.prompt}))
    if request.prompt is None and request.messages:
        return Asked(*TOKENIZE, _encoded({"model": MODEL, "messages": _turns(request)}))
    raise Misconfigured("a request needs either messages or a prompt")


def encode_next_tokens(prompt: str, count: int, salt: str) -> Asked:
    """Ask for the likeliest next tokens."""
    if count < 1 or not prompt:
        raise Misconfigured("the next tokens need a prompt, and a count of at least 1")
    body = {
        "model": MODEL, "prompt": prompt, "max_tokens": 1, "temperature": 0,
        "logprobs": count + _SPARE_CHOICES, "cache_salt": salt,
    }  # fmt: skip
    return Asked(*COMPLETION, _encoded(body))


def read_tokens(data: bytes) -> list[int]:
    """Read the answer to `encode_tokenize`."""
    found = _read(_tokens, data)
    if found.count != len(found.tokens):
        raise Unavailable("the engine's answer is malformed")
    return found.tokens


def read_next_tokens(data: bytes, count: int) -> list[TokenChoice]:
    """Read the answer to `encode_next_tokens`, likeliest first.

    Empty where the likeliest token is a part of a character.
    """
    shown = _read(_ranking, data).choices
    ranked = shown[0].logprobs.top_logprobs if shown else []
    if not ranked or not ranked[0]:
        raise Unavailable("the engine's answer has no token probabilities")
    rows = sorted(ranked[0].items(), key=lambda row: -row[1])
    if _NO_CHARACTER in rows[0][0]:
        return []
    whole = [
        TokenChoice(text, min(value, 0.0)) for text, value in rows if _NO_CHARACTER not in text
    ]
    return whole[:count]


def read_version(data: bytes) -> str:
    """Read what vLLM says that it is."""
    return printable(_read(_version, data).version)[:40]


class AnswerReader:
    """Reads a stream of server-sent events, line by line.

    vLLM ends a stream with a choice that has a finish, a chunk that has the usage, and ``[DONE]``,
    in this order. It says ``[DONE]`` after an error too, so that alone proves nothing.
    """

    def __init__(self, stops: Collection[str] = ()) -> None:
        self._stops = stops  # that it was told
        self._met = ""
        self._finish: str | None = None
        self._final: Usage | None = None
        self._done = False
        self._length = 0
        self.counted: Usage | None = None  # so far

    def feed(self, line: bytes) -> str:
        """The text in one line. Raises what the engine reports, or Unavailable if it is odd."""
        if not line.startswith(b"data:"):
            return ""
        if line[5:].strip() == b"[DONE]":
            self._done = True
            return ""
        chunk = _read(_chunks, line[5:])
        if chunk.error is not None:
            error = _translate(chunk.error)
            # An answer that has begun cannot be asked for again as if it had not.
            raise Unavailable(error.message) if isinstance(error, Busy) else error
        if chunk.usage is not None:
            self._count(chunk.usage, final=not chunk.choices)
        text = ""
        for choice in chunk.choices[:1]:
            self._finish = choice.finish_reason or self._finish
            if isinstance(choice.stop_reason, str) and choice.stop_reason in self._stops:
                self._met = choice.stop_reason
            text = (choice.delta.content if choice.delta else choice.text) or ""
        self._length += len(text)
        if self._length > ENGINE_REPLY_BYTES_MAX:
            raise Unavailable("the engine's answer is too long")
        return text

    def last(self) -> Delta:
        """The delta that ends the answer. Raises Unavailable if the stream was cut short."""
        if self._finish is None or self._final is None or not self._done:
            raise Unavailable("the engine's answer ended early")
        if self._finish not in _FINISHES:
            raise Unavailable(f"the engine ended the answer: {printable(self._finish)}")
        finish = _FINISHES[self._finish]
        return Delta("", finish, self._final, met=self._met if finish is FinishReason.STOP else "")

    def _count(self, usage: _Usage, final: bool) -> None:
        details = usage.prompt_tokens_details
        cached = (details.cached_tokens if details else None) or 0
        if cached > usage.prompt_tokens:
            raise Unavailable("the engine counts more cached tokens than the prompt has")
        counted = Usage(usage.prompt_tokens, usage.completion_tokens or 0, cached)
        before = self.counted
        if before is not None and (
            counted.prompt_tokens != before.prompt_tokens
            or counted.completion_tokens < before.completion_tokens
        ):
            raise Unavailable("the engine counts an answer backwards")
        self.counted = counted
        if final:
            self._final = counted


def failure(status: int, body: bytes, context_tokens: int = 0) -> BastideError:
    """The error that an answer with another status than 200 stands for."""
    try:
        return _translate(_failed.decode(body).error, context_tokens)
    except msgspec.DecodeError:
        return Unavailable(f"the engine answers with HTTP status {status}")


def _translate(error: _Error, context_tokens: int = 0) -> BastideError:
    if error.code == 400 and error.param in ("input_tokens", "input_text"):
        return _too_long("the prompt is too long", context_tokens)
    if error.code == 503:
        return Busy(f"the engine takes no more requests now: {printable(error.message)}")
    if 400 <= error.code < 500:
        return Misconfigured(f"the engine refuses the request: {printable(error.message)}")
    return Unavailable(f"the engine failed: {printable(error.message)}")


def _too_long(what: str, context_tokens: int) -> TooLong:
    held = f" holds {context_tokens}" if context_tokens else " does not hold it"
    return TooLong(
        f"{what}, but the context of the deployment{held}",
        fix="shorten the prompt, or deploy with more context tokens",
    )


def _body(request: GenerateRequest, salt: str) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": MODEL,
        "stream": True,
        "stream_options": {"include_usage": True, "continuous_usage_stats": True},
        "cache_salt": salt,
        "priority": request.priority,
        **_DEFAULTS,
        **_sampling(request.sampling),
    }
    if request.schema is not None:
        body["structured_outputs"] = {"json": msgspec.Raw(request.schema.encode())}
    return body


def _sampling(sampling: Sampling) -> dict[str, Any]:
    body: dict[str, Any] = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "frequency_penalty": sampling.frequency_penalty,
        "presence_penalty": sampling.presence_penalty,
        "stop": list(sampling.stop) or None,
        "top_k": sampling.top_k,
        "seed": None if sampling.seed is None else sampling.seed % _SEED_MAX,
    }
    return {name: value for name, value in body.items() if value is not None}


def _turns(request: GenerateRequest) -> list[dict[str, str]]:
    return [{"role": turn.role, "content": turn.content} for turn in request.messages]


def _encoded(body: dict[str, Any]) -> bytes:
    return msgspec.json.encode({name: value for name, value in body.items() if value is not None})


def _read(decoder: msgspec.json.Decoder[_T], data: bytes) -> _T:
    try:
        return decoder.decode(data)
    except msgspec.DecodeError as error:
        raise Unavailable("the engine's answer is malformed") from error
