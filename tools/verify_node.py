# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Quotes of attested nodes, checked without Bastide (TCG TPM 2.0 Library, Part 2).

A part of verify_receipt.py, on Python 3.11 and `cryptography`. It knows TPM quotes only, and
refuses a node of another kind rather than believe it.
"""

import hashlib
import json
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from verify_signed import base64_bytes, canonical, need

PARTS = ("quote", "signature", "ak", "ek", "registers", "events")
NAMES = ("engine", "sandbox", "software")
SIGNS, DECRYPTS = 0x00050032, 0x00030032  # restricted, fixed to the TPM and its parent, made there


def check_nodes(receipt, nodes, references, batch):
    """The nodes that a receipt names, under the values that the guardian signed; say what holds."""
    named = receipt.get("attestations", [])
    need([row["digest"] for row in nodes] == named, "entries.nodes", "not those of the receipt")
    values = {row["digest"]: row for row in references}
    used = list(dict.fromkeys(row["body"]["attestation"]["reference"] for row in nodes))
    need(list(values) == used, "entries.node_references", "not those that the nodes name")
    told = []
    for row in nodes:
        place, body = row["place"], row["body"]
        value = values[body["attestation"]["reference"]]
        for field in ("deployment", "node"):
            need(body[field] == receipt[field], place, f"its {field} is not the receipt's")
        counts = body["time_ms"] <= receipt["time_ms"] < body["expires_ms"]
        need(counts, place, "its quote did not count when the answer ended")
        need(value["index"] < row["index"] < batch["index"], place, "out of order")
        check_quote(body, place)
        check_allowed(body, value["body"], place)
        told.append(say(body["node"], value["body"]))
    return told


def say(node, values):
    """What was checked and what was not, in words."""
    known = "root" in values["measured"]
    what = "TPM of a maker whom the guardian named"
    what = what if known else "software TPM, or one whose maker nobody checked"
    rest = "" if known else "who made the TPM, "
    checked = "quote, keys, nonce, measurements" + (", maker's chain" if known else "")
    return (
        f"{node}: {what}, allowed by {values['name']}; checked: {checked}; not checked: {rest}"
        "who measured, which program asked, who can read the memory"
    )


def check_quote(body, place):
    """The quote is by the key, about the node's keys and nonce, and over what it measured."""
    stated = body["attestation"]
    need(stated["kind"] == "tpm2", place, f"this tool checks no {stated['kind']}")
    names = (*PARTS, "ek_chain") if "ek_chain" in stated["evidence"] else PARTS
    need(sorted(stated["evidence"]) == sorted(names), place, "not the evidence of a TPM")
    parts = {name: from_base64url(stated["evidence"][name], place) for name in names}
    key, spki = attesting_key(parts["ak"], place)
    need(stated["key"] == spki, place, "the quote is by another key")
    endorsement = sized(parts["ek"], place)
    bits = int.from_bytes(endorsement[4:8])
    need(bits & (DECRYPTS | 1 << 18) == DECRYPTS, place, "no endorsement key")
    identity = digest_of(endorsement)
    need(stated["identity"] == identity, place, "it is of another machine")
    signature = parts["signature"]
    need(signature[:4] == b"\x00\x18\x00\x0b", place, "not ECDSA with SHA-256")
    length = int.from_bytes(signature[4:6])
    r, s = signature[6 : 6 + length], signature[8 + length :]
    need(len(s) == int.from_bytes(signature[6 + length : 8 + length]), place, "a bad signature")
    try:
        der = encode_dss_signature(int.from_bytes(r), int.from_bytes(s))
        key.verify(der, parts["quote"], ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        need(False, place, "the quote's signature does not hold")
    bound = {name: body[name] for name in ("node", "deployment", "replica", "keys")}
    bound |= {"type": "https://bastide.eu/node-quote/v1", "nonce": stated["nonce"]}
    qualifying, chosen, quoted = read_quote(parts["quote"], place)
    wanted = hashlib.sha256(canonical(bound).encode()).digest()
    need(qualifying == wanted, place, "the quote is about other keys or another nonce")
    fits = chosen[:-1] == list(range(8)) and chosen[-1] in range(8, 16)
    need(fits, place, "the quote is over other registers")
    values = parts["registers"]
    need(len(values) == 288 and hashlib.sha256(values).digest() == quoted, place, "other values")
    events = json.loads(parts["events"])
    held = bytes(32)
    for event in events:
        need(sorted(event) == list(NAMES), place, "no measurement")
        step = hashlib.sha256(canonical(event).encode()).digest()
        held = hashlib.sha256(held + step).digest()
    need(events and held == values[256:], place, "something else was measured, too")
    measured = {f"pcr{n}": [values[32 * n : 32 * n + 32].hex()] for n in range(8)}
    measured |= {name: list(dict.fromkeys(event[name] for event in events)) for name in NAMES}
    if "ek_chain" in parts:
        measured["root"] = [maker(parts["ek_chain"], endorsement, body["time_ms"], place)]
    need(stated["measured"] == measured, place, "it says that it measured something else")


def check_allowed(body, values, place):
    """The guardian's values allow this machine, all that it measured, and for so long."""
    stated = body["attestation"]
    need(values["kind"] == stated["kind"], place, "the reference values are of another kind")
    rooted = bool(values["measured"].get("root"))
    listed = stated["identity"] in values["identities"] or (not values["identities"] and rooted)
    need(listed, place, "the guardian did not list it")
    need(set(NAMES) <= set(values["measured"]), place, "the reference values leave something out")
    need(not values["minimum"], place, "a TPM measures no version")
    for name, allowed in values["measured"].items():
        found = stated["measured"].get(name)
        need(found and set(found) <= set(allowed), place, f"{name}: {found} was not allowed")
    life = body["expires_ms"] - body["time_ms"]
    need(0 < life <= values["valid_s"] * 1000, place, "it counts for too long")


def maker(data, endorsement, at_ms, place):
    """The maker's root behind an endorsement key: its certificate is first, each by the next."""
    at, chain = datetime.fromtimestamp(at_ms / 1000, UTC), []
    while data and len(chain) < 5:
        size = 4 + int.from_bytes(data[2:4])
        chain, data = [*chain, x509.load_der_x509_certificate(data[:size])], data[size:]
    need(not data and len(chain) > 1, place, "not the chain of a TPM's maker")
    for one, issuer in zip(chain, [*chain[1:], chain[-1]], strict=True):
        need(one.not_valid_before_utc <= at <= one.not_valid_after_utc, place, "ended certificate")
        authority = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        need(authority, place, "a certificate's issuer is no authority")
        try:
            one.verify_directly_issued_by(issuer)
        except (InvalidSignature, ValueError, TypeError):
            need(False, place, "a certificate was not issued by the next")
    modulus = chain[0].public_key().public_numbers().n.to_bytes(256)
    need(endorsement.endswith(modulus), place, "the certificate of another TPM")
    return digest_of(chain[-1].public_bytes(serialization.Encoding.DER))


def digest_of(data):
    """The digest of bytes."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def read_quote(data, place):
    """TPMS_ATTEST: qualifying data, registers, digest of their values."""
    need(data[:6] == b"\xffTCG\x80\x18", place, "not a quote of a TPM")
    at = 8 + int.from_bytes(data[6:8])
    length = int.from_bytes(data[at : at + 2])
    qualifying, at = data[at + 2 : at + 2 + length], at + 2 + length + 25
    banks, at, chosen = int.from_bytes(data[at : at + 4]), at + 4, []
    for _ in range(banks if banks < 17 else 0):
        bank, size = data[at : at + 2], data[at + 2]
        bits = data[at + 3 : at + 3 + size]
        here = [n for n in range(8 * size) if bits[n // 8] >> n % 8 & 1]
        need(not here or bank == b"\x00\x0b", place, "registers of another bank")
        chosen, at = chosen + here, at + 3 + size
    need(int.from_bytes(data[at : at + 2]) == 32 == len(data) - at - 2, place, "a bad quote")
    return qualifying, chosen, data[at + 2 :]


def attesting_key(data, place):
    """The P-256 key of a TPM2B_PUBLIC that signs nothing but what its TPM made; its digest."""
    area = sized(data, place)
    need(area[:4] == b"\x00\x23\x00\x0b", place, "not an ECC key")
    need(int.from_bytes(area[4:8]) & (SIGNS | 1 << 17) == SIGNS, place, "it signs anything")
    rest = area[10 + int.from_bytes(area[8:10]) :]
    need(rest[:10] == bytes.fromhex("0010 0018 000b 0003 0010"), place, "not ECDSA on P-256")
    x, rest = sized_at(rest[10:])
    y, rest = sized_at(rest)
    need(not rest, place, "bytes after the key")
    numbers = ec.EllipticCurvePublicNumbers(int.from_bytes(x), int.from_bytes(y), ec.SECP256R1())
    key = numbers.public_key()
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    der = key.public_bytes(serialization.Encoding.DER, form)
    return key, digest_of(der)


def sized(data, place):
    """The content of a TPM2B that is all there is."""
    content, rest = sized_at(data)
    need(not rest and len(content) == int.from_bytes(data[:2]), place, "not one structure")
    return content


def sized_at(data):
    """The content of the TPM2B at the beginning, and what follows."""
    end = 2 + int.from_bytes(data[:2])
    return data[2:end], data[end:]


def from_base64url(text, place):
    """Bytes of base64url without padding."""
    plain = text.replace("-", "+").replace("_", "/")
    need("+" not in text and "/" not in text, place, "not base64url")
    return base64_bytes(plain + "=" * (-len(plain) % 4), place)
