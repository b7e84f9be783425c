# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Signed requests: what counts, for which paths, and for how long."""

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from bastide.app.seen import Seen, make_table
from bastide.core.limits import SIGNATURE_REPEAT_S
from paths.bedrock_rig import BODY, TEXT, WIDE, raw, signed_bytes, signing_gateway
from paths.gateway_rig import MODEL, Rig, make_snapshot, read_response


@pytest.fixture
def rig() -> Iterator[Rig]:
    with signing_gateway() as made:
        yield made


def test_what_was_not_signed_is_refused(rig: Rig) -> None:
    assert raw(rig, signed_bytes(rig)).status == 200
    other = BODY.replace(b"Hi", b"Ho")
    for request in (signed_bytes(rig, sent=other), signed_bytes(rig, bend="0")):
        answer = raw(rig, request)
        assert answer.status == 403
        assert answer.headers["x-amzn-errortype"] == "InvalidSignatureException"
    # Not a word about a body before its signature holds.
    answer = raw(rig, signed_bytes(rig, sent=b"nope"))
    assert answer.headers["x-amzn-errortype"] == "InvalidSignatureException"
    assert len(rig.engine.requests) == 1


@pytest.mark.attacks("C84")
def test_a_request_is_taken_again_only_just_after_it_came(rig: Rig) -> None:
    """Equal calls of one second have one signature, so these must be answered; a replay is late."""
    request = signed_bytes(rig)
    assert raw(rig, request).status == 200
    assert raw(rig, request).status == 200

    def later(seconds: float) -> None:
        rig.clock.advance(int(seconds * 1000))
        rig.control.publish(make_snapshot())

    for seconds in (SIGNATURE_REPEAT_S + 1, 200, 600):
        rig.do(lambda seconds=seconds: later(seconds))
        answer = raw(rig, request)
        assert answer.status == 403
        assert answer.headers["x-amzn-errortype"] == "InvalidSignatureException"
    assert len(rig.engine.requests) == 2


@pytest.mark.attacks("C254")
def test_what_was_signed_before_the_gateway_began_is_refused(rig: Rig) -> None:
    """It may have been answered then, and nobody knows any more."""
    request = signed_bytes(rig)
    born_ms = rig.clock.now_ms() + int(SIGNATURE_REPEAT_S * 1000) + 1_000
    rig.server.routes._seen.born_ms = born_ms
    answer = raw(rig, request)
    assert (answer.status, b"start" in answer.body) == (403, True)
    rig.server.routes._seen.born_ms = born_ms - 2_000
    assert raw(rig, request).status == 200


def test_a_table_without_room_refuses_with_when_to_come_back(rig: Rig) -> None:
    rig.server.routes._seen = Seen(make_table(0, places=1))
    assert raw(rig, signed_bytes(rig)).status == 200
    answer = raw(rig, signed_bytes(rig, body=BODY + b" "))
    assert (answer.status, answer.headers["x-amzn-errortype"]) == (
        503,
        "ServiceUnavailableException",
    )
    assert len(rig.engine.requests) == 1


def test_a_key_revoked_while_the_body_comes(rig: Rig) -> None:
    request = signed_bytes(rig)
    with rig.connect() as connection:
        connection.sendall(request[:-5])
        rig.until(lambda: rig.server.connections == 1)
        rig.publish(keys={})
        connection.sendall(request[-5:])
        assert read_response(connection).status == 403
    assert rig.engine.requests == []


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "Hi"}]}),
        ("/v1/messages", {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 9}),
        ("/api/chat", {"messages": [{"role": "user", "content": "Hi"}], "stream": False}),
    ],
)
def test_a_signature_opens_every_family(rig: Rig, path: str, body: dict[str, Any]) -> None:
    told = json.dumps({"model": MODEL, **body}).encode()
    answer = raw(rig, signed_bytes(rig, told, path=path))
    assert answer.status == 200
    assert TEXT in answer.body.decode()
    assert rig.control.receipts[0].key == "k_wide"
    # And only the path that was signed.
    signed = signed_bytes(rig, told, path=path).replace(path.encode(), b"/v1/completions", 1)
    assert raw(rig, signed).status in (401, 403)


@pytest.mark.parametrize("base", ["/openai/v1", "/v1"])
def test_openai_for_bedrock(rig: Rig, base: str) -> None:
    asking = openai.BedrockOpenAI(
        base_url=rig.url + base,
        aws_region="eu-central-1",
        aws_access_key_id=WIDE[0],
        aws_secret_access_key=WIDE[1],
        max_retries=0,
    )
    turns: Any = [{"role": "user", "content": "Hi"}]
    answer = asking.chat.completions.create(model=MODEL, messages=turns)
    assert answer.choices[0].message.content == TEXT
    stream = asking.chat.completions.create(model=MODEL, messages=turns, stream=True)
    texts = [chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices]
    assert "".join(texts) == TEXT
    wrong = openai.BedrockOpenAI(
        base_url=rig.url + base,
        aws_region="eu-central-1",
        aws_access_key_id=WIDE[0],
        aws_secret_access_key="x" * 40,
        max_retries=0,
    )
    with pytest.raises(openai.PermissionDeniedError):
        wrong.chat.completions.create(model=MODEL, messages=turns)
