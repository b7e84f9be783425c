# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A gateway at the time of this machine, because SDKs sign with it, and ways to ask it."""

import json
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from bastide.core import apikey
from paths.gateway_rig import (
    MODEL,
    PEPPER,
    Response,
    Rig,
    bugs,
    gateway,
    make_snapshot,
    read_response,
)

TEXT = "Hello wörld!"
ASK: dict[str, Any] = {
    "modelId": MODEL,
    "messages": [{"role": "user", "content": [{"text": "Hi"}]}],
}
BODY = json.dumps({"messages": ASK["messages"]}).encode()
INVOKE = json.dumps(
    {
        "anthropic_version": "bedrock-2023-05-31",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "Hi"}],
    }
)
WIDE = apikey.sigv4_pair(PEPPER, "k_wide")
NARROW = apikey.sigv4_pair(PEPPER, "k_narrow")


@contextmanager
def signing_gateway() -> Generator[Rig]:
    with gateway() as made:
        set_clock(made)
        yield made
        assert bugs(made) == []


def set_clock(rig: Rig) -> None:
    """Show the time of this machine, and confirm the snapshot at that time."""

    def set_it() -> None:
        rig.clock.advance(int(time.time() * 1000) - rig.clock.now_ms())
        rig.control.publish(rig.control.snapshot or make_snapshot())

    rig.do(set_it)


def client(
    rig: Rig,
    pair: tuple[str, str] = WIDE,
    service: str = "bedrock-runtime",
    read_timeout: int = 20,
    **more: Any,
) -> Any:
    return boto3.client(
        service,
        endpoint_url=rig.url,
        region_name="eu-central-1",
        aws_access_key_id=pair[0],
        aws_secret_access_key=pair[1],
        config=Config(read_timeout=read_timeout),
        **more,
    )


def refused(call: Any, **arguments: Any) -> tuple[int, str, str]:
    """Status, exception and message of a call that is refused at the first attempt."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    answer = caught.value.response
    assert answer["ResponseMetadata"]["RetryAttempts"] == 0
    assert answer["ResponseMetadata"]["RequestId"].startswith("req_")
    error = answer["Error"]
    return answer["ResponseMetadata"]["HTTPStatusCode"], error["Code"], error["Message"]


def raw(rig: Rig, request: bytes) -> Response:
    with rig.connect() as connection:
        connection.sendall(request)
        return read_response(connection)


def signed_bytes(
    rig: Rig,
    body: bytes = BODY,
    sent: bytes | None = None,
    bend: str = "",
    path: str = f"/model/{MODEL}/converse",
) -> bytes:
    """A request that botocore signed; then `sent` may replace its body and `bend` its host."""
    headers = {"Content-Type": "application/json"}
    request = AWSRequest("POST", rig.url + path, headers=headers, data=body)
    SigV4Auth(Credentials(*WIDE), "bedrock", "eu-central-1").add_auth(request)
    sent = body if sent is None else sent
    lines = [f"{name}: {value}\r\n" for name, value in request.headers.items()]
    host = f"Host: 127.0.0.1:{rig.port}{bend}\r\n"
    head = f"POST {path} HTTP/1.1\r\n{host}{''.join(lines)}Content-Length: {len(sent)}\r\n\r\n"
    return head.encode() + sent
