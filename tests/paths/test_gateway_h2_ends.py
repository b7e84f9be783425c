# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""How streams and connections of HTTP/2 end: resets, failures, stops, silence."""

import json
import time
from collections.abc import Iterator

import pytest
from h2.errors import ErrorCodes

from bastide.gateway.connection import Patience
from paths.gateway_rig import MODEL, Rig, bugs, gateway
from paths.h2_client import Client

BODY = json.dumps({"model": MODEL, "messages": [{"role": "user", "content": "Hi"}]}).encode()
STREAM_BODY = BODY[:-1] + b', "stream": true}'


@pytest.fixture
def rig() -> Iterator[Rig]:
    with gateway() as made:
        yield made
        assert bugs(made) == []


@pytest.fixture
def client(rig: Rig) -> Iterator[Client]:
    with rig.connect() as connected:
        yield Client(connected)


def test_a_reset_cancels_the_answer_at_once(rig: Rig, client: Client) -> None:
    rig.engine.hangs_after = 1
    stream = client.ask(STREAM_BODY)
    while b"Hel" not in client.bodies[stream]:
        client.read()
    client.frames.reset_stream(stream, ErrorCodes.CANCEL)
    client.send()
    rig.until(lambda: rig.engine.running == 0, seconds=2)
    rig.until(lambda: rig.control.receipts)
    assert rig.control.receipts[0].finish == "cancelled"
    assert client.status(client.get()) == 200


def test_a_client_that_has_gone_cancels_all_its_answers(rig: Rig) -> None:
    rig.engine.hangs_after = 1
    with rig.connect() as connected:
        client = Client(connected)
        streams = [client.ask(STREAM_BODY) for _ in range(2)]
        while not all(b"Hel" in client.bodies[stream] for stream in streams):
            client.read()
    rig.until(lambda: rig.engine.running == 0, seconds=2)
    rig.until(lambda: rig.server.connections == 0)


@pytest.mark.attacks("C82")
def test_a_failing_stream_says_so_and_is_reset(rig: Rig, client: Client) -> None:
    rig.engine.fails_after = 2
    stream = client.ask(STREAM_BODY)
    client.until(stream)
    assert client.resets[stream] == ErrorCodes.INTERNAL_ERROR
    assert stream not in client.ended
    assert b'"error"' in client.bodies[stream]
    assert b"DONE" not in client.bodies[stream]
    rig.engine.fails_after = 0
    assert client.status(client.ask(STREAM_BODY)) == 503


def test_a_client_that_says_goodbye_gets_its_answer(rig: Rig, client: Client) -> None:
    # As Node's `session.close()` does: GOAWAY at once, then wait for what runs.
    rig.engine.pace_s = 0.02
    stream = client.ask(STREAM_BODY)
    client.send(bytes.fromhex("0000080700000000000000000000000000"))
    client.until(stream)
    assert client.bodies[stream].endswith(b"data: [DONE]\n\n")


def test_a_stop_lets_streams_end_and_takes_no_more(rig: Rig, client: Client) -> None:
    rig.engine.pace_s = 0.05
    stream = client.ask(STREAM_BODY)
    rig.until(lambda: rig.engine.running)
    stopping = rig.begin(rig.server.stop(5))
    refused = stream
    while refused not in client.resets:  # until the stop has begun
        refused = client.get()
        client.until(refused)
    assert client.resets == {refused: ErrorCodes.REFUSED_STREAM}
    client.until_closed()
    assert client.bodies[stream].endswith(b"data: [DONE]\n\n")
    assert stream in client.ended
    assert client.goaway == ErrorCodes.NO_ERROR
    stopping.result(10)


def test_a_stop_cuts_off_what_does_not_end(rig: Rig, client: Client) -> None:
    rig.engine.hangs_after = 1
    stream = client.ask(STREAM_BODY)
    while b"Hel" not in client.bodies[stream]:
        client.read()
    rig.call(rig.server.stop(0.05))
    data = b""
    while more := client.socket.recv(65_536):
        data += more
    assert b"The gateway stops" in data
    assert b"DONE" not in data
    assert rig.control.receipts[0].finish == "cancelled"


def test_silence_ends_a_connection() -> None:
    with gateway(Patience(idle_s=0.05)) as rig, rig.connect() as connected:
        client = Client(connected)
        client.until(client.get())
        client.until_closed()
        assert client.goaway == ErrorCodes.NO_ERROR


def test_a_request_that_does_not_arrive_is_refused_and_pings_do_not_help() -> None:
    with gateway(Patience(request_s=0.1)) as rig, rig.connect() as connected:
        client = Client(connected)
        stream = client.ask(BODY, end=False)
        assert client.status(stream) == 408
        assert client.goaway is None
    with gateway(Patience(request_s=0.1)) as rig, rig.connect() as connected:
        client = Client(connected)
        while client.goaway is None and not client.closed:
            client.frames.ping(b"hello 12")
            client.send()
            client.read()
            time.sleep(0.01)  # or it would be a flood
        assert client.goaway == ErrorCodes.NO_ERROR
