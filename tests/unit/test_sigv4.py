# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""SigV4: what botocore signs verifies, and nothing else does."""

import dataclasses
from datetime import UTC, datetime, timedelta
from unittest.mock import patch
from urllib.parse import quote, urlsplit

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.compat import HTTPHeaders
from botocore.credentials import Credentials
from hypothesis import assume, given
from hypothesis import strategies as st

from bastide.core import apikey
from bastide.core.errors import NotProven
from bastide.crypto.sigv4 import SignedRequest, read_claim, verify_claim, verify_signature

KEY, SECRET = "BST4F0C2D8A9B10", "derived/never+stored"
NOW = datetime(2026, 3, 1, 0, 1, 30, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
SKEW_MS = 300_000
SERVICES = ("bedrock", "bedrock-mantle")
PATH = "/model/anthropic.claude-v1%3A0/converse"

segments = (
    st.text(min_size=1, max_size=20)
    .map(lambda text: quote(text, safe=""))
    .filter(lambda text: text not in (".", ".."))
)
paths = st.lists(segments, min_size=1, max_size=4).map(lambda parts: "/" + "/".join(parts))
queries = st.lists(st.tuples(segments, segments), max_size=4).map(
    lambda pairs: "&".join(f"{name}={value}" for name, value in pairs)
)
names = st.from_regex(r"x-[a-z][a-z0-9-]{0,10}", fullmatch=True).filter(
    lambda name: name not in ("x-amz-date", "x-amz-content-sha256", "x-amzn-trace-id")
)
values = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30)


def signed(
    method: str = "POST",
    path: str = PATH,
    query: str = "",
    headers: dict[str, str] | None = None,
    body: bytes = b"{}",
    service: str = "bedrock",
) -> SignedRequest:
    """A request as a server gets it, signed by botocore at NOW."""
    url = f"http://gateway.test:8443{path}{'?' + query if query else ''}"
    request = AWSRequest(method, url, headers=headers, data=body)
    with patch("botocore.auth.get_current_datetime", lambda: NOW):
        SigV4Auth(Credentials(KEY, SECRET), service, "eu-central-1").add_auth(request)
    raw = {name.lower().encode(): value.encode() for name, value in request.headers.items()}
    # What a server strips from around a value; a signer does not see it.
    wire = {name: value.strip(b" \t") for name, value in raw.items()}
    wire[b"host"] = b"gateway.test:8443"
    return SignedRequest(method, urlsplit(url).path, urlsplit(url).query, wire, body)


def verify(request: SignedRequest, now_ms: int = NOW_MS, secret: str = SECRET) -> None:
    claim = read_claim(request.headers, SERVICES)
    if claim is None:
        raise NotProven("not signed")
    verify_claim(claim, request.headers, now_ms, SKEW_MS, 0)
    verify_signature(claim, secret, request)


def test_the_published_example() -> None:
    # "get-vanilla" of the test suite that AWS published for this algorithm.
    signature = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
    headers = {
        b"host": b"example.amazonaws.com",
        b"x-amz-date": b"20150830T123600Z",
        b"authorization": b"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/"
        b"aws4_request, SignedHeaders=host;x-amz-date, Signature=" + signature.encode(),
    }
    claim = read_claim(headers, ("service",))
    assert claim is not None and claim.access_key == "AKIDEXAMPLE"
    secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
    verify_signature(claim, secret, SignedRequest("GET", "/", "", headers, b""))


@given(
    method=st.sampled_from(("GET", "POST", "PUT")),
    path=paths,
    query=queries,
    headers=st.dictionaries(names, values, max_size=4),
    body=st.binary(max_size=100),
    service=st.sampled_from(SERVICES),
)
def test_what_botocore_signs_verifies(
    method: str, path: str, query: str, headers: dict[str, str], body: bytes, service: str
) -> None:
    verify(signed(method, path, query, headers, body, service))


@pytest.mark.attacks("C73")
@given(body=st.binary(min_size=1, max_size=100), data=st.data())
def test_a_flipped_bit_of_the_body_is_refused(body: bytes, data: st.DataObject) -> None:
    request = signed(body=body)
    bent = bytearray(body)
    bent[data.draw(st.integers(0, len(body) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(NotProven, match="does not match"):
        verify(dataclasses.replace(request, body=bytes(bent)))


@given(data=st.data())
def test_a_flipped_bit_of_a_signed_header_is_refused(data: st.DataObject) -> None:
    request = signed(headers={"content-type": "application/json", "x-amz-meta": "v a l"})
    claimed = (b"authorization", b"content-type", b"host", b"x-amz-date", b"x-amz-meta")
    name = data.draw(st.sampled_from(claimed))
    bent = bytearray(request.headers[name])
    bent[data.draw(st.integers(0, len(bent) - 1))] ^= 1 << data.draw(st.integers(0, 6))
    # White space of another kind, or a list separator of another length, means the same.
    assume(bytes(bent).split() != request.headers[name].split())
    forged = bytes(bent)
    if name == b"authorization":
        # The id is looked up, not signed: another one has another secret.
        assume(KEY.encode() + b"/" in forged and b", " in forged)
    with pytest.raises(NotProven):
        verify(dataclasses.replace(request, headers={**request.headers, name: forged}))


@pytest.mark.parametrize(
    "change",
    [
        {"method": "PUT"},
        {"path": "/model/anthropic.claude-v1:0/converse"},
        {"path": PATH + "-stream"},
        {"path": PATH + "/"},
        {"path": "/model//anthropic.claude-v1%3A0/converse"},
        {"path": "/model/./anthropic.claude-v1%3A0/converse"},
        {"query": "a=1"},
    ],
)
def test_another_request_line_is_refused(change: dict[str, str]) -> None:
    request = signed()
    verify(request)
    with pytest.raises(NotProven, match="does not match"):
        verify(dataclasses.replace(request, **change))


def test_another_secret_is_refused() -> None:
    with pytest.raises(NotProven, match="does not match"):
        verify(signed(), secret=SECRET + "x")


@pytest.mark.attacks("C73")
@pytest.mark.parametrize("seconds", [-301, 301, -86_400, 86_400])
def test_a_time_beyond_the_skew_is_refused(seconds: int) -> None:
    with pytest.raises(NotProven, match="expired or not yet current"):
        verify(signed(), NOW_MS + seconds * 1000)


@pytest.mark.parametrize("seconds", [-300, 0, 300])
def test_a_time_within_the_skew_verifies_and_so_does_its_replay(seconds: int) -> None:
    # At -300 the server's clock shows the day before: the scope's day is that of the signer.
    request = signed()
    verify(request, NOW_MS + seconds * 1000)
    verify(request, NOW_MS + seconds * 1000)


def test_the_scope_must_have_the_day_of_the_time() -> None:
    request = signed()
    moved = (NOW - timedelta(minutes=2)).strftime("%Y%m%dT%H%M%SZ").encode()
    with pytest.raises(NotProven, match="date of the scope"):
        verify(dataclasses.replace(request, headers={**request.headers, b"x-amz-date": moved}))


@pytest.mark.parametrize(
    "stamp", ["20260301T000130", "20260301T006130Z", "20260301 000130Z", "20260301"]
)
def test_a_time_that_is_none_is_refused(stamp: str) -> None:
    request = signed()
    headers = {**request.headers, b"x-amz-date": stamp.encode()}
    with pytest.raises(NotProven, match="x-amz-date: not a time"):
        verify(dataclasses.replace(request, headers=headers))


def test_every_amz_header_and_the_host_must_be_signed() -> None:
    request = signed()
    headers = {**request.headers, b"x-amz-security-token": b"t"}
    with pytest.raises(NotProven, match="'x-amz-security-token' must be signed"):
        verify(dataclasses.replace(request, headers=headers))
    bare = request.headers[b"authorization"].replace(b"host;", b"")
    with pytest.raises(NotProven, match="'host' must be signed"):
        verify(dataclasses.replace(request, headers={**request.headers, b"authorization": bare}))
    without = {name: value for name, value in request.headers.items() if name != b"x-amz-date"}
    with pytest.raises(NotProven, match="has no header 'x-amz-date'"):
        verify(dataclasses.replace(request, headers=without))


@pytest.mark.parametrize("stated", ["UNSIGNED-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "0"])
def test_a_body_without_its_own_hash_is_refused(stated: str) -> None:
    request = signed(headers={"X-Amz-Content-SHA256": stated})
    with pytest.raises(NotProven, match="x-amz-content-sha256"):
        verify(request)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"/bedrock/", b"/s3/"),
        (b"aws4_request", b"aws5_request"),
        (b"Signature=", b"Signature=0"),
        (b"host;x-amz-date", b"x-amz-date;host"),
        (b"host;x-amz-date", b"host;host;x-amz-date"),
        (b"SignedHeaders", b"Headers"),
        (b"SignedHeaders=", b"SignedHeaders=\xe9"),
    ],
)
def test_a_malformed_claim_is_refused(old: bytes, new: bytes) -> None:
    request = signed()
    assert old in request.headers[b"authorization"]
    bent = request.headers[b"authorization"].replace(old, new)
    with pytest.raises(NotProven):
        verify(dataclasses.replace(request, headers={**request.headers, b"authorization": bent}))


@given(st.binary(max_size=200))
def test_any_bytes_are_a_claim_or_refused(value: bytes) -> None:
    for header in (value, b"AWS4-HMAC-SHA256 " + value):
        try:
            claim = read_claim({b"authorization": header}, SERVICES)
        except NotProven:
            continue
        assert claim is None or header.startswith(b"AWS4-HMAC-SHA256")


def test_the_pair_of_a_key_is_derived() -> None:
    access, secret = apikey.sigv4_pair(b"p" * 32, "k_4f0c2d8a9b10")
    assert access == "BST4F0C2D8A9B10" == apikey.sigv4_ident("k_4f0c2d8a9b10")
    assert len(secret) == 40
    assert secret == apikey.sigv4_pair(b"p" * 32, "k_4f0c2d8a9b10")[1]
    assert secret != apikey.sigv4_pair(b"q" * 32, "k_4f0c2d8a9b10")[1]
    assert secret != apikey.sigv4_pair(b"p" * 32, "k_4f0c2d8a9b11")[1]


@given(path=paths, query=queries, body=st.binary(max_size=100))
def test_over_http2_the_authority_may_be_signed_in_place_of_the_host(
    path: str, query: str, body: bytes
) -> None:
    # As AWS's client for JavaScript does: the same words, under the name of the pseudo-header.
    url = f"http://gateway.test:8443{path}{'?' + query if query else ''}"
    request = AWSRequest("POST", url, data=body)
    signer = SigV4Auth(Credentials(KEY, SECRET), "bedrock", "eu-central-1")
    request.context["timestamp"] = "20260301T000130Z"
    request.headers["X-Amz-Date"] = "20260301T000130Z"
    named = {":authority": "gateway.test:8443", "x-amz-date": "20260301T000130Z"}
    with patch.object(SigV4Auth, "headers_to_sign", lambda _, __: _message(named)):
        canonical = signer.canonical_request(request)
        signature = signer.signature(signer.string_to_sign(request, canonical), request)
    credential = f"{KEY}/20260301/eu-central-1/bedrock/aws4_request"
    wire = {name.encode(): value.encode() for name, value in named.items()}
    wire[b"host"] = b"gateway.test:8443"  # which the gateway makes of it
    wire[b"authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=:authority;x-amz-date, "
        f"Signature={signature}"
    ).encode()
    signed_request = SignedRequest("POST", path, query, wire, body)
    verify(signed_request)
    moved = {**wire, b":authority": b"other.test:8443"}
    with pytest.raises(NotProven, match="does not match"):
        verify(dataclasses.replace(signed_request, headers=moved))
    del wire[b":authority"]  # HTTP/1.1 has no such header
    with pytest.raises(NotProven, match="':authority'"):
        verify(signed_request)


def _message(fields: dict[str, str]) -> HTTPHeaders:
    headers = HTTPHeaders()
    for name, value in fields.items():
        headers[name] = value
    return headers
