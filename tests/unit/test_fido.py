# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Parties sign with passkeys, FIDO keys of OpenSSH and keys in HSMs; both verifiers accept what
public tools accept, and refuse every assertion that is not over exactly this statement.

To see these tests fail I once broke the code: without the check of the flag `VERIFIED`, without
that of the origin, and without that of the challenge, the cases named so failed, in ours and in
the tool.
"""

import base64
import hashlib
import json
import shutil
import subprocess

import pytest
from fido2.cose import ES256, EdDSA
from fido2.server import Fido2Server
from fido2.webauthn import Aaguid, AttestedCredentialData, PublicKeyCredentialRpEntity
from hypothesis import given, settings
from hypothesis import strategies as st

from bastide.core.errors import BastideError, Misconfigured, NotProven
from bastide.core.evidence import PAYLOAD_TYPE
from bastide.core.key import PublicKey
from bastide.core.party import Party
from bastide.crypto import dsse, sshsig
from bastide.crypto.dsse import Envelope
from bastide.crypto.signer import Signer
from bastide.ledger.verify import trace_bundle
from unit.authenticator import ORIGIN, PRESENT, SITE, Passkey, Token, hsm_signer, private_key
from unit.chain_fixture import make_chain
from unit.ledger_fixture import make_ledger
from unit.test_register import approval, enrolment
from unit.two_verifiers import read_as_tool, refuse, tool

FIRM = Party.FIRM
HOLDERS = {
    "passkey": Passkey("firm"),
    "passkey of Ed25519": Passkey("firm", "ed25519"),
    "passkey with extensions": Passkey("firm", flags=0x85, extensions={"credProtect": 3}),
    "sk-ssh-ed25519": Token("firm"),
    "sk-ecdsa-sha2-nistp256": Token("firm", "p256"),
}
SIGNERS = {name: holder.signer(FIRM) for name, holder in HOLDERS.items()}
SIGNERS["key in an HSM"] = hsm_signer("firm", FIRM)
PAYLOAD = approval(FIRM).payload()
MESSAGE = dsse.pae(PAYLOAD_TYPE, PAYLOAD)


def _both(key: PublicKey, envelope: Envelope) -> None:
    """Check with both verifiers. Raises what ours raises; the tool must agree."""
    keys = tool.enrolled([key.to_json()], "keys")
    given_ = json.loads(json.dumps(envelope.to_json()))
    try:
        dsse.verify_envelope(envelope, {key.ident: key})
    except BastideError:
        with pytest.raises((tool.NotProvenError, ValueError, TypeError, AttributeError)):
            tool.check_envelope(given_, keys, "here")
        raise
    tool.check_envelope(given_, keys, "here")


def _made(signer: Signer, payload: bytes = PAYLOAD) -> Envelope:
    return dsse.sign(payload, [signer])


@pytest.fixture(params=SIGNERS)
def signer(request: pytest.FixtureRequest) -> Signer:
    return SIGNERS[request.param]


def test_both_verifiers_accept(signer):
    _both(signer.public, _made(signer))
    assert PublicKey.from_json(json.loads(json.dumps(signer.public.to_json()))) == signer.public


@pytest.mark.attacks("C121")
def test_a_signature_is_about_one_statement(signer):
    other = approval(FIRM, 1).payload()
    replayed = Envelope(other, _made(signer).signatures)
    with pytest.raises(NotProven):
        _both(signer.public, replayed)


def test_another_key_of_the_same_kind(signer):
    holders = {
        Passkey: lambda: Passkey("thief").signer(FIRM),
        Token: lambda: Token("thief").signer(FIRM),
    }
    owner = getattr(signer.sign, "__self__", None)
    thief = holders.get(type(owner), lambda: hsm_signer("thief", FIRM))()
    forged = Envelope(PAYLOAD, ((signer.public.ident, thief.sign(MESSAGE)),))
    with pytest.raises(NotProven):
        _both(signer.public, forged)


@pytest.mark.attacks("C121")
@settings(max_examples=60)
@given(name=st.sampled_from(sorted(SIGNERS)), data=st.data())
def test_no_altered_byte_is_accepted(name, data):
    """Both verifiers give the same verdict on every damaged signature: they refuse."""
    signer = SIGNERS[name]
    ((ident, good),) = _made(signer).signatures
    place = data.draw(st.integers(0, len(good) - 1))
    bad = bytearray(good)
    bad[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(NotProven):
        _both(signer.public, Envelope(PAYLOAD, ((ident, bytes(bad)),)))
    with pytest.raises(NotProven):
        _both(signer.public, Envelope(PAYLOAD, ((ident, good[:place]),)))


WRONG = {
    "user not verified": ({"flags": PRESENT}, "did not verify"),
    "nobody present": ({"flags": 0x04}, "nobody present"),
    "a device that signs for all": ({"flags": 0}, "nobody present"),
    "another site": ({"site": "example.eu"}, "not for 'localhost'"),
    "another origin": ({"origin": "http://localhost:8476"}, "origin"),
    "a site of the same name": ({"origin": "http://localhost:8475.example.eu"}, "origin"),
    "a registration": ({"kind": "webauthn.create"}, "type"),
    "a payment": ({"kind": "payment.get"}, "type"),
    "the statement's own bytes": ({"challenge": lambda message: message}, "challenge"),
    "an empty challenge": ({"challenge": lambda _: b""}, "challenge"),
    "in a frame": ({"client": {"cross_origin": True}}, "another page"),
    "below another page": ({"client": {"topOrigin": "http://example.eu"}}, "another page"),
}


@pytest.mark.attacks("C121")
@pytest.mark.parametrize("curve", ["p256", "ed25519"])
@pytest.mark.parametrize("case", WRONG)
def test_assertions_for_something_else(case, curve):
    changes, why = WRONG[case]
    wrong = Passkey("firm", curve, **changes)
    with pytest.raises(NotProven, match=why):
        _both(wrong.public(FIRM), _made(wrong.signer(FIRM)))


@pytest.mark.parametrize("curve", ["p256", "ed25519"])
@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"flags": 0x01}, "did not verify"),
        ({"flags": 0x04}, "nobody present"),
        ({"flags": 0x45}, "not those of a signature"),
        ({"application": "ssh:other"}, "does not hold"),
        ({"space": b"file"}, "namespace"),
    ],
)
def test_openssh_signatures_for_something_else(curve, changes, why):
    wrong = Token("firm", curve, **changes)
    with pytest.raises(NotProven, match=why):
        _both(wrong.public(FIRM), _made(wrong.signer(FIRM)))


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace(b'"signature"', b'"Signature"'),
        lambda text: text.replace(b'":"', b'": "'),
        lambda text: text[:-1] + b',"userHandle":""}',
        lambda text: text[:-1] + b"=" + text[-1:],
        lambda text: b"[" + text + b"]",
        lambda _: b"{}",
        lambda _: b"",
    ],
)
def test_an_assertion_has_one_form(change):
    signer = SIGNERS["passkey"]
    ((ident, good),) = _made(signer).signatures
    with pytest.raises(NotProven, match="not a WebAuthn assertion"):
        _both(signer.public, Envelope(PAYLOAD, ((ident, change(good)),)))


@pytest.mark.parametrize("curve", ["p256", "ed25519"])
def test_an_independent_server_accepts_the_same_assertion(curve):
    """python-fido2 checks what stands in the envelope, and refuses it for another statement."""
    holder = Passkey("firm", curve)
    public = private_key("firm", curve).public_key()
    cose = (ES256 if curve == "p256" else EdDSA).from_cryptography_key(public)
    known = AttestedCredentialData.create(Aaguid(bytes(16)), holder.credential, cose)
    row = json.loads(holder.sign(MESSAGE))
    response = {
        "id": base64.urlsafe_b64encode(holder.credential).decode().rstrip("="),
        "rawId": base64.urlsafe_b64encode(holder.credential).decode().rstrip("="),
        "type": "public-key",
        "response": row,
    }
    server = Fido2Server(
        PublicKeyCredentialRpEntity(name="Bastide", id=SITE), verify_origin=ORIGIN.__eq__
    )

    def state(message: bytes) -> dict:
        digest = base64.urlsafe_b64encode(hashlib.sha256(message).digest()).decode().rstrip("=")
        return {"challenge": digest, "user_verification": "required"}

    server.authenticate_complete(state(MESSAGE), [known], response)
    with pytest.raises(ValueError, match="challenge"):
        server.authenticate_complete(state(MESSAGE + b"!"), [known], response)


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is not installed")
@pytest.mark.parametrize("curve", ["p256", "ed25519"])
def test_ssh_keygen_accepts_the_same_signature(tmp_path, curve):
    token = Token("firm", curve)
    (tmp_path / "signers").write_text(f"firm {token.public_line()}\n")
    (tmp_path / "key.pub").write_text(token.public_line() + "\n")
    (tmp_path / "sig").write_text(sshsig.armor(token.sign(MESSAGE)))
    command = ["ssh-keygen", "-Y", "verify", "-I", "firm", "-n", "approval@bastide.eu"]
    command += ["-f", str(tmp_path / "signers"), "-s", str(tmp_path / "sig")]
    done = subprocess.run(command, input=MESSAGE, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    shown = subprocess.run(
        ["ssh-keygen", "-l", "-f", str(tmp_path / "key.pub")], capture_output=True, check=True
    )
    assert token.public(FIRM).ident in shown.stdout.decode(), "the id is OpenSSH's fingerprint"


@pytest.mark.parametrize("holder", [Passkey("firm", counter=9), Token("firm", counter=9)])
def test_the_counter_is_read(holder):
    assert dsse.counter_of(holder.public(FIRM), holder.sign(MESSAGE)) == 9
    assert dsse.counter_of(SIGNERS["key in an HSM"].public, b"") is None


def _row(**changes) -> dict:
    return {**SIGNERS["passkey"].public.to_json(), **changes}


@pytest.mark.parametrize(
    "row",
    [
        _row(scheme="sshsig"),
        _row(scheme="ecdsa-p256"),
        _row(scheme="ed25519"),
        _row(fido={"application": SITE}),
        _row(fido={"application": "example.eu", "origin": ORIGIN, "credential": "AA=="}),
        _row(fido={"application": SITE, "origin": ORIGIN}),
        _row(fido={"application": SITE, "origin": 1, "credential": "AA=="}),
        _row(fido={"application": SITE, "origin": ORIGIN, "credential": "AA==", "more": ""}),
        _row(fido=None),
        {**hsm_signer("firm", FIRM).public.to_json(), "scheme": "webauthn"},
    ],
)
def test_a_key_without_its_binding_is_none(row):
    with pytest.raises(Misconfigured):
        PublicKey.from_json(row)
    with pytest.raises((tool.NotProvenError, ValueError, TypeError, AttributeError)):
        tool.enrolled([row], "keys")


def test_a_whole_chain_rests_on_the_key(tmp_path, signer):
    """Charter, approval and receipts: both verifiers follow them to a model's answer."""
    chain = make_chain(tmp_path, parties={FIRM: signer})
    assert trace_bundle(chain.bundle(), chain.anchors).ledger_size == chain.world.ledger.size
    tool.verify(*read_as_tool(chain.bundle(), chain.anchors))
    chain.world.ledger.audit()
    forged = chain.bundle()
    rows = forged["entries"]["approvals"]
    mine = next(
        row for row in rows if row["envelope"]["signatures"][0]["keyid"] == signer.public.ident
    )
    mine["envelope"]["signatures"] = forged["entries"]["charter"]["envelope"]["signatures"][:1]
    refuse(forged, chain.anchors)
    chain.world.records.dispose()


def test_a_passkey_is_enrolled_by_two_parties_and_itself(tmp_path, signer):
    world = make_ledger(tmp_path)
    statement = enrolment(signer)
    others = [world.parties[party] for party in (Party.OPERATOR, Party.GUARDIAN)]
    with pytest.raises(BastideError, match="takes 2 parties"):
        world.ledger.append_statement(statement, [signer, others[0]])
    world.ledger.append_statement(statement, [signer, *others])
    world.ledger.append_statement(approval(FIRM), [signer])
    world.ledger.audit()
    world.records.dispose()
