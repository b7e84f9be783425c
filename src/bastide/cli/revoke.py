# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""`bastide revoke`."""

from typing import TYPE_CHECKING

import click

from bastide.cli.command import Call, parameters, read_text, write_envelope
from bastide.core.errors import Misconfigured, Waiting
from bastide.core.evidence import Statement
from bastide.core.party import Party
from bastide.core.revocation import Revocable
from bastide.core.subject import Digest, Subject

if TYPE_CHECKING:
    from bastide.app.environment import Environment
    from bastide.crypto.dsse import Envelope

__all__ = ["revoke"]

_PARTY = "party"
_REVOCABLE = tuple(what.value for what in Revocable)


@parameters(
    "revoke",
    "bastide revoke release smollm2-135m-instruct --key guardian.key --reason 'poisoned data'\n"
    "bastide revoke approval sha256:4f0c... --key firm.key --reason 'signed in error'\n"
    "bastide revoke release NAME --digest sha256:... --key guardian.key --out revocation.json\n"
    "bastide revoke certificate web.pem --key operator.key --reason 'its key leaked'\n"
    "bastide revoke party firm --key guardian.key --reason 'its key cabinet was opened'\n"
    "bastide revoke --import revocation.json",
    click.argument("what", type=click.Choice([*_REVOCABLE, _PARTY]), required=False),
    click.argument("name", required=False),
    click.option("--key", metavar="FILE", help="OpenSSH private key of the revoking party."),
    click.option("--reason", default="", help="Why; kept in the ledger and shown to whoever asks."),
    click.option("--digest", help="With --out: the thing's digest; no environment is opened."),
    click.option("--party", help="With --out, of an approval: the party that gave it."),
    click.option(
        "--trusted-before",
        type=click.IntRange(min=1),
        metavar="ENTRY",
        help="Of a party: what its keys signed before this entry still counts.  [default: nothing]",
    ),
    click.option("--out", metavar="FILE", help="Sign on a machine of your own: write the file."),
    click.option("--import", "file", metavar="FILE", help="Record a carried revocation."),
)
def revoke(
    call: Call,
    what: str | None,
    name: str | None,
    key: str | None,
    reason: str,
    digest: str | None,
    party: str | None,
    trusted_before: int | None,
    out: str | None,
    file: str | None,
) -> None:
    """Stop a release, a deployment, a dataset's release, an approval, a node or a certificate.

    For ever. What serves it stops within a second: running answers are cut with their client's
    terminal event. NAME of a client's certificate is its PEM file, or the digest of its DER; an
    authority's stops all that it issued. A file with several authorities is refused.
    A party is stopped with all of its keys: other parties enrol a new one (`bastide enrol`).
    """
    if file is not None:
        _import(call, file)
        return
    if what is None or name is None or not reason:
        raise Misconfigured("give WHAT, NAME and --reason", fix="bastide revoke --help")
    if what == _PARTY:
        _party(call, name, key, reason, trusted_before, out)
        return
    if trusted_before is not None:
        raise Misconfigured("--trusted-before is said of a party", fix="bastide revoke --help")
    if out is None:
        _here(call, Revocable(what), name, key, reason)
        return
    if digest is None or key is None:
        raise Misconfigured("--out needs --digest and --key", fix="bastide revoke --help")
    from bastide.app import wiring
    from bastide.app.revocations import revocation, sign

    subject = Subject(name, Digest.parse(digest))
    statement = revocation(Revocable(what), subject, party, reason, wiring.clock())
    signer = call.party_key(key)
    assert signer is not None
    envelope = sign(statement, signer)
    write_envelope(out, envelope)
    call.show({"revocation": out}, f"signed: {out}  (carry it over: bastide revoke --import {out})")


def _party(
    call: Call, name: str, key: str | None, reason: str, trusted_before: int | None, out: str | None
) -> None:
    from bastide.app.signing_keys import gather, party_revocation

    if name not in tuple(Party):
        raise Misconfigured(f"there is no party {name!r}", fix=f"one of {', '.join(Party)}")
    signer = call.party_key(key)
    with call.environment(signer) as env:
        asked = party_revocation(env, Party(name), reason, trusted_before)
        if out is not None and signer is None:  # somebody signs it elsewhere, with `bastide sign`
            write_envelope(out, asked)
            call.show({"revocation": out}, f"wrote {out}: `bastide sign {out} --key KEY`")
            return
        signed = gather(env, asked, [] if signer is None else [signer])
        if out is not None:
            write_envelope(out, signed)
            call.show({"revocation": out}, f"signed: {out}  (bastide revoke --import {out})")
            return
        _settle(call, env, signed)


def _settle(call: Call, env: "Environment", signed: "Envelope") -> None:
    from bastide.app.signing_keys import settle

    try:
        row = settle(env, signed)
    except Waiting as error:
        error.fix = "write it with --out FILE, `bastide sign` it elsewhere, then --import FILE"
        raise
    result = {"what": _PARTY, "name": row.body["party"], "keys": row.body["keys"]}
    told = "\n".join(f"  compromised: {ident}" for ident in row.body["keys"])
    text = f"revoked the {row.body['party']}  (entry {row.entry})\n{told}"
    call.show({**result, "entry": row.entry}, text)


def _here(call: Call, what: Revocable, name: str, key: str | None, reason: str) -> None:
    from bastide.app.revocations import (
        certificate_digest,
        find_revocable,
        revocation,
        revoke_here,
    )

    signer = call.party_key(key)
    with call.environment(signer) as env:
        if what is Revocable.CERTIFICATE and not name.startswith("sha256:"):
            name = str(certificate_digest(read_text(name)))
        subject, party = find_revocable(env, what, name)
        statement: Statement = revocation(what, subject, party, reason, env.clock)
        row = revoke_here(env, statement, signer)
    _show(call, row.body["what"], row.subject, row.entry)


def _import(call: Call, file: str) -> None:
    from bastide.app.enrolment import read_draft
    from bastide.app.revocations import import_revocation

    text = read_text(file)
    signed, statement = read_draft(text)
    with call.environment() as env:
        if statement.kind == "party-revocation/v1":
            _settle(call, env, signed)
            return
        row = import_revocation(env, text)
    _show(call, row.body["what"], row.subject, row.entry)


def _show(call: Call, what: str, subject: Subject, entry: int | None) -> None:
    result = {"what": what, "name": subject.name, "digest": str(subject.digest), "entry": entry}
    call.show(result, f"revoked the {what} {subject.name}  {subject.digest}  (entry {entry})")
