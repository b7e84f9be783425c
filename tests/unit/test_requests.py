# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A request for approval shows what will be approved, or nothing: dishonest requests are refused.

The person who signs sees only what `read_request` gives, so each part of that must be proven by a
key which may state it, and be about the digest that is signed.
"""

import base64
import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bastide.app.approvals import REQUEST_TYPE, read_request
from bastide.core.canonical import canonical
from bastide.core.errors import BastideError, NotProven
from bastide.core.evidence import Evidence, Statement
from bastide.core.key import Purpose
from bastide.core.party import Party
from bastide.core.subject import Digest, Subject
from bastide.crypto import dsse
from bastide.crypto.dsse import Signer
from unit.chain_fixture import ChainWorld, make_chain

Request = dict[str, Any]


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> ChainWorld:
    return make_chain(tmp_path_factory.mktemp("requests"))


def make_request(chain: ChainWorld) -> Request:
    ledger = chain.world.ledger
    rows = {"charter": ledger.charter(), **chain.rows}
    entries = {
        what: ledger.envelope(rows[what].entry or 0).to_json()
        for what in ("charter", "admission", "evaluation", "candidate")
    }
    subject = chain.rows["candidate"].subject
    about = {"action": "release", "name": subject.name, "digest": str(subject.digest)}
    return {"type": REQUEST_TYPE, **about, "entries": entries}


def restate(row: Evidence, changes: dict[str, Any], *signers: Signer) -> Any:
    statement = Statement(row.kind, row.statement.subjects, {**row.body, **changes})
    return dsse.sign(statement.payload(), signers)


def repropose(chain: ChainWorld, request: Request, **changes: Any) -> None:
    """Put another candidate into the request, signed as candidates are, and ask for it."""
    body = copy.deepcopy(dict(chain.rows["candidate"].body))
    body["release"] |= changes
    subject = Subject(body["release"]["name"], Digest.of(canonical(body["release"])))
    by = [chain.world.signers[Purpose.EVIDENCE], chain.world.parties[Party.FIRM]]
    envelope = dsse.sign(Statement("candidate/v1", (subject,), body).payload(), by)
    request["entries"]["candidate"] = envelope.to_json()
    request |= {"name": subject.name, "digest": str(subject.digest)}


def by_a_party(chain: ChainWorld, request: Request) -> None:
    """The firm signs the scores that it would like to have."""
    row, firm = chain.rows["evaluation"], chain.world.parties[Party.FIRM]
    envelope = restate(row, {"scores": dict.fromkeys(row.body["scores"], 1)}, firm)
    request["entries"]["evaluation"] = envelope.to_json()
    repropose(chain, request, evaluation=str(envelope.digest))


def other_name(_: ChainWorld, request: Request) -> None:
    request["name"] = "something-else"


def other_action(_: ChainWorld, request: Request) -> None:
    request["action"] = "deploy"


def other_digest(_: ChainWorld, request: Request) -> None:
    request["digest"] = str(Digest.of(b"other"))


def other_model(chain: ChainWorld, request: Request) -> None:
    repropose(chain, request, model=str(Digest.of(b"other")))


def other_template(chain: ChainWorld, request: Request) -> None:
    repropose(chain, request, template=str(Digest.of(b"other")))


def other_policy(chain: ChainWorld, request: Request) -> None:
    repropose(chain, request, policy=str(Digest.of(b"other")))


def other_kind(_: ChainWorld, request: Request) -> None:
    request["entries"]["evaluation"] = request["entries"]["admission"]


def not_canonical(chain: ChainWorld, request: Request) -> None:
    payload = base64.b64decode(request["entries"]["candidate"]["payload"]).replace(b":", b": ", 1)
    envelope = dsse.sign(payload, [chain.world.signers[Purpose.EVIDENCE]])
    request["entries"]["candidate"] = envelope.to_json()


def nameless_author(chain: ChainWorld, request: Request) -> None:
    guardian = chain.world.parties[Party.GUARDIAN].public.ident
    changes = {"author": guardian}
    evidence = chain.world.signers[Purpose.EVIDENCE]
    envelope = restate(chain.rows["candidate"], changes, evidence)
    request["entries"]["candidate"] = envelope.to_json()


DISHONEST: tuple[Callable[[ChainWorld, Request], None], ...] = (
    by_a_party,
    other_name,
    other_action,
    other_digest,
    other_model,
    other_template,
    other_policy,
    other_kind,
    not_canonical,
    nameless_author,
)


def test_an_honest_request_shows_what_the_ledger_holds(chain: ChainWorld) -> None:
    shown = read_request(json.dumps(make_request(chain)), chain.anchors)
    candidate, admission = chain.rows["candidate"], chain.rows["admission"]
    assert (shown["name"], shown["action"]) == ("demo-1", "release")
    assert shown["digest"] == str(candidate.subject.digest)
    assert shown["model"] == str(admission.subject.digest)
    assert shown["scores"] == chain.rows["evaluation"].body["scores"]
    assert sorted(shown["keys"].values()) == sorted(party.value for party in Party)


@pytest.mark.attacks("C72")
@pytest.mark.parametrize("forge", DISHONEST, ids=lambda forge: forge.__name__)
def test_a_dishonest_request_is_refused(
    chain: ChainWorld, forge: Callable[[ChainWorld, Request], None]
) -> None:
    request = make_request(chain)
    forge(chain, request)
    with pytest.raises(NotProven):
        read_request(json.dumps(request), chain.anchors)


def test_a_charter_of_others_is_refused(chain: ChainWorld, tmp_path: Path) -> None:
    other = make_chain(tmp_path, findings=("another",))
    other.anchors["charter"] = str(Digest.of(b"other"))
    with pytest.raises(NotProven, match=r"keys\.json"):
        read_request(json.dumps(make_request(chain)), other.anchors)


def test_a_request_without_its_parts_is_refused(chain: ChainWorld) -> None:
    for part in ("type", "action", "name", "digest", "entries"):
        request = make_request(chain)
        del request[part]
        with pytest.raises(BastideError):
            read_request(json.dumps(request), chain.anchors)
