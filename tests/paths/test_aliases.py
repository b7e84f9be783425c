# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""An application keeps the model name that it always asked for; who answered is never hidden."""

import base64
import dataclasses
import json
from collections.abc import Iterator

import pytest

from bastide.app.aliases import end_alias, list_aliases, set_alias
from bastide.app.deployments import deploy_release, end_deployment
from bastide.app.duties import everyone
from bastide.app.environment import Environment
from bastide.app.keys import KeyTerms, new_key
from bastide.app.snapshots import Known, build_snapshot
from bastide.app.tenants import add_tenant
from bastide.core import apikey
from bastide.core.errors import Misconfigured, NotAllowed, NotFound, NotProven, Refused
from bastide.core.key import Purpose
from bastide.core.party import Party, Principal
from bastide.core.snapshot import KeyGrant, Snapshot
from bastide.core.subject import Digest
from bastide.stages.serve import choose
from paths.gateway_rig import (
    KEY,
    MODEL,
    NARROW_KEY,
    PEPPER,
    RELEASE,
    Response,
    Rig,
    gateway,
    make_snapshot,
    read_response,
    request_bytes,
)
from paths.loading_rig import Served

HAIKU = "anthropic.claude-3-haiku-20240307-v1:0"
ALL = KeyGrant("k", "acme", ("*",))


def snapshot_of(env: Environment, known: Known | None = None) -> Snapshot:
    size = env.ledger.size
    return build_snapshot(env.ledger, env.settings, env.home.run, size, 1, known or Known())


# From the use case to the snapshot


def test_an_alias_reaches_the_snapshot_and_leaves_it(broken: Served) -> None:
    env = broken.env
    made = set_alias(env, HAIKU, "tiny")
    assert made.body == {"alias": HAIKU, "deployment": "tiny", "time_ms": made.body["time_ms"]}
    assert set_alias(env, HAIKU, "tiny").entry == made.entry, "said once, stated once"
    known = snapshot_of(env)
    assert known.aliases == {HAIKU: "tiny"}
    assert choose(known, ALL, HAIKU).name == "tiny"
    end_alias(env, HAIKU)
    known = snapshot_of(env)
    assert known.aliases == {}
    with pytest.raises(NotFound):
        choose(known, ALL, HAIKU)
    assert set_alias(env, HAIKU, "tiny").entry != made.entry, "and it can come back"
    assert snapshot_of(env).aliases == {HAIKU: "tiny"}
    env.ledger.audit()


def test_an_alias_outlives_its_deployment_and_answers_again(broken: Served) -> None:
    env = broken.env
    set_alias(env, "gpt-4o-mini", "tiny")
    end_deployment(env, "tiny", "a test")
    with pytest.raises(NotFound):
        choose(snapshot_of(env), ALL, "gpt-4o-mini")
    assert [row["active"] for row in list_aliases(env)] == [False]
    deploy_release(env, "tiny", None)
    assert choose(snapshot_of(env), ALL, "gpt-4o-mini").name == "tiny"
    assert [row["active"] for row in list_aliases(env)] == [True]


@pytest.mark.parametrize("name", ["", "*", " a", "a b", "a\n", "-a", "ä", "a" * 257])
def test_what_is_no_name_is_refused(broken: Served, name: str) -> None:
    before = broken.env.ledger.size
    with pytest.raises(Misconfigured):
        set_alias(broken.env, name, "tiny")
    assert broken.env.ledger.size == before


def test_an_alias_stands_for_a_deployment_and_hides_none(broken: Served) -> None:
    env = broken.env
    with pytest.raises(Refused):
        set_alias(env, "tiny", "tiny")
    for nothing in ("other", "none", HAIKU):  # admitted only, unknown, an alias
        with pytest.raises(NotFound):
            set_alias(env, "a", nothing)
    with pytest.raises(NotFound):
        end_alias(env, "a")
    set_alias(env, "a", str(broken.deployment))
    assert [row["deployment"] for row in list_aliases(env)] == ["tiny"]


@pytest.mark.parametrize("party", [Party.FIRM, Party.GUARDIAN])
def test_only_the_operator_names_aliases(broken: Served, party: Party) -> None:
    env = dataclasses.replace(broken.env, principal=Principal("x", frozenset({party})))
    with pytest.raises(NotAllowed):
        set_alias(env, "a", "tiny")
    set_alias(dataclasses.replace(env, principal=everyone("all")), "a", "tiny")
    with pytest.raises(NotAllowed):
        end_alias(env, "a")
    assert len(list_aliases(env)) == 1


@pytest.mark.attacks("C74")
def test_an_alias_that_somebody_planted_opens_nothing(broken: Served) -> None:
    """As with keys: a row without an honest signature stops the snapshot."""
    env = broken.env
    entry = set_alias(env, "gpt-4o-mini", "tiny").entry
    known = Known()
    assert snapshot_of(env, known).aliases == {"gpt-4o-mini": "tiny"}
    assert len(known.proven) == 2
    before = env.ledger.envelope(entry or 0).encode()
    payload = env.ledger.envelope(entry or 0).payload
    forged = before.replace(
        base64.b64encode(payload),
        base64.b64encode(payload.replace(b'"deployment":"tiny"', b'"deployment":"evil"')),
    )
    assert forged != before
    broken.sql(f"UPDATE entry SET data = X'{forged.hex()}' WHERE \"index\" = {entry}")
    broken.sql(f"UPDATE evidence SET digest = X'{Digest.of(forged).hex}' WHERE entry = {entry}")
    with pytest.raises(NotProven):
        snapshot_of(env, known)


@pytest.mark.attacks("C74")
def test_a_scope_names_the_model_or_an_alias(broken: Served) -> None:
    env = broken.env
    set_alias(env, "gpt-4o-mini", "tiny")
    add_tenant(env, "acme")
    made = [
        new_key(env, "acme", KeyTerms(scopes))
        for scopes in (("tiny",), ("gpt-4o-mini",), ("other",))
    ]
    known = snapshot_of(env)
    pepper = env.keyring.secret(Purpose.PEPPER)
    real, named, narrow = (known.keys[apikey.mac(pepper, row["key"])] for row in made)
    for grant in (real, named):
        assert choose(known, grant, "gpt-4o-mini").name == "tiny"
        assert choose(known, grant, "tiny").name == "tiny"
    for name in ("gpt-4o-mini", "tiny", "none"):
        with pytest.raises(NotAllowed):
            choose(known, narrow, name)


# At the gateway


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    with gateway() as made:
        made.publish(
            aliases={HAIKU: MODEL, "gpt-4o-mini": MODEL, "gone": "undeployed"},
            keys={
                **make_snapshot().keys,
                apikey.mac(PEPPER, NARROW_KEY): KeyGrant("k_narrow", "acme", ("gpt-4o-mini",)),
            },
        )
        yield made


def ask(rig: Rig, path: str, body: dict[str, object] | None = None, key: str = KEY) -> Response:
    method = "GET" if body is None else "POST"
    data = b"" if body is None else json.dumps(body).encode()
    with rig.connect() as client:
        client.sendall(request_bytes(data, path=path, key=key, method=method))
        return read_response(client)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("key", [KEY, NARROW_KEY])
def test_the_answer_names_the_release_and_the_receipt_both(
    rig: Rig, stream: bool, key: str
) -> None:
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}
    response = ask(rig, "/v1/chat/completions", {**body, "stream": stream}, key)
    assert response.status == 200
    rows = [response.body]
    if stream:
        rows = [line[6:] for line in response.body.split(b"\n\n") if line.startswith(b"data: {")]
    assert {json.loads(row)["model"] for row in rows} == {MODEL}
    receipt = rig.control.receipts[-1]
    assert receipt.ident == response.headers["x-bastide-receipt"]
    assert receipt.requested_model == "gpt-4o-mini"
    assert receipt.release == RELEASE
    assert receipt.deployment == f"sha256:{MODEL}"


def test_lists_name_real_models_only(rig: Rig) -> None:
    def listed(key: str) -> list[str]:
        return [row["id"] for row in json.loads(ask(rig, "/v1/models", key=key).body)["data"]]

    assert listed(KEY) == ["other", MODEL]
    assert listed(NARROW_KEY) == [MODEL], "the scope is an alias; what it means is listed"
    assert json.loads(ask(rig, f"/v1/models/{HAIKU}").body)["id"] == MODEL


def test_an_alias_of_nothing_is_no_model(rig: Rig) -> None:
    body = {"model": "gone", "messages": [{"role": "user", "content": "hi"}]}
    response = ask(rig, "/v1/chat/completions", body)
    assert response.status == 404
    assert json.loads(response.body)["error"]["code"] == "model_not_found"
    assert ask(rig, "/v1/chat/completions", body, NARROW_KEY).status == 403
