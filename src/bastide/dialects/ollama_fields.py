# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What Ollama's chat and generate have in common: the model's name, options and the writer.

Options that say how a model is loaded (`num_ctx`, `num_thread`, `num_gpu` ...) and `keep_alive`
are ignored: the deployment decides that, and it does not change what the model would say. A
prompt that does not fit is refused, never cut.
"""

from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from bastide.core.chat import Delta, FinishReason, Said, Sampling
from bastide.core.errors import Misconfigured
from bastide.dialects.openai_fields import (
    ABSENT,
    model_name,
    refuse_unsupported,
    sampling,
    tokens_max,
)
from bastide.dialects.surface import Context

__all__ = ["NDJSON", "Asking", "LineWriter", "ollama_name", "options_of", "stamp"]

NDJSON: Final = "application/x-ndjson"
_ENDLESS: Final = (0, -1, -2)  # of num_predict, as Ollama reads it: until the model ends
_CHANCE: Final = -1  # of seed: whatever comes
_FINISH: Final = {FinishReason.TOOL_CALLS: "stop"}  # all others are called as ours
_encode = msgspec.json.Encoder().encode

# Options and fields that would change the answer, with the values that ask for nothing.
_UNSUPPORTED: Final[dict[str, tuple[Any, ...]]] = {
    "min_p": (0, 0.0),
    "typical_p": (1, 1.0),
    "tfs_z": (1, 1.0),
    "repeat_penalty": (1, 1.0),
    "mirostat": (0, False),
    "think": (False,),
    "logprobs": (False,),
    "top_logprobs": (0,),
}
_OPTIONS: Final = tuple(_UNSUPPORTED)[:5]
_FIELDS: Final = tuple(_UNSUPPORTED)[5:]


class Options(msgspec.Struct, kw_only=True):
    """`options` of a request."""

    num_predict: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    top_k: int | None = None
    min_p: msgspec.Raw = ABSENT
    typical_p: msgspec.Raw = ABSENT
    tfs_z: msgspec.Raw = ABSENT
    repeat_penalty: msgspec.Raw = ABSENT
    mirostat: msgspec.Raw = ABSENT


class Asking(msgspec.Struct, kw_only=True):
    """What the body of any request for an answer has."""

    model: str | None = None
    stream: bool | None = None  # absent means true
    options: Options | None = None
    format: msgspec.Raw = ABSENT
    think: msgspec.Raw = ABSENT
    logprobs: msgspec.Raw = ABSENT
    top_logprobs: msgspec.Raw = ABSENT


def ollama_name(value: str | None) -> str:
    """The model that a name means: `m:latest` is `m`. Raises Misconfigured."""
    return model_name((value or "").removesuffix(":latest"))


def options_of(asking: Asking) -> Sampling:
    """Read the options; refuse them and the fields that we do not have. Raises Misconfigured."""
    given = asking.options or Options()
    refuse_unsupported(
        {name: getattr(asking, name) for name in _FIELDS}
        | {f"options.{name}": getattr(given, name) for name in _OPTIONS},
        _UNSUPPORTED,
    )
    tokens, seed = given.num_predict, given.seed
    bound = None if tokens in _ENDLESS else tokens_max("num_predict", tokens)
    try:
        return sampling(
            tokens=bound,
            temperature=given.temperature,
            top_p=given.top_p,
            seed=None if seed == _CHANCE else seed,
            stop=given.stop,
            frequency_penalty=given.frequency_penalty,
            presence_penalty=given.presence_penalty,
            top_k=given.top_k,
        )
    except Misconfigured as error:
        raise Misconfigured(error.message, place=f"options.{error.place}") from error


def stamp(seconds: int) -> str:
    """A time as Ollama writes it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class LineWriter:
    """Writes one answer as one JSON object, or as lines of which the last says `done`.

    Of the durations only the total is measured, so only it is there.
    """

    def __init__(self, context: Context) -> None:
        self._top = {"model": context.model, "created_at": stamp(context.created_s)}
        self._elapsed_ms = context.elapsed_ms

    def said(self, said: Said) -> dict[str, Any]:
        """The field that holds what was said."""
        return {"response": said.text}

    def line(self, said: Said) -> bytes:
        """One line of a stream."""
        return _encode({**self._top, **self.said(said), "done": False}) + b"\n"

    def first(self) -> bytes:
        """A stream has no opening line."""
        return b""

    def piece(self, text: str) -> bytes:
        """One line of text."""
        return self.line(Said(text))

    def last(self, delta: Delta) -> bytes:
        """The last text, and the line that says `done`."""
        return (self.piece(delta.text) if delta.text else b"") + self.whole(Said(), delta) + b"\n"

    def whole(self, said: Said, delta: Delta) -> bytes:
        """The answer as one object."""
        assert delta.finish is not None and delta.usage is not None
        return _encode(
            {
                **self._top,
                **self.said(said),
                "done": True,
                "done_reason": _FINISH.get(delta.finish, delta.finish.value),
                "total_duration": self._elapsed_ms() * 1_000_000,
                "prompt_eval_count": delta.usage.prompt_tokens,
                "eval_count": delta.usage.completion_tokens,
            }
        )
