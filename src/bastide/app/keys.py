# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Use cases about API keys: make, list, rotate and revoke them.

Kinds of statements: `api-key/v2` makes a key (`api-key/v1` did, before there were projects),
`api-key-expiry/v1` lets it end at a time, never later than was said before, and
`api-key-revocation/v1` ends it at once.
"""

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bastide.app.duties import require
from bastide.app.environment import Environment
from bastide.app.projects import DEFAULT_PROJECT, project_id, require_tenant
from bastide.core import apikey
from bastide.core.canonical import canonical
from bastide.core.errors import Misconfigured, NotFound, Refused
from bastide.core.evidence import Evidence, Statement
from bastide.core.key import Purpose
from bastide.core.limits import KEY_DAYS_MAX, KEY_NETWORKS_MAX
from bastide.core.snapshot import KeyGrant
from bastide.core.spiffe import verify_spiffe_id
from bastide.core.subject import Digest, Subject
from bastide.core.utc import utc_minute
from bastide.dialects.families import FAMILIES

__all__ = [
    "CLI_KEY_OBJECT",
    "KeyTerms",
    "key_grants",
    "list_keys",
    "new_key",
    "own_key",
    "read_expiry",
    "revoke_key",
    "rotate_key",
]

# The key that `bastide chat` uses, sealed in the store, so that the first question needs no key.
CLI_KEY_OBJECT = "keys/cli"
_SPAN = re.compile(r"(\d{1,6})([hd])", re.ASCII)
_HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class KeyTerms:
    """What a key may do. Nothing given restricts nothing."""

    models: Sequence[str] = ()
    dialects: Sequence[str] = ()
    networks: Sequence[str] = ()
    expires_ms: int | None = None
    peers: Sequence[str] = ()


def new_key(
    env: Environment,
    tenant: str,
    terms: KeyTerms | None = None,
    project: str = DEFAULT_PROJECT,
) -> dict[str, Any]:
    """Make an API key. Only its HMAC is kept: `key` in the answer is shown once, then gone.

    Beside it stands the pair that AWS clients sign with; it lives and ends with the key.
    """
    require(env, "key-make", tenant)
    require_tenant(env, tenant)
    checked = _checked(terms or KeyTerms(), env.clock.now_ms())
    return _make(env, tenant, project_id(env, tenant, project), checked, None)


def rotate_key(env: Environment, given: str, overlap: str) -> dict[str, Any]:
    """Make a key with the terms of an old one, which ends when the overlap does.

    Raises NotFound, Refused for a key that has ended, Misconfigured.
    """
    require(env, "key-rotate")
    now = env.clock.now_ms()
    ends_ms = now if overlap == "0" else now + _span_ms(overlap)
    row = _active(env, given)
    expires_ms = _expiries(env.ledger.key_expiries()).get(row.subject.name)
    old = _grant(row, expires_ms)
    if old.ended(now):
        raise Refused(f"the key {old.key} has expired", fix="make a new one: bastide key new")
    # A key that was to end at a time hands that time on: rotating must not make it live longer.
    ends = old.expires_ms or None
    terms = KeyTerms(old.scopes, old.dialects, old.networks, ends, old.peers)
    made = _make(env, old.tenant, old.project, terms, old.key)
    body = {
        "key": old.key,
        "expires_ms": ends_ms,
        "reason": f"replaced by {made['id']}",
        "time_ms": now,
    }
    statement = Statement("api-key-expiry/v1", (row.subject,), body)
    env.ledger.append_statement(statement, [env.signer(Purpose.EVIDENCE)])
    ends_ms = min(ends_ms, old.expires_ms or ends_ms)
    return {**made, "replaces": old.key, "replaced_expires_ms": ends_ms}


def list_keys(env: Environment, tenant: str | None) -> list[dict[str, Any]]:
    """One row per key, revoked and expired ones too."""
    require(env, "read")
    active = {row.subject.name for row in env.ledger.api_keys(active=True)}
    expiries, now = _expiries(env.ledger.key_expiries()), env.clock.now_ms()
    names = {row.body["project"]: row.body["name"] for row in env.ledger.find("project/v1")}
    rows = []
    for row in env.ledger.api_keys(active=False):
        grant = _grant(row, expiries.get(row.subject.name))
        if tenant not in (None, grant.tenant):
            continue
        expired = grant.ended(now)
        good = grant.key in active
        rows.append(
            {
                "id": grant.key,
                "tenant": grant.tenant,
                "project": names.get(grant.project, grant.project),
                "ends_with": row.body["last4"],
                "scopes": list(grant.scopes),
                "dialects": list(grant.dialects),
                "networks": list(grant.networks),
                "peers": list(grant.peers),
                "expires": _shown(grant.expires_ms),
                "expires_ms": grant.expires_ms or None,
                "replaces": row.body.get("replaces"),
                "active": good and not expired,
                "state": "revoked" if not good else "expired" if expired else "active",
                "entry": row.entry,
                "time_ms": row.body["time_ms"],
            }
        )
    return rows


def revoke_key(env: Environment, given: str, reason: str) -> dict[str, Any]:
    """Revoke a key by its id, or by the key itself. Gateways refuse it within a second."""
    require(env, "key-revoke")
    row = _active(env, given)
    ident = row.subject.name
    body = {"key": ident, "reason": reason, "time_ms": env.clock.now_ms()}
    statement = Statement("api-key-revocation/v1", (row.subject,), body)
    ended = env.ledger.append_statement(statement, [env.signer(Purpose.EVIDENCE)])
    return {"id": ident, "revoked": True, "entry": ended.entry}


def own_key(env: Environment, tenant: str) -> str:
    """The sealed key of the command line itself; made at the first call, and after revocation."""
    try:
        with env.store.open(CLI_KEY_OBJECT) as reader:
            key = reader.read_at(0, reader.size).decode()
        ident = apikey.ident_of(key)
        if any(row["id"] == ident and row["active"] for row in list_keys(env, None)):
            return key
    except NotFound:
        pass
    made = new_key(env, tenant)
    env.store.put(CLI_KEY_OBJECT, [made["key"].encode()])
    return made["key"]


def key_grants(keys: Iterable[Evidence], expiries: Iterable[Evidence]) -> dict[str, KeyGrant]:
    """What gateways know of keys, by the HMAC under which each is kept."""
    ends = _expiries(expiries)
    return {row.body["mac"]: _grant(row, ends.get(row.subject.name)) for row in keys}


def read_expiry(text: str, now_ms: int) -> int:
    """When ``90d``, ``12h`` or ``2027-01-31`` (to its end, UTC) is over. Raises Misconfigured."""
    if _SPAN.fullmatch(text):
        return now_ms + _span_ms(text)
    try:
        day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError as error:
        raise Misconfigured(
            f"{text!r} is neither a span nor a date", fix="write 90d, 12h or 2027-01-31"
        ) from error
    ends_ms = int(day.timestamp()) * 1000 + 24 * _HOUR_MS
    if not now_ms < ends_ms <= now_ms + KEY_DAYS_MAX * 24 * _HOUR_MS:
        raise Misconfigured(f"{text} is over, or more than {KEY_DAYS_MAX} days away")
    return ends_ms


def _span_ms(text: str) -> int:
    found = _SPAN.fullmatch(text)
    if found is None:
        raise Misconfigured(f"{text!r} is no span of time", fix="write 24h or 7d")
    span_ms = int(found[1]) * (_HOUR_MS if found[2] == "h" else 24 * _HOUR_MS)
    if not 0 < span_ms <= KEY_DAYS_MAX * 24 * _HOUR_MS:
        raise Misconfigured(f"a span is at least 1h and at most {KEY_DAYS_MAX}d")
    return span_ms


def _checked(terms: KeyTerms, now_ms: int) -> KeyTerms:
    known = sorted({family.name for family in FAMILIES})
    for dialect in terms.dialects:
        if dialect not in known:
            raise Misconfigured(f"there is no dialect {dialect!r}", fix=f"of {', '.join(known)}")
    if len(terms.networks) > KEY_NETWORKS_MAX:
        raise Misconfigured(f"a key has at most {KEY_NETWORKS_MAX} networks")
    try:
        networks = [str(ipaddress.ip_network(text)) for text in terms.networks]
    except ValueError as error:
        raise Misconfigured(
            f"no network: {error}", fix="write 10.1.0.0/16, 192.0.2.7 or 2001:db8::/32"
        ) from error
    if len(terms.peers) > KEY_NETWORKS_MAX:
        raise Misconfigured(f"a key has at most {KEY_NETWORKS_MAX} SPIFFE IDs")
    for peer in terms.peers:
        verify_spiffe_id(peer)
    if terms.expires_ms is not None and terms.expires_ms <= now_ms:
        raise Misconfigured("the key would have expired already")
    models = list(terms.models) or ["*"]
    return KeyTerms(models, terms.dialects, networks, terms.expires_ms, terms.peers)


def _make(
    env: Environment, tenant: str, project: str, terms: KeyTerms, replaces: str | None
) -> dict[str, Any]:
    key = apikey.make(env.entropy.token)
    ident = apikey.ident_of(key)
    pepper = env.keyring.secret(Purpose.PEPPER)
    body = {
        "key": ident,
        "tenant": tenant,
        "project": project,
        "mac": apikey.mac(pepper, key),
        "last4": key[-4:],
        "scopes": list(terms.models),
        "dialects": list(terms.dialects),
        "networks": list(terms.networks),
        "peers": list(terms.peers),
        "expires_ms": terms.expires_ms,
        "replaces": replaces,
        "time_ms": env.clock.now_ms(),
    }
    subject = Subject(ident, Digest.of(canonical({"key": ident})))
    statement = Statement("api-key/v2", (subject,), body)
    row = env.ledger.append_statement(statement, [env.signer(Purpose.EVIDENCE)])
    access_key_id, secret_access_key = apikey.sigv4_pair(pepper, ident)
    shown = ("tenant", "project", "scopes", "dialects", "networks", "peers", "expires_ms")
    return {
        "key": key,
        "access_key_id": access_key_id,
        "secret_access_key": secret_access_key,
        "id": ident,
        **{name: body[name] for name in shown},
        "entry": row.entry,
    }


def _active(env: Environment, given: str) -> Evidence:
    """A key that is not revoked, by its id or by itself. Raises NotFound or Refused."""
    ident = apikey.ident_of(given) if apikey.is_key(given) else given
    if all(row.subject.name != ident for row in env.ledger.api_keys(active=False)):
        raise NotFound(f"there is no key {ident!r}", fix="`bastide key ls` shows the ids")
    for row in env.ledger.api_keys(active=True):
        if row.subject.name == ident:
            return row
    raise Refused(f"the key {ident} is revoked already")


def _expiries(rows: Iterable[Evidence]) -> dict[str, int]:
    """The earliest end that was said of each key: a later statement cannot make it live longer."""
    ends: dict[str, int] = {}
    for row in rows:
        ident, ends_ms = row.body["key"], row.body["expires_ms"]
        ends[ident] = min(ends.get(ident, ends_ms), ends_ms)
    return ends


def _grant(row: Evidence, said_later_ms: int | None) -> KeyGrant:
    body = row.body
    ends = [ms for ms in (body.get("expires_ms"), said_later_ms) if ms is not None]
    return KeyGrant(
        body["key"],
        body["tenant"],
        tuple(body["scopes"]),
        body.get("project", DEFAULT_PROJECT),
        tuple(body.get("dialects", ())),
        tuple(body.get("networks", ())),
        # 0 is never: what ended at the beginning of time ended a millisecond later.
        max(1, min(ends)) if ends else 0,
        tuple(body.get("peers", ())),
    )


def _shown(time_ms: int) -> str | None:
    if not time_ms:
        return None
    return utc_minute(time_ms)
