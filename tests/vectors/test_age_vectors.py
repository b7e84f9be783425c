# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""C2SP CCTV age vectors: every file is accepted or refused for the recorded reason."""

import hashlib
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from bastide.core.errors import BastideError, Misconfigured, NotAllowed, NotProven
from bastide.crypto import age

VECTORS = Path(__file__).with_name("age-cctv")
NAMES = sorted(path.name for path in VECTORS.iterdir())

# What the vectors call a failure, and how we report it.
FAILURES: dict[str, tuple[type[BastideError], str]] = {
    "header failure": (Misconfigured, "not a valid age header"),
    "armor failure": (Misconfigured, "not a valid age armor"),
    "HMAC failure": (NotProven, "MAC"),
    "no match": (NotAllowed, "no identity"),
    "payload failure": (NotProven, "payload"),
}


def read_vector(name: str) -> tuple[dict[str, str], list[str], bytes]:
    """The fields, the identities (keys and passphrases are repeated) and the file."""
    head, _, body = (VECTORS / name).read_bytes().partition(b"\n\n")
    fields: dict[str, str] = {}
    identities = []
    for line in head.decode().splitlines():
        key, _, value = line.partition(": ")
        fields[key] = value
        if key in {"identity", "passphrase"}:
            identities.append(f"{key}:{value}")
    if fields.get("compressed") == "zlib":
        body = zlib.decompress(body)
    return fields, identities, body


def open_vector(fields: dict[str, str], identities: list[str], body: bytes) -> Iterator[bytes]:
    keys: list[age.Identity] = []
    for entry in identities:
        kind, _, value = entry.partition(":")
        keys.append(age.Passphrase(value) if kind == "passphrase" else age.parse_identity(value))
    data = age.dearmor(body) if fields.get("armored") == "yes" else body
    pieces = [data[start : start + 1000] for start in range(0, len(data), 1000)]
    yield from (bytes(piece) for piece in age.open_stream(pieces, keys))


def test_all_vectors_are_here() -> None:
    assert len(NAMES) == 143


@pytest.mark.attacks("C28")
@pytest.mark.parametrize("name", NAMES)
def test_vector(name: str) -> None:
    fields, identities, body = read_vector(name)
    digest = hashlib.sha256()
    if fields["expect"] == "success":
        for piece in open_vector(fields, identities, body):
            digest.update(piece)
        assert digest.hexdigest() == fields["payload"]
        return
    kind, text = FAILURES[fields["expect"]]
    with pytest.raises(kind) as caught:
        list(open_vector(fields, identities, body))
    assert type(caught.value) is kind
    assert text in caught.value.message


@pytest.mark.parametrize("name", NAMES)
def test_headers_are_written_back_byte_for_byte(name: str) -> None:
    fields, _, body = read_vector(name)
    try:
        data = age.dearmor(body) if fields.get("armored") == "yes" else body
        header, length = age.parse_header(data)
    except Misconfigured:
        assert fields["expect"] in {"header failure", "armor failure"}
        return
    assert header.encode() == data[:length]
