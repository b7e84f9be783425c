# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The client of sealed mode: whoever uses it needs nothing else of Bastide than `keys.json`.

It asks the gateway for the nodes, believes nothing of it (ledger/verify_nodes.py), chooses one of
those that serve the model at random, seals the request to it, and opens the answer. The gateway
does not choose. If it says that the node is down, one other is chosen by chance and no third: so
who denies answers moves a request to a node of their choice with at most twice its chance.

    client = SealedClient(Gateway("https://llm.example"), anchors, clock, entropy)
    answer = client.ask(key, "/v1/chat/completions", "", {}, body)
    for piece in answer: ...
"""

import http.client
import json
import ssl
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from bastide.app.sealed_gateway import Gateway
from bastide.core.errors import (
    BastideError,
    Down,
    Misconfigured,
    NotAllowed,
    NotFound,
    NotProven,
    Unavailable,
)
from bastide.core.sealed import SUITE, bound
from bastide.crypto.base64url import b64url
from bastide.crypto.sealing import SECRET_BYTES, AnswerOpener, Kind, seal_request
from bastide.dialects.families import find_answers
from bastide.dialects.sealed import ANSWERS, ERROR_MARK, NODES, SealedBody
from bastide.ledger.verify_nodes import Head, KnownNode, Nodes, Trust, trace_nodes
from bastide.ports import Clock, Entropy

__all__ = ["SealedAnswer", "SealedClient", "asked_model"]

_REFRESH_S: Final = 60.0
_LINE_BYTES_MAX: Final = 8 << 20
_BUNDLE_BYTES_MAX: Final = 64 << 20
_ERROR_BYTES_MAX: Final = 65_536
_ERRORS: Final[dict[int, type[BastideError]]] = {
    400: Misconfigured, 401: NotAllowed, 403: NotAllowed, 404: NotFound, 422: NotProven,
    503: Down,
}  # fmt: skip


def asked_model(path: str, query: str, headers: Mapping[str, str], body: bytes) -> str:
    """Which model a request of any dialect asks. Raises Misconfigured if it asks none."""
    known = {name.lower().encode(): text.encode() for name, text in headers.items()}
    _, action = find_answers(path, query, known)
    if action is None:
        raise Misconfigured(
            f"{path[:100]}: sealed mode answers chats and completions, and nothing else"
        )
    return action.decode(body, "sealed").request.model


class SealedClient:
    """Seals requests of any number of threads. `state` is a file that remembers the log's head."""

    def __init__(
        self,
        gateway: Gateway,
        anchors: Mapping[str, Any],
        clock: Clock,
        entropy: Entropy,
        trust: Trust | None = None,
        state: Path | None = None,
        tokens_max: int = 4_096,
    ) -> None:
        self._gateway, self._anchors = gateway, anchors
        self._clock, self._entropy = clock, entropy
        self._trust, self._state, self._tokens_max = trust or Trust(), state, tokens_max
        self._head = None if state is None else read_head(state)
        self._nodes: Nodes | None = None
        self._asked_at = 0.0
        self._turn = threading.Lock()

    def nodes(self, key: str, fresh: bool = False) -> Nodes:
        """The nodes, verified anew if that was a while ago. Raises NotProven, Unavailable."""
        with self._turn:
            age_s = self._clock.monotonic() - self._asked_at
            if self._nodes is None or fresh or age_s > _REFRESH_S:
                bundle = self._fetch(key)
                now_ms = self._clock.now_ms()
                found = trace_nodes(bundle, self._anchors, self._trust, self._head, now_ms)
                if self._state is not None and found.head != self._head:
                    write_head(self._state, found.head)
                self._head, self._nodes = found.head, found
                self._asked_at = self._clock.monotonic()
            return self._nodes

    def choose(self, key: str, model: str, fresh: bool = False, without: str = "") -> KnownNode:
        """One of the nodes that serve a model, by chance; another than `without`, a statement.

        Raises NotFound with all reasons.
        """
        known, now_ms = self.nodes(key, fresh), self._clock.now_ms()
        able = [
            row
            for row in known.nodes
            if row.model == model and row.expires_ms > now_ms and row.statement != without
        ]
        if not able and not fresh:
            return self.choose(key, model, True, without)
        if not able:
            names = sorted({row.model for row in known.nodes})
            raise NotFound(
                f"no proven node serves the model {model!r}"
                + (f"; there are {', '.join(names)}" if names else ""),
                reasons=[
                    f"{name[:19]}: {reason}"
                    for name, reasons in known.refused.items()
                    for reason in reasons
                ],
                place="model",
            )
        # Of 16 bytes: what the rest of a division makes uneven is below 2**-100.
        return able[int.from_bytes(self._entropy.token(16)) % len(able)]

    def ask(
        self, key: str, path: str, query: str, headers: Mapping[str, str], body: bytes
    ) -> "SealedAnswer":
        """Seal a request of any dialect, and begin its answer.

        Raises NotProven, NotFound, Unavailable, or what the gateway says in the clear.
        """
        model = asked_model(path, query, headers, body)
        inside = {"path": path, "query": query, "headers": dict(headers)}
        content = json.dumps(inside).encode() + b"\n" + body
        down: tuple[str, Down] | None = None
        for fresh in (False, True):
            try:
                node = self.choose(key, model, fresh, down[0] if down else "")
            except NotFound:
                if down is None:
                    raise
                raise down[1] from None  # there is no other
            try:
                return self._ask(key, node, content)
            except NotProven:
                # It may have started again with another key since: ask for the nodes once more.
                if fresh:
                    raise
            except Down as error:
                if fresh:
                    raise
                down = node.statement, error
        raise AssertionError

    def _ask(self, key: str, node: KnownNode, content: bytes) -> "SealedAnswer":
        secret, now_ms = self._entropy.token(SECRET_BYTES), self._clock.now_ms()
        named = b64url(node.hpke)
        info = bound(SUITE, named, node.replica, node.model, self._tokens_max)
        sealed = seal_request(node.hpke, info, secret, now_ms, content)
        body = msgspec.json.encode(
            SealedBody(SUITE, named, node.replica, node.model, self._tokens_max, b64url(sealed))
        )
        connection, response = self._send("POST", ANSWERS, key, body)
        return SealedAnswer(node, body, connection, response, AnswerOpener(secret, sealed))

    def _fetch(self, key: str) -> Any:
        since = 0 if self._head is None else self._head.size
        connection, response = self._send("GET", f"{NODES}?since={since}", key, None)
        try:
            data = response.read(_BUNDLE_BYTES_MAX)
        except (OSError, http.client.HTTPException) as error:
            raise _away(self._gateway, error) from error
        finally:
            connection.close()
        try:
            return json.loads(data)
        except (ValueError, RecursionError) as error:
            raise NotProven("the gateway's answer about nodes is not JSON") from error

    def _send(
        self, method: str, path: str, key: str, body: bytes | None
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        connection = self._gateway.connect()
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            if response.status != 200:
                _raise(response.status, response.read(_ERROR_BYTES_MAX))
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise _away(self._gateway, error) from error
        except BaseException:
            connection.close()
            raise
        return connection, response


@dataclass(slots=True)
class SealedAnswer:
    """One answer, which opens as it is read. Nothing of it is whole before `end` is there.

    `request` and `lines` are what the receipt commits to: keep them to open it later.
    """

    node: KnownNode
    request: bytes
    _connection: http.client.HTTPConnection
    _response: http.client.HTTPResponse
    _opener: AnswerOpener
    receipt: str = ""
    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    lines: list[bytes] = field(default_factory=list)
    end: dict[str, Any] | None = None
    _first: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Read the head. Raises NotProven or Unavailable."""
        self.receipt = self._response.getheader("x-bastide-receipt") or ""
        try:
            while not self.status:
                kind, data = self._next()
                if kind is not Kind.HEAD:
                    raise NotProven("sealed answer: it does not begin with its head")
                head = _object(data)
                self.headers = tuple((str(name), str(text)) for name, text in head["headers"])
                self.status = int(head["status"])
        except (KeyError, TypeError, ValueError) as error:
            self.close()
            raise NotProven("sealed answer: its head is malformed") from error
        except BaseException:
            self.close()
            raise

    def __iter__(self) -> Iterator[bytes]:
        """The body as it comes; the last of it only once the end was verified."""
        closing = b""
        try:
            while self.end is None:
                kind, data = self._next()
                if kind is Kind.BODY and not closing:
                    yield data
                elif kind is Kind.CLOSING and not closing:
                    closing = data
                elif kind is Kind.END:
                    self._verify_end(_object(data))
                else:
                    raise NotProven("sealed answer: its lines are out of order")
            if closing:
                yield closing
        finally:
            self.close()

    def read(self) -> bytes:
        """The whole body."""
        return b"".join(self)

    def close(self) -> None:
        """Give the answer up."""
        self._connection.close()

    def kept(self) -> dict[str, Any]:
        """What to keep, so that the receipt can be checked later (app/sealed_receipts.py)."""
        return {
            "type": "https://bastide.eu/sealed-kept/v1",
            "node": self.node.statement,
            "request": self.request.decode(),
            "answer": b"".join(self.lines).decode(),
            "end": self.end,
        }

    def _next(self) -> tuple[Kind, bytes]:
        while True:
            try:
                line = self._response.readline(_LINE_BYTES_MAX)
            except (OSError, http.client.HTTPException) as error:
                raise Unavailable(f"the sealed answer broke off: {error}") from error
            if line.startswith(ERROR_MARK.encode()):
                told = _told(line[1:])
                raise Unavailable(f"the sealed answer broke off; the operator says: {told}")
            if not line.endswith(b"\n"):
                raise Unavailable("the sealed answer broke off before its end: it is not whole")
            self.lines.append(line)
            try:
                found = self._opener.open(line.decode("ascii"))
            except UnicodeDecodeError as error:
                raise NotProven("sealed answer: a line is not base64url") from error
            if found is not None:
                return found

    def _verify_end(self, end: dict[str, Any]) -> None:
        wanted = {
            "receipt": self.receipt,
            "node": b64url(self.node.hpke),
            "deployment": self.node.deployment,
            "release": self.node.release,
        }
        wrong = [name for name, value in wanted.items() if end.get(name) != value]
        if wrong:
            raise NotProven(
                f"sealed answer: the node states another {' and another '.join(wrong)} than the"
                " gateway's receipt and the node's proof"
            )
        self.end = end


def read_head(path: Path) -> Head | None:
    """The head that was seen last; None before the first. Raises Misconfigured, Unavailable."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Head)
    except FileNotFoundError:
        return None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Misconfigured(
            f"{path} remembers no head: {error}", fix="ask why before you remove it"
        ) from error
    except OSError as error:
        raise Unavailable(f"{path}: {error.strerror}") from error


def write_head(path: Path, head: Head) -> None:
    """Remember a head. Raises Unavailable."""
    draft = path.with_name(path.name + ".new")
    try:
        draft.write_bytes(msgspec.json.encode(head) + b"\n")
        draft.replace(path)
    except OSError as error:
        raise Unavailable(f"{path} cannot be written: {error.strerror}") from error


def _object(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise NotProven("sealed answer: a line is not JSON") from error
    if not isinstance(value, dict):
        raise NotProven("sealed answer: a line is no JSON object")
    return value


def _told(data: bytes) -> str:
    try:
        return str(json.loads(data)["error"]["message"])[:500]
    except (ValueError, KeyError, TypeError, RecursionError):
        return data[:200].decode(errors="replace")


def _raise(status: int, data: bytes) -> None:
    kind = _ERRORS.get(status, Unavailable)
    raise kind(f"the gateway refuses ({status}): {_told(data)}")


def _away(gateway: Gateway, error: Exception) -> Unavailable:
    if isinstance(error, ssl.SSLCertVerificationError):
        return Unavailable(
            f"nobody whom this machine trusts vouches for the certificate of {gateway.url}:"
            f" {error.verify_message}",
            fix="--ca FILE with its authority: ca.pem, from somebody whom you trust",
        )
    return Unavailable(f"the gateway at {gateway.url} does not answer: {error}")
