# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""`bastide revoke`."""

import click

from bastide.cli.command import Call, parameters, read_text, write_envelope
from bastide.core.errors import Misconfigured
from bastide.core.evidence import Statement
from bastide.core.revocation import Revocable
from bastide.core.subject import Digest, Subject

__all__ = ["revoke"]


@parameters(
    "revoke",
    "bastide revoke release smollm2-135m-instruct --key guardian.key --reason 'poisoned data'\n"
    "bastide revoke approval sha256:4f0c... --key firm.key --reason 'signed in error'\n"
    "bastide revoke release NAME --digest sha256:... --key guardian.key --out revocation.json\n"
    "bastide revoke certificate web.pem --key operator.key --reason 'its key leaked'\n"
    "bastide revoke --import revocation.json",
    click.argument("what", type=click.Choice([what.value for what in Revocable]), required=False),
    click.argument("name", required=False),
    click.option("--key", metavar="FILE", help="OpenSSH private key of the revoking party."),
    click.option("--reason", default="", help="Why; kept in the ledger and shown to whoever asks."),
    click.option("--digest", help="With --out: the thing's digest; no environment is opened."),
    click.option("--party", help="With --out, of an approval: the party that gave it."),
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
    out: str | None,
    file: str | None,
) -> None:
    """Stop a release, a deployment, a dataset's release, an approval, a node or a certificate.

    For ever. What serves it stops within a second: running answers are cut with their client's
    terminal event. NAME of a client's certificate is its PEM file, or the digest of its DER.
    """
    if file is not None:
        _import(call, file)
        return
    if what is None or name is None or not reason:
        raise Misconfigured("give WHAT, NAME and --reason", fix="bastide revoke --help")
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
    from bastide.app.revocations import import_revocation

    with call.environment() as env:
        row = import_revocation(env, read_text(file))
    _show(call, row.body["what"], row.subject, row.entry)


def _show(call: Call, what: str, subject: Subject, entry: int | None) -> None:
    result = {"what": what, "name": subject.name, "digest": str(subject.digest), "entry": entry}
    call.show(result, f"revoked the {what} {subject.name}  {subject.digest}  (entry {entry})")
