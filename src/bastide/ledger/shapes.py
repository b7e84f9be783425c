# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""SHAPES: the fields that the body of each kind has: all of these and no other.

Those in LATER are missing in entries from before there were any.
"""

from bastide.core.limits import REPLICAS_MAX
from bastide.core.packing import METHODS
from bastide.core.party import Party
from bastide.core.reference import ATTESTATION_KINDS
from bastide.core.revocation import Revocable
from bastide.ledger.access_shapes import ACCESS_SHAPES
from bastide.ledger.field_checks import Check
from bastide.ledger.field_checks import amount as _amount
from bastide.ledger.field_checks import base64url as _base64url
from bastide.ledger.field_checks import count as _count
from bastide.ledger.field_checks import digest as _digest
from bastide.ledger.field_checks import fields as _fields
from bastide.ledger.field_checks import hex64 as _hash
from bastide.ledger.field_checks import list_of as _list_of
from bastide.ledger.field_checks import map_of as _map_of
from bastide.ledger.field_checks import number as _number
from bastide.ledger.field_checks import one_of as _one_of
from bastide.ledger.field_checks import or_null as _or_null
from bastide.ledger.field_checks import share as _share
from bastide.ledger.field_checks import text as _text
from bastide.ledger.key_shapes import KEY_SHAPES
from bastide.ledger.machine_shapes import MACHINE_SHAPES

__all__ = ["LATER", "SHAPES"]

_RELEASE: dict[str, Check] = {
    "name": _text,
    "model": _digest,
    "admission": _digest,
    "evaluation": _digest,
    "policy": _digest,
    "template": _or_null(_digest),
}
_SCAN: dict[str, Check] = {
    "format_safe": _list_of(_text),
    "findings": _list_of(_text),
    "template": _list_of(_text),
}
_OBJECT: dict[str, Check] = {"path": _text, "object": _text, "header": _digest, "body": _digest}
_DEPLOYMENT: dict[str, Check] = {
    "name": _text,
    "release": _digest,
    "share": _fields({"slots": _count, "context_tokens": _count}),
    "engine": _text,
    "version": _text,
    # Not written for one, so that one plan has one digest.
    "replicas": lambda value: _count(value) and 2 <= value <= REPLICAS_MAX,
    "machine": lambda value: _text(value) and value != "",  # nor control's own
}

# What a party decided names what it takes the place of, and the emergency it was decided in.
_FOLLOWS: dict[str, Check] = {"previous": _or_null(_digest), "emergency": _or_null(_digest)}
_SOURCE: dict[str, Check] = {
    "name": _text,
    "licence": _text,
    "basis": _text,
    "origin": _text,
    "collected": _text,
    "files": _count,
    "bytes": _amount,
    "read": _amount,
    "broken": _amount,
    "kept": _amount,
}
_STEP: dict[str, Check] = {
    "step": _text,
    "entered": _amount,
    "changed": _amount,
    "removed": _map_of(_amount),
}

_SEARCHED: dict[str, Check] = {"suite": _text, "digest": _digest, "ngram": _count}
_ASKED: dict[str, Check] = {"scheme": _text, "digest": _digest, "kinds": _list_of(_text)}

_DATASET_RELEASE: dict[str, Check] = {
    "name": _text,
    "dataset": _digest,
    "root": _hash,
    "account": _digest,
    "policy": _digest,
}

_ERASED: dict[str, Check] = {
    "name": _text,
    "old": _digest,
    "new": _digest,
    "old_root": _hash,
    "new_root": _hash,
    "removed": _amount,
    "shards": _count,
    "tombstones": _hash,
}

_ATTESTATION: dict[str, Check] = {
    "kind": _one_of(*ATTESTATION_KINDS),
    "identity": _digest,
    "key": _digest,
    "reference": _digest,
    "nonce": _hash,
    "evidence": _map_of(_base64url),
    "measured": _map_of(_list_of(_text)),
}

_SHARED: dict[str, Check] = {
    "tenant": _text,
    "promised": _number,
    "delivered": _number,
    "borrowed": _number,
    "starved_ms": _count,
    "refused": _count,
}

SHAPES: dict[str, dict[str, Check]] = {
    "charter/v1": {
        "environment": _text,
        "origin": _text,
        "time_ms": _count,
        "policy": lambda value: isinstance(value, dict),
        "keys": _list_of(lambda row: isinstance(row, dict)),
        "exit_recipients": _list_of(_text),
    },
    **KEY_SHAPES,
    "tenant/v1": {"tenant": _text, "time_ms": _count},
    "api-key/v1": {
        "key": _text,
        "tenant": _text,
        "mac": _hash,
        "last4": _text,
        "scopes": _list_of(_text),
        "time_ms": _count,
    },
    "api-key/v2": {
        "key": _text,
        "tenant": _text,
        "project": _text,
        "mac": _hash,
        "last4": _text,
        "scopes": _list_of(_text),
        "dialects": _list_of(_text),
        "networks": _list_of(_text),
        "peers": _list_of(_text),
        "expires_ms": _or_null(_count),
        "replaces": _or_null(_text),
        "time_ms": _count,
    },
    "api-key-expiry/v1": {"key": _text, "expires_ms": _count, "reason": _text, "time_ms": _count},
    "api-key-revocation/v1": {"key": _text, "reason": _text, "time_ms": _count},
    "project/v1": {"project": _text, "name": _text, "tenant": _text, "time_ms": _count},
    "price/v1": {
        "model": _text,
        "input": _amount,
        "output": _amount,
        "cached": _amount,
        "time_ms": _count,
    },
    "budget/v1": {
        "tenant": _text,
        "project": _text,
        "key": _text,
        "unit": _one_of("tokens", "eur"),
        "per": _one_of("day", "month"),
        "limit": _or_null(_amount),
        "soft_percent": lambda value: _count(value) and 1 <= value <= 100,
        "time_ms": _count,
    },
    "alias/v1": {"alias": _text, "deployment": _or_null(_text), "time_ms": _count},
    "guard/v1": {
        "tenant": _text,
        "policy": _or_null(lambda value: isinstance(value, dict)),
        **_FOLLOWS,
        "time_ms": _count,
    },
    "erasure/v1": {
        "list": _digest,
        "date": _text,
        "entries": _count,
        **_FOLLOWS,
        "time_ms": _count,
    },
    "dataset/v1": {
        "dataset": _text,
        "manifest": _digest,
        "recipe": _digest,
        "build": _hash,
        "root": _hash,
        "documents": _amount,
        "bytes": _amount,
        "shards": _count,
        "read": _amount,
        "broken": _amount,
        "quarantine_share": _share,
        "sources": _list_of(_fields(_SOURCE)),
        "plan": _list_of(_text),
        "steps": _list_of(_fields(_STEP)),
        "personal_data": _list_of(_text),
        "decontaminated": _list_of(_fields(_SEARCHED)),
        "asked": _list_of(_fields(_ASKED)),
        "verdicts": _list_of(lambda row: isinstance(row, dict)),
        "time_ms": _count,
    },
    "dataset-release/v1": {
        "release": _fields(_DATASET_RELEASE),
        "previous": _or_null(_digest),
        "approvals": _list_of(_digest),
        "verdicts": _list_of(lambda row: isinstance(row, dict)),
        "time_ms": _count,
    },
    "packing/v1": {
        "name": _text,
        "manifest": _digest,
        "folder": _text,
        "dataset": _digest,
        "tokenizer": _digest,
        "tokenizers": _text,
        "vocabulary": _count,
        "dtype": _one_of("uint16", "int32"),
        "length": _count,
        "method": _one_of(*METHODS),
        "end": _count,
        "root": _hash,
        "documents_root": _hash,
        "release": _or_null(_digest),
        **dict.fromkeys(("documents", "split", "pieces"), _amount),
        **dict.fromkeys(("sequences", "tokens", "padding"), _amount),
        "languages": _map_of(_amount),
        "shards": _count,
        "time_ms": _count,
    },
    "pseudonym-key-end/v1": {"dataset": _digest, "build": _hash, "time_ms": _count},
    "dataset-erasure/v1": {
        "subject": _hash,
        "list": _digest,
        "entries": _count,
        "datasets": _list_of(_fields(_ERASED)),
        "time_ms": _count,
    },
    "summary/v1": {
        "datasets": _list_of(_digest),
        "content": _digest,
        "version": _count,
        "previous": _or_null(_digest),
        "forms": _map_of(_digest),
        "time_ms": _count,
    },
    "training/v1": {
        "datasets": _list_of(_digest),
        "runs": _list_of(_fields({"name": _text, "digest": _digest})),
        "time_ms": _count,
    },
    "admission/v1": {
        "model": _text,
        "artifact": _fields({"parts": lambda value: isinstance(value, list)}),
        "format": _one_of("gguf", "safetensors"),
        "architecture": _or_null(_text),
        "parameters": _or_null(_count),
        "context_tokens": _or_null(_count),
        "vocabulary": _or_null(_count),
        "origin": _text,
        "licence": _text,
        "template": _or_null(_fields({"digest": _digest, "findings": _list_of(_text)})),
        "scan": _fields(_SCAN),
        "objects": _list_of(_fields(_OBJECT)),
        "signature": _fields({"bundle": _digest, "key": _digest}),
        "time_ms": _count,
    },
    "evaluation/v1": {
        "admission": _digest,
        "suite": _fields({"name": _text, "version": _text, "digest": _digest}),
        "scores": _map_of(_share),
        "counts": _map_of(_count),
        "items_object": _text,
        "items_digest": _digest,
        "engine": _fields({"name": _text, "version": _text}),
        "sandbox": _text,
        "seconds": _number,
        "time_ms": _count,
    },
    "candidate/v1": {"release": _fields(_RELEASE), "author": _text, "time_ms": _count},
    "approval/v1": {
        "party": _text,
        "action": _one_of("dataset-release", "release", "deploy"),
        "decision": _one_of("approve"),
        "comment": _text,
        "time_ms": _count,
        "expires_ms": _count,
    },
    "witness/v1": {
        "party": _one_of(*(party.value for party in Party)),
        "keys": _list_of(_text),
        "time_ms": _count,
    },
    "revocation/v1": {
        "what": _one_of(*(what.value for what in Revocable)),
        "party": _or_null(_one_of(*(party.value for party in Party))),
        "reason": _text,
        "time_ms": _count,
    },
    "release/v1": {
        "release": _fields(_RELEASE),
        "candidate": _digest,
        "approvals": _list_of(_digest),
        "verdicts": _list_of(lambda row: isinstance(row, dict)),
        "model_signing": _digest,
        "time_ms": _count,
    },
    "release-push/v1": {"recipient": _digest, "reason": _text, "time_ms": _count},
    "deployment/v1": {
        "deployment": _fields(_DEPLOYMENT, frozenset({"machine", "replicas"})),
        "approvals": _list_of(_digest),
        "time_ms": _count,
    },
    "deployment-end/v1": {"deployment": _digest, "reason": _text, "time_ms": _count},
    **ACCESS_SHAPES,
    **MACHINE_SHAPES,
    "node-reference/v1": {
        "name": _text,
        "kind": _one_of(*ATTESTATION_KINDS),
        "identities": _list_of(_text),
        "measured": _map_of(_list_of(_text)),
        "minimum": _map_of(_count),
        "valid_s": _count,
        "time_ms": _count,
    },
    "node/v1": {
        "node": _text,
        "deployment": _digest,
        "replica": lambda value: _count(value) and 1 <= value <= REPLICAS_MAX,
        "attestation": _fields(_ATTESTATION),
        "keys": _fields({"age": _text, "hpke": _text}),
        "time_ms": _count,
        "expires_ms": _count,
    },
    "load/v1": {
        "deployment": _digest,
        "node": _text,
        "sandbox": _text,
        "model": _digest,
        "replica": lambda value: _count(value) and 1 <= value <= REPLICAS_MAX,
        "attestation": _digest,
        "address": _text,
        "time_ms": _count,
    },
    "share/v1": {
        "tenant": _text,
        "deployment": _text,
        "tokens_per_s": _number,
        "burst_s": _number,
        "weight": lambda value: _number(value) and value > 0,
        "time_ms": _count,
    },
    "share-minute/v1": {
        "deployment": _digest,
        "replica": lambda value: _count(value) and 1 <= value <= REPLICAS_MAX,
        "start_ms": _count,
        "end_ms": _count,
        "capacity": _or_null(_number),
        "tenants": _list_of(_fields(_SHARED)),
        "lost": _or_null(_fields({"statements": _count, "start_ms": _count, "end_ms": _count})),
        "time_ms": _count,
    },
    "receipts/v1": {
        "count": lambda value: _count(value) and value > 0,
        "root": _hash,
        "first_ms": _count,
        "last_ms": _count,
        "sealed_ms": _count,
    },
    "refusal/v1": {"stage": _text, "reasons": _list_of(_text), "time_ms": _count},
}

LATER: dict[str, frozenset[str]] = {
    "admission/v1": frozenset({"signature"}),
    "api-key/v2": frozenset({"peers"}),
    "approval/v1": frozenset({"expires_ms"}),
    "dataset/v1": frozenset({"asked", "decontaminated"}),
    "erasure/v1": frozenset({"previous", "emergency"}),
    "guard/v1": frozenset({"previous", "emergency"}),
    # Also of a runner that is no attested node, since there are replicas, on control's machine.
    "load/v1": frozenset({"address", "attestation", "replica"}),
    "packing/v1": frozenset({"documents_root", "release"}),
    "receipts/v1": frozenset({"sealed_ms"}),
    "share-minute/v1": frozenset({"replica"}),
    "store-key-shred/v1": frozenset({"expires_ms"}),
}
