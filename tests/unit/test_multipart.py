# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The form of an upload: what senders write is read, anything else is refused."""

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastide.core.errors import Misconfigured
from bastide.core.limits import FORM_PARTS_MAX
from bastide.dialects.multipart import read_form

MEDIA = b"multipart/form-data; boundary=xyz"
HEAD = b'Content-Disposition: form-data; name="a"\r\n\r\n'


def part(name: str, content: bytes) -> bytes:
    return (
        f'--xyz\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode()
        + content
        + b"\r\n"
    )


@given(st.binary(max_size=2_000), st.text(st.characters(codec="ascii"), max_size=20))
def test_what_a_client_writes_is_read(content: bytes, purpose: str) -> None:
    asked = httpx.Request(
        "POST", "http://x/", files={"file": ("a b.jsonl", content)}, data={"purpose": purpose}
    )
    form = read_form(asked.headers["content-type"].encode(), asked.read())
    assert set(form) == {"file", "purpose"}
    assert (bytes(form["file"].content), form["file"].filename) == (content, "a b.jsonl")
    assert (bytes(form["purpose"].content), form["purpose"].filename) == (purpose.encode(), None)


@given(st.binary(max_size=300))
def test_no_bytes_break_it(body: bytes) -> None:
    for data in (body, b"--xyz\r\n" + body, b"--xyz\r\n" + HEAD + body + b"\r\n--xyz--"):
        try:
            read_form(MEDIA, data)
        except Misconfigured:
            continue


@given(st.binary(max_size=60))
def test_no_content_type_breaks_it(media: bytes) -> None:
    with pytest.raises(Misconfigured):
        read_form(b"multipart/form-data;" + media, b"--\r\n")


def test_a_delimiter_counts_only_at_the_beginning_of_a_line() -> None:
    content = b"a--xyz--b\n--xyz--\n"
    form = read_form(MEDIA, part("a", content) + b"--xyz--\r\n")
    assert bytes(form["a"].content) == content


@pytest.mark.parametrize(
    "body",
    [
        b"",
        part("a", b"x"),  # no last boundary
        part("a", b"x") + part("a", b"y") + b"--xyz--",  # a name twice
        b"--xyz\r\n\r\nx\r\n--xyz--",  # no name
        b"--xyzab\r\n" + HEAD + b"x\r\n--xyz--",  # another boundary
        b"--xyz\r\nx: " + b"y" * 5_000 + b"\r\n" + HEAD + b"x\r\n--xyz--",  # a long head
        b"".join(part(str(n), b"") for n in range(FORM_PARTS_MAX + 1)) + b"--xyz--",
        b'--xyz\r\nContent-Disposition: form-data; name="\xff"\r\n\r\nx\r\n--xyz--',
    ],
)
def test_what_is_refused(body: bytes) -> None:
    with pytest.raises(Misconfigured):
        read_form(MEDIA, body)
