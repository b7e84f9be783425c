# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Shares of the unseal key: Vault's form, any two of three, and nothing wrong is combined.

To see these tests fail I once broke the code: without the digest in `Collected.add`,
`test_a_damaged_share_is_named` failed.
"""

import itertools
import json
import secrets

import pyshamir
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastide.app.quorum import Collected, Share, new_quorum, open_share
from bastide.core.errors import Misconfigured, NotAllowed, NotProven
from bastide.core.party import Party
from bastide.crypto import age, shamir

KEYS = {party: age.X25519Identity(secrets.token_bytes(32)) for party in Party}
HYBRID = {**KEYS, Party.GUARDIAN: age.HybridIdentity(secrets.token_bytes(32))}


def _quorum(keys=None, environment="env"):
    given_ = {party: str(key.recipient()) for party, key in (keys or KEYS).items()}
    return new_quorum(environment, given_, secrets.token_bytes)


def _opened(sealed, keys=None) -> dict[Party, Share]:
    return {party: open_share(text, [(keys or KEYS)[party]]) for party, text in sealed.items()}


@given(st.binary(min_size=1, max_size=40), st.integers(2, 6), st.data())
def test_any_that_are_enough_give_the_secret(secret, count, data):
    threshold = data.draw(st.integers(2, count))
    shares = shamir.split(secret, count, threshold, secrets.token_bytes)
    for chosen in itertools.combinations(shares, threshold):
        assert shamir.combine(chosen) == secret
    assert shamir.combine(shares) == secret


@given(st.binary(min_size=1, max_size=40), st.integers(2, 5))
def test_pyshamir_and_ours_read_each_other(secret, threshold):
    theirs = pyshamir.split(secret, 5, threshold)
    assert shamir.combine([bytes(share) for share in theirs[-threshold:]]) == secret
    ours = shamir.split(secret, 5, threshold, secrets.token_bytes)
    assert pyshamir.combine([bytearray(share) for share in ours[:threshold]]) == secret


def test_the_field_is_that_of_vault():
    """HashiCorp Vault, shamir/shamir_test.go: TestField_Mult, TestField_Divide."""
    assert shamir._times(3, 7) == 9
    assert shamir._times(3, 0) == 0
    assert shamir._times(6, shamir._inverse(3)) == 2
    assert all(shamir._times(number, shamir._inverse(number)) == 1 for number in range(1, 256))


@pytest.mark.attacks("C124")
def test_one_share_tells_nothing():
    """With one share every secret is as likely as any other: some other share makes it so."""
    share = shamir.split(b"s", 3, 2, secrets.token_bytes)[0]
    found = {shamir.combine([share, bytes([other, 2])]) for other in range(256)}
    assert len(found) == 256


@pytest.mark.parametrize(
    "shares",
    [[], [b"ab"], [b"ab", b"ab"], [b"ab", b"abc"], [b"a\0", b"ab"], [b"", b""], [b"a", b"b"]],
)
def test_shares_that_cannot_belong_together(shares):
    with pytest.raises(Misconfigured):
        shamir.combine(shares)


@pytest.mark.parametrize(("count", "threshold"), [(1, 1), (3, 1), (2, 3), (256, 2)])
def test_numbers_that_make_no_quorum(count, threshold):
    with pytest.raises(Misconfigured):
        shamir.split(b"secret", count, threshold, secrets.token_bytes)


@pytest.mark.parametrize("keys", [KEYS, HYBRID])
def test_two_of_three_make_the_passphrase(keys):
    passphrase, record, sealed = _quorum(keys)
    for pair in itertools.combinations(_opened(sealed, keys).values(), 2):
        collected = Collected(record)
        for share in pair:
            collected.add(share)
        assert collected.passphrase() == passphrase
    alone = Collected(record)
    alone.add(pair[0])
    alone.add(pair[0])
    assert alone.missing == 1, "the same share twice is one"
    with pytest.raises(NotAllowed, match="1 of 2 shares"):
        alone.passphrase()
    assert passphrase not in json.dumps(record) + "".join(sealed.values())


def test_a_share_opens_with_its_custodians_key_only():
    _, _, sealed = _quorum()
    with pytest.raises(NotAllowed, match="another custodian"):
        open_share(sealed[Party.FIRM], [KEYS[Party.GUARDIAN]])
    with pytest.raises(NotProven, match="damaged"):
        open_share(sealed[Party.FIRM].replace("\n", "\nAAAA", 2), [KEYS[Party.FIRM]])


def test_a_damaged_share_is_named():
    _, record, sealed = _quorum()
    good = _opened(sealed)[Party.FIRM]
    bad = Share(
        good.environment, good.set, good.custodian, bytes([good.data[0] ^ 1]) + good.data[1:]
    )
    with pytest.raises(NotProven, match="share of the firm is damaged"):
        Collected(record).add(bad)
    taken = Share(good.environment, good.set, "guardian", good.data)
    with pytest.raises(NotProven, match="share of the guardian is damaged, or not"):
        Collected(record).add(taken)


def test_a_foreign_share_is_named():
    _, record, _ = _quorum()
    _, _, later = _quorum()
    _, _, elsewhere = _quorum(environment="other")
    with pytest.raises(NotProven, match="firm is of another quorum"):
        Collected(record).add(_opened(later)[Party.FIRM])
    with pytest.raises(NotProven, match="firm is of another environment"):
        Collected(record).add(_opened(elsewhere)[Party.FIRM])


@pytest.mark.parametrize("text", ["{}", "{", '{"type":"x"}', "[]", '{"share":"00"}'])
def test_what_is_no_share(text):
    with pytest.raises(Misconfigured) as caught:
        Share.from_json(text)
    assert caught.value.__cause__ is None


def test_every_party_has_a_key_of_its_own():
    one = str(KEYS[Party.FIRM].recipient())
    with pytest.raises(Misconfigured, match="three custodians"):
        new_quorum("env", dict.fromkeys(Party, one), secrets.token_bytes)
    with pytest.raises(Misconfigured, match="three custodians"):
        new_quorum("env", {Party.FIRM: one}, secrets.token_bytes)


def test_a_share_hides_itself():
    _, _, sealed = _quorum()
    share = _opened(sealed)[Party.FIRM]
    assert share.data.hex() not in repr(share)
