# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What is signed and hashed, checked without Bastide: JSON, envelopes, keys, trees, checkpoints.

The half of verify_receipt.py that knows nothing of models and answers. On Python 3.11 and
`cryptography`, written apart from Bastide's own verifier.
"""

import base64
import hashlib
import json
import re

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

KEY_KINDS = ("key-enrolment", "key-state", "party-revocation")
LIVE = ("pre-active", "active", "suspended")
STOPS = ("suspended", "deactivated", "compromised")
MOVES = {
    "pre-active": ("active", "compromised", "destroyed"),
    "active": STOPS,
    "suspended": ("active", "deactivated", "compromised"),
    "deactivated": ("compromised", "destroyed"),
    "compromised": ("destroyed",),
    "destroyed": (),
}
NEVER = 2**53  # an entry that no ledger reaches


class NotProvenError(Exception):
    """Something does not hold; the text begins with the place."""


def need(holds, place, why):
    """Refuse unless something holds."""
    if not holds:
        raise NotProvenError(f"{place}: {why}")


class Number(str):
    """A JSON number with a fraction: the text that was signed."""


def read_json(data, place):
    """Read JSON strictly: no key twice, no NaN (which `int` refuses)."""

    def once(pairs):
        need(len(dict(pairs)) == len(pairs), place, "a key stands twice in one object")
        return dict(pairs)

    try:
        return json.loads(data, object_pairs_hook=once, parse_float=Number, parse_constant=int)
    except (ValueError, RecursionError) as error:
        raise NotProvenError(f"{place}: not JSON: {error}") from error


def canonical(value):
    """RFC 8785: sorted keys, no white space; numbers stay as they were signed."""
    if isinstance(value, dict):
        rows = sorted(value.items(), key=lambda row: row[0].encode("utf-16-be", "surrogatepass"))
        return "{" + ",".join(f"{canonical(k)}:{canonical(v)}" for k, v in rows) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    return str(value) if isinstance(value, Number) else json.dumps(value, ensure_ascii=False)


def digest(value):
    """`sha256:<hex>` of a value's canonical JSON."""
    return "sha256:" + hashlib.sha256(canonical(value).encode()).hexdigest()


def members(value, place, *names):
    """The values of an object that has exactly these keys."""
    fits = isinstance(value, dict) and set(value) == set(names)
    need(fits, place, f"not an object of exactly {', '.join(names)}")
    return [value[name] for name in names]


def base64_bytes(text, place):
    """Read base64 in its one form."""
    try:
        data = base64.b64decode(text, validate=True)
    except (ValueError, TypeError) as error:
        raise NotProvenError(f"{place}: not base64") from error
    need(base64.b64encode(data).decode() == text, place, "base64 with stray bits")
    return data


def string(data):
    """A string of the SSH wire format (RFC 4251)."""
    return len(data).to_bytes(4) + data


def check_ed25519(key, signature, message, place):
    """Check a plain Ed25519 signature."""
    try:
        Ed25519PublicKey.from_public_bytes(key["raw"]).verify(signature, message)
    except (InvalidSignature, ValueError) as error:
        raise NotProvenError(f"{place}: the signature does not hold") from error


def check_p256(key, signature, message, place):
    """Check an ECDSA signature over NIST P-256 with SHA-256, in DER."""
    try:
        point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), key["raw"])
        point.verify(signature, message, ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, ValueError) as error:
        raise NotProvenError(f"{place}: the signature does not hold") from error


def check_sshsig(key, blob, message, place):
    """PROTOCOL.sshsig: for one key, namespace and hash a blob has one form, so compare its head.
    PROTOCOL.u2f: a FIDO key signs what it is bound to, flags, counter and a hash of all that."""
    kind = key["wire"][: 4 + int.from_bytes(key["wire"][:4])]
    space = string(b"approval@bastide.eu") + string(b"") + string(b"sha512")
    head = b"SSHSIG" + (1).to_bytes(4) + string(key["wire"]) + space
    head += max(0, len(blob) - len(head) - 4).to_bytes(4) + kind
    end = len(blob) - (5 if "fido" in key else 0)
    signature = blob[len(head) + 4 : end]
    whole = blob[:end] == head + string(signature)
    need(whole, place, "not an OpenSSH signature of this key for approvals")
    signed = b"SSHSIG" + space + string(hashlib.sha512(message).digest())
    if "fido" not in key:
        check_ed25519(key, signature, signed, place)
        return
    if len(key["raw"]) == 65:
        cut = 4 + int.from_bytes(signature[:4])
        numbers = [int.from_bytes(signature[4:cut]), int.from_bytes(signature[cut + 4 :])]
        shaped = [string(n.to_bytes(n.bit_length() // 8 + 1)) for n in numbers]
        need(b"".join(shaped) == signature, place, "its numbers are not in their one form")
        signature = encode_dss_signature(*numbers)
    bound = hashlib.sha256(key["fido"]["application"].encode()).digest()
    check_fido(key, bound + blob[end:], hashlib.sha256(signed).digest(), signature, place)


def check_fido(key, data, asked, signature, place):
    """WebAuthn, section 6.1: the right binding, the user present and verified, no attested key."""
    bound = hashlib.sha256(key["fido"]["application"].encode()).digest()
    need(data[:32] == bound and len(data) >= 37, place, "made for another site or application")
    need(data[32] & 0x05 == 0x05, place, "the user was not present, or not verified")
    extended = len(data) > 37
    need(data[32] & 0xC0 == (0x80 if extended else 0), place, "not authenticator data of a use")
    check = check_p256 if len(key["raw"]) == 65 else check_ed25519
    check(key, signature, data + asked, place)


def check_webauthn(key, text, message, place):
    """WebAuthn, section 7.2: the challenge is the SHA-256 of the message."""
    names = ("authenticatorData", "clientDataJSON", "signature")
    row = read_json(text, place)
    values = [str(value) + "=" * (-len(value) % 4) for value in members(row, place, *names)]
    need(canonical(row).encode() == text, place, "not canonical JSON")
    plain = [value.replace("-", "+").replace("_", "/") for value in values]
    data, client, signature = (base64_bytes(value, place) for value in plain)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(message).digest()).decode().rstrip("=")
    said = read_json(client, place)
    wanted = {"type": "webauthn.get", "challenge": challenge, "origin": key["fido"]["origin"]}
    for name, value in wanted.items():
        need(said.get(name) == value, place, f"{name} is {said.get(name)}, not {value}")
    need(said.get("crossOrigin", False) is False and "topOrigin" not in said, place, "in a frame")
    check_fido(key, data, hashlib.sha256(client).digest(), signature, place)


def check_envelope(envelope, keys, place):
    """DSSE v1: give the statement and the keys that signed it. A charter brings its own keys, and
    who is enrolled one more."""
    payload, kind, rows = members(envelope, place, "payload", "payloadType", "signatures")
    need(kind == "application/vnd.in-toto+json", f"{place}.payloadType", "not in-toto")
    need(isinstance(rows, list) and rows, f"{place}.signatures", "there is none")
    payload = base64_bytes(payload, f"{place}.payload")
    statement = read_json(payload, f"{place}.payload")
    need(canonical(statement).encode() == payload, f"{place}.payload", "not canonical JSON")
    message = b"DSSEv1 %d %b %d %b" % (len(kind), kind.encode(), len(payload), payload)
    said = statement.get("predicateType") if isinstance(statement, dict) else None
    if str(said).endswith("/key-enrolment/v1"):
        keys = {**keys, **enrolled([statement["predicate"]["key"]], place)}
    keys = keys or enrolled(statement["predicate"]["keys"], place)
    signers = []
    for index, row in enumerate(rows):
        spot = f"{place}.signatures[{index}]"
        ident, signature = members(row, spot, "keyid", "sig")
        need(isinstance(ident, str) and ident in keys, spot, "the signer is not enrolled")
        key = keys[ident]
        need(key not in signers, spot, "one key signed twice")
        check = CHECKS[key["scheme"]]
        check(key, base64_bytes(signature, f"{spot}.sig"), message, spot)
        signers.append(key)
    return statement, signers


CHECKS = {
    "ed25519": check_ed25519,
    "ecdsa-p256": check_p256,
    "sshsig": check_sshsig,
    "webauthn": check_webauthn,
}


def enrolled(rows, place):
    """The keys of the charter by id: `SHA256:...`, as `ssh-keygen -l` prints it."""
    keys = {}
    for row in rows:
        raw, fido = base64_bytes(row["public"], place), row.get("fido")
        point = len(raw) == 65
        kind = b"ecdsa-sha2-nistp256" if point else b"ssh-ed25519"
        fields = [kind, b"nistp256", raw] if point else [kind, raw]
        if fido is not None:
            names = ("application", "origin", "credential")
            texts = members(fido, place, *(names if row["scheme"] == "webauthn" else names[:1]))
            need(all(isinstance(text, str) for text in texts), place, "a binding is text")
            fields = [b"sk-" + kind + b"@openssh.com", *fields[1:], fido["application"].encode()]
        wire = b"".join(map(string, fields))
        ident = "SHA256:" + base64.b64encode(hashlib.sha256(wire).digest()).decode().rstrip("=")
        need(ident == row["id"] and ident not in keys, place, f"the key {row['id']} does not fit")
        # (scheme, a point, in an authenticator)
        forms = {
            ("sshsig", False, False), ("sshsig", False, True), ("sshsig", True, True),
            ("webauthn", False, True), ("webauthn", True, True), ("ecdsa-p256", True, False),
        }  # fmt: skip
        if row["purpose"] == "model-signing":
            forms = {("ecdsa-p256", True, False)}
        elif row["purpose"] != "party":
            forms = {("ed25519", False, False)}
        fits = (row["scheme"], point, fido is not None) in forms
        need(fits, place, f"a {row['scheme']} key of this form does not fit {row['purpose']}")
        keys[ident] = {**row, "raw": raw, "wire": wire}
    return keys


def check_inclusion(leaf, index, size, proof, root, place):
    """RFC 9162, section 2.1.3.2."""
    need(type(index) is type(size) is int and 0 <= index < size, place, f"no leaf {index}/{size}")
    hashes = all(isinstance(row, str) and re.fullmatch("[0-9a-f]{64}", row) for row in proof)
    need(isinstance(proof, list) and hashes, place, "not a list of hashes in hex")
    node, last = hashlib.sha256(b"\0" + leaf).digest(), size - 1
    for sibling in map(bytes.fromhex, proof):
        need(last > 0, place, "the proof is too long")
        if index & 1 or index == last:
            node = hashlib.sha256(b"\1" + sibling + node).digest()
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            node = hashlib.sha256(b"\1" + node + sibling).digest()
        index, last = index >> 1, last >> 1
    need(last == 0 and node == root, place, "the inclusion proof does not hold")


def check_checkpoint(text, origin, key_of):
    """C2SP signed-note and tlog-checkpoint: give the size and the root. `key_of` a size is the
    ledger's key."""
    form = r"([^\n]+)\n(0|[1-9][0-9]*)\n([^\n]+)\n\n((?:— [^\n ]+ [^\n ]+\n)+)"
    found = re.fullmatch(form, text) if isinstance(text, str) else None
    need(found and found[1] == origin, "checkpoint", f"not a signed checkpoint of {origin}")
    body = text[: found.start(4) - 1].encode()
    key = key_of(max(1, int(found[2])))
    tag = hashlib.sha256(origin.encode() + b"\n\x01" + key["raw"]).digest()[:4]
    rows = [line.split(" ")[1:] for line in found[4].splitlines()]
    signed = [base64_bytes(row[1], "checkpoint") for row in rows if row[0] == origin]
    ours = [signature for signature in signed if signature[:4] == tag]
    need(len(ours) == 1, "checkpoint", "it is not signed by the ledger key of keys.json")
    check_ed25519(key, ours[0][4:], body, "checkpoint")
    return int(found[2]), base64_bytes(found[3], "checkpoint")


class Register:
    """Which keys may sign when: the charter's, and what key statements made of them.

    Each key has its changes as (entry, state, trusted before).
    """

    def __init__(self, keys):
        self.keys = dict(keys)
        self.changes = {ident: [(0, "active", None)] for ident in keys}
        self.said = set()

    def state(self, ident, entry):
        """The state in which a key signs an entry: what earlier entries made of it."""
        return [state for at, state, _ in self.changes[ident] if at < max(entry, 1)][-1:]

    def signing(self, entry):
        """The keys that may sign an entry when it is made."""
        return {i: key for i, key in self.keys.items() if self.state(i, entry) == ["active"]}

    def counted(self, entry):
        """Those whose signature there counts, by all that is known."""
        counts = {}
        for ident, key in self.signing(entry).items():
            gone = [before or 0 for _, state, before in self.changes[ident] if state == STOPS[2]]
            if self.state(ident, NEVER) != ["suspended"] and entry < min(gone, default=NEVER):
                counts[ident] = key
        return counts

    def ledger_key(self, size):
        """The key that signs the checkpoint of a size."""
        rows = self.signing(size - 1).values()
        found = [key for key in rows if key["purpose"] == "ledger"]
        need(len(found) == 1, "checkpoint", f"no ledger key was active at entry {size - 1}")
        return found[0]

    def learn(self, kind, body, signers, entry, place):
        """Follow one key statement: two parties make a key count, one stops it."""
        new = body["key"]["id"] if kind == "key-enrolment" else None
        parties = {key.get("party") for key in signers if key["id"] != new} - {None}
        if new is not None:
            (key,) = enrolled([body["key"]], place).values()
            fresh = key["raw"] not in [known["raw"] for known in self.keys.values()]
            need(fresh and new in [key["id"] for key in signers], place, "not a new key's own word")
            need(len(parties) >= 2, place, "two parties enrol a key")
            gone = body["replaces"]
            if gone is not None:
                old = self.keys.get(gone["key"], {})
                same = all(old.get(name) == key.get(name) for name in ("purpose", "party"))
                need(same, place, "it replaces a key of another kind")
                self.move(gone, entry, place)
            self.keys[new], self.changes[new] = key, [(entry, body["state"], None)]
        elif kind == "party-revocation":
            party, named = body["party"], body["keys"]
            may = len(parties) >= 2 or {party, "guardian"} & parties
            need(may, place, f"{parties} may not revoke the {party}")
            own = {i for i, key in self.keys.items() if key.get("party") == party}
            live = {i for i in own if self.state(i, NEVER)[0] in LIVE}
            right = live <= set(named) <= own and named == sorted(set(named))
            need(right, place, f"not the keys of the {party}")
            for ident in named:
                self.move({**body, "key": ident, "state": "compromised"}, entry, place)
        else:
            need(body["key"] in self.keys, place, f"there is no key {body['key']}")
            key = self.keys[body["key"]]
            alone = {key.get("party") or "operator", "guardian"} & parties
            stops = body["state"] in STOPS
            need(len(parties) >= 2 or (stops and alone), place, f"{parties} may not do this")
            need(
                not stops or key["purpose"] != "ledger", place, "the ledger's key is only replaced"
            )
            self.move(body, entry, place)
        for purpose in ("ledger", "evidence", "release", "model-signing"):
            rows = [key for key in self.signing(NEVER).values() if key["purpose"] == purpose]
            need(len(rows) <= 1, place, f"two {purpose} keys")

    def move(self, body, entry, place):
        """A key changes its state."""
        (before,) = self.state(body["key"], NEVER)
        need(body["state"] in MOVES[before], place, f"a {before} key becomes {body['state']}")
        said = (body["key"], digest(body))
        need(said not in self.said, place, "this was said of the key before")
        self.said.add(said)
        self.changes[body["key"]].append((entry, body["state"], body["trusted_before"]))
