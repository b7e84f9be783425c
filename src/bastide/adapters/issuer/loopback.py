# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The other end of the browser's redirect: one answer, on this machine, for minutes (RFC 8252)."""

import http.server
import urllib.parse
from collections.abc import Callable
from typing import Final, Self

from bastide.core.errors import Unavailable

__all__ = ["Loopback"]

PATH: Final = "/callback"
_REQUEST_S: Final = 5.0  # that one connection may take
_TURN_S: Final = 0.5  # how often it is asked whether to go on
_DONE: Final = "Bastide has the answer. Close this window and go back to the terminal."


class Loopback(http.server.HTTPServer):
    """Listens on a port that the system picks. Use it as a context."""

    def __init__(self) -> None:
        try:
            super().__init__(("127.0.0.1", 0), _Handler)
        except OSError as error:
            raise Unavailable(f"no port of 127.0.0.1 is free: {error}") from error
        self.timeout = _TURN_S
        self.accept: Callable[[dict[str, str]], bool] = lambda _: False
        self.answer: dict[str, str] | None = None

    @property
    def url(self) -> str:
        """Where the issuer must send the browser."""
        return f"http://127.0.0.1:{self.server_port}{PATH}"

    def wait(
        self, accept: Callable[[dict[str, str]], bool], going_on: Callable[[], bool]
    ) -> dict[str, str]:
        """The first answer that `accept` takes; others are refused and change nothing.

        Raises Unavailable once `going_on` says no.
        """
        self.accept = accept
        while self.answer is None:
            if not going_on():
                raise Unavailable(
                    "the browser brought no answer in time", fix="run `bastide login` again"
                )
            self.handle_request()
        return self.answer

    def forget(self, request: object, client_address: object) -> None:
        """Forget a connection that broke: whoever made it, the answer still comes."""

    handle_error = forget  # as socketserver calls it

    def __enter__(self) -> Self:
        return self


class _Handler(http.server.BaseHTTPRequestHandler):
    timeout = _REQUEST_S

    def do_GET(self) -> None:
        """Take an answer, or refuse it."""
        parts = urllib.parse.urlsplit(self.path)
        try:
            pairs = urllib.parse.parse_qsl(
                parts.query, keep_blank_values=True, strict_parsing=True, max_num_fields=20
            )
        except ValueError:
            pairs = []
        given = dict(pairs)
        # A parameter that is there twice could be read differently by two readers.
        right = parts.path == PATH and 0 < len(pairs) == len(given)
        if right and self._waits.answer is None and self._waits.accept(given):
            self._waits.answer = given
            self._say(200, _DONE)
        else:
            self._say(400, "This is not the answer that Bastide waits for.")

    @property
    def _waits(self) -> Loopback:
        assert isinstance(self.server, Loopback)
        return self.server

    def _say(self, status: int, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing: the query has a code in it."""
