# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Guard: a policy at work on one request: its prompt on the way in, its answer on the way out.

A tool call is held until it is whole, because its arguments are JSON: a name may be spelled with
escapes there, and nobody can act on half a call anyway. So is an answer by a JSON schema. All
other text streams.
"""

import json
import operator
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from msgspec import structs

from bastide.core.chat import CallPart, Delta, FinishReason, GenerateRequest, Message, ToolCall
from bastide.core.erasure import ErasureList
from bastide.core.errors import Filtered, Unavailable
from bastide.core.guard import Action, Actions, GuardPolicy
from bastide.core.limits import GUARD_CALL_CHARS_MAX, GUARD_STEP_CHARS
from bastide.core.screening import Screened
from bastide.detectors.catalogue import DETECTORS
from bastide.detectors.detector import Detector
from bastide.detectors.erasure import erasure_detector
from bastide.detectors.link import link_detectors
from bastide.detectors.prompt_leak import leak_detectors
from bastide.detectors.screen import screen
from bastide.detectors.stream_filter import Chain, StreamFilter, Tally, filtered
from bastide.detectors.tool_rules import permits

__all__ = ["Guard", "Kit", "Steps", "finish", "make_kit"]


@dataclass(frozen=True, slots=True)
class Kit:
    """A policy made ready: its detectors, and the erasure list that it asks for."""

    policy: GuardPolicy
    inward: Chain
    outward: Chain
    erases: bool = False
    leak: Action | None = None
    listed: ErasureList | None = field(default=None, repr=False)
    told: tuple[str, ...] = ()  # of each decision: which policy, and the day of the list


def make_kit(policy: GuardPolicy, listed: ErasureList | None) -> Kit:
    """Make a policy ready; costs milliseconds, so do it once for many requests."""
    own: dict[str, tuple[Detector, ...]] = {"link": link_detectors(frozenset(policy.hosts))}
    if listed is not None:
        own["erasure"] = (erasure_detector(listed),)

    def chain(actions: Actions) -> Chain:
        rows = [
            (name, action, own.get(name) or DETECTORS.get(name, ())) for name, action in actions
        ]
        return Chain(
            tuple(row for _, action, made in rows for row in made if action != Action.OBSERVE),
            frozenset(name for name, action, _ in rows if action == Action.REFUSE),
            tuple(row for _, action, made in rows for row in made if action == Action.OBSERVE),
        )

    leak = dict(policy.outward).get("prompt-leak")
    told = [f"policy:{policy.digest}"]
    if policy.erases:
        told.append(f"erasure-list:{listed.date if listed else 'none'}")
    return Kit(
        policy=policy,
        inward=chain(policy.inward),
        outward=chain(policy.outward),
        erases=policy.erases,
        leak=leak,
        listed=listed,
        told=tuple(told),
    )


Result = TypeVar("Result")
Steps = Generator[None, None, Result]


def finish(steps: Steps[Result]) -> Result:
    """All steps at once."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


class Guard:
    """One request's guard. `decisions` is for its receipt, once the answer is over."""

    def __init__(self, kit: Kit, tenant: str, now_ms: int) -> None:
        self._kit = kit
        self._tenant = tenant
        self._now_ms = now_ms
        self._found_in: Tally = {}
        self._found_out: Tally = {}
        self._chain = kit.outward
        self._text: StreamFilter | None = None  # what filters the text since the last tool call
        self._request: GenerateRequest | None = None  # if it gives tools: others need no prompt
        self._calls: dict[int, tuple[CallPart, list[str]]] = {}
        self._json: list[str] | None = None  # the answer so far, if it is to be one JSON text
        self._stale = False
        self._over = False
        self._turn_chars = 0  # of a prompt, since others had a turn

    def inward(self, request: GenerateRequest) -> GenerateRequest:
        """The request as the model may see it. Raises Filtered, or Unavailable for a stale list."""
        return finish(self.inward_steps(request))

    def inward_steps(self, request: GenerateRequest) -> Steps[GenerateRequest]:
        """The same in steps, for long prompts: whoever serves others too lets them have a turn."""
        self._require_list()
        system = "\n".join([row.content for row in request.messages if row.role == "system"])
        self._chain = _with_leaks(self._kit, system)
        if self._kit.inward:
            rows: list[Message] = []
            for message in request.messages:
                rows += ((yield from self._message_in(message)),)
            prompt = request.prompt
            if prompt is not None:
                prompt = yield from self._text_in(prompt)
            if prompt != request.prompt or any(map(operator.is_not, rows, request.messages)):
                request = structs.replace(request, messages=tuple(rows), prompt=prompt)
        self._request = request if request.tools else None
        self._json = [] if request.schema is not None and self._chain else None
        return request

    def texts_steps(self, texts: tuple[str, ...]) -> Steps[tuple[str, ...]]:
        """Texts of which vectors are to be made, in steps. Raises as `inward` does."""
        self._require_list()
        rows: list[str] = []
        for text in texts:
            rows += ((yield from self._text_in(text)),)
        return tuple(rows)

    def screened(self, texts: tuple[str, ...], outward: bool) -> tuple[Screened, ...]:
        """What is found in texts that no model sees. Raises Unavailable for a stale list."""
        self._require_list()
        chain = self._kit.outward if outward else self._kit.inward
        return tuple(screen(chain, text) for text in texts)

    def outward(self, delta: Delta) -> tuple[Delta, ...]:
        """What of an answer's next piece may go on. After one with FILTERED nothing follows."""
        if self._over:
            return ()
        if self._json is not None:
            return self._outward_json(self._json, delta)
        if delta.call is None and not self._calls:
            if delta.finish is None:
                return self._outward_text(delta)
            if self._text is None:
                return self._outward_whole(delta)
        return self._outward_all(delta)

    def _outward_text(self, delta: Delta) -> tuple[Delta, ...]:
        if self._text is not None and self._text.passes(delta.text):
            # As nearly every piece.
            return (delta,) if delta.text or delta.usage else ()
        said = self._feed(delta.text)
        if self._over:
            end = Delta("", FinishReason.FILTERED, delta.usage)
            return (Delta(said), end) if said else (end,)
        if not said and not delta.usage:
            return ()
        return (delta,) if said == delta.text else (Delta(said, usage=delta.usage),)

    def _outward_whole(self, delta: Delta) -> tuple[Delta, ...]:
        """An answer that comes in one piece, and calls no tools."""
        said, self._over = filtered(self._chain, delta.text, self._found_out)
        if self._over:
            end = Delta("", FinishReason.FILTERED, delta.usage)
            return (Delta(said), end) if said else (end,)
        return (delta if said == delta.text else structs.replace(delta, text=said),)

    def _outward_all(self, delta: Delta) -> tuple[Delta, ...]:
        out: list[Delta] = []
        if delta.call is not None:
            self._close_text(out)
            self._hear_call(delta.call, out)
        else:
            self._flush_calls(out)
            if not self._over:
                self._say(delta.text, out)
        if delta.finish is not None and not self._over:
            self._close_text(out)
            self._flush_calls(out)
        if self._over:
            return (*out, Delta("", FinishReason.FILTERED, delta.usage))
        if delta.finish is not None:
            return (*out, structs.replace(delta, text="", call=None))
        if out:
            out[-1] = structs.replace(out[-1], usage=delta.usage)
            return tuple(out)
        return (Delta("", usage=delta.usage),) if delta.usage else ()

    def _outward_json(self, held: list[str], delta: Delta) -> tuple[Delta, ...]:
        """An answer by a schema is held until it is whole, for the reason that calls are."""
        held.append(delta.text)
        if delta.finish is None and delta.call is None:
            return (Delta("", usage=delta.usage),) if delta.usage else ()
        self._json = None
        said = _in_json("".join(held), self._argument_out)
        if self._over:
            return (Delta("", FinishReason.FILTERED, delta.usage),)
        rest = self.outward(structs.replace(delta, text=""))
        return (Delta(said), *rest) if said else rest

    def decisions(self) -> tuple[str, ...]:
        """What was found and done, as `direction:detector:action:count`; never the data itself.

        Before it, which policy, and the day of the erasure list if the policy asks for one.
        """
        if self._text is not None:
            self._text.flush()
        rows = list(self._kit.told)
        if self._stale:
            rows[-1] += ":stale"
        if not (self._found_in or self._found_out):
            return tuple(rows)
        for way, tally in (("in", self._found_in), ("out", self._found_out)):
            for (name, action), count in sorted(tally.items()):
                rows.append(f"{way}:{name}:{action}:{count}")
        return tuple(rows)

    def _require_list(self) -> None:
        policy, listed = self._kit.policy, self._kit.listed
        if not self._kit.erases:
            return
        self._stale = listed is None or listed.age_days(self._now_ms) > policy.erasure_age_days_max
        if self._stale and policy.stale_refuses:
            raise Unavailable("The erasure list is older than the guard policy allows.")

    def _message_in(self, message: Message) -> Steps[Message]:
        content = yield from self._text_in(message.content)
        calls = []
        for call in message.calls:
            arguments = call.arguments
            if len(arguments) > GUARD_CALL_CHARS_MAX:
                arguments = yield from self._text_in(arguments)
            else:
                if self._is_much(len(arguments)):
                    yield
                arguments = _in_json(arguments, self._whole_in)
            calls.append(structs.replace(call, arguments=arguments))
        if content == message.content and tuple(calls) == message.calls:
            return message
        return structs.replace(message, content=content, calls=tuple(calls))

    def _text_in(self, text: str) -> Steps[str]:
        chain = self._kit.inward
        if len(text) <= GUARD_STEP_CHARS:
            if self._is_much(len(text)):
                yield
            return self._whole_in(text)
        if len(text) <= GUARD_CALL_CHARS_MAX:
            chain = chain.within(text)
            if not chain:
                if self._is_much(len(text)):
                    yield
                return text
        one = StreamFilter(chain, self._found_in)
        out = []
        for at in range(0, len(text), GUARD_STEP_CHARS):
            out.append(one.feed(text[at : at + GUARD_STEP_CHARS]))
            if one.refused:
                break
            yield
        out.append(one.feed("", final=True))
        if one.refused:
            raise self._refusal()
        return "".join(out)

    def _whole_in(self, text: str) -> str:
        said, refused = filtered(self._kit.inward, text, self._found_in)
        if refused:
            raise self._refusal()
        return said

    def _refusal(self) -> Filtered:
        names = sorted(name for name, action in self._found_in if action == Action.REFUSE)
        return Filtered(f"The guard policy refuses this prompt: {', '.join(names)}.")

    def _is_much(self, chars: int) -> bool:
        """Whether this many more characters are too many for one turn, so that another begins."""
        self._turn_chars += chars
        if self._turn_chars <= GUARD_STEP_CHARS:
            return False
        self._turn_chars = chars
        return True

    def _feed(self, text: str, final: bool = False) -> str:
        if self._text is None:
            self._text = StreamFilter(self._chain, self._found_out)
        said = self._text.feed(text, final)
        self._over = self._over or self._text.refused
        return said

    def _say(self, text: str, out: list[Delta], final: bool = False) -> None:
        said = self._feed(text, final) if text or final else ""
        if said:
            out.append(Delta(said))

    def _close_text(self, out: list[Delta]) -> None:
        """What follows is no text: nothing that was held back can become a match any more."""
        if self._text is not None and not self._over:
            self._say("", out, final=True)
        self._text = None

    def _hear_call(self, part: CallPart, out: list[Delta]) -> None:
        if part.index not in self._calls:
            self._flush_calls(out)
            self._calls[part.index] = (part, [])
        pieces = self._calls[part.index][1]
        pieces.append(part.arguments)
        if sum(map(len, pieces)) > GUARD_CALL_CHARS_MAX:
            self._refuse("tool-call")

    def _flush_calls(self, out: list[Delta]) -> None:
        calls, self._calls = self._calls, {}
        for part, pieces in calls.values():
            if self._over:
                return
            arguments = _in_json("".join(pieces), self._argument_out)
            call = ToolCall(part.ident, part.name, arguments)
            if not self._over and not (self._is_given(call) and self._permits(call)):
                self._refuse("tool-call")
            if not self._over:
                out.append(Delta(call=structs.replace(part, arguments=arguments)))

    def _argument_out(self, text: str) -> str:
        said, refused = filtered(self._chain, text, self._found_out)
        self._over = self._over or refused
        return said

    def _is_given(self, call: ToolCall) -> bool:
        """Whether the tool is one of the request's: a name of another can carry any text out."""
        given = () if self._request is None else self._request.tools
        return any(tool.name == call.name for tool in given)

    def _permits(self, call: ToolCall) -> bool:
        rules = self._kit.policy.tool_rules
        assert self._request is not None
        return not rules or permits(rules, self._tenant, call, self._request)

    def _refuse(self, name: str) -> None:
        key = (name, Action.REFUSE.value)
        self._found_out[key] = self._found_out.get(key, 0) + 1
        self._over = True


def _with_leaks(kit: Kit, system: str) -> Chain:
    """The outward detectors, and those of this request's own system message."""
    leaks = leak_detectors(system) if kit.leak is not None and system else ()
    if not leaks:
        return kit.outward
    if kit.leak == Action.OBSERVE:
        return kit.outward.observing_too(leaks)
    return kit.outward.holding_too(leaks)


def _in_json(text: str, change: Callable[[str], str]) -> str:
    """JSON text with every string in it changed; text that is no JSON is changed as it is."""
    try:
        value = json.loads(text)
        made = _deep(value, change)
    except (ValueError, RecursionError):
        return change(text)
    return text if made == value else json.dumps(made, ensure_ascii=False)


def _deep(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [_deep(row, change) for row in value]
    if isinstance(value, dict):
        return {change(key): _deep(row, change) for key, row in value.items()}
    if isinstance(value, int | float) and not isinstance(value, bool):
        # A card number need not be a string.
        shown = json.dumps(value)
        made = change(shown)
        return value if made == shown else made
    return value
