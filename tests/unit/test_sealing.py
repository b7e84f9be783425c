# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Sealed requests and answers: the standard's own vector, what comes back, and what is refused.

To see these tests fail I once broke the code: with the flag of the last line left out of the nonce,
`test_a_line_cannot_be_taken_for_the_end` failed; with an empty info,
`test_what_is_bound_cannot_be_changed` did.
"""

import pytest
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from hypothesis import given
from hypothesis import strategies as st

from bastide.core.errors import NotProven
from bastide.core.sealed import SUITE, bound, padded_bytes
from bastide.crypto import sealing
from bastide.crypto.sealing import AnswerOpener, AnswerSealer, Kind, open_request, seal_request

KEY = X25519PrivateKey.from_private_bytes(b"k" * 32)
NODE = KEY.public_key().public_bytes_raw()
INFO = bound(SUITE, "node", 1, "model", 64)
SECRET, NONCE = b"s" * 32, b"n" * 32


def _sealed(content: bytes = b"hello") -> bytes:
    return seal_request(NODE, INFO, SECRET, 1_790_000_000_000, content)


def test_the_library_opens_the_vector_of_rfc_9180() -> None:
    """Appendix A.2.1, base mode, the first encryption, whose `aad` the library has not: only its
    key and nonce are compared, through an encryption of our own."""
    secret = bytes.fromhex("8057991eef8f1f1af18f4a9491d16a1ce333f695d4db8e38da75975c4478e0fb")
    enc = bytes.fromhex("1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a")
    info = bytes.fromhex("4f6465206f6e2061204772656369616e2055726e")
    key = bytes.fromhex("ad2744de8e17f4ebba575b3f5f5a8fa1f69c2a07f6e7500bc60ca6e3e3ec1c91")
    nonce = bytes.fromhex("5c4d98150661b848853b547f")
    sealed = enc + ChaCha20Poly1305(key).encrypt(nonce, b"Beauty is truth", b"")
    private = X25519PrivateKey.from_private_bytes(secret)
    assert sealing._SUITE.decrypt(sealed, private, info) == b"Beauty is truth"


def test_an_independent_key_schedule_opens_what_we_seal() -> None:
    """RFC 9180, sections 4.1 and 5.1, written again from HMAC alone."""
    suite_kem, suite = b"KEM\x00\x20", b"HPKE\x00\x20\x00\x01\x00\x03"

    def extract(salt: bytes, name: bytes, label: bytes, ikm: bytes) -> bytes:
        mac = hmac.HMAC(salt or bytes(32), hashes.SHA256())
        mac.update(b"HPKE-v1" + name + label + ikm)
        return mac.finalize()

    def expand(prk: bytes, name: bytes, label: bytes, info: bytes, length: int) -> bytes:
        labelled = length.to_bytes(2) + b"HPKE-v1" + name + label + info
        mac = hmac.HMAC(prk, hashes.SHA256())
        mac.update(labelled + b"\x01")
        return mac.finalize()[:length]

    sealed = _sealed(b"x" * 40)
    enc, rest = sealed[:32], sealed[32:]
    shared = KEY.exchange(X25519PublicKey.from_public_bytes(enc))
    prk = extract(b"", suite_kem, b"eae_prk", shared)
    shared = expand(prk, suite_kem, b"shared_secret", enc + NODE, 32)
    context = b"\0" + extract(b"", suite, b"psk_id_hash", b"")
    context += extract(b"", suite, b"info_hash", INFO)
    prk = extract(shared, suite, b"secret", b"")
    key = expand(prk, suite, b"key", context, 32)
    nonce = expand(prk, suite, b"base_nonce", context, 12)
    plain = ChaCha20Poly1305(key).decrypt(nonce, rest, b"")
    assert plain[:32] == SECRET and plain[44:84] == b"x" * 40


@given(st.binary(max_size=5_000))
def test_what_is_sealed_opens(content: bytes) -> None:
    found = open_request(KEY, INFO, _sealed(content))
    assert (found.secret, found.time_ms, found.content) == (SECRET, 1_790_000_000_000, content)


@pytest.mark.attacks("C225")
@pytest.mark.parametrize(
    "info",
    [
        bound("p256", "node", 1, "model", 64),
        bound(SUITE, "other", 1, "model", 64),
        bound(SUITE, "node", 2, "model", 64),
        bound(SUITE, "node", 1, "dearer", 64),
        bound(SUITE, "node", 1, "model", 65),
    ],
)
def test_what_is_bound_cannot_be_changed(info: bytes) -> None:
    with pytest.raises(NotProven, match="it was changed"):
        open_request(KEY, info, _sealed())


@given(st.data())
def test_no_flipped_bit_is_overlooked(data: st.DataObject) -> None:
    sealed = bytearray(_sealed())
    at = data.draw(st.integers(0, len(sealed) * 8 - 1))
    sealed[at // 8] ^= 1 << (at % 8)
    # The highest bit of an X25519 point is ignored by the curve, and counted by HPKE.
    with pytest.raises(NotProven, match="sealed:"):
        open_request(KEY, INFO, bytes(sealed))


def test_neither_short_nor_foreign_ciphertexts_open() -> None:
    other = X25519PrivateKey.from_private_bytes(b"o" * 32)
    for key, sealed in ((other, _sealed()), (KEY, b""), (KEY, bytes(32)), (KEY, bytes(80))):
        with pytest.raises(NotProven):
            open_request(key, INFO, sealed)
    with pytest.raises(NotProven, match="no X25519 key"):
        seal_request(bytes(32), INFO, SECRET, 0, b"")


def _answer(sealed: bytes, pieces: list[bytes]) -> list[str]:
    sealer = AnswerSealer(SECRET, NONCE, sealed)
    rows = [sealer.line(Kind.HEAD, b"{}"), *(sealer.line(Kind.BODY, piece) for piece in pieces)]
    return "".join([*rows, sealer.line(Kind.END, b"{}")]).splitlines(keepends=True)


@given(st.lists(st.binary(max_size=900), max_size=5))
def test_an_answer_opens_line_by_line(pieces: list[bytes]) -> None:
    sealed = _sealed()
    opener = AnswerOpener(SECRET, sealed)
    found = [opener.open(line) for line in _answer(sealed, pieces)]
    assert found[0] is None and found[1] == (Kind.HEAD, b"{}") and found[-1] == (Kind.END, b"{}")
    assert [row[1] for row in found[2:-1] if row is not None] == pieces
    assert opener.ended
    with pytest.raises(NotProven, match="something follows its end"):
        opener.open("AAAA\n")


@pytest.mark.parametrize("deed", ["drop", "swap", "repeat", "foreign", "other request"])
def test_no_line_can_be_moved_or_left_out(deed: str) -> None:
    sealed = _sealed()
    lines = _answer(sealed, [b"a", b"b"])
    match deed:
        case "drop":
            del lines[2]
        case "swap":
            lines[2], lines[3] = lines[3], lines[2]
        case "repeat":
            lines.insert(3, lines[2])
        case "foreign":
            lines[3] = AnswerSealer(b"t" * 32, NONCE, sealed).line(Kind.BODY, b"b").split("\n")[1]
        case _:
            sealed = _sealed()
    opener = AnswerOpener(SECRET, sealed)
    with pytest.raises(NotProven, match="was changed or moved"):
        for line in lines:
            opener.open(line)


def test_a_line_cannot_be_taken_for_the_end() -> None:
    """Who cuts an answer off cannot make what is left look whole."""
    sealed = _sealed()
    opener = AnswerOpener(SECRET, sealed)
    for line in _answer(sealed, [b"a", b"b"])[:-1]:
        opener.open(line)
    assert not opener.ended


def test_sizes_tell_only_steps() -> None:
    sizes = {padded_bytes(length, 512) for length in range(1, 100_000)}
    assert sorted(sizes)[:5] == [512, 768, 1024, 1536, 2048] and len(sizes) == 17
    for length in range(513, 100_000, 97):
        assert length <= padded_bytes(length, 512) <= length * 1.5
    assert len({len(_sealed(b"x" * length)) for length in range(0, 900, 50)}) == 1
