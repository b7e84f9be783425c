# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""`bastide enrol` and `bastide sign`."""

import json
import sys
from pathlib import Path

import click

from bastide.cli.command import Call, parameters, read_file, write_envelope
from bastide.cli.signing_key import record_request
from bastide.core.errors import Misconfigured
from bastide.core.party import Party

__all__ = ["COMMANDS"]


@parameters(
    "enrol",
    "bastide enrol guardian.pub --party guardian --holder 'HSM of the guardian' --out enrol.json\n"
    "bastide enrol --import enrol.json",
    click.argument("public", required=False, metavar="[FILE]"),
    click.option("--party", type=click.Choice([party.value for party in Party]), help="Whose."),
    click.option("--holder", help="Who keeps it: an office or a device, never a person's name."),
    click.option("--replaces", metavar="ID", help="Key whose place it takes."),
    click.option("--reason", default="", help="Why; kept in the ledger."),
    click.option("--out", metavar="FILE", help="Where the statement to sign goes."),
    click.option(
        "--import",
        "files",
        metavar="FILE",
        multiple=True,
        help="Record a signed enrolment; repeat.",
    ),
)
def enrol(
    call: Call,
    public: str | None,
    party: str | None,
    holder: str | None,
    replaces: str | None,
    reason: str,
    out: str | None,
    files: tuple[str, ...],
) -> None:
    """Make another key of a party count: of a passkey, an OpenSSH key, or a P-256 key in an HSM.

    FILE is the public key (OpenSSH or PEM) or the passkey file. The statement is signed with
    `bastide sign` by the new key and by keys of two parties; then --import records it, as
    `bastide signing-key import` does: the signatures of several files count together.
    """
    from bastide.app import wiring
    from bastide.app.enrolment import enrolment

    if files:
        record_request(call, files)
        return
    if public is None or party is None or holder is None or out is None:
        raise Misconfigured("give FILE, --party, --holder and --out", fix="bastide enrol --help")
    key = wiring.read_public(Path(public), Party(party))
    envelope = enrolment(key, holder, replaces, reason, wiring.clock())
    write_envelope(out, envelope)
    result = {"enrolment": out, "key": key.ident}
    call.show(result, f"to be signed by {key.ident} and two parties: {out}")


@parameters(
    "sign",
    "bastide sign enrol.json --key operator.key\n"
    "bastide sign enrol.json --bytes > enrol.bin\n"
    "bastide sign enrol.json --signature enrol.sig --signer SHA256:...",
    click.argument("file"),
    click.option("--key", metavar="FILE", help="OpenSSH private key, or passkey file."),
    click.option("--bytes", "as_bytes", is_flag=True, help="Print the bytes that a key signs."),
    click.option(
        "--signature", metavar="FILE", help="A signature of those bytes: DER, or OpenSSH."
    ),
    click.option("--signer", metavar="ID", help="With --signature: whose."),
)
def sign(
    call: Call,
    file: str,
    key: str | None,
    as_bytes: bool,
    signature: str | None,
    signer: str | None,
) -> None:
    """Show a statement that travels, and add a signature to its file.

    With --bytes and --signature any tool signs, so that an HSM or a machine without Bastide can.
    What is missing or does not hold is refused when the file is imported.
    """
    from bastide.app.enrolment import add_signature, attach, bytes_to_sign, read_draft
    from bastide.app.receipts import read_content

    envelope, statement = read_file(file, read_draft)
    if as_bytes:
        sys.stdout.buffer.write(bytes_to_sign(envelope))
        return
    call.tell(json.dumps(statement.to_json(), indent=2, ensure_ascii=False))
    if signature is not None:
        if signer is None:
            raise Misconfigured("whose signature is it?", fix="give --signer ID")
        envelope = attach(envelope, signer, read_content(Path(signature)))
    elif key is not None:
        one = call.party_key(key)
        assert one is not None
        envelope = add_signature(envelope, one)
    signers = [ident for ident, _ in envelope.signatures]
    if signature is not None or key is not None:
        write_envelope(file, envelope)
    result = {"kind": statement.kind, "statement": statement.to_json(), "signers": signers}
    call.show(result, f"{file}: signed by {', '.join(signers) or 'nobody'}")


COMMANDS = {"enrol": enrol, "sign": sign}
