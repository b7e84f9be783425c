# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Issuers for tests of logins: a real one with a browser of forms, and one that lies."""

import contextlib
import html.parser
import http.cookiejar
import http.server
import json
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

from joserfc import jwt
from joserfc.jwk import JWKRegistry

from paths.sdk_probes import PROBES, SDKS

GROUPS = {"u-1001": ["operators"], "u-2002": ["visitors"], "u-3003": ["operators"]}


@contextlib.contextmanager
def real_issuer(algorithm: str = "RS256") -> Generator[tuple[str, Callable[[], None]]]:
    """npm's oidc-provider: its URL, and what changes its key."""
    arguments = [str(SDKS / "javascript" / "node_modules"), algorithm]
    process = subprocess.Popen(
        [SDKS / "node" / "bin" / "node", PROBES / "issuer.mjs", *arguments, json.dumps(GROUPS)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    lines, orders = process.stdout, process.stdin

    def change() -> None:
        orders.write("change\n")
        orders.flush()
        assert any(line.strip() == "changed" for line in lines)

    try:
        url = next(line.strip() for line in process.stdout if line.startswith("http://"))
        yield url, change
    finally:
        orders.close()  # the program that we started is a wrapper of Node.js: a signal ends only it
        process.wait(timeout=30)
        lines.close()


class _Form(html.parser.HTMLParser):
    """The first form of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.action: str | None = None
        self.fields: dict[str, str] = {}

    def begin(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        row = {name: value or "" for name, value in attrs}
        if tag == "form" and self.action is None:
            self.action = row["action"]
        elif tag == "input" and row.get("name"):
            self.fields[row["name"]] = row.get("value", "")

    handle_starttag = begin  # as html.parser calls it


def browse(url: str, **typed: str) -> str:
    """What a person does in a browser: fill each form until none comes; the last page's text."""
    jar = http.cookiejar.CookieJar()
    opener = urllib.request.build_opener(
        urllib.request.HTTPCookieProcessor(jar), urllib.request.ProxyHandler({})
    )
    data: bytes | None = None
    for _ in range(10):
        with opener.open(urllib.request.Request(url, data), timeout=20) as answer:
            text, url = answer.read().decode(), answer.geturl()
        form = _Form()
        form.feed(text)
        if form.action is None:
            return text
        filled = {name: typed.get(name, value) for name, value in form.fields.items()}
        url, data = urllib.parse.urljoin(url, form.action), urllib.parse.urlencode(filled).encode()
    raise AssertionError("more forms than there are")


def new_key(kind: str = "RSA", size: Any = 2048, **more: str) -> Any:
    return JWKRegistry.generate_key(kind, size, {"kid": "one", **more})


@dataclass
class Liar:
    """An issuer whose every answer a test can change."""

    url: str = ""
    key: Any = field(default_factory=new_key)
    algorithm: str = "RS256"
    header: dict[str, Any] = field(default_factory=dict)
    claims: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    published: list[Any] | None = None
    answer: dict[str, str | None] = field(default_factory=dict)
    token: str | None = None
    asked: dict[str, str] = field(default_factory=dict)
    tokens: int = 0

    def described(self) -> dict[str, Any]:
        """The metadata."""
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/auth",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/jwks",
            "authorization_response_iss_parameter_supported": True,
            **self.metadata,
        }

    def id_token(self) -> str:
        """A right token, but for what a test changed."""
        now = int(time.time())
        claims = {
            "iss": self.url, "aud": "bastide", "sub": "u-1001", "iat": now, "exp": now + 300,
            "nonce": self.asked.get("nonce"), "groups": ["operators"], **self.claims,
        }  # fmt: skip
        claims = {name: value for name, value in claims.items() if value is not None}
        header = {"alg": self.algorithm, "kid": "one", **self.header}
        return jwt.encode(header, claims, self.key, algorithms=[self.algorithm])

    def bring(self, url: str) -> None:
        """Be the browser: take what is asked, and bring an answer to the redirect URI."""
        asked = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))
        self.asked = asked
        answer = {"code": "c", "state": asked["state"], "iss": self.url, **self.answer}
        given = {name: value for name, value in answer.items() if value is not None}
        threading.Thread(
            target=visit, args=(f"{asked['redirect_uri']}?{urllib.parse.urlencode(given)}",)
        ).start()


def visit(url: str) -> int:
    """Get a URL; the status."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


@contextlib.contextmanager
def lying_issuer() -> Generator[Liar]:
    """An issuer that a test makes lie."""
    liar = Liar()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/.well-known/openid-configuration":
                self._say(liar.described())
            else:
                keys = [liar.key] if liar.published is None else liar.published
                rows = [
                    one if isinstance(one, dict) else one.as_dict(private=False) for one in keys
                ]
                self._say({"keys": rows})

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            liar.tokens += 1
            self._say({"token_type": "Bearer", "id_token": liar.token or liar.id_token()})

        def _say(self, value: Any) -> None:
            body = json.dumps(value).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Be quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    liar.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield liar
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
