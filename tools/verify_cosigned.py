# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Cosignatures of witnesses, checked without Bastide (C2SP tlog-cosignature).

A part of verify_receipt.py, on Python 3.11 and `cryptography`. Every key of a witness must have
cosigned. With a `cryptography` that has no ML-DSA those cosignatures are there but not checked,
and `UNCHECKED` says so.
"""

import hashlib

from verify_signed import base64_bytes, check_ed25519, need

try:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey
except ImportError:
    MLDSA44PublicKey = None

PUBLIC_BYTES = {4: 32, 6: 1312}
UNCHECKED = () if MLDSA44PublicKey else ("cosignatures with ML-DSA-44: `cryptography` has none",)


def witness_keys(vkeys, place):
    """The name of a witness, and its public keys by type."""
    keys, names = {}, set()
    for vkey in vkeys:
        name, tag, encoded = vkey.split("+", 2)
        data = base64_bytes(encoded, place)
        kind, raw = data[0], data[1:]
        need(PUBLIC_BYTES.get(kind) == len(raw) and kind not in keys, place, "not a witness's key")
        need(key_hash(name, kind, raw).hex() == tag, place, "a vkey's hash is another")
        keys[kind] = raw
        names.add(name)
    need(len(names) == 1 and 4 in keys, place, "not the keys of one witness")
    return names.pop(), keys


def check_cosigned(text, rows):
    """Which parties' witnesses cosigned a checkpoint, and when; a bad cosignature is refused."""
    body, _, tail = text.rpartition("\n\n")
    body += "\n"
    lines = [line.split(" ")[1:] for line in tail.splitlines()]
    found, known = {}, set()
    for row in rows:
        party, place = row["body"]["party"], row["place"]
        name, keys = witness_keys(row["body"]["keys"], place)
        need(party not in found and not known & set(keys.values()), place, "one witness, one party")
        known |= set(keys.values())
        times = []
        for kind, raw in keys.items():
            tag = key_hash(name, kind, raw)
            given = [base64_bytes(line[1], "checkpoint") for line in lines if line[0] == name]
            ours = [data[4:] for data in given if data[:4] == tag]
            need(len(ours) <= 1, "checkpoint", f"{name} has cosigned it twice")
            times += [check_one(body, name, kind, raw, data) for data in ours]
        need(len(times) in (0, len(keys)), "checkpoint", f"{name} has cosigned it with one key")
        if times:
            found[party] = min(times)
    return found


def check_one(body, name, kind, raw, data):
    """One cosignature; give its time."""
    need(len(data) > 8, "checkpoint", f"the cosignature of {name} is too short")
    time = int.from_bytes(data[:8])
    need(0 < time < 2**63, "checkpoint", f"the cosignature of {name} has no time")
    if kind == 4:
        message = f"cosignature/v1\ntime {time}\n{body}".encode()
        check_ed25519({"raw": raw}, data[8:], message, "checkpoint")
    elif MLDSA44PublicKey is not None:
        origin, size, root = body.split("\n")[:3]
        message = b"subtree/v1\n\0" + opaque(name) + time.to_bytes(8) + opaque(origin)
        message += bytes(8) + int(size).to_bytes(8) + base64_bytes(root, "checkpoint")
        try:
            MLDSA44PublicKey.from_public_bytes(raw).verify(data[8:], message)
        except (InvalidSignature, ValueError):
            need(False, "checkpoint", f"the ML-DSA cosignature of {name} does not hold")
    return time


def opaque(text):
    """A string with its length before it."""
    data = text.encode()
    need(0 < len(data) < 256, "checkpoint", "a name is too long")
    return bytes([len(data)]) + data


def key_hash(name, kind, raw):
    """The four bytes by which a signature line names its key."""
    return hashlib.sha256(name.encode() + b"\n" + bytes([kind]) + raw).digest()[:4]
