# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""``receipts = "promised"``: a real gateway process before a control that is slow, or away."""

import asyncio
import dataclasses
import json
import tempfile
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anthropic
import httpx
import openai
import pytest
from google import genai
from google.genai.types import HttpOptions
from mistralai.client import Mistral

from bastide.adapters.clock.system import SystemClock
from bastide.app.config import Settings
from bastide.app.promises import delegate
from bastide.core.errors import BastideError
from bastide.core.key import Purpose
from bastide.core.merge_promise import MergePromise
from bastide.core.receipt import Receipt
from bastide.core.subject import Digest
from bastide.crypto.promises import open_promise
from bastide.dialects import frames
from paths.gateway_rig import KEY, MODEL, PEPPER, make_snapshot
from paths.test_gateway_process import get, runner, start
from unit.ledger_fixture import make_signer

EVIDENCE = make_signer("evidence", Purpose.EVIDENCE)
ASK: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}]}


class Keeper(threading.Thread):
    """Control: receipts wait while `confirming` is not set."""

    def __init__(self, folder: Path, receipts: str) -> None:
        super().__init__(daemon=True)
        self._path, self._runner = folder / "control.sock", str(folder / "runner.sock")
        self._mode = receipts
        self._settings = Settings(environment="test", receipts=receipts)
        self._loop = asyncio.new_event_loop()
        self._writers: set[asyncio.StreamWriter] = set()
        self.receipts: dict[str, Receipt] = {}
        self.asked = 0
        self.confirming = threading.Event()
        self.confirming.set()
        self.listening = threading.Event()

    def run(self) -> None:
        self._ending = asyncio.Event()
        self._loop.run_until_complete(self._serve())

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._ending.set)
        self.join(10)

    def cut(self) -> None:
        """Break every connection."""
        self._loop.call_soon_threadsafe(
            lambda: [writer.transport.abort() for writer in self._writers]
        )

    async def _serve(self) -> None:
        async with await asyncio.start_unix_server(self._talk, self._path):
            self.listening.set()
            pushing = asyncio.create_task(self._push())
            await self._ending.wait()
            pushing.cancel()
            for writer in self._writers:
                writer.transport.abort()

    async def _push(self) -> None:
        while True:
            snapshot = make_snapshot()
            served = {
                name: dataclasses.replace(row, socket=self._runner, slots=64)
                for name, row in snapshot.served.items()
            }
            fresh = dataclasses.replace(
                snapshot, issued_ms=SystemClock().now_ms(), served=served, receipts=self._mode
            )
            for writer in self._writers:
                writer.write(frames.encode(0, "snapshot", fresh))
            await asyncio.sleep(0.05)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        incoming, answering = frames.FrameReader(), set()
        try:
            while data := await reader.read(65_536):
                for frame in incoming.feed(data):
                    task = asyncio.create_task(self._answer(frame, writer))
                    answering.add(task)
        except ConnectionError:
            pass
        finally:
            self._writers.discard(writer)
            for task in answering:
                task.cancel()

    async def _answer(self, frame: frames.Frame, writer: asyncio.StreamWriter) -> None:
        try:
            kind, body = "ok", None
            if frame.kind == "promise-key":
                self.asked += 1
                now_ms = SystemClock().now_ms()
                body = delegate(self._settings, frames.decode(frame, str), EVIDENCE, now_ms)
            elif frame.kind == "receipt":
                while not self.confirming.is_set():
                    await asyncio.sleep(0.005)
                receipt = frames.decode(frame, Receipt)
                self.receipts[receipt.ident] = receipt
        except BastideError as error:
            kind, body = "error", (error.code, error.message)
        writer.write(frames.encode(frame.stream, kind, body))


@dataclasses.dataclass
class Place:
    """A gateway process and its control."""

    url: str
    control: Keeper
    process: Any

    def ask(self, **changes: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {KEY}"}
        body = {**ASK, **changes}
        return httpx.post(self.url + "/v1/chat/completions", json=body, headers=headers, timeout=20)

    def until_promised(self) -> str:
        """Ask until an answer is promised, and control has its receipt; the promise."""
        end = time.monotonic() + 20
        while time.monotonic() < end:
            answer = self.ask()
            while answer.headers.get("x-bastide-receipt") not in self.control.receipts:
                time.sleep(0.01)
            if text := answer.headers.get("x-bastide-promise"):
                return text
            time.sleep(0.02)
        raise AssertionError("no promise in 20 s")

    def log(self) -> list[dict[str, Any]]:
        """Stop the process; all that it said."""
        self.process.terminate()
        assert self.process.wait(20) == 0
        return [json.loads(line) for line in self.process.stderr.read().splitlines()]


@contextmanager
def place(receipts: str) -> Generator[Place]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with runner(folder / "runner.sock") as engine:
            engine.words, engine.pace_s = ["Hel", "lo ", "wörld", "!"], 0.0
            control = Keeper(folder, receipts)
            control.start()
            assert control.listening.wait(10)
            orders = {
                "listen": "127.0.0.1:0",
                "control_socket": str(folder / "control.sock"),
                "pepper": PEPPER.hex(),
            }
            process = start(orders)
            try:
                assert process.stderr is not None
                ready = json.loads(process.stderr.readline())
                made = Place(f"http://{ready['listen']}", control, process)
                while get(made.url + "/healthz") != 200:
                    time.sleep(0.01)
                while made.ask().status_code != 200:  # until the runner is ready
                    time.sleep(0.01)
                yield made
            finally:
                control.confirming.set()
                process.kill()
                process.wait(20)
                control.stop()


@pytest.fixture
def promised() -> Iterator[Place]:
    with place("promised") as made:
        yield made


def opened(text: str) -> MergePromise:
    return open_promise(text, "test", EVIDENCE.public)


def test_an_answer_does_not_wait_for_control_and_its_promise_is_of_its_receipt(
    promised: Place,
) -> None:
    promised.until_promised()
    promised.control.confirming.clear()
    answer = promised.ask()
    ident = answer.headers["x-bastide-receipt"]
    assert answer.status_code == 200
    assert ident not in promised.control.receipts
    promise = opened(answer.headers["x-bastide-promise"])
    assert promise.receipt == ident
    assert promise.merge_by_ms == promise.time_ms + 1_000
    promised.control.confirming.set()
    while ident not in promised.control.receipts:
        time.sleep(0.01)
    assert promise.leaf == str(Digest.of(promised.control.receipts[ident].leaf()))


def test_the_default_waits_for_control() -> None:
    with place("durable") as durable:
        durable.control.confirming.clear()
        answers: list[httpx.Response] = []
        asking = threading.Thread(target=lambda: answers.append(durable.ask()), daemon=True)
        asking.start()
        asking.join(1.0)
        assert answers == []
        durable.control.confirming.set()
        asking.join(20)
        assert answers[0].status_code == 200
        assert "x-bastide-promise" not in answers[0].headers
        assert durable.control.asked == 0


def test_a_stream_carries_its_promise_before_its_end(promised: Place) -> None:
    promised.until_promised()
    promised.control.confirming.clear()
    answer = promised.ask(stream=True)
    assert "x-bastide-promise" not in answer.headers
    assert answer.text.endswith("data: [DONE]\n\n")
    rows = answer.text.split("\n\n")
    # The last piece may hold text: it comes with the end, which the receipt is about.
    (comment,) = (row for row in rows if row.startswith(": bastide-promise "))
    assert rows.index(comment) < next(n for n, row in enumerate(rows) if '"stop"' in row)
    promise = opened(comment.removeprefix(": bastide-promise "))
    assert promise.receipt == answer.headers["x-bastide-receipt"]
    assert promise.receipt not in promised.control.receipts


def test_the_sdks_see_nothing_of_it(promised: Place) -> None:
    promised.until_promised()
    asked: Any = ASK["messages"]
    text = "Hello wörld!"
    with openai.OpenAI(api_key=KEY, base_url=promised.url + "/v1", max_retries=0) as client:
        stream = client.chat.completions.create(model=MODEL, messages=asked, stream=True)
        assert "".join(row.choices[0].delta.content or "" for row in stream if row.choices) == text
        events = client.responses.create(model=MODEL, input="Hi", stream=True)
        assert [row.type for row in events][-1] == "response.completed"
    with (
        anthropic.Anthropic(api_key=KEY, base_url=promised.url, max_retries=0) as client,
        client.messages.stream(model=MODEL, messages=asked, max_tokens=9) as stream,
    ):
        assert stream.get_final_text() == text
    mistral = Mistral(api_key=KEY, server_url=promised.url)
    with mistral.chat.stream(model=MODEL, messages=asked) as stream:
        assert "".join(str(row.data.choices[0].delta.content or "") for row in stream) == text
    # Google's takes every line of a stream for data: its streams wait, and its answers do not.
    google = genai.Client(api_key=KEY, http_options=HttpOptions(base_url=promised.url))
    said = google.models.generate_content_stream(model=MODEL, contents="Hi")
    assert "".join(row.text or "" for row in said) == text
    whole = google.models.generate_content(model=MODEL, contents="Hi")
    assert whole.sdk_http_response is not None
    assert "x-bastide-promise" in (whole.sdk_http_response.headers or {})


def test_nothing_is_promised_while_control_is_late_and_again_once_all_is_confirmed(
    promised: Place,
) -> None:
    promised.until_promised()
    promised.control.confirming.clear()
    given = opened(promised.ask().headers["x-bastide-promise"])
    time.sleep(0.6)  # longer than PROMISE_CONFIRM_S
    waited: list[httpx.Response] = []
    asking = threading.Thread(target=lambda: waited.append(promised.ask()), daemon=True)
    asking.start()
    asking.join(0.5)
    assert waited == []
    promised.control.confirming.set()
    asking.join(20)
    assert "x-bastide-promise" not in waited[0].headers
    promised.until_promised()
    assert given.receipt in promised.control.receipts
    events = [row["event"] for row in promised.log() if row["event"].startswith("promises-")]
    assert events[:2] == ["promises-paused", "promises-resumed"]


def test_a_receipt_whose_link_broke_is_handed_over_again(promised: Place) -> None:
    promised.until_promised()
    promised.control.confirming.clear()
    given = opened(promised.ask().headers["x-bastide-promise"])
    promised.control.cut()
    time.sleep(0.1)
    promised.control.confirming.set()
    promised.until_promised()
    assert given.receipt in promised.control.receipts


def test_a_gateway_that_stops_hands_over_what_it_promised(promised: Place) -> None:
    promised.until_promised()
    promised.control.confirming.clear()
    given = opened(promised.ask().headers["x-bastide-promise"])
    promised.process.terminate()
    time.sleep(0.3)
    assert promised.process.poll() is None
    promised.control.confirming.set()
    assert promised.process.wait(20) == 0
    assert given.receipt in promised.control.receipts


@pytest.mark.attacks("C100")
def test_a_gateway_that_is_killed_breaks_its_promise(promised: Place) -> None:
    promised.until_promised()
    promised.control.confirming.clear()
    given = opened(promised.ask().headers["x-bastide-promise"])
    promised.process.kill()
    promised.process.wait(20)
    promised.control.confirming.set()
    time.sleep(0.2)
    assert given.receipt not in promised.control.receipts  # and the client can prove the promise
