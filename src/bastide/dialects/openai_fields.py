# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What chat and plain completions of the OpenAI API have in common.

Rules:
* A field that would change the answer and that we do not have is refused, and the refusal names
  every such field of the request; `param` is the first.
* A value that asks for nothing (null, an empty list, the default) is not refused.
* Fields that do not change the answer (user, metadata, store ...) and unknown ones are ignored.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

import msgspec

from bastide.core.chat import Sampling, Usage
from bastide.core.errors import Misconfigured, TooSmall
from bastide.core.limits import ANSWER_TOKENS_MAX, REQUEST_STOPS_MAX, TOP_K_MAX

__all__ = [
    "ABSENT",
    "StreamOptions",
    "decode_body",
    "fingerprint",
    "model_name",
    "one_of",
    "refuse_unsupported",
    "sampling",
    "tokens_max",
    "usage_json",
    "wants_usage",
]

_T = TypeVar("_T")
ABSENT: Final = msgspec.Raw()
_PLACE = re.compile(r"^(?P<text>.*?) - at `\$\.?(?P<place>.*)`$", re.DOTALL)
_MODEL_LENGTH_MAX = 256
_STOP_LENGTH_MAX = 1_024


class StreamOptions(msgspec.Struct):
    """`stream_options` of a request."""

    include_usage: bool | None = None


def decode_body(decoder: msgspec.json.Decoder[_T], body: bytes) -> _T:
    """Read a request body. Raises Misconfigured, naming the field."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        found = _PLACE.match(str(error))
        text, place = (found["text"], found["place"]) if found else (str(error), "")
        shown = f" for '{place}'" if place else ""
        raise Misconfigured(f"Invalid type{shown}: {text}.", place=place) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Misconfigured(f"The body of the request is not JSON: {error}.") from error
    except RecursionError as error:
        raise Misconfigured("The body of the request is nested too deeply.") from error


def refuse_unsupported(
    given: Mapping[str, msgspec.Raw], harmless: Mapping[str, Sequence[Any]]
) -> None:
    """Raise Misconfigured if a field asks for what we do not have. `given` may hold ABSENT."""
    reasons = []
    for name, raw in given.items():
        if raw is ABSENT or _is_harmless(raw, harmless.get(name.rpartition(".")[2], ())):
            continue
        reasons.append(name)
    if reasons:
        names = ", ".join(f"'{name}'" for name in reasons)
        raise Misconfigured(
            f"Unsupported parameter: {names} is not supported with this model.",
            reasons=reasons,
            place=reasons[0],
        )


def sampling(
    *,
    tokens: int | None,
    temperature: float | None,
    top_p: float | None,
    seed: int | None,
    stop: str | list[str] | None,
    frequency_penalty: float | None,
    presence_penalty: float | None,
    top_k: int | None = None,
) -> Sampling:
    """Check the ranges that the OpenAI API documents. Raises Misconfigured."""
    if temperature is not None:
        _in_range("temperature", temperature, 0, 2)
    if top_p is not None:
        _in_range("top_p", top_p, 0, 1)
    if frequency_penalty is not None:
        _in_range("frequency_penalty", frequency_penalty, -2, 2)
    if presence_penalty is not None:
        _in_range("presence_penalty", presence_penalty, -2, 2)
    if seed is not None:
        _in_range("seed", seed, -(2**63), 2**63 - 1)
    if top_k is not None:
        _in_range("top_k", top_k, -1, TOP_K_MAX)
    return Sampling(
        tokens, temperature, top_p, seed, _stops(stop), frequency_penalty, presence_penalty,
        None if top_k is None else max(0, top_k),  # 0 and -1 mean all
    )  # fmt: skip


def tokens_max(name: str, value: int | None) -> int | None:
    """Check a bound on the answer's length. Raises Misconfigured, in OpenAI's words."""
    if value is not None and value < 1:
        raise TooSmall(
            f"Invalid '{name}': integer below minimum value. "
            f"Expected a value >= 1, but got {_shown(value)} instead.",
            place=name,
        )
    _in_range(name, value, 1, ANSWER_TOKENS_MAX)
    return value


def model_name(value: str | None) -> str:
    """Check the model's name. Raises Misconfigured."""
    if not value:
        raise Misconfigured("Missing required parameter: 'model'.", place="model")
    if len(value) > _MODEL_LENGTH_MAX:
        raise Misconfigured("Invalid 'model': the name is too long.", place="model")
    return value


def one_of(first: tuple[str, int | None], second: tuple[str, int | None]) -> tuple[str, int | None]:
    """A field that has two names, as (name, value). Raises Misconfigured if both are set."""
    if first[1] is None:
        return second
    if second[1] is not None:
        raise Misconfigured(
            f"Setting '{first[0]}' and '{second[0]}' together is not supported.", place=first[0]
        )
    return first


def wants_usage(stream: bool | None, options: StreamOptions | None) -> bool:
    """True if a stream shall end with the usage. Raises Misconfigured without a stream."""
    if options is None:
        return False
    if not stream:
        raise Misconfigured(
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
            place="stream_options",
        )
    return bool(options.include_usage)


def fingerprint(release: str) -> str:
    """`system_fingerprint`: it changes when the release does."""
    return "fp_" + release.removeprefix("sha256:")[:12]


def usage_json(usage: Usage) -> dict[str, Any]:
    """The `usage` object."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _is_harmless(raw: msgspec.Raw, values: Sequence[Any]) -> bool:
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return False
    # In Python 1 == True, so the type counts too: `n: true` is not `n: 1`.
    return value is None or any(type(value) is type(good) and value == good for good in values)


def _in_range(name: str, value: float | None, low: float, high: float) -> None:
    if value is None or low <= value <= high:
        return
    raise Misconfigured(
        f"Invalid '{name}': expected a value from {low} to {high}, got {_shown(value)}.", place=name
    )


def _shown(value: float) -> str:
    text = repr(value) if math.isfinite(value) and abs(value) < 1e30 else "a number out of range"
    return text[:32]


def _stops(stop: str | list[str] | None) -> tuple[str, ...]:
    if stop is None:
        return ()
    stops = (stop,) if isinstance(stop, str) else tuple(stop)
    if len(stops) > REQUEST_STOPS_MAX:
        raise Misconfigured(
            f"Invalid 'stop': at most {REQUEST_STOPS_MAX}, got {len(stops)}.",
            place="stop",
        )
    if not all(0 < len(text) <= _STOP_LENGTH_MAX for text in stops):
        raise Misconfigured(
            f"Invalid 'stop': a sequence has 1 to {_STOP_LENGTH_MAX} characters.", place="stop"
        )
    return stops
