# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""docs/guides/sealed.md, word for word, and answers that somebody on the way cuts or changes."""

import contextlib
import http.client
import json
import re
import shlex
import shutil
import subprocess
import threading
from collections.abc import Callable, Generator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import openai
import pytest

from bastide.core.errors import BastideError, NotProven, Unavailable
from paths.demo import ARGV, ROOT, environment
from paths.pages import Step, console, matches
from paths.sealed_rig import PATIENCE_S, SealedWorld, sealed_proxy, sealed_world
from paths.swtpm_rig import needs_swtpm

pytestmark = needs_swtpm
PAGE = ROOT / "docs" / "guides" / "sealed.md"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SealedWorld]:
    with sealed_world(tmp_path_factory.mktemp("sealed")) as made:
        yield made


def test_the_guide_says_what_happens(world: SealedWorld, tmp_path: Path) -> None:
    blocks = re.findall(r"```console\n(.*?)```", PAGE.read_text(), re.DOTALL)
    steps = [step for block in blocks for step in console(block)]
    assert len(steps) == 3
    (tmp_path / "key").write_text(world.up["key"] + "\n")
    shutil.copy(world.keys, tmp_path / "keys.json")
    for step in steps:
        told = _told(world, step, tmp_path)
        if found := re.search(r"receipt (r_\w{26})", told):
            bundle = world.demo.json("receipt", "export", found[1])
            (tmp_path / "receipt.json").write_text(json.dumps(bundle))


def _told(world: SealedWorld, step: Step, folder: Path) -> str:
    command = step.command.replace("https://llm.example", world.up["gateway_url"])
    name, *args = shlex.split(command)
    assert name == "bastide"
    done = subprocess.run(
        [*ARGV, *args], cwd=folder, env=environment(), capture_output=True, text=True,
        timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    told = done.stdout + done.stderr
    assert done.returncode == 0 and matches(step.expected, told), (command, told)
    return told


@pytest.mark.attacks("C227")
@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda lines: lines[:-1], Unavailable, "broke off before its end"),
        (lambda lines: lines[:2], Unavailable, "broke off before its end"),
        (lambda lines: [*lines[:2], *lines[3:]], NotProven, "was changed or moved"),
        (lambda lines: [lines[0], lines[2], lines[1], *lines[3:]], NotProven, "changed or moved"),
        (lambda lines: [b"A" + lines[0][1:], *lines[1:]], NotProven, "was changed or moved"),
        (lambda lines: [*lines[:-1], b"?" + lines[-1][1:]], NotProven, "not base64url"),
        (lambda lines: [*lines[:3], b'!{"error":{"message":"no more"}}\n'], Unavailable, "no more"),
    ],
)
def test_an_answer_that_was_cut_or_changed_is_refused(
    world: SealedWorld,
    change: Callable[[list[bytes]], list[bytes]],
    error: type[BastideError],
    words: str,
) -> None:
    with _between(world, change) as client, pytest.raises(error, match=words):
        _ask(world, client)


@pytest.mark.attacks("C227")
def test_another_receipt_than_the_nodes_is_refused(world: SealedWorld) -> None:
    """An operator bills another call, or shows the receipt of another answer."""
    with (
        _between(world, lambda lines: lines, receipt="r_" + "0" * 26) as client,
        pytest.raises(NotProven, match="states another receipt than"),
    ):
        _ask(world, client)


@pytest.mark.attacks("C227")
def test_an_sdk_does_not_take_a_cut_answer_for_a_whole_one(world: SealedWorld) -> None:
    about = {"model": world.up["model"], "max_tokens": 12}
    rows = [{"role": "user", "content": "What is a bastide?"}]
    with _between(world, lambda lines: lines[:-1]) as client, sealed_proxy(client) as url:
        sdk = openai.OpenAI(base_url=f"{url}/v1", api_key=world.up["key"], max_retries=0)
        with pytest.raises(openai.APIStatusError, match="broke off before its end"):
            sdk.chat.completions.create(messages=rows, **about)
        with pytest.raises(openai.APIConnectionError):
            list(sdk.chat.completions.create(messages=rows, stream=True, **about))


def _ask(world: SealedWorld, client: object) -> bytes:
    messages = [{"role": "user", "content": "What is a bastide?"}]
    body = {"model": world.up["model"], "max_tokens": 12, "messages": messages, "stream": True}
    path = "/v1/chat/completions"
    return client.ask(world.up["key"], path, "", {}, json.dumps(body).encode()).read()  # type: ignore[attr-defined]


@contextlib.contextmanager
def _between(
    world: SealedWorld, change: Callable[[list[bytes]], list[bytes]], receipt: str = ""
) -> Generator[object]:
    """A client whose way to the gateway leads through somebody who changes answers."""
    target = world.up["gateway_url"].removeprefix("http://")

    class Relay(BaseHTTPRequestHandler):
        def _relay(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0))) or None
            onward = http.client.HTTPConnection(target, timeout=PATIENCE_S)
            kept = {name: self.headers[name] for name in ("authorization", "content-type")}
            onward.request(self.command, self.path, body, kept)
            response = onward.getresponse()
            lines = response.read().splitlines(keepends=True)
            lines = change(lines) if self.command == "POST" else lines
            self.send_response(response.status)
            self.send_header(
                "x-bastide-receipt", receipt or response.headers.get("x-bastide-receipt", "")
            )
            self.end_headers()
            self.wfile.write(b"".join(lines))

        do_GET = do_POST = _relay  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            del format, args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Relay)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield world.client(url=f"http://127.0.0.1:{server.server_address[1]}")
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
