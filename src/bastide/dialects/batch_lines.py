# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A batch's input, line by line, and the lines of its results, as the OpenAI API has them."""

from typing import Any, Final

import msgspec

from bastide.core.batch import Fault
from bastide.core.errors import Misconfigured

__all__ = [
    "ENDPOINTS",
    "Line",
    "LineReader",
    "endpoint_of",
    "read_line",
    "write_line",
    "write_unasked",
]

ENDPOINTS: Final = (
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/responses",
)
_CUSTOM_ID_MAX: Final = 512  # characters
_encode = msgspec.json.Encoder().encode


class _Raw(msgspec.Struct):
    custom_id: str
    method: str
    url: str
    body: msgspec.Raw


class _Peek(msgspec.Struct):
    model: str
    stream: bool = False


class Line(msgspec.Struct, frozen=True):
    """One request. `body` is exactly what the file holds: its receipt commits to it."""

    custom_id: str
    body: bytes


def endpoint_of(given: str) -> str:
    """The path of an endpoint; Azure's clients leave out ``/v1``. Raises Misconfigured."""
    endpoint = given if given.startswith("/v1/") else "/v1" + given
    if endpoint not in ENDPOINTS:
        shown = ", ".join(ENDPOINTS)
        raise Misconfigured(f"Batches answer only {shown}.", place="endpoint")
    return endpoint


class LineReader:
    """Reads the lines of one input; it remembers what must be equal, or different, in all."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._ids: set[str] = set()
        self._model: str | None = None

    def check(self, number: int, data: bytes) -> Fault | None:
        """What is wrong with a line, or None."""
        try:
            raw = msgspec.json.decode(data, type=_Raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            message = "This line is not a JSON object with custom_id, method, url and body."
            return Fault("invalid_json_line", message, number)
        if not 1 <= len(raw.custom_id) <= _CUSTOM_ID_MAX:
            return Fault("invalid_custom_id", "The custom_id is empty or too long.", number)
        if raw.custom_id in self._ids:
            message = "The custom_id of this line was there before."
            return Fault("duplicate_custom_id", message, number, "custom_id")
        self._ids.add(raw.custom_id)
        if raw.method != "POST":
            return Fault("invalid_method", "The method must be POST.", number, "method")
        try:
            same = endpoint_of(raw.url) == self._endpoint
        except Misconfigured:
            same = False
        if not same:
            message = "The url of this line is not the endpoint of the batch."
            return Fault("mismatched_endpoint", message, number, "url")
        return self._check_body(number, bytes(raw.body))

    def _check_body(self, number: int, body: bytes) -> Fault | None:
        try:
            peek = msgspec.json.decode(body, type=_Peek)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return Fault("invalid_request", "The body names no model.", number, "body")
        if peek.stream:
            return Fault("invalid_request", "A batch cannot stream.", number, "body.stream")
        if self._model is None:
            self._model = peek.model
        if peek.model != self._model:
            message = "All lines of a batch must ask the same model."
            return Fault("mismatched_model", message, number, "body.model")
        return None


def read_line(data: bytes) -> Line:
    """A line that `check` found good."""
    raw = msgspec.json.decode(data, type=_Raw)
    return Line(raw.custom_id, bytes(raw.body))


def write_line(custom_id: str, ident: str, status: int, receipt: str, body: bytes) -> bytes:
    """One line of the results: what was answered, or refused."""
    row: dict[str, Any] = {
        "id": f"batch_req_{ident}",
        "custom_id": custom_id,
        "response": {
            "status_code": status,
            "request_id": f"req_{ident}",
            "receipt": receipt or None,
            "body": msgspec.Raw(body),
        },
        "error": None,
    }
    return _encode(row) + b"\n"


def write_unasked(custom_id: str, number: int, batch: str, code: str, message: str) -> bytes:
    """One line of the errors: a request that nobody asked, because the batch ended before."""
    row = {
        "id": f"batch_req_{batch.removeprefix('batch_')}_{number}",
        "custom_id": custom_id,
        "response": None,
        "error": {"code": code, "message": message},
    }
    return _encode(row) + b"\n"
