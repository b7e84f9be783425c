# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Laws of the age format: what was sealed opens, whole or in part, and nothing else does."""

import hashlib
import itertools
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bastide.adapters.entropy.seeded import SeededEntropy
from bastide.core.errors import BastideError, Misconfigured, NotAllowed, NotProven
from bastide.core.limits import AGE_HEADER_BYTES_MAX, AGE_STANZAS_MAX
from bastide.crypto import age
from bastide.crypto.age import bech32
from bastide.crypto.age.stream import CHUNK_BYTES, NONCE_BYTES

CHUNK = CHUNK_BYTES
CLASSIC = age.X25519Identity(bytes(range(32)))
OTHER = age.X25519Identity(bytes(range(1, 33)))
HYBRID = age.HybridIdentity(bytes(range(2, 34)))
EDGES = sorted(
    {max(0, chunks * CHUNK + delta) for chunks in range(4) for delta in (-1, 0, 1)}
    | {17 * CHUNK, 17 * CHUNK + 5}
)
sizes = st.one_of(st.sampled_from(EDGES), st.integers(0, 4 * CHUNK))


def content(size: int) -> bytes:
    return hashlib.shake_128(b"content").digest(size)


def entropy(seed: str = "seed"):
    return SeededEntropy(seed.encode()).token


def sealed(data: bytes, identity: age.X25519Identity | age.HybridIdentity = CLASSIC) -> bytes:
    return b"".join(age.seal([data], [identity.recipient()], entropy()))


def opened(data: bytes, *identities: age.Identity) -> bytes:
    return b"".join(age.open_stream([data], identities or [CLASSIC]))


def pieces(data: bytes, lengths: Sequence[int]) -> Iterator[memoryview]:
    position = 0
    for length in itertools.cycle(lengths):
        if position >= len(data):
            return
        yield memoryview(data)[position : position + length]
        position += length


@pytest.mark.parametrize("size", EDGES)
@pytest.mark.parametrize("identity", [CLASSIC, HYBRID], ids=["x25519", "hybrid"])
def test_round_trip_at_every_boundary(
    size: int, identity: age.X25519Identity | age.HybridIdentity
) -> None:
    data = content(size)
    file = sealed(data, identity)
    assert opened(file, identity) == data
    _, length = age.parse_header(file)
    assert len(file) - length == age.sealed_size(size)
    assert age.plain_size(age.sealed_size(size)) == size


@given(
    size=sizes,
    lengths=st.lists(st.integers(1, 3 * CHUNK), min_size=1, max_size=5),
    again=st.lists(st.integers(1, 3 * CHUNK), min_size=1, max_size=5),
)
@settings(max_examples=60, derandomize=True)
def test_how_a_stream_is_cut_does_not_matter(
    size: int, lengths: list[int], again: list[int]
) -> None:
    data = content(size)
    file = b"".join(age.seal(pieces(data, lengths), [CLASSIC.recipient()], entropy()))
    assert file == sealed(data)
    assert b"".join(age.open_stream(pieces(file, again), [CLASSIC])) == data


def payload_reader(data: bytes) -> age.PayloadReader:
    file = sealed(data)
    header, length = age.parse_header(file)
    body = file[length:]
    key = age.unwrap(header, [CLASSIC])
    return age.PayloadReader(key, lambda offset, count: body[offset : offset + count], len(body))


@given(size=sizes, ranges=st.lists(st.tuples(st.integers(0, 5 * CHUNK), st.integers(0, 5 * CHUNK))))
@settings(max_examples=60, derandomize=True)
@example(size=3 * CHUNK, ranges=[(CHUNK, CHUNK), (CHUNK - 1, 2), (0, 3 * CHUNK), (5 * CHUNK, 1)])
def test_random_access_equals_a_slice(size: int, ranges: list[tuple[int, int]]) -> None:
    data = content(size)
    reader = payload_reader(data)
    assert reader.size == size
    for offset, length in [*ranges, (0, size), (size, 1)]:
        assert reader.read_at(offset, length) == data[offset : offset + length]


@given(offset=st.integers(0, 20 * CHUNK), length=st.integers(0, 20 * CHUNK))
@settings(max_examples=30, derandomize=True)
def test_read_into_fills_a_buffer_and_not_more(offset: int, length: int) -> None:
    data = content(18 * CHUNK + 9)
    buffer = bytearray(b"\xaa" * (length + 8))
    count = payload_reader(data).read_into(offset, memoryview(buffer)[:length])
    assert count == len(data[offset : offset + length])
    assert buffer[:count] == data[offset : offset + length]
    assert set(buffer[count:]) <= {0xAA}


@given(size=sizes, data=st.data())
@settings(max_examples=60, derandomize=True)
def test_a_cut_file_never_opens(size: int, data: st.DataObject) -> None:
    file = sealed(content(size))
    cut = data.draw(st.integers(0, len(file) - 1))
    with pytest.raises(BastideError):
        opened(file[:cut])
    with pytest.raises(NotProven):
        opened(file + b"x" * data.draw(st.sampled_from([1, 16, 17, CHUNK, CHUNK + 16])))


@given(size=sizes, data=st.data())
@settings(max_examples=100, derandomize=True)
def test_a_flipped_bit_never_passes(size: int, data: st.DataObject) -> None:
    file = bytearray(sealed(content(size)))
    place = data.draw(st.integers(0, len(file) - 1))
    file[place] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises((NotProven, Misconfigured, NotAllowed)):
        opened(bytes(file))


def test_random_access_refuses_cuts_swaps_and_flips() -> None:
    data = content(3 * CHUNK + 100)
    file = sealed(data)
    header, length = age.parse_header(file)
    key, body = age.unwrap(header, [CLASSIC]), file[length:]
    step = CHUNK + 16

    def reader(stored: bytes) -> age.PayloadReader:
        return age.PayloadReader(key, lambda at, count: stored[at : at + count], len(stored))

    for cut in (1, 100, 116, 117, step, 2 * step, len(body) - 16, len(body) - 1):
        with pytest.raises(NotProven):  # the size is proven before anything is read
            reader(body[:-cut])
    first, second = body[16 : 16 + step], body[16 + step : 16 + 2 * step]
    swapped = reader(body[:16] + second + first + body[16 + 2 * step :])
    assert swapped.read_at(2 * CHUNK, 10) == data[2 * CHUNK :][:10]
    for offset in (0, CHUNK):
        with pytest.raises(NotProven):
            swapped.read_at(offset, 1)
    flipped = bytearray(body)
    flipped[NONCE_BYTES + 5] ^= 1
    with pytest.raises(NotProven):
        reader(bytes(flipped)).read_at(0, 3 * CHUNK)


def test_rewrap_changes_who_opens_it_and_not_the_body() -> None:
    data = content(CHUNK + 7)
    file = sealed(data)
    header, length = age.parse_header(file)
    renewed = age.rewrap(header, [CLASSIC], [OTHER.recipient()], entropy("again"))
    moved = renewed.encode() + file[length:]
    assert opened(moved, OTHER) == data
    with pytest.raises(NotAllowed):
        opened(moved, CLASSIC)
    with pytest.raises(NotAllowed):
        age.rewrap(header, [OTHER], [OTHER.recipient()], entropy())


def test_rewrap_keeps_only_the_stanzas_it_is_told_to_keep() -> None:
    mark = age.Stanza(("example.com/mark", "a"), b"x" * 48)
    sealing = age.start_sealing([CLASSIC.recipient()], entropy(), lambda nonce: (mark,))
    kept = age.rewrap(
        sealing.header, [CLASSIC], [HYBRID.recipient()], entropy(), keep=("example.com/mark",)
    )
    assert kept.stanzas[1:] == (mark,)
    assert kept.stanzas[0].kind == "mlkem768x25519"
    bare = age.rewrap(kept, [HYBRID], [CLASSIC.recipient()], entropy())
    assert [stanza.kind for stanza in bare.stanzas] == ["X25519"]
    # The MAC covers foreign stanzas too.
    forged = age.Header((kept.stanzas[0], age.Stanza(("example.com/mark", "b"), b"")), kept.mac)
    with pytest.raises(NotProven):
        age.unwrap(forged, [HYBRID])


def test_families_are_never_mixed() -> None:
    phrase = age.Passphrase("open sesame", log_n=2)
    for mixed in (
        [CLASSIC.recipient(), HYBRID.recipient()],
        [CLASSIC.recipient(), phrase],
        [phrase, phrase],
        [],
    ):
        with pytest.raises(Misconfigured):
            age.start_sealing(mixed, entropy())
    both = b"".join(age.seal([b"x"], [CLASSIC.recipient(), OTHER.recipient()], entropy()))
    assert opened(both, CLASSIC) == opened(both, OTHER) == b"x"


def test_a_passphrase_opens_only_its_own_file() -> None:
    file = b"".join(age.seal([b"secret"], [age.Passphrase("right", log_n=4)], entropy()))
    assert opened(file, age.Passphrase("right")) == b"secret"
    with pytest.raises(NotAllowed):
        opened(file, age.Passphrase("wrong"))
    with pytest.raises(NotAllowed):
        opened(file, CLASSIC)
    with pytest.raises(Misconfigured):
        age.Passphrase("")
    with pytest.raises(Misconfigured):
        age.Passphrase("x", log_n=40)


def test_headers_are_bounded() -> None:
    recipient = CLASSIC.recipient()
    with pytest.raises(Misconfigured):
        age.start_sealing([recipient] * (AGE_STANZAS_MAX + 1), entropy())
    line = b"-> x\n\n"
    many = b"age-encryption.org/v1\n" + line * (AGE_STANZAS_MAX + 1) + b"--- " + b"A" * 43 + b"\n"
    with pytest.raises(Misconfigured):
        age.parse_header(many)
    endless = itertools.chain(
        [b"age-encryption.org/v1\n-> x\n"], itertools.repeat(b"A" * 64 + b"\n")
    )
    taken = 0

    def counted() -> Iterator[bytes]:
        nonlocal taken
        for chunk in endless:
            taken += len(chunk)
            yield chunk

    with pytest.raises(Misconfigured):
        list(age.open_stream(counted(), [CLASSIC]))
    assert taken < AGE_HEADER_BYTES_MAX + 1000


@given(st.binary(max_size=400))
@settings(max_examples=200, derandomize=True)
def test_no_bytes_break_the_parsers(data: bytes) -> None:
    for text in (data, b"age-encryption.org/v1\n-> " + data):
        try:
            header, length = age.parse_header(text)
        except Misconfigured:
            continue
        assert header.encode() == text[:length]


@given(st.binary(max_size=300), st.integers(1, 64))
@settings(max_examples=100, derandomize=True)
def test_armor_round_trip(data: bytes, cut: int) -> None:
    text = age.armor(data)
    assert age.dearmor(text.encode()) == data
    assert age.dearmor(("\r\n" + text.replace("\n", "\r\n") + " \n").encode()) == data
    with pytest.raises(Misconfigured):
        age.dearmor(text[:-cut].encode() if cut > 1 else text[1:].encode())


# BIP 173 test vectors.
@pytest.mark.parametrize("text", ["A12UEL5L", "a12uel5l", "?1ezyfcl"])
def test_bech32_accepts(text: str) -> None:
    prefix, data = bech32.decode(text)
    assert data == b""
    assert bech32.encode(prefix, data) == text


@pytest.mark.parametrize(
    "text",
    ["", "1nwldj5", "pzry9x0s0muk", "x1b4n0q5v", "li1dgmt3", "A1G7SGD8", "a12UEL5L", "10a06t8"],
)
def test_bech32_refuses(text: str) -> None:
    with pytest.raises(Misconfigured):
        bech32.decode(text)


@given(st.binary(max_size=100), st.data())
@settings(max_examples=100, derandomize=True)
def test_bech32_finds_every_single_mistake(raw: bytes, data: st.DataObject) -> None:
    text = bech32.encode("age", raw)
    assert bech32.decode(text) == ("age", raw)
    place = data.draw(st.integers(4, len(text) - 1))
    letter = data.draw(st.sampled_from("qpzry9x8gf2tvdw0s3jn54khce6mua7l"))
    if letter != text[place]:
        with pytest.raises(Misconfigured):
            bech32.decode(text[:place] + letter + text[place + 1 :])


@pytest.mark.parametrize("identity", [CLASSIC, HYBRID], ids=["x25519", "hybrid"])
def test_keys_read_back_and_stay_out_of_repr_and_errors(
    identity: age.X25519Identity | age.HybridIdentity,
) -> None:
    secret = identity.secret()
    again = age.parse_identity(f" {secret}\n")
    assert str(again.recipient()) == str(identity.recipient())
    assert str(age.parse_recipient(str(identity.recipient()))) == str(identity.recipient())
    assert secret not in repr(identity)
    sealing = age.start_sealing([identity.recipient()], entropy())
    assert repr(sealing.file_key) not in repr(sealing)
    for wrong in (secret[:-1], secret.lower(), secret[:-1] + "Q", str(identity.recipient())):
        with pytest.raises(Misconfigured) as caught:
            age.parse_identity(wrong)
        assert wrong not in caught.value.message
