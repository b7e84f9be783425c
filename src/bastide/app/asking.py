# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Use case `chat`: one question to the gateway, streamed, over the same API that clients use."""

import http.client
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from bastide.app.setting_checks import split_address
from bastide.core.errors import BastideError, Misconfigured, NotAllowed, NotFound, Unavailable

__all__ = ["Answer", "ask"]

_TIMEOUT_S = 300
_ERRORS: dict[int, type[BastideError]] = {
    400: Misconfigured,
    401: NotAllowed,
    403: NotAllowed,
    404: NotFound,
}


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. `request` are the exact bytes that the receipt commits to."""

    text: str
    receipt: str
    finish: str
    usage: dict[str, Any]
    request: bytes


def ask(listen: str, key: str, body: dict[str, Any], on_text: Callable[[str], None]) -> Answer:
    """Send a chat request and hand each piece of the answer to `on_text`.

    Raises the error of the tree that the gateway's answer stands for; Unavailable if the stream
    breaks, with what arrived already handed over.
    """
    host, port = split_address(listen)
    connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT_S)
    request = json.dumps(
        {**body, "stream": True, "stream_options": {"include_usage": True}}
    ).encode()
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    try:
        connection.request("POST", "/v1/chat/completions", request, headers)
        response = connection.getresponse()
        receipt = response.getheader("x-bastide-receipt") or ""
        if response.status != 200:
            _raise(response.status, response.read())
        pieces, finish, usage = [], "", {}
        for event in _events(response):
            if "error" in event:
                raise Unavailable(f"the answer broke off: {event['error'].get('message', '')}")
            usage = event.get("usage") or usage
            for choice in event.get("choices", ()):
                finish = choice.get("finish_reason") or finish
                text = choice.get("delta", {}).get("content") or ""
                if text:
                    pieces.append(text)
                    on_text(text)
    except (OSError, http.client.HTTPException) as error:
        raise Unavailable(
            f"the gateway at {listen} does not answer: {error}", fix="bastide up"
        ) from error
    finally:
        connection.close()
    if not finish:
        raise Unavailable(
            "the answer broke off before its end", fix="ask again; see bastide status"
        )
    return Answer("".join(pieces), receipt, finish, usage, request)


def _events(response: http.client.HTTPResponse) -> Iterator[dict[str, Any]]:
    """Server-sent events with JSON data, until ``[DONE]``."""
    while line := response.readline():
        if not line.startswith(b"data: "):
            continue
        data = line[6:].strip()
        if data == b"[DONE]":
            return
        yield json.loads(data)


def _raise(status: int, data: bytes) -> None:
    try:
        message = json.loads(data)["error"]["message"]
    except (ValueError, KeyError, TypeError):
        message = f"HTTP {status}"
    raise _ERRORS.get(status, Unavailable)(message)
