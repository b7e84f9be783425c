# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Verify a receipt back to its model, with public keys only and without Bastide.

    python verify_receipt.py receipt.json --keys keys.json [--json]
        [--prompt request.json --answer answer.txt --api-key-file key.txt]

Four files, this with verify_signed.py, verify_cosigned.py and verify_node.py beside it, on Python
3.11 and `cryptography`, offline, written apart from Bastide's own verifier.
Exit status: 0 verified, 6 not proven (the message says where), 2 wrong usage.
keys.json is what you trust: get it from the parties, not from whoever hands you the receipt.
"""

import argparse
import hmac
import itertools
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # `python -I` leaves the script's folder out

from verify_cosigned import UNCHECKED, check_cosigned
from verify_node import check_nodes
from verify_signed import (
    KEY_KINDS,
    NotProvenError,
    Register,
    canonical,
    check_checkpoint,
    check_envelope,
    check_inclusion,
    digest,
    enrolled,
    members,
    need,
    read_json,
)

ROOT = "https://bastide.eu/"
ROAD = ("charter", "admission", "evaluation", "candidate", "release", "deployment", "batch")
KINDS = {"batch": "receipts", "witnesses": "witness", "nodes": "node"}
KINDS["node_references"] = "node-reference"
LATER = ("keys", "witnesses", "nodes", "node_references")
LISTS = ("approvals", "deployment_approvals")
ASKED = {"release": {"firm", "guardian"}, "deploy": {"operator"}}
DAY_MS = 86_400_000
MALFORMED = (ValueError, TypeError, LookupError, AttributeError, RecursionError)


def open_charter(entries, anchors):
    """The charter and the key statements that follow it: give the register."""
    place = "entries.charter"
    _, envelope, _ = members(entries["charter"], place, "index", "envelope", "proof")
    need(digest(envelope) == anchors["charter"], place, "not the charter of keys.json")
    statement, signers = check_envelope(envelope, None, f"{place}.envelope")
    for part in ("keys", "environment", "origin"):
        need(statement["predicate"][part] == anchors[part], "keys.json", f"{part} differs")
    keys = enrolled(anchors["keys"], "keys.json")
    due = [key["id"] for key in keys.values() if key["purpose"] in ("party", "evidence")]
    signed = sorted(key["id"] for key in signers) == sorted(due)
    need(signed, place, "not signed by every party and the evidence key, and only by them")
    register, last = Register(keys), 0
    for number, row in enumerate(entries.get("keys", [])):
        place = f"entries.keys[{number}]"
        index, envelope, _ = members(row, place, "index", "envelope", "proof")
        need(type(index) is int and index > last, place, "not in the ledger's order")
        statement, signers = check_envelope(envelope, register.signing(index), place)
        kind = statement["predicateType"].removeprefix(ROOT).removesuffix("/v1")
        need(kind in KEY_KINDS, place, f"{kind} is no key statement")
        body, _ = check_statement(statement, kind, signers, place)
        register.learn(kind, body, signers, index, place)
        last = index
    return register


def open_entries(bundle, anchors):
    """Read, prove and verify every entry; give them by name, and the size of the ledger."""
    entries = bundle["entries"]
    later = [name for name in LATER if isinstance(entries, dict) and name in entries]
    lists = (*LISTS, *later)
    members(entries, "entries", *ROAD, *lists)
    places = [(f"entries.{name}", name, entries[name]) for name in ROAD]
    for name in lists:
        places += [(f"entries.{name}[{n}]", name, row) for n, row in enumerate(entries[name])]
    register = open_charter(entries, anchors)
    size, root = check_checkpoint(bundle["checkpoint"], anchors["origin"], register.ledger_key)
    opened = {name: [] for name in (*ROAD, *lists)}
    for place, name, row in places:
        index, envelope, proof = members(row, place, "index", "envelope", "proof")
        check_inclusion(canonical(envelope).encode(), index, size, proof, root, place)
        if name == "keys":
            continue  # followed by the register
        keys = register.counted(index) if name != "charter" else None
        statement, signers = check_envelope(envelope, keys, f"{place}.envelope")
        kind = "approval" if name in LISTS else KINDS.get(name, name)
        body, told = check_statement(statement, kind, signers, place)
        stated = {"digest": digest(envelope), "body": body, "subjects": told, "signers": signers}
        opened[name].append({"place": place, "index": index, **stated})
    return {name: rows if name in lists else rows[0] for name, rows in opened.items()}, size


def check_statement(statement, kind, signers, place):
    """The right keys signed this kind, and its subject is what its body speaks of."""
    names = ("_type", "subject", "predicateType", "predicate")
    type_, subjects, predicate_type, body = members(statement, place, *names)
    typed = type_ == "https://in-toto.io/Statement/v1" and predicate_type == f"{ROOT}{kind}/v1"
    need(typed, place, f"it is not an in-toto statement {kind}/v1")
    told = [(row["name"], "sha256:" + row["digest"]["sha256"]) for row in subjects]
    purposes = sorted(key["purpose"] for key in signers)
    right = purposes == ["release" if kind == "release" else "evidence"] or kind == "charter"
    if kind in KEY_KINDS:
        new = body["key"]["id"] if kind == "key-enrolment" else None
        right = {key["purpose"] for key in signers if key["id"] != new} == {"party"}
    elif kind in ("approval", "witness", "node-reference"):
        signed = body.get("party", "guardian")
        right = purposes == ["party"] and signers[0]["party"] == signed
    elif kind == "candidate":
        right = purposes in (["evidence"], ["evidence", "party"])
        right = right and body["author"] in [key["id"] for key in signers]
    need(right, place, f"a {kind} is not signed by {', '.join(purposes)}")
    about = told[:1]
    if kind == "charter":
        about = [(body["environment"], digest(body))]
    elif kind == "admission":
        about = [(body["model"], digest(body["artifact"]))]
    elif kind == "witness":
        about = [(body["party"], digest({"witness": body["party"]}))]
    elif kind == "node":
        about = [(body["node"], digest({"node": body["attestation"]["identity"]}))]
    elif kind == "node-reference":
        about = [(body["name"], digest({kind: body["name"]}))]
    elif kind == "receipts":
        about = [("receipts", "sha256:" + body["root"])]
    elif kind == "party-revocation":
        about = [(body["party"], digest({"party": body["party"]}))]
    elif kind in KEY_KINDS:
        ident = body["key"]["id"] if kind == "key-enrolment" else body["key"]
        about = [(ident, digest({"signing-key": ident}))]
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
    """Judge again: nothing found, origin stated, every floor reached, a node where one must be."""
    deploy = rows["charter"]["body"]["policy"]["rules"]["deploy"]["gates"]
    nodes = "attested-node" not in deploy or rows.get("nodes")
    need(nodes, "receipt.attestations", "the policy asks for attested nodes, and it names none")
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
    days = policy["rules"][action]["gates"]["approvals"].get("days", 10**9)
    decided = rows["release" if action == "release" else "deployment"]["body"]["time_ms"]
    need(ASKED[action] <= set(rule), "entries.charter", f"who approves {action}?")
    for row in rows[name]:
        fits = row["body"]["action"] == action and row["body"]["decision"] == "approve"
        given = row["body"]["time_ms"]
        ends = min(row["body"].get("expires_ms", DAY_MS * 10**9), given + DAY_MS * days)
        bounded = "expires_ms" in row["body"] or days < 10**9
        fits &= not bounded or given - DAY_MS <= decided < ends
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
    versions = [ROOT + f"receipt/v{n}" for n in (1, 2, 3)]
    need(receipt["type"] in versions, "receipt.type", "unknown")
    said = bool(receipt.get("attestations")) is (receipt["type"] == versions[2])
    need(said, "receipt.attestations", "not as its type says")
    index, size, proof = members(bundle["inclusion"], "inclusion", "index", "size", "proof")
    need(size == batch["count"], "inclusion.size", "not the batch's count")
    leaf, root = canonical(receipt).encode(), bytes.fromhex(batch["root"])
    check_inclusion(leaf, index, size, proof, root, "inclusion.proof")
    times = (batch["first_ms"], receipt["time_ms"], batch["last_ms"])
    need(sorted(times) == list(times), "receipt.time_ms", "outside the batch's time")
    check_links(receipt, rows)
    check_gates(rows)
    nodes = [rows.get(name, []) for name in ("nodes", "node_references")]
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
        "attested": check_nodes(receipt, *nodes, rows["batch"]),
        "entries": {name: rows[name]["index"] for name in ROAD},
        "ledger_size": ledger_size,
        "witnessed": check_cosigned(bundle["checkpoint"], rows.get("witnesses", ())),
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
    if UNCHECKED and chain["witnessed"]:
        chain["not_checked"] = list(UNCHECKED)
    if options.json:
        shown = {"verified": True, **chain, "content": "checked" if opened else "not given"}
        print(json.dumps(shown, indent=2, ensure_ascii=False))
    else:
        print(f"VERIFIED {chain['receipt']}, an answer of {chain['model_digest']}")
        print("\n".join(f"  {name:12} {json.dumps(value)}" for name, value in chain.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
