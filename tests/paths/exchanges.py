# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Recorded exchanges of SDKs with the gateway: as files, as bytes, and asked again without an SDK.

A request is kept without what differs from run to run or from machine to machine, and without
secrets: keys have names. In an answer the request's own id is `ID`, and the time is that of the
rig's clock when it starts. All else is kept to the byte; `_shown` proves that of what it writes.
"""

import base64
import binascii
import json
import re
import struct
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httptools

from bastide.adapters.clock.fixed import FixedClock
from bastide.adapters.engine.fake import FakeEngine
from paths.gateway_rig import KEY, MODEL, STRANGE_KEY, Rig, bugs, gateway, make_snapshot

__all__ = ["EMBEDDER", "Message", "asked_again", "exchange_of", "familiar", "recorded", "written"]

FOLDER = Path(__file__).parent.parent / "vectors" / "dialects"
EMBEDDER = "minilm"
BROKEN = "broken"  # begins the name of an exchange whose engine dies after two words
_KEYS = {"KEY": KEY, "STRANGE_KEY": STRANGE_KEY}
_START = str(FixedClock().now_ms() // 1_000)
# They name versions and systems; `accept-encoding` what else is installed.
_VOLATILE = re.compile(
    "accept-encoding|amz-sdk-invocation-id|connection|content-length|date|host|traceparent|"
    "x-amz-date|x-amz-user-agent|x-goog-api-client|x-stainless-(?!retry-count).*"
)
_SIGNED = re.compile(r"(AWS4-HMAC-SHA256 Credential=)[^/]+/\d{8}/(.*, Signature=)[0-9a-f]{64}")

Shown = dict[str, Any]


@dataclass
class Message:
    """What httptools reads of one request or answer."""

    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    path: str = ""
    whole: bool = False

    def on_url(self, url: bytes) -> None:
        self.path += url.decode()

    def on_header(self, name: bytes, value: bytes) -> None:
        assert name.lower().decode() not in self.headers, name
        self.headers[name.lower().decode()] = value.decode()

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        assert not self.whole, "a call is one request"
        self.whole = True


def exchange_of(rig: Rig, sent: bytes, received: bytes, ended: bool) -> Shown | None:
    """The exchange, as the files show it; nothing while the answer may still go on."""
    request, answer = Message(), Message()
    asking = httptools.HttpRequestParser(request)
    asking.feed_data(sent)
    answering = httptools.HttpResponseParser(answer)
    answering.feed_data(received)
    if not answer.whole and not ended:
        return None
    ident = answer.headers["x-request-id"].removeprefix("req_")
    replaced = {ident: "ID", str(rig.clock.now_ms() // 1_000): _START}
    return {
        "request": {
            "method": asking.get_method().decode(),
            "path": request.path,
            "headers": _headers(request, {key: name for name, key in _KEYS.items()}),
            **_shown(request, {}),
        },
        "response": {
            "status": answering.get_status_code(),
            "headers": _headers(answer, replaced),
            **_shown(answer, replaced),
            **({} if answer.whole else {"aborted": True}),
        },
    }


def asked_again(rig: Rig, request: Shown) -> Shown:
    """The same exchange, without the SDK. What SigV4 signed is asked with the key as a bearer."""
    body = _bytes_of(request)
    headers = {"host": "x", **request["headers"], "content-length": str(len(body))}
    if headers.get("authorization", "").startswith("AWS4"):
        headers["authorization"] = "Bearer KEY"
    lines = [f"{name}: {_replaced(text, _KEYS)}\r\n" for name, text in headers.items()]
    head = f"{request['method']} {request['path']} HTTP/1.1\r\n{''.join(lines)}\r\n"
    sent, received, ended = head.encode() + body, b"", False
    with rig.connect() as talking:
        talking.sendall(sent)
        made = None
        while made is None:
            more = talking.recv(65_536)
            received, ended = received + more, not more
            made = exchange_of(rig, sent, received, ended)
    return made["response"]


@contextmanager
def familiar(name: str) -> Generator[Rig]:
    """The gateway that every exchange is recorded with: each has its own, so ids are its first."""
    with gateway() as rig:
        served = make_snapshot().served
        embedder = {"name": EMBEDDER, "socket": "e.sock", "embeds": True}
        served[EMBEDDER] = type(served[MODEL])(**{**_fields(served[MODEL]), **embedder})
        rig.publish(served=served, aliases={"gemini-embedding-001": EMBEDDER})
        if name.startswith(BROKEN):
            rig.engine.fails_after = 2
        else:
            rig.engine.thinking = FakeEngine()
        yield rig
        assert bugs(rig) == []


def recorded(sdk: str) -> dict[str, Shown]:
    """The exchanges of an SDK that are in the repository."""
    return json.loads((FOLDER / f"{sdk}.json").read_text())["exchanges"]


def written(sdk: str, versions: str, exchanges: dict[str, Shown], **more: object) -> None:
    """Write the exchanges of an SDK, and what more there is to say."""
    said = {"recorded_with": versions, **more, "exchanges": exchanges}
    (FOLDER / f"{sdk}.json").write_text(json.dumps(said, indent=1, ensure_ascii=False) + "\n")


# Private


def _fields(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__dataclass_fields__}


def _replaced(text: str, pairs: dict[str, str]) -> str:
    """`text` with each whole word of `pairs` replaced."""
    for old, new in pairs.items():
        text = text.replace(old, new)
    return text


def _headers(message: Message, replaced: dict[str, str]) -> dict[str, str]:
    # Of `user-agent` only the product: some dialects are told apart by it.
    shown = {
        name: value.partition("/")[0]
        if name == "user-agent"
        else _SIGNED.sub(r"\1KEY/DATE/\2SIGNATURE", _replaced(value, replaced))
        for name, value in message.headers.items()
        if not _VOLATILE.fullmatch(name)
    }
    return dict(sorted(shown.items()))


def _shown(message: Message, replaced: dict[str, str]) -> Shown:
    """The body, as what it consists of."""
    kind = message.headers.get("content-type", "").partition(";")[0]
    if kind == "application/vnd.amazon.eventstream":
        frames = list(_frames(message.body))
        assert _bytes_of({"frames": frames}) == message.body
        for frame in frames:
            name = "chunk" if "chunk" in frame else "payload"
            frame[name] = _replaced(frame[name], replaced)
        return {"frames": frames}
    text = _replaced(message.body.decode(), replaced)
    shown = _parts(kind, text)
    assert _bytes_of(shown) == text.encode()
    return shown


def _parts(kind: str, text: str) -> Shown:
    if not text:
        return {}
    if kind == "text/event-stream":
        return {"events": re.findall(r"(?s).+?(?:\r\n\r\n|\n\n|\Z)", text)}
    if kind == "application/x-ndjson":
        return {"lines": text.splitlines(keepends=True)}
    value = json.loads(text)
    for name, write in _JSON.items():
        if write(value) == text:
            return {name: value}
    return {"text": text}


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


# As most write JSON, and as boto3 and google-genai do.
_JSON: dict[str, Callable[[Any], str]] = {"json": _compact, "spaced_json": json.dumps}


def _bytes_of(shown: Shown) -> bytes:
    if "frames" in shown:
        return b"".join(map(_frame, shown["frames"]))
    for name, write in _JSON.items():
        if name in shown:
            return write(shown[name]).encode()
    pieces: Iterable[str] = shown.get("events") or shown.get("lines") or [shown.get("text", "")]
    return "".join(pieces).encode()


def _frame(shown: Shown) -> bytes:
    """A frame of AWS's event stream: https://smithy.io/2.0/aws/amazon-eventstream.html."""
    headers = b"".join(
        bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(text)) + text.encode()
        for name, text in shown["headers"].items()
    )
    if "chunk" in shown:
        payload = _compact({"bytes": base64.b64encode(shown["chunk"].encode()).decode()}).encode()
    else:
        payload = shown["payload"].encode()
    prelude = struct.pack(">II", len(headers) + len(payload) + 16, len(headers))
    frame = prelude + struct.pack(">I", binascii.crc32(prelude)) + headers + payload
    return frame + struct.pack(">I", binascii.crc32(frame))


def _frames(body: bytes) -> Iterator[Shown]:
    while body:
        length, header_length = struct.unpack(">II", body[:8])
        headers, payload = body[12 : 12 + header_length], body[12 + header_length : length - 4]
        found = {}
        while headers:
            named = 1 + headers[0]
            end = named + 3 + struct.unpack(">H", headers[named + 1 : named + 3])[0]
            found[headers[1:named].decode()] = headers[named + 3 : end].decode()
            headers = headers[end:]
        value = json.loads(payload)
        if list(value) == ["bytes"]:  # InvokeModel's stream wraps its pieces
            yield {"headers": found, "chunk": base64.b64decode(value["bytes"]).decode()}
        else:
            yield {"headers": found, "payload": payload.decode()}
        body = body[length:]
