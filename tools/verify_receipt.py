#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Verify a receipt back to its model, with public keys only and without Bastide.

    python verify_receipt.py receipt.json --keys keys.json [--json]
    python verify_receipt.py receipt.json --keys keys.json \\
        --prompt request.json --answer answer.txt --api-key-file key.txt

One file; it needs Python 3.11 and the package `cryptography`, and no network. It was written from
docs/reference/receipts.md, apart from Bastide's own verifier, so that two programs must agree.
Exit status: 0 verified, 6 not proven (the message says where), 2 wrong usage.

keys.json is what you trust: get it from the parties, not from whoever hands you the receipt.
"""

import argparse
import base64
import hashlib
import hmac
import itertools
import json
import re
import sys
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

ROOT = "https://bastide.eu/"
FILE_BYTES_MAX = 16 * 1024 * 1024
SINGLE = {
    "charter": "charter/v1",
    "admission": "admission/v1",
    "evaluation": "evaluation/v1",
    "candidate": "candidate/v1",
    "release": "release/v1",
    "deployment": "deployment/v1",
    "batch": "receipts/v1",
}
LISTS = ("approvals", "deployment_approvals")
RECEIPT = ("type", "ident", "time_ms", "tenant", "key", "requested_model", "release")
RECEIPT += ("deployment", "policy", "node", "sandbox", "prompt_commitment", "answer_commitment")
RECEIPT += ("prompt_tokens", "completion_tokens", "finish", "guard")
ASKED = {"release": {"firm", "guardian"}, "deploy": {"operator"}}


class NotProvenError(Exception):
    """Something does not hold; the text begins with the place."""


def need(holds, place, why):
    """Refuse unless something holds."""
    if not holds:
        raise NotProvenError(f"{place}: {why}")


# JSON


class Number(float):
    """A JSON number with a fraction, and the text that was signed."""

    def __new__(cls, text):
        """Keep the text."""
        number = super().__new__(cls, text)
        number.text = text
        return number


def read_json(data, place):
    """Read JSON strictly: no key twice, no NaN."""

    def once(pairs):
        need(len(dict(pairs)) == len(pairs), place, "a key stands twice in one object")
        return dict(pairs)

    def never(text):
        raise ValueError(f"{text} is no JSON")

    try:
        return json.loads(data, object_pairs_hook=once, parse_float=Number, parse_constant=never)
    except (ValueError, RecursionError) as error:
        raise NotProvenError(f"{place}: not JSON: {error}") from error


def canonical(value):
    """RFC 8785: sorted keys, no white space; numbers stay as they were signed."""
    if isinstance(value, dict):
        rows = sorted(value.items(), key=lambda row: row[0].encode("utf-16-be", "surrogatepass"))
        return "{" + ",".join(f"{canonical(k)}:{canonical(v)}" for k, v in rows) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    if isinstance(value, Number):
        return value.text
    return json.dumps(value, ensure_ascii=False)


def digest(value):
    """`sha256:<hex>` of a value's canonical JSON."""
    return "sha256:" + hashlib.sha256(canonical(value).encode()).hexdigest()


def members(value, names, place):
    """The values of an object that has exactly these keys."""
    need(isinstance(value, dict), place, "not an object")
    need(set(value) == set(names), place, f"its keys are not {', '.join(sorted(names))}")
    return [value[name] for name in names]


def count(value, place):
    """A whole number from zero."""
    need(type(value) is int and 0 <= value < 2**53, place, "not a count")
    return value


def base64_bytes(text, place):
    """Read base64 in its one form."""
    try:
        data = base64.b64decode(text, validate=True)
    except (ValueError, TypeError) as error:
        raise NotProvenError(f"{place}: not base64") from error
    need(base64.b64encode(data).decode() == text, place, "base64 with stray bits")
    return data


# Signatures


def string(data):
    """A string of the SSH wire format (RFC 4251)."""
    return len(data).to_bytes(4) + data


def key_id(raw, scheme):
    """The id of a key, as `ssh-keygen -l` prints it."""
    kind = [b"ssh-ed25519"]
    if scheme == "ecdsa-p256":
        kind = [b"ecdsa-sha2-nistp256", b"nistp256"]
    wire = b"".join(map(string, [*kind, raw]))
    return "SHA256:" + base64.b64encode(hashlib.sha256(wire).digest()).decode().rstrip("=")


def check_ed25519(raw, signature, message, place):
    """Check a plain Ed25519 signature."""
    try:
        Ed25519PublicKey.from_public_bytes(raw).verify(signature, message)
    except (InvalidSignature, ValueError) as error:
        raise NotProvenError(f"{place}: the signature does not hold") from error


def check_sshsig(raw, blob, message, place):
    """PROTOCOL.sshsig: for one key, namespace and hash a blob has one form, so compare its head."""
    space, kind = string(b"approval@bastide.eu"), string(b"ssh-ed25519")
    tail = space + string(b"") + string(b"sha512")
    head = b"SSHSIG" + (1).to_bytes(4) + string(kind + string(raw)) + tail
    head += (len(kind) + 4 + 64).to_bytes(4) + kind + (64).to_bytes(4)
    need(blob[:-64] == head, place, "not an OpenSSH signature of this key for approvals")
    signed = b"SSHSIG" + tail + string(hashlib.sha512(message).digest())
    check_ed25519(raw, blob[-64:], signed, place)


def check_envelope(envelope, keys, place):
    """DSSE v1: give the statement and the keys that signed it."""
    names = ("payload", "payloadType", "signatures")
    payload, kind, signatures = members(envelope, names, place)
    need(kind == "application/vnd.in-toto+json", f"{place}.payloadType", "not in-toto")
    need(isinstance(signatures, list) and signatures, f"{place}.signatures", "there is none")
    payload = base64_bytes(payload, f"{place}.payload")
    message = b"DSSEv1 %d %b %d %b" % (len(kind), kind.encode(), len(payload), payload)
    statement = read_json(payload, f"{place}.payload")
    need(canonical(statement).encode() == payload, f"{place}.payload", "not canonical JSON")
    keys = keys if keys is not None else charter_keys(statement, place)
    signers = []
    for index, row in enumerate(signatures):
        spot = f"{place}.signatures[{index}]"
        ident, signature = members(row, ("keyid", "sig"), spot)
        need(isinstance(ident, str) and ident in keys, spot, "the signer is not enrolled")
        need(ident not in [key["id"] for key in signers], spot, "one key signed twice")
        key, signature = keys[ident], base64_bytes(signature, f"{spot}.sig")
        need(key["scheme"] in ("ed25519", "sshsig"), spot, "this key signs no statements")
        check = check_sshsig if key["scheme"] == "sshsig" else check_ed25519
        check(key["raw"], signature, message, spot)
        signers.append(key)
    return statement, signers


def charter_keys(statement, place):
    """The keys that a charter enrols, by id."""
    place = f"{place}: keys"
    rows, keys = statement["predicate"]["keys"], {}
    for row in rows:
        names = ["id", "public", "purpose", "scheme", *(["party"] if "party" in row else [])]
        members(row, names, place)
        raw = base64_bytes(row["public"], place)
        need(len(raw) == (65 if row["scheme"] == "ecdsa-p256" else 32), place, "a key's length")
        need(key_id(raw, row["scheme"]) == row["id"], place, "a key's id is of another key")
        person = row["purpose"] == "party"
        need(person == ("party" in row) == (row["scheme"] == "sshsig"), place, "a key's scheme")
        keys[row["id"]] = {**row, "raw": raw}
    need(len(keys) == len(rows), place, "one key stands twice")
    for purpose in ("ledger", "evidence", "release"):
        found = [key for key in keys.values() if key["purpose"] == purpose]
        need(len(found) == 1, place, f"not exactly one {purpose} key")
    parties = {key["party"] for key in keys.values() if "party" in key}
    need(parties == {"firm", "operator", "guardian"}, place, "not the keys of three parties")
    return keys


# Trees and checkpoints


def check_inclusion(leaf, index, size, proof, root, place):
    """RFC 9162, section 2.1.3.2."""
    need(isinstance(proof, list), place, "not a list")
    hashes = all(isinstance(row, str) and re.fullmatch("[0-9a-f]{64}", row) for row in proof)
    need(hashes, place, "not a list of hashes in hex")
    need(count(index, place) < count(size, place), place, f"there is no leaf {index} of {size}")
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


def check_checkpoint(text, origin, key):
    """C2SP signed-note and tlog-checkpoint: give the size and the root."""
    form = r"([^\n]+)\n(0|[1-9][0-9]*)\n([^\n]+)\n\n((?:— [^\n ]+ [^\n ]+\n)+)"
    found = re.fullmatch(form, text) if isinstance(text, str) else None
    need(found, "checkpoint", "not a signed checkpoint")
    need(found[1] == origin, "checkpoint", f"it is of {found[1]!r}")
    body = text[: found.start(4) - 1].encode()
    tag = hashlib.sha256(origin.encode() + b"\n\x01" + key["raw"]).digest()[:4]
    rows = [line.split(" ")[1:] for line in found[4].splitlines()]
    signed = [base64_bytes(row[1], "checkpoint") for row in rows if row[0] == origin]
    ours = [signature for signature in signed if signature[:4] == tag]
    need(len(ours) == 1, "checkpoint", "it is not signed by the ledger key of keys.json")
    check_ed25519(key["raw"], ours[0][4:], body, "checkpoint")
    return int(found[2]), base64_bytes(found[3], "checkpoint")


# The chain


def open_entries(bundle, anchors):
    """Read, prove and verify every entry; give them by name, and the head of the ledger."""
    entries = bundle["entries"]
    members(entries, (*SINGLE, *LISTS), "entries")
    need(all(isinstance(entries[name], list) for name in LISTS), "entries", "approvals: no list")
    rows = [(name, f"entries.{name}", entries[name], SINGLE[name]) for name in SINGLE]
    for name in LISTS:
        for index, row in enumerate(entries[name]):
            rows.append((name, f"entries.{name}[{index}]", row, "approval/v1"))
    keys = head = None
    opened = {name: [] for name in entries}
    for name, place, row, kind in rows:
        index, envelope, proof = members(row, ("index", "envelope", "proof"), place)
        if name == "charter":
            need(index == 0 and type(index) is int, place, "the charter is not entry 0")
            need(digest(envelope) == anchors["charter"], place, "not the charter of keys.json")
        statement, signers = check_envelope(envelope, keys, f"{place}.envelope")
        if name == "charter":
            keys = check_charter(statement, signers, anchors, place)
            ledger_key = next(key for key in keys.values() if key["purpose"] == "ledger")
            head = check_checkpoint(bundle["checkpoint"], anchors["origin"], ledger_key)
        check_inclusion(canonical(envelope).encode(), index, *head[:1], proof, head[1], place)
        names = ("_type", "subject", "predicateType", "predicate")
        type_, subjects, predicate_type, body = members(statement, names, place)
        need(type_ == "https://in-toto.io/Statement/v1", place, "not an in-toto statement")
        need(predicate_type == ROOT + kind, place, f"it is not {kind}")
        for subject in subjects:
            members(subject, ("name", "digest"), place)
            members(subject["digest"], ("sha256",), place)
        told = [(row["name"], "sha256:" + row["digest"]["sha256"]) for row in subjects]
        check_signers(kind, body, signers, place)
        check_subject(kind, body, told, place)
        opened[name].append(
            {
                "place": place,
                "index": index,
                "digest": digest(envelope),
                "subject": told[0],
                "subjects": told,
                "body": body,
                "signers": signers,
            }
        )
    return {name: rows if name in LISTS else rows[0] for name, rows in opened.items()}, head[0]


def check_charter(statement, signers, anchors, place):
    """Check the charter against the anchors; give its keys."""
    body = statement["predicate"]
    need(body["keys"] == anchors["keys"], "keys.json", "keys: not the keys of the charter")
    for name in ("environment", "origin"):
        need(body[name] == anchors[name], "keys.json", f"{name}: not that of the charter")
    keys, signed = charter_keys(statement, place), {key["id"] for key in signers}
    due = {ident for ident, key in keys.items() if key["purpose"] in ("party", "evidence")}
    need(signed == due, place, "not signed by every party and the evidence key")
    return keys


def check_signers(kind, body, signers, place):
    """Check that the right keys signed this kind of statement."""
    purposes = sorted(key["purpose"] for key in signers)
    if kind == "approval/v1":
        right = purposes == ["party"] and signers[0]["party"] == body["party"]
    elif kind == "candidate/v1":
        right = purposes in (["evidence"], ["evidence", "party"])
        right = right and body["author"] in [key["id"] for key in signers]
    elif kind == "charter/v1":
        right = True  # check_charter
    else:
        right = purposes == ["release" if kind == "release/v1" else "evidence"]
    need(right, place, f"a {kind} is not signed by {', '.join(purposes)}")


def check_subject(kind, body, told, place):
    """The subject of a statement is what its body speaks of."""
    wanted = {
        "charter/v1": lambda: [(body["environment"], digest(body))],
        "admission/v1": lambda: [(body["model"], digest(body["artifact"]))],
        "candidate/v1": lambda: [(body["release"]["name"], digest(body["release"]))],
        "release/v1": lambda: [(body["release"]["name"], digest(body["release"])), told[-1]],
        "deployment/v1": lambda: [(body["deployment"]["name"], digest(body["deployment"]))],
        "receipts/v1": lambda: [("receipts", "sha256:" + body["root"])],
    }
    expected = wanted[kind]() if kind in wanted else told[:1]
    need(told == expected, place, "its subject is not what its body speaks of")


def check_receipt(bundle, batch):
    """Prove that the receipt is a leaf of the batch; give it."""
    receipt, body = bundle["receipt"], batch["body"]
    members(receipt, RECEIPT, "receipt")
    need(receipt["type"] == ROOT + "receipt/v1", "receipt.type", "not a receipt")
    index, size, proof = members(bundle["inclusion"], ("index", "size", "proof"), "inclusion")
    need(type(size) is int and size == body["count"], "inclusion.size", "not the batch's count")
    leaf, root = canonical(receipt).encode(), bytes.fromhex(body["root"])
    check_inclusion(leaf, index, size, proof, root, "inclusion.proof")
    in_time = body["first_ms"] <= receipt["time_ms"] <= body["last_ms"]
    need(in_time, "receipt.time_ms", "outside the batch's time")
    return receipt


def check_links(receipt, rows):
    """Receipt to deployment to release to candidate, evaluation, admission, approvals."""
    release, deployment, candidate = rows["release"], rows["deployment"], rows["candidate"]
    admission, evaluation = rows["admission"], rows["evaluation"]
    wanted, policy = release["body"]["release"], rows["charter"]["body"]["policy"]
    template = admission["body"]["template"]
    pairs = [
        ("receipt.deployment", receipt["deployment"], deployment["subject"][1]),
        ("receipt.release", receipt["release"], release["subject"][1]),
        ("receipt.policy", receipt["policy"], digest(policy)),
        ("entries.deployment", deployment["body"]["deployment"]["release"], release["subject"][1]),
        ("entries.release", release["body"]["candidate"], candidate["digest"]),
        ("entries.release", wanted, candidate["body"]["release"]),
        ("entries.release", release["subjects"][1:], [admission["subject"]]),
        ("entries.release", wanted["admission"], admission["digest"]),
        ("entries.release", wanted["evaluation"], evaluation["digest"]),
        ("entries.release", wanted["model"], admission["subject"][1]),
        ("entries.release", wanted["policy"], digest(policy)),
        ("entries.release", wanted["template"], template["digest"] if template else None),
        ("entries.evaluation", evaluation["body"]["admission"], admission["digest"]),
        ("entries.evaluation", evaluation["subject"], admission["subject"]),
    ]
    for name, owner in (("approvals", release), ("deployment_approvals", deployment)):
        given = [row["digest"] for row in rows[name]]
        pairs.append((f"entries.{name}", given, owner["body"]["approvals"]))
    for place, have, want in pairs:
        need(have == want, place, f"{have} is not {want}")
    road = ["charter", "admission", "evaluation", "candidate", "release", "deployment", "batch"]
    steps = [(rows[early], rows[late]) for early, late in itertools.pairwise(road)]
    for row in rows["approvals"]:
        steps += [(candidate, row), (row, release)]
    steps += [(row, deployment) for row in rows["deployment_approvals"]]
    for early, late in steps:
        order = early["index"] < late["index"]
        need(order, early["place"], f"it does not stand before {late['place']}")


def check_gates(rows):
    """Judge again: nothing found, every floor reached, enough approvals of every party."""
    policy, body = rows["charter"]["body"]["policy"], rows["admission"]["body"]
    scan, due = body["scan"], {"format-safe", "scan-clean", "origin-stated", "eval-floor"}
    gates = policy["rules"]["release"]["gates"]
    need(due | {"approvals"} <= set(gates), "entries.charter", "the policy lacks a gate")
    found = [row for part in ("format_safe", "findings", "template") for row in scan[part]]
    need(found == [], "entries.admission", f"the scan found {found}")
    need(body["format"] in ("gguf", "safetensors"), "entries.admission", "not a safe format")
    stated = body["origin"].strip() and body["licence"].strip() and body["architecture"]
    need(stated, "entries.admission", "origin, licence or architecture is not stated")
    scores, floors = rows["evaluation"]["body"]["scores"], gates["eval-floor"]["floors"]
    counts, least = rows["evaluation"]["body"]["counts"], gates["eval-floor"].get("counts", {})
    need(floors, "entries.charter", "the policy names no floor")
    for name in {**floors, **least}:
        have, floor = scores.get(name, -1), floors.get(name, 0)
        enough = counts.get(name, 0) >= least.get(name, 1)
        need(floor <= have <= 1 and enough, "entries.evaluation", f"{name}: {have} under {floor}")
    verdicts = rows["release"]["body"]["verdicts"]
    passed = all(row["passed"] is True and row["reasons"] == [] for row in verdicts)
    need(passed, "entries.release", "it states a refusal")
    for name, action, about in (
        ("approvals", "release", "candidate"),
        ("deployment_approvals", "deploy", "deployment"),
    ):
        rule, approved = policy["rules"][action]["approvals"], {}
        need(ASKED[action] <= set(rule), "entries.charter", f"who approves {action}?")
        for row in rows[name]:
            fits = row["body"]["action"] == action and row["body"]["decision"] == "approve"
            if fits and row["subject"][1] == rows[about]["subject"][1]:
                approved[row["signers"][0]["id"]] = row["body"]["party"]
        for party, least in rule.items():
            have = list(approved.values()).count(party)
            need(have >= least, f"entries.{name}", f"{have} of {least} approvals by the {party}")
        if action == "release" and policy["separate"]:
            alone = set(approved) <= {rows["candidate"]["body"]["author"]}
            need(not alone, f"entries.{name}", "only the author has approved")


def verify(bundle, anchors):
    """The whole verification; gives the chain as plain values."""
    members(bundle, ("type", "receipt", "inclusion", "checkpoint", "entries"), "the bundle")
    need(bundle["type"] == ROOT + "receipt-bundle/v1", "type", "not a receipt bundle")
    members(anchors, ("type", "environment", "origin", "charter", "keys"), "keys.json")
    need(anchors["type"] == ROOT + "keys/v1", "keys.json", "type: not the anchors of Bastide")
    rows, size = open_entries(bundle, anchors)
    receipt = check_receipt(bundle, rows["batch"])
    check_links(receipt, rows)
    check_gates(rows)
    approvals = {row["body"]["party"]: row["signers"][0]["id"] for row in rows["approvals"]}
    return {
        "receipt": receipt["ident"],
        "environment": anchors["environment"],
        "model": rows["admission"]["subject"][0],
        "model_digest": rows["admission"]["subject"][1],
        "scan": rows["admission"]["body"]["scan"],
        "scores": rows["evaluation"]["body"]["scores"],
        "release": rows["release"]["subject"][0],
        "approvals": approvals,
        "deployment": rows["deployment"]["subject"][0],
        "node": receipt["node"],
        "sandbox": receipt["sandbox"],
        "parties": "separate" if rows["charter"]["body"]["policy"]["separate"] else "solo",
        "entries": {
            name: [row["index"] for row in found] if name in LISTS else found["index"]
            for name, found in rows.items()
        },
        "ledger_size": size,
    }


def check_content(receipt, key, prompt, answer):
    """Open the commitments with the API key."""
    salt = hmac.digest(key, b"bastide/salt/v1" + receipt["ident"].encode(), "sha256")
    for label, data in (("prompt", prompt), ("answer", answer)):
        made = "hmac-sha256:" + hmac.digest(salt, label.encode() + b"\0" + data, "sha256").hex()
        place = f"receipt.{label}_commitment"
        need(hmac.compare_digest(made, receipt[place[8:]]), place, f"another {label} or API key")


def show(chain):
    """Print the chain for people."""
    entries = chain["entries"]
    signed = ", ".join(sorted(chain["approvals"]))
    scores = ", ".join(f"{name} {score:.3f}" for name, score in sorted(chain["scores"].items()))
    print(f"VERIFIED {chain['receipt']} in {chain['environment']} ({chain['parties']})")
    print(f"  answer      batch entry {entries['batch']}, ledger of {chain['ledger_size']} entries")
    print(f"  served by   node {chain['node']}, sandbox {chain['sandbox']}")
    print(f"  deployment  {chain['deployment']}, entry {entries['deployment']}")
    print(f"  release     {chain['release']}, entry {entries['release']}, approved by {signed}")
    print(f"  evaluation  entry {entries['evaluation']}: {scores}")
    print(f"  model       {chain['model']}, entry {entries['admission']}, scan clean")
    print(f"              {chain['model_digest']}")


def main():
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="Verify a receipt with public keys only.")
    parser.add_argument("receipt", type=Path)
    parser.add_argument("--keys", type=Path, required=True, help="keys.json of the environment")
    parser.add_argument("--json", action="store_true", help="print the chain as JSON")
    for name in ("prompt", "answer", "api-key-file"):
        parser.add_argument(f"--{name}", type=Path, help="all three: check the commitments, too")
    options = parser.parse_args()
    content = (options.prompt, options.answer, options.api_key_file)
    if any(content) and not all(content):
        parser.error("--prompt, --answer and --api-key-file go together")
    try:
        try:
            files = [path.read_bytes() for path in (options.receipt, options.keys)]
            prompt, answer, key = [path.read_bytes() if path else b"" for path in content]
        except OSError as error:
            parser.error(str(error))
        need(max(map(len, files)) <= FILE_BYTES_MAX, "the files", "too large")
        bundle, anchors = read_json(files[0], "the bundle"), read_json(files[1], "keys.json")
        chain = verify(bundle, anchors)
        if any(content):
            check_content(bundle["receipt"], key.strip(), prompt, answer)
    except NotProvenError as error:
        failed = str(error)
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        failed = f"the bundle: malformed: {error!r}"  # signed, but of another shape
    else:
        chain["content"] = "checked" if any(content) else "not given"
        if options.json:
            print(json.dumps({"verified": True, **chain}, indent=2, ensure_ascii=False))
        else:
            show(chain)
        return 0
    if options.json:
        print(json.dumps({"verified": False, "message": failed}))
    print(f"NOT PROVEN {failed}", file=sys.stderr)
    return 6


if __name__ == "__main__":
    sys.exit(main())
