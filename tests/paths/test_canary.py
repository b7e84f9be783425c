# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Invariants 5 and 6: what people ask and hear is nowhere on disk, and never in the ledger.

A canary goes through the whole product as a prompt, and the answer comes back; then every file of
the home directory (database, write-ahead log, store, logs, sockets' folder) is searched for both,
and for the API key: plain, in Base64 at each alignment, in hex, and inside gzip and zlib streams.
Broken once to prove the test: a log line with the request's first message is found at once.
"""

import base64
import contextlib
import json
import urllib.request
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from paths.conftest import Running

CANARY = "quetzal-7f3a-zweihundertelf-periwinkle"


def ask(running: Running, text: str) -> str:
    body = {
        "model": running.model,
        "messages": [{"role": "user", "content": f"Repeat: {text}"}],
        "max_tokens": 48,
        "temperature": 0,
    }
    request = urllib.request.Request(
        f"{running.url}/v1/chat/completions",
        json.dumps(body).encode(),
        {"Authorization": f"Bearer {running.key}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as response:
        return str(json.load(response)["choices"][0]["message"]["content"])


def disguises(secret: bytes) -> dict[str, bytes]:
    """The secret as it could stand in a file."""
    found = {
        "plain": secret,
        "hex": secret.hex().encode(),
        "utf-16": secret.decode().encode("utf-16-le"),
    }
    for shift in range(3):
        # Two characters at either end depend on the neighbours.
        encoded = base64.b64encode(b"x" * shift + secret)
        found[f"base64+{shift}"] = encoded[4:-4]
    return found


def texts(path: Path) -> Iterator[tuple[str, bytes]]:
    """A file's bytes, and what every gzip or zlib stream in it holds."""
    data = path.read_bytes()
    yield str(path), data
    for magic, bits in ((b"\x1f\x8b\x08", 31), (b"\x78\x9c", 15), (b"\x78\x01", 15)):
        start = data.find(magic)
        while start >= 0:
            with contextlib.suppress(zlib.error):
                yield f"{path}+{start}", zlib.decompressobj(bits).decompress(data[start:], 1 << 20)
            start = data.find(magic, start + 1)


def places(home: Path, secret: bytes) -> list[str]:
    wanted = disguises(secret)
    return [
        f"{where}: {kind}"
        for path in home.rglob("*")
        if path.is_file() and path.stat().st_size < 64 * 2**20
        for where, data in texts(path)
        for kind, form in wanted.items()
        if form in data
    ]


@pytest.mark.attacks("C24")
def test_the_search_finds_what_is_there(tmp_path: Path) -> None:
    secret = CANARY.encode()
    (tmp_path / "plain").write_bytes(b"..." + secret)
    (tmp_path / "base64").write_bytes(base64.b64encode(b"ab" + secret + b"cd"))
    (tmp_path / "zlib").write_bytes(b"junk" + zlib.compress(b"log: " + secret))
    assert {Path(place.split(":")[0].split("+")[0]).name for place in places(tmp_path, secret)} == {
        "plain",
        "base64",
        "zlib",
    }


@pytest.mark.attacks("C24")
def test_no_prompt_no_answer_no_key_on_disk_or_in_the_ledger(running: Running) -> None:
    answer = ask(running, CANARY)
    assert len(answer) > 10
    receipt = running.json("receipt", "export", "newest")
    entries = [
        json.dumps(running.json("ledger", "show", str(row["entry"])))
        for row in running.json("ledger", "ls")
    ]
    for secret in (CANARY, answer[:32], running.key):
        assert places(running.home, secret.encode()) == []
        assert secret not in json.dumps(receipt)
        assert all(secret not in entry for entry in entries)
