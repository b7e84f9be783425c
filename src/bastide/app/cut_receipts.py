# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Cut receipts: what control writes for answers that a dead gateway was sending.

A runner states counts, commitments and the id of a key. Everything else is control's own: whose key
it is, what the deployment is, what tokens cost. So a report bills nobody but the tenant of a key
that may call that very model, and replaces no receipt.
"""

import dataclasses

from bastide.app.keys import key_grants
from bastide.app.loading import verify_entries
from bastide.app.prices import price_of
from bastide.core.chat import Usage
from bastide.core.errors import BastideError, Misconfigured, NotAllowed, NotFound
from bastide.core.limits import CUT_ROWS_MAX, RECEIPT_DISORDER_MS
from bastide.core.money import Price
from bastide.core.receipt import Receipt
from bastide.core.snapshot import KeyGrant, Served, Snapshot
from bastide.core.standing import CUT, Cut, Cuts
from bastide.core.subject import Digest
from bastide.dialects import frames
from bastide.ledger import Ledger

__all__ = ["cut_receipts", "read_receipt"]


def cut_receipts(
    ledger: Ledger, snapshot: Snapshot, node: str, cuts: Cuts, now_ms: int
) -> tuple[list[Receipt], dict[str, str]]:
    """The receipts of a report, and why other rows have none, by receipt id.

    Raises Misconfigured or NotFound for a report that is none, NotProven for a planted deployment
    or key.
    """
    if len(cuts.rows) > CUT_ROWS_MAX:
        raise Misconfigured(f"a report of more than {CUT_ROWS_MAX} cut answers")
    served, price = _deployment(ledger, node, cuts.deployment)
    # One that has ended since had the nodes that nobody lists now; its receipt names none.
    now = snapshot.served.get(served.name)
    if now is not None and now.deployment == served.deployment:
        served = dataclasses.replace(served, attested=now.attested)
    policy = str(ledger.policy().digest)
    grants = _grants(ledger, {cut.key for cut in cuts.rows})
    receipts: dict[str, Receipt] = {}
    refused: dict[str, str] = {}
    for cut in cuts.rows:
        try:
            if cut.receipt in receipts:
                raise Misconfigured("two rows have one id")
            receipts[cut.receipt] = _receipt(cut, snapshot, served, price, policy, grants, now_ms)
        except BastideError as error:
            refused[cut.receipt] = error.message
    return list(receipts.values()), refused


def _receipt(
    cut: Cut,
    snapshot: Snapshot,
    served: Served,
    price: Price | None,
    policy: str,
    grants: dict[str, KeyGrant],
    now_ms: int,
) -> Receipt:
    cut.verify_form()
    # The book is in the order of time but for so much; searching it rests on that.
    if abs(now_ms - cut.time_ms) > RECEIPT_DISORDER_MS:
        raise Misconfigured("cut.time_ms: not of now")
    grant = grants.get(cut.key)
    if grant is None:
        raise NotFound("there is no such key")
    if not snapshot.opens(grant, served.name):
        raise NotAllowed("the key may not use this model")
    usage = Usage(cut.prompt_tokens, cut.completion_tokens, cut.cached_tokens)
    receipt = Receipt(
        ident=cut.receipt,
        time_ms=min(cut.time_ms, now_ms),
        tenant=grant.tenant,
        key=grant.key,
        requested_model=cut.model,
        release=served.release,
        deployment=served.deployment,
        policy=policy,
        node=served.node,
        sandbox=served.sandbox,
        prompt_commitment=cut.prompt_commitment,
        answer_commitment=cut.answer_commitment,
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        finish=CUT,
        guard=cut.guard,
        project=grant.project,
        cached_tokens=usage.cached_tokens,
        cost_picoeur=0 if price is None else price.cost(usage),
        delivered=cut.delivered,
        fingerprint=cut.fingerprint,
        retry=cut.retry,
        attestations=served.attested or (),
        version=3 if served.attested else 2,
    )
    receipt.leaf()  # what the book cannot hold is refused here, alone
    return receipt


def _deployment(ledger: Ledger, node: str, digest: str) -> tuple[Served, Price | None]:
    """What a deployment is and what its tokens cost; one that has ended may have answered still."""
    rows = ledger.find("deployment/v1", subject=Digest.parse(digest))[-1:]
    if not rows:
        raise NotFound("there is no such deployment")
    row = rows[0]
    plan, name = row.body["deployment"], row.subject.name
    prices = [price for price in ledger.prices() if price.body["model"] == name]
    verify_entries(ledger, [row, *prices])
    loads = ledger.find("load/v1", subject=row.subject.digest)
    served = Served(
        name=name,
        release=plan["release"],
        deployment=str(row.subject.digest),
        socket="",
        node=plan.get("machine", node),
        sandbox=loads[-1].body["sandbox"] if loads else "not loaded",
        slots=0,
        context_tokens=0,
        created_s=0,
    )
    return served, price_of(prices[-1]) if prices else None


def _grants(ledger: Ledger, wanted: set[str]) -> dict[str, KeyGrant]:
    """The keys of a report by their ids; revoked ones too, whose last answer may still have run."""
    rows = [row for row in ledger.api_keys(active=False) if row.body["key"] in wanted]
    verify_entries(ledger, rows)
    return {grant.key: grant for grant in key_grants(rows, ()).values()}


def read_receipt(frame: frames.Frame) -> Receipt:
    """A receipt that the book will take. Raises Misconfigured: one bad receipt in a group would
    otherwise have all others of the group refused."""
    receipt = Receipt.from_json(frames.decode(frame, Receipt).to_json())
    receipt.leaf()
    return receipt
