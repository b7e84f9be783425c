# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Verify a receipt back to its model, with public keys only and without Bastide.

    python verify_receipt.py receipt.json --keys keys.json [--json]
        [--prompt request.json --answer answer.txt --api-key-file key.txt]

One file, on Python 3.11 and `cryptography`, offline, written apart from Bastide's own verifier.
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
ROAD = ("charter", "admission", "evaluation", "candidate", "release", "deployment", "batch")
LISTS = ("approvals", "deployment_approvals")
ASKED = {"release": {"firm", "guardian"}, "deploy": {"operator"}}
MALFORMED = (ValueError, TypeError, LookupError, AttributeError, RecursionError)


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


def check_ed25519(raw, signature, message, place):
    """Check a plain Ed25519 signature."""
    try:
        Ed25519PublicKey.from_public_bytes(raw).verify(signature, message)
    except (InvalidSignature, ValueError) as error:
        raise NotProvenError(f"{place}: the signature does not hold") from error


def check_sshsig(raw, blob, message, place):
    """PROTOCOL.sshsig: for one key, namespace and hash a blob has one form, so compare its head."""
    kind = string(b"ssh-ed25519")
    tail = string(b"approval@bastide.eu") + string(b"") + string(b"sha512")
    head = b"SSHSIG" + (1).to_bytes(4) + string(kind + string(raw)) + tail
    head += (len(kind) + 4 + 64).to_bytes(4) + kind + (64).to_bytes(4)
    need(blob[:-64] == head, place, "not an OpenSSH signature of this key for approvals")
    signed = b"SSHSIG" + tail + string(hashlib.sha512(message).digest())
    check_ed25519(raw, blob[-64:], signed, place)


def check_envelope(envelope, keys, place):
    """DSSE v1: give the statement and the keys that signed it; a charter brings its own keys."""
    payload, kind, rows = members(envelope, place, "payload", "payloadType", "signatures")
    need(kind == "application/vnd.in-toto+json", f"{place}.payloadType", "not in-toto")
    need(isinstance(rows, list) and rows, f"{place}.signatures", "there is none")
    payload = base64_bytes(payload, f"{place}.payload")
    statement = read_json(payload, f"{place}.payload")
    need(canonical(statement).encode() == payload, f"{place}.payload", "not canonical JSON")
    message = b"DSSEv1 %d %b %d %b" % (len(kind), kind.encode(), len(payload), payload)
    keys = keys or enrolled(statement["predicate"]["keys"], place)
    signers = []
    for index, row in enumerate(rows):
        spot = f"{place}.signatures[{index}]"
        ident, signature = members(row, spot, "keyid", "sig")
        need(isinstance(ident, str) and ident in keys, spot, "the signer is not enrolled")
        key = keys[ident]
        need(key not in signers, spot, "one key signed twice")
        need(key["scheme"] in ("ed25519", "sshsig"), spot, "this key signs no statements")
        check = check_sshsig if key["scheme"] == "sshsig" else check_ed25519
        check(key["raw"], base64_bytes(signature, f"{spot}.sig"), message, spot)
        signers.append(key)
    return statement, signers


def enrolled(rows, place):
    """The keys of the charter by id: `SHA256:...`, as `ssh-keygen -l` prints it."""
    keys = {}
    for row in rows:
        ecdsa = row["scheme"] == "ecdsa-p256"
        kind = (b"ecdsa-sha2-nistp256", b"nistp256") if ecdsa else (b"ssh-ed25519",)
        raw = base64_bytes(row["public"], place)
        made = hashlib.sha256(b"".join(map(string, (*kind, raw)))).digest()
        ident = "SHA256:" + base64.b64encode(made).decode().rstrip("=")
        fits = ident == row["id"] and (row["purpose"] == "party") == (row["scheme"] == "sshsig")
        need(fits and ident not in keys, place, f"the key {row['id']} does not fit")
        keys[ident] = {**row, "raw": raw}
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


def check_checkpoint(text, origin, key):
    """C2SP signed-note and tlog-checkpoint: give the size and the root."""
    form = r"([^\n]+)\n(0|[1-9][0-9]*)\n([^\n]+)\n\n((?:— [^\n ]+ [^\n ]+\n)+)"
    found = re.fullmatch(form, text) if isinstance(text, str) else None
    need(found and found[1] == origin, "checkpoint", f"not a signed checkpoint of {origin}")
    body = text[: found.start(4) - 1].encode()
    tag = hashlib.sha256(origin.encode() + b"\n\x01" + key["raw"]).digest()[:4]
    rows = [line.split(" ")[1:] for line in found[4].splitlines()]
    signed = [base64_bytes(row[1], "checkpoint") for row in rows if row[0] == origin]
    ours = [signature for signature in signed if signature[:4] == tag]
    need(len(ours) == 1, "checkpoint", "it is not signed by the ledger key of keys.json")
    check_ed25519(key["raw"], ours[0][4:], body, "checkpoint")
    return int(found[2]), base64_bytes(found[3], "checkpoint")


def open_entries(bundle, anchors):
    """Read, prove and verify every entry; give them by name, and the size of the ledger."""
    entries = bundle["entries"]
    members(entries, "entries", *ROAD, *LISTS)
    places = [(f"entries.{name}", name, entries[name]) for name in ROAD]
    for name in LISTS:
        places += [(f"entries.{name}[{n}]", name, row) for n, row in enumerate(entries[name])]
    keys = head = None
    opened = {name: [] for name in entries}
    for place, name, row in places:
        index, envelope, proof = members(row, place, "index", "envelope", "proof")
        first = name == "charter"
        trusted = not first or digest(envelope) == anchors["charter"]
        need(trusted, place, "not the charter of keys.json")
        statement, signers = check_envelope(envelope, keys, f"{place}.envelope")
        if first:
            for part in ("keys", "environment", "origin"):
                need(statement["predicate"][part] == anchors[part], "keys.json", f"{part} differs")
            keys = enrolled(anchors["keys"], "keys.json")
            due = [key for key in keys.values() if key["purpose"] in ("party", "evidence")]
            signed = sorted(key["id"] for key in signers) == sorted(key["id"] for key in due)
            need(signed, place, "not signed by every party and the evidence key, and only by them")
            (ledger_key,) = (key for key in keys.values() if key["purpose"] == "ledger")
            head = check_checkpoint(bundle["checkpoint"], anchors["origin"], ledger_key)
        check_inclusion(canonical(envelope).encode(), index, head[0], proof, head[1], place)
        kind = {"batch": "receipts"}.get(name, "approval" if name in LISTS else name)
        body, told = check_statement(statement, kind, signers, place)
        stated = {"digest": digest(envelope), "body": body, "subjects": told, "signers": signers}
        opened[name].append({"place": place, "index": index, **stated})
    return {name: rows if name in LISTS else rows[0] for name, rows in opened.items()}, head[0]


def check_statement(statement, kind, signers, place):
    """The right keys signed this kind, and its subject is what its body speaks of."""
    names = ("_type", "subject", "predicateType", "predicate")
    type_, subjects, predicate_type, body = members(statement, place, *names)
    typed = type_ == "https://in-toto.io/Statement/v1" and predicate_type == f"{ROOT}{kind}/v1"
    need(typed, place, f"it is not an in-toto statement {kind}/v1")
    told = [(row["name"], "sha256:" + row["digest"]["sha256"]) for row in subjects]
    purposes = sorted(key["purpose"] for key in signers)
    right = purposes == ["release" if kind == "release" else "evidence"] or kind == "charter"
    if kind == "approval":
        right = purposes == ["party"] and signers[0]["party"] == body["party"]
    elif kind == "candidate":
        right = purposes in (["evidence"], ["evidence", "party"])
        right = right and body["author"] in [key["id"] for key in signers]
    need(right, place, f"a {kind} is not signed by {', '.join(purposes)}")
    about = told[:1]
    if kind == "charter":
        about = [(body["environment"], digest(body))]
    elif kind == "admission":
        about = [(body["model"], digest(body["artifact"]))]
    elif kind == "receipts":
        about = [("receipts", "sha256:" + body["root"])]
    elif kind in ("candidate", "release", "deployment"):
        what = body["deployment" if kind == "deployment" else "release"]
        about = [(what["name"], digest(what)), *(told[1:2] if kind == "release" else [])]
    need(told == about, place, "its subject is not what its body speaks of")
    return body, told


def check_links(receipt, rows):
    """Receipt to deployment to release to candidate, evaluation, admission, approvals; in order."""
    charter, admission, evaluation, candidate, release, deployment, _ = (rows[n] for n in ROAD)
    wanted, model = release["body"]["release"], admission["subjects"][0]
    released, deployed = release["subjects"][0][1], deployment["subjects"][0][1]
    policy, template = digest(charter["body"]["policy"]), admission["body"]["template"]
    named = {"deployment": deployed, "release": released, "policy": policy}
    pairs = [(f"receipt.{name}", receipt[name], want) for name, want in named.items()]
    named = {"model": model[1], "policy": policy, "template": template and template["digest"]}
    named |= {"admission": admission["digest"], "evaluation": evaluation["digest"]}
    pairs += [(f"entries.release: {name}", wanted[name], want) for name, want in named.items()]
    pairs += [
        ("entries.deployment", deployment["body"]["deployment"]["release"], released),
        ("entries.release", release["body"]["candidate"], candidate["digest"]),
        ("entries.release", wanted, candidate["body"]["release"]),
        ("entries.release", release["subjects"][1:], [model]),
        ("entries.evaluation", evaluation["body"]["admission"], admission["digest"]),
        ("entries.evaluation", evaluation["subjects"], [model]),
    ]
    steps = [(rows[early], rows[late]) for early, late in itertools.pairwise(ROAD)]
    for name, owner in (("approvals", release), ("deployment_approvals", deployment)):
        given = [row["digest"] for row in rows[name]]
        pairs.append((f"entries.{name}", given, owner["body"]["approvals"]))
        steps += [(row, owner) for row in rows[name]]
    steps += [(candidate, row) for row in rows["approvals"]]
    for place, have, want in pairs:
        need(have == want, place, f"{have} is not {want}")
    for early, late in steps:
        need(early["index"] < late["index"], early["place"], f"not before {late['place']}")


def check_gates(rows):
    """Judge again: nothing found, origin stated, every floor reached."""
    body, results = rows["admission"]["body"], rows["evaluation"]["body"]
    gates = rows["charter"]["body"]["policy"]["rules"]["release"]["gates"]
    due = {"format-safe", "scan-clean", "origin-stated", "eval-floor", "approvals"}
    need(due <= set(gates), "entries.charter", "the policy lacks a gate")
    found = [row for part in ("format_safe", "findings", "template") for row in body["scan"][part]]
    need(found == [], "entries.admission", f"the scan found {found}")
    need(body["format"] in ("gguf", "safetensors"), "entries.admission", "not a safe format")
    for part in ("origin", "licence", "architecture"):
        need(body[part].strip(), "entries.admission", f"its {part} is not stated")
    rule = gates["eval-floor"]
    rule = rule.get("embedding", {}) if body["architecture"] == "bert" else rule
    floors, least = rule.get("floors"), rule.get("counts", {})
    need(floors, "entries.charter", "the policy names no floor")
    for name in {**floors, **least}:
        have, floor = float(results["scores"].get(name, -1)), float(floors.get(name, 0))
        enough = results["counts"].get(name, 0) >= least.get(name, 1)
        need(floor <= have <= 1 and enough, "entries.evaluation", f"{name}: {have} under {floor}")
    for row in rows["release"]["body"]["verdicts"]:
        need(row["passed"] is True and row["reasons"] == [], "entries.release", "it says no")


def check_approvals(rows, name, action, about):
    """M of N distinct keys of each party approved exactly this; give the keys by party."""
    policy, approved = rows["charter"]["body"]["policy"], {}
    rule, subject = policy["rules"][action]["approvals"], rows[about]["subjects"][0][1]
    need(ASKED[action] <= set(rule), "entries.charter", f"who approves {action}?")
    for row in rows[name]:
        fits = row["body"]["action"] == action and row["body"]["decision"] == "approve"
        if fits and row["subjects"][0][1] == subject:
            approved[row["signers"][0]["id"]] = row["body"]["party"]
    for party, least in rule.items():
        have = list(approved.values()).count(party)
        need(have >= least, f"entries.{name}", f"{have} of {least} approvals by the {party}")
    alone = action == "release" and set(approved) <= {rows["candidate"]["body"]["author"]}
    need(not (alone and policy["separate"]), f"entries.{name}", "only the author has approved")
    return {party: [key for key in approved if approved[key] == party] for party in rule}


def verify(bundle, anchors):
    """The whole verification; gives the chain as plain values."""
    members(bundle, "the bundle", "type", "receipt", "inclusion", "checkpoint", "entries")
    members(anchors, "keys.json", "type", "environment", "origin", "charter", "keys")
    need(bundle["type"] == ROOT + "receipt-bundle/v1", "type", "not a receipt bundle")
    need(anchors["type"] == ROOT + "keys/v1", "keys.json", "type: not the keys of Bastide")
    rows, ledger_size = open_entries(bundle, anchors)
    receipt, batch = bundle["receipt"], rows["batch"]["body"]
    need(receipt["type"] in (ROOT + "receipt/v1", ROOT + "receipt/v2"), "receipt.type", "unknown")
    index, size, proof = members(bundle["inclusion"], "inclusion", "index", "size", "proof")
    need(size == batch["count"], "inclusion.size", "not the batch's count")
    leaf, root = canonical(receipt).encode(), bytes.fromhex(batch["root"])
    check_inclusion(leaf, index, size, proof, root, "inclusion.proof")
    times = (batch["first_ms"], receipt["time_ms"], batch["last_ms"])
    need(sorted(times) == list(times), "receipt.time_ms", "outside the batch's time")
    check_links(receipt, rows)
    check_gates(rows)
    return {
        "receipt": receipt["ident"],
        "environment": anchors["environment"],
        "parties": "separate" if rows["charter"]["body"]["policy"]["separate"] else "solo",
        "model": rows["admission"]["subjects"][0][0],
        "model_digest": rows["admission"]["subjects"][0][1],
        "scores": {n: float(score) for n, score in rows["evaluation"]["body"]["scores"].items()},
        "release": rows["release"]["subjects"][0][0],
        "approvals": check_approvals(rows, "approvals", "release", "candidate"),
        "operators": check_approvals(rows, "deployment_approvals", "deploy", "deployment"),
        "served_by": [receipt["node"], receipt["sandbox"]],
        "entries": {name: rows[name]["index"] for name in ROAD},
        "ledger_size": ledger_size,
    }


def check_content(receipt, key, prompt, answer):
    """Open the commitments with the API key."""
    salt = hmac.digest(key, b"bastide/salt/v1" + receipt["ident"].encode(), "sha256")
    for label, data in (("prompt", prompt), ("answer", answer)):
        made = "hmac-sha256:" + hmac.digest(salt, label.encode() + b"\0" + data, "sha256").hex()
        same = hmac.compare_digest(made, receipt[f"{label}_commitment"])
        need(same, f"receipt.{label}_commitment", f"another {label} or API key")


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
    paths = [options.receipt, options.keys, *filter(None, content)]
    try:
        receipt, keys, *opened = [path.read_bytes() for path in paths]
    except OSError as error:
        parser.error(str(error))
    try:
        bundle, anchors = read_json(receipt, "the bundle"), read_json(keys, "keys.json")
        chain = verify(bundle, anchors)
        if opened:
            check_content(bundle["receipt"], opened[2].strip(), *opened[:2])
    except (NotProvenError, *MALFORMED) as error:
        failed = str(error) if isinstance(error, NotProvenError) else f"the bundle: {error!r}"
        if options.json:
            print(json.dumps({"verified": False, "message": failed}))
        print(f"NOT PROVEN {failed}", file=sys.stderr)
        return 6
    if options.json:
        shown = {"verified": True, **chain, "content": "checked" if opened else "not given"}
        print(json.dumps(shown, indent=2, ensure_ascii=False))
    else:
        print(f"VERIFIED {chain['receipt']}, an answer of {chain['model_digest']}")
        print("\n".join(f"  {name:12} {json.dumps(value)}" for name, value in chain.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
