# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Signed checkpoints: the bytes of C2SP, and nothing but the signed text is believed."""

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastide.core.errors import Misconfigured, NotProven
from bastide.core.key import PublicKey, Purpose
from bastide.crypto import note
from bastide.crypto.dsse import Signer
from bastide.crypto.note import Checkpoint
from unit.ledger_fixture import ORIGIN, make_signer

SIGNER = make_signer("ledger", Purpose.LEDGER)
OTHER = make_signer("other", Purpose.LEDGER)
ROOT = hashlib.sha256(b"root").digest()
NOTE = note.sign_checkpoint(Checkpoint(ORIGIN, 41, ROOT), SIGNER)

# The example of golang.org/x/mod/sumdb/note (note_test.go): key, text and signed note.
GO_VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZ"
    "b6KE6RyyBwJnAM=\n"
)


def test_the_text_is_three_lines_and_a_signature():
    lines = NOTE.split("\n")
    assert lines[:3] == [ORIGIN, "41", base64.b64encode(ROOT).decode()]
    assert lines[3] == ""
    assert lines[4].startswith(f"— {ORIGIN} ")
    assert lines[5:] == [""]
    assert note.open_checkpoint(NOTE, ORIGIN, SIGNER.public) == Checkpoint(ORIGIN, 41, ROOT)


def test_key_hash_and_verifier_key_are_those_of_go():
    raw = base64.b64decode(GO_VKEY.split("+", 2)[2])[1:]
    key = PublicKey(raw, Purpose.LEDGER)
    assert note.verifier_key("PeterNeumann", key) == GO_VKEY
    # The signature of Go's example holds; only then is its text found to be no checkpoint.
    with pytest.raises(NotProven, match="not origin, size, root"):
        note.open_checkpoint(GO_NOTE, "PeterNeumann", key)
    with pytest.raises(NotProven, match="does not hold"):
        note.open_checkpoint(GO_NOTE.replace("answer", "Answer"), "PeterNeumann", key)


@pytest.mark.attacks("C7")
@given(where=st.integers(0))
def test_every_flipped_bit_is_noticed(where):
    data = bytearray(NOTE.encode())
    where %= len(data) * 8
    data[where // 8] ^= 1 << where % 8
    with pytest.raises(NotProven):
        note.open_checkpoint(data.decode(errors="surrogateescape"), ORIGIN, SIGNER.public)


@given(text=st.text(st.sampled_from("—- \nab0+/=") | st.characters(), max_size=200))
def test_no_other_text_is_a_checkpoint(text):
    with pytest.raises(NotProven):
        note.open_checkpoint(text, ORIGIN, SIGNER.public)


def test_a_witness_may_sign_too():
    witness = note.sign_checkpoint(Checkpoint(ORIGIN, 41, ROOT), OTHER).split("\n\n")[1]
    both = NOTE + witness
    assert note.open_checkpoint(both, ORIGIN, SIGNER.public).size == 41
    assert note.open_checkpoint(both, ORIGIN, OTHER.public).size == 41
    with pytest.raises(NotProven, match="not signed by"):
        note.open_checkpoint(NOTE, ORIGIN, OTHER.public)
    with pytest.raises(NotProven):
        note.open_checkpoint(NOTE + NOTE.split("\n\n")[1], ORIGIN, SIGNER.public)


def _signed(text: str, origin: str = ORIGIN) -> str:
    """A note over any text, signed rightly."""
    tag = base64.b64decode(NOTE.split(" ")[-1])[:4]
    signature = base64.b64encode(tag + SIGNER.sign(text.encode())).decode()
    return f"{text}\n— {origin} {signature}\n"


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"{ORIGIN}\n41\n",
        f"{ORIGIN}\n041\n{base64.b64encode(ROOT).decode()}\n",
        f"{ORIGIN}\n-1\n{base64.b64encode(ROOT).decode()}\n",
        f"{ORIGIN}\n41\n{base64.b64encode(ROOT[1:]).decode()}\n",
        f"{ORIGIN}\n41\nno base64\n",
        f"other\n41\n{base64.b64encode(ROOT).decode()}\n",
    ],
)
def test_a_signed_text_that_is_no_checkpoint_of_ours_is_refused(text):
    with pytest.raises(NotProven):
        note.open_checkpoint(_signed(text), ORIGIN, SIGNER.public)


def test_extension_lines_are_allowed():
    text = f"{ORIGIN}\n41\n{base64.b64encode(ROOT).decode()}\nmore\n"
    assert note.open_checkpoint(_signed(text), ORIGIN, SIGNER.public).root == ROOT


@pytest.mark.parametrize("purpose", [Purpose.EVIDENCE, Purpose.RELEASE, Purpose.PARTY])
def test_only_the_ledger_key_signs_checkpoints(purpose):
    wrong = PublicKey(SIGNER.public.raw, purpose)
    with pytest.raises(Misconfigured):
        note.sign_checkpoint(Checkpoint(ORIGIN, 1, ROOT), Signer(wrong, SIGNER.sign))
    with pytest.raises(NotProven):
        note.open_checkpoint(NOTE, ORIGIN, wrong)


@pytest.mark.parametrize("origin", ["", "a b", "a+b", "a\nb", "a\u2003b"])
def test_an_origin_has_no_space_and_no_plus(origin):
    with pytest.raises(Misconfigured):
        note.sign_checkpoint(Checkpoint(origin, 1, ROOT), SIGNER)
