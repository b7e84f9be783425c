# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What one caller or one engine does wrong costs nobody else an answer, a receipt or a place."""

import asyncio
import contextlib
import json
import socket
import time
from pathlib import Path

import pytest

from bastide.adapters.engine.remote import RemoteEngine
from bastide.core.chat import Delta, FinishReason, GenerateRequest, Message
from bastide.core.errors import Busy
from bastide.core.limits import PIPELINE_BYTES_MAX
from bastide.dialects.frames import FrameReader, encode
from bastide.gateway import h2_connection, inbound
from bastide.gateway.connection import Connection, Patience
from bastide.gateway.reply import Reply
from paths.gateway_rig import MODEL, gateway, read_response, request_bytes
from paths.h2_client import Client

ASK = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}]}
GOOD = request_bytes(json.dumps(ASK).encode())


@pytest.mark.attacks("C101")
def test_who_gives_up_waiting_for_a_slow_runner_ends_only_its_own_answer(tmp_path: Path) -> None:
    path = str(tmp_path / "r.sock")

    async def scenario() -> list[list[str]]:
        reads = asyncio.Event()

        async def runner(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reads.wait()  # it reads nothing for a while
            frames = FrameReader()
            while data := await reader.read(65_536):
                for frame in frames.feed(data):
                    if frame.kind == "generate":
                        writer.write(encode(frame.stream, "delta", Delta("hi", FinishReason.STOP)))

        server = await asyncio.start_unix_server(runner, path)
        engine = RemoteEngine(path)

        async def ask(size: int) -> list[str]:
            request = GenerateRequest("id", "m", (Message("user", "x" * size),))
            return [delta.text async for delta in engine.generate(request)]

        tasks = [asyncio.create_task(ask(2_000_000))]
        await asyncio.sleep(0.1)
        leaving = asyncio.create_task(ask(10))
        tasks.append(asyncio.create_task(ask(10)))
        await asyncio.sleep(0.1)
        leaving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await leaving
        tasks.append(asyncio.create_task(ask(10)))
        await asyncio.sleep(0.1)
        reads.set()
        answers = await asyncio.wait_for(asyncio.gather(*tasks), 10)
        await engine.close()
        server.close()
        return answers

    assert asyncio.run(scenario()) == [["hi"]] * 3


def test_an_engine_that_turns_busy_in_the_middle_of_an_answer_leaves_a_receipt() -> None:
    asked = request_bytes(json.dumps({**ASK, "stream": True}).encode())
    with gateway() as rig, rig.connect() as talking:
        rig.engine.fails_after, rig.engine.fault = 2, Busy("no more")
        talking.sendall(asked)
        read_response(talking)
        end = time.monotonic() + 5
        while not rig.control.receipts and time.monotonic() < end:
            time.sleep(0.01)
        (receipt,) = rig.control.receipts
    assert (receipt.finish, receipt.completion_tokens) == ("error", 2)


@pytest.mark.attacks("C101")
def test_unfinished_bodies_have_one_bound_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbound, "BODIES_BYTES_MAX", 300_000)
    body = json.dumps({**ASK, "user": "x" * 200_000}).encode()
    whole = request_bytes(body)
    with gateway() as rig, rig.connect() as first, rig.connect() as second, rig.connect() as third:
        first.sendall(whole[:-1])  # it keeps 200 kB here
        end = time.monotonic() + 5
        while rig.server.bodies.held < len(body) - 1 and time.monotonic() < end:
            time.sleep(0.01)
        second.sendall(whole)
        assert read_response(second).status == 503
        third.sendall(GOOD)  # a small one comes in
        assert read_response(third).status == 200
        first.sendall(whole[-1:])
        assert read_response(first).status == 200
        while rig.server.bodies.held and time.monotonic() < end:
            time.sleep(0.01)
        assert rig.server.bodies.held == 0


def send_body(client: Client, stream: int, data: bytes, *, end: bool) -> None:
    for at in range(0, len(data), 16_384):
        part = data[at : at + 16_384]
        client.frames.send_data(stream, part, end_stream=end and at + len(part) == len(data))
    client.send()


@pytest.mark.attacks("C165")
def test_unfinished_bodies_of_both_protocols_have_one_bound_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in (inbound, h2_connection):
        monkeypatch.setattr(module, "BODIES_BYTES_MAX", 300_000)
    body = json.dumps({**ASK, "user": "x" * 200_000}).encode()
    with gateway() as rig, rig.connect() as plain, rig.connect() as first, rig.connect() as second:
        keeping, asking = Client(first), Client(second)
        for client in (keeping, asking):
            client.read()  # how much we let it send
        kept = keeping.ask(body, end=False)
        send_body(keeping, kept, body[:-1], end=False)  # it keeps 200 kB here
        rig.until(lambda: rig.server.bodies.held == len(body) - 1)
        refused = asking.ask(body, end=False)  # on another connection
        send_body(asking, refused, body, end=True)
        assert asking.status(refused) == 503
        plain.sendall(request_bytes(body))  # and over the other protocol
        assert read_response(plain).status == 503
        assert asking.status(asking.ask(json.dumps(ASK).encode())) == 200  # a small one comes in
        assert rig.server.bodies.held == len(body) - 1
        send_body(keeping, kept, body[-1:], end=True)
        assert keeping.status(kept) == 200
        rig.until(lambda: rig.server.bodies.held == 0)


def test_a_connection_that_goes_takes_its_unfinished_body_with_it() -> None:
    with gateway() as rig:
        with rig.connect() as plain:
            client = Client(plain)
            client.read()
            stream = client.ask(b"x" * 50_000, end=False)
            send_body(client, stream, b"x" * 40_000, end=False)
            rig.until(lambda: rig.server.bodies.held == 40_000)
        rig.until(lambda: rig.server.bodies.held == 0)


@pytest.mark.parametrize(
    ("first", "later"),
    [
        pytest.param(GOOD, b"\r\n", id="an empty line"),
        pytest.param(GOOD + GOOD[:20], GOOD[20:40], id="half a request"),
    ],
)
def test_what_came_while_an_answer_ran_does_not_keep_a_connection_open(
    first: bytes, later: bytes
) -> None:
    patience = Patience(request_s=0.3, idle_s=0.3, write_s=0.3, linger_s=0.3)
    with gateway(patience) as rig, rig.connect() as talking:
        rig.engine.pace_s = 0.1
        talking.sendall(first)
        time.sleep(0.05)
        talking.sendall(later)
        assert read_response(talking).status == 200
        rest = b""
        while data := talking.recv(65_536):  # the rig's sockets give up after a while
            rest += data
        assert rest == b"" or b" 408 " in rest


def test_an_answer_that_is_cancelled_before_it_began_is_told_and_its_connection_lives() -> None:
    """As a stop does that falls between a request and its answer's first step."""
    with gateway() as rig:
        client, ours = socket.socketpair()

        async def arrive_and_cancel() -> None:
            loop = asyncio.get_running_loop()
            connection = Connection(rig.server, Patience())
            transport, _ = await loop.connect_accepted_socket(lambda: connection, ours)
            assert rig.server.enter(connection, transport)
            connection.data_received(GOOD)
            assert rig.server.running == list(connection.tasks)
            for task in rig.server.running:
                task.cancel()

        rig.call(arrive_and_cancel())
        with client:
            client.settimeout(10)
            assert read_response(client).status == 503
            client.sendall(GOOD)
            assert read_response(client).status == 200
        rig.until(lambda: rig.server.connections == 0)
        assert rig.server.running == []


class Overlapped(Connection):
    """Hears the client's next request at the moment its answer is out, before the job is over."""

    following = b""

    def reply(self, reply: Reply) -> None:
        super().reply(reply)
        following, self.following = self.following, b""
        if following:
            assert self.tasks
            self.data_received(following)


def test_a_client_that_asks_much_at_once_after_its_answer_is_no_flood() -> None:
    body = json.dumps(ASK).encode() + b" " * 2 * PIPELINE_BYTES_MAX
    with gateway() as rig:
        client, ours = socket.socketpair()

        async def arrive() -> None:
            connection = Overlapped(rig.server, Patience())
            connection.following = request_bytes(body)
            loop = asyncio.get_running_loop()
            transport, _ = await loop.connect_accepted_socket(lambda: connection, ours)
            assert rig.server.enter(connection, transport)
            connection.data_received(GOOD)

        rig.call(arrive())
        with client:
            client.settimeout(10)
            assert read_response(client).status == 200
            assert read_response(client).status == 200
            client.sendall(GOOD)
            assert read_response(client).status == 200
