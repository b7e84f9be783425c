# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Answers with OpenVINO GenAI, inside the sandbox: a model, and who asks it.

Imported by openvino_child.py under its bare name, so it imports nothing of ours. One thread steps
the library's continuous batching, and between two steps hears and answers everybody. Each request
has a connection of its own: one line of JSON comes, lines of JSON go, and who hangs up is dropped
before the next step (openvino_wire.py names the fields).
"""

import codecs
import json
import selectors
import socket
from collections.abc import Sequence
from typing import Any

import numpy
import openvino

__all__ = ["Model", "Server"]

_BLOCK_TOKENS = 32  # a block of the key-value cache on a CPU
_PROMPT_MAX = 8_191  # the library cuts what is longer, without a word
_READ_BYTES = 65_536
_PROBE_BLOCKS = 8
_SPARE_CHOICES = 8  # asked for beside the likeliest ones: some are no whole characters
# What ends a turn in the models that the reader takes; llama.cpp ends an answer at the same ones.
_ENDS = ("<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|eom_id|>", "<|end_of_text|>", "<|end|>")
# llama.cpp's defaults, so that a model sounds alike with either engine.
_TEMPERATURE, _TOP_P, _TOP_K = 0.8, 0.95, 40


class _RefusedError(Exception):
    """What a request asks for cannot be done; the engine is well."""


class _TooLongError(Exception):
    """The prompt has this many tokens: too many."""


class Model:
    """The model, its tokenizer, and a tiny pipeline in which schemas are tried first.

    A schema that the library cannot follow makes a step of its pipeline fail, and with it what
    others have in that step. So it is tried where nobody else is; both share compiled grammars.
    """

    def __init__(self, genai: Any, orders: dict[str, Any], found: dict[str, Any]) -> None:
        self._genai = genai
        self.context: int = orders["context_tokens"]
        self._bos: int | None = found["bos"]
        properties = {
            "INFERENCE_NUM_THREADS": orders["threads"],
            "ENABLE_CPU_PINNING": False,
            # By default it rounds to what the processor has, bf16 for one: other answers on other
            # machines, worse ones, and here not sooner (measured).
            "INFERENCE_PRECISION_HINT": "f32",
            "KV_CACHE_PRECISION": "f16",
        }
        self.tokenizer = genai.Tokenizer(orders["model"], properties)
        # One slot more than is served: what was given up may still be there for a step.
        blocks = (orders["slots"] + 1) * (-(-self.context // _BLOCK_TOKENS) + 1)
        plan = self._plan(blocks, orders["slots"] + 1, orders["batch_tokens"])
        self.pipeline = genai.ContinuousBatchingPipeline(
            orders["model"], self.tokenizer, plan, "CPU", **properties
        )
        self._probe = genai.ContinuousBatchingPipeline(
            orders["probe_model"],
            self.tokenizer,
            self._plan(_PROBE_BLOCKS, 1, _BLOCK_TOKENS),
            "CPU",
            **properties,
        )
        known: dict[bytes, int] = self.tokenizer.get_vocab()
        self._bytes = {token: data for data, token in known.items()}
        self._special: dict[int, bool] = {}
        ends = {known.get(end.encode()) for end in _ENDS}
        self._eos = self.tokenizer.get_eos_token_id()
        self.ends = {end for end in ends if end is not None} | {self._eos}
        self._asked = 0
        self._chance = numpy.random.default_rng()

    def _plan(self, blocks: int, answers: int, batch_tokens: int) -> Any:
        plan = self._genai.SchedulerConfig()
        plan.num_kv_blocks = blocks
        plan.max_num_seqs = answers
        plan.max_num_batched_tokens = max(batch_tokens, answers)
        plan.dynamic_split_fuse = True
        # Blocks are found by their tokens alone, whoever asked: tenants could tell what others ask.
        plan.enable_prefix_caching = False
        return plan

    def tokens(self, order: dict[str, Any]) -> list[int]:
        """The tokens of a prompt. Raises _RefusedError if the template does not take it."""
        text = order.get("prompt")
        if text is None:
            try:
                text = self.tokenizer.apply_chat_template(order["turns"], True)
            except RuntimeError as error:
                raise _RefusedError(f"the chat template fails: {_last_line(error)}") from error
        found = self.tokenizer.encode(text, add_special_tokens=True).input_ids.data
        tokens = [int(token) for token in found.reshape(-1)]
        if self._bos is not None and tokens[:1] != [self._bos]:
            tokens.insert(0, self._bos)
        return tokens

    def begin(self, tokens: list[int], order: dict[str, Any]) -> Any:
        """Begin an answer. Raises _TooLongError, or _RefusedError for a schema."""
        room = self.context - len(tokens)
        if room < 1 or len(tokens) > _PROMPT_MAX:
            raise _TooLongError(len(tokens))
        if not tokens:
            raise _RefusedError("the prompt is empty")
        config = self._sampling(order, room)
        if (schema := order.get("schema")) is not None:
            config.structured_output_config = self._genai.StructuredOutputConfig(json_schema=schema)
            self._try_out(config)
        return self._add(self.pipeline, tokens, config)

    def likeliest(self, tokens: list[int], count: int) -> Any:
        """Begin to find the likeliest next tokens: the beams of a search one token deep."""
        if len(tokens) >= self.context or len(tokens) > _PROMPT_MAX:
            raise _TooLongError(len(tokens))
        config = self._config(max_new_tokens=1)
        config.num_beams = config.num_return_sequences = count + _SPARE_CHOICES
        config.num_beam_groups, config.diversity_penalty = 1, 0.0
        return self._add(self.pipeline, tokens, config)

    def choices(self, outputs: Sequence[Any], count: int) -> list[tuple[str, float]]:
        """The result of that; empty if the likeliest one is no whole character."""
        rows: list[tuple[str, float]] = []
        for row in sorted(outputs, key=lambda row: -row.score):
            try:
                text = self._bytes.get(row.generated_ids[0], b"\xff").decode()
            except UnicodeDecodeError:
                if not rows:
                    return []
                continue
            rows.append((text, min(0.0, float(row.score))))
        return rows[:count]

    def shown(self, token: int) -> bytes:
        """The bytes of a token, none of one that controls. (The library drops cut characters.)"""
        if token not in self._special:
            hidden = not self.tokenizer.decode([token], True)
            self._special[token] = hidden and bool(self.tokenizer.decode([token], False))
        return b"" if self._special[token] else self._bytes.get(token, b"")

    def _config(self, **fields: Any) -> Any:
        config = self._genai.GenerationConfig(**fields)
        config.stop_token_ids = self.ends
        config.set_eos_token_id(self._eos)
        return config

    def _sampling(self, order: dict[str, Any], room: int) -> Any:
        config = self._config(max_new_tokens=min(order.get("max_tokens") or room, room))
        temperature = order.get("temperature", _TEMPERATURE)
        top_p = order.get("top_p", _TOP_P)
        if temperature > 0 and top_p > 0:
            config.do_sample = True
            config.temperature, config.top_p = temperature, min(top_p, 1.0)
            # What the library takes for all tokens is its own default, not 0.
            config.top_k = order.get("top_k", _TOP_K) or config.top_k
            seed = order.get("seed")
            config.rng_seed = self._draw() if seed is None else seed
        config.frequency_penalty = order.get("frequency_penalty", 0.0)
        config.presence_penalty = order.get("presence_penalty", 0.0)
        return config

    def _draw(self) -> int:
        return int(self._chance.integers(1 << 32))

    def _try_out(self, config: Any) -> None:
        trial = self._config(max_new_tokens=1)
        trial.structured_output_config = config.structured_output_config
        handle = self._add(self._probe, [0], trial)
        try:
            while self._probe.has_non_finished_requests():
                self._probe.step()
            (output,) = handle.read_all()
        except RuntimeError as error:
            handle.cancel()
            while self._probe.has_non_finished_requests():
                self._probe.step()
            raise _RefusedError(f"no grammar for the schema: {_last_line(error)}") from error
        if not self.shown(output.generated_ids[0]):
            raise _RefusedError("no answer can follow the schema")

    def _add(self, pipeline: Any, tokens: list[int], config: Any) -> Any:
        self._asked += 1
        try:
            config.validate()
        except RuntimeError as error:
            raise _RefusedError(_last_line(error)) from error
        prompt = openvino.Tensor(numpy.array([tokens], dtype=numpy.int64))
        return pipeline.add_request(self._asked, prompt, config)


class _Text:
    """Tokens to text: whole characters only, and nothing from a stop sequence on."""

    def __init__(self, model: Model, stops: Sequence[str]) -> None:
        self._model = model
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._stops = [stop for stop in stops if stop]
        self._held = ""
        self.stopped = False
        self.met = ""  # at which sequence

    def feed(self, tokens: Sequence[int], last: bool = False) -> str:
        """The text that may be shown now. After `stopped` there is no more."""
        data = b"".join(self._model.shown(token) for token in tokens)
        self._held += self._decoder.decode(data, last)
        found = [(at, stop) for stop in self._stops if (at := self._held.find(stop)) >= 0]
        self.stopped = bool(found)
        keep = 0 if last else max((_overlap(self._held, stop) for stop in self._stops), default=0)
        cut, self.met = min(found) if found else (len(self._held) - keep, "")
        shown, self._held = self._held[:cut], self._held[cut:]
        return shown


class _Link:
    """One connection, which carries one request, and its answer line by line."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.unread = b""
        self.unsent = b""
        self.asked = False
        self.ended = False  # nothing more will be said
        self.handle: Any = None
        self.text: _Text | None = None
        self.count = 0  # of likeliest tokens; 0 for an answer
        self.prompt = 0
        self.made = 0


class Server:
    """Steps the pipeline, and between two steps hears and answers everybody."""

    def __init__(self, model: Model, path: str, connections: int) -> None:
        self._model = model
        self._links: set[_Link] = set()
        self._selector = selectors.DefaultSelector()
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listening.bind(path)
        self._listening.listen(connections)
        self._listening.setblocking(False)
        self._selector.register(self._listening, selectors.EVENT_READ, None)

    def serve(self) -> None:
        """For ever. Raises what the library fails at."""
        while True:
            busy = self._model.pipeline.has_non_finished_requests()
            for key, _ in self._selector.select(0 if busy else None):
                if key.data is None:
                    self._accept()
                else:
                    self._hear(key.data)
            if self._model.pipeline.has_non_finished_requests():
                self._model.pipeline.step()
                for link in [link for link in self._links if link.handle is not None]:
                    self._answer(link)

    def _accept(self) -> None:
        # All that wait: a step takes long, and the queue of what is not accepted is short.
        while True:
            try:
                connection, _ = self._listening.accept()
            except BlockingIOError:
                return
            connection.setblocking(False)
            link = _Link(connection)
            self._links.add(link)
            self._selector.register(connection, selectors.EVENT_READ, link)

    def _hear(self, link: _Link) -> None:
        try:
            if link.unsent:
                self._send(link)
            data = link.connection.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._drop(link)
            return
        if link.asked:
            return
        link.unread += data
        if link.unread.endswith(b"\n"):
            link.asked = True
            try:
                self._begin(link, json.loads(link.unread))
            except _TooLongError as error:
                self._end(link, {"error": "too long", "kind": "too_long", "count": error.args[0]})
            except _RefusedError as error:
                self._end(link, {"error": str(error), "kind": "refused"})
            link.unread = b""

    def _begin(self, link: _Link, order: dict[str, Any]) -> None:
        if order["op"] == "health":
            self._end(link, {"count": 0})
            return
        tokens = self._model.tokens(order)
        link.prompt = len(tokens)
        if order["op"] == "count":
            self._end(link, {"count": len(tokens)})
        elif order["op"] == "next":
            link.count = order["count"]
            link.handle = self._model.likeliest(tokens, link.count)
        else:
            link.text = _Text(self._model, order.get("stop", ()))
            link.handle = self._model.begin(tokens, order)

    def _answer(self, link: _Link) -> None:
        status = link.handle.get_status()
        if link.text is None:
            if status.name != "RUNNING":
                rows = self._model.choices(link.handle.read_all(), link.count)
                self._end(link, {"tokens": rows})
            return
        tokens: list[int] = []
        reason = "NONE"
        while link.handle.can_read():
            for output in link.handle.read().values():
                tokens += output.generated_ids
                reason = output.finish_reason.name
        link.made += len(tokens)
        over = status.name != "RUNNING"
        shown = link.text.feed([token for token in tokens if token not in self._model.ends], over)
        counted = {"prompt": link.prompt, "made": link.made}
        if shown:
            self._say(link, {"text": shown, **counted})
            if link.handle is None:
                return  # the client was gone
        if link.text.stopped or over:
            if not link.text.stopped and reason not in ("STOP", "LENGTH"):
                self._end(link, {"error": f"it ended as {status.name}", "kind": "failed"})
                return
            link.handle.cancel()
            finish = "stop" if link.text.stopped else reason.lower()
            self._end(link, {"finish": finish, "met": link.text.met, **counted})

    def _say(self, link: _Link, line: dict[str, Any]) -> None:
        link.unsent += json.dumps(line).encode() + b"\n"
        self._send(link)

    def _end(self, link: _Link, line: dict[str, Any]) -> None:
        link.handle = None
        link.ended = True
        self._say(link, line)

    def _send(self, link: _Link) -> None:
        try:
            link.unsent = link.unsent[link.connection.send(link.unsent) :]
        except BlockingIOError:
            pass
        except OSError:
            self._drop(link)
            return
        if link in self._links:
            more = selectors.EVENT_WRITE if link.unsent else 0
            self._selector.modify(link.connection, selectors.EVENT_READ | more, link)

    def _drop(self, link: _Link) -> None:
        if link not in self._links:
            return
        self._links.discard(link)
        self._selector.unregister(link.connection)
        link.connection.close()
        if link.handle is not None:
            link.handle.cancel()
            link.handle = None


def _overlap(text: str, stop: str) -> int:
    """How much of the end of `text` may be the beginning of `stop`."""
    sizes = range(min(len(stop) - 1, len(text)), 0, -1)
    return next((size for size in sizes if stop.startswith(text[-size:])), 0)


def _last_line(error: Exception) -> str:
    # The library's errors begin with the place in its own source.
    return str(error).strip().splitlines()[-1].rpartition("Check failed: ")[2][:200]
