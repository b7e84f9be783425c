# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""`bastide signing-key ...`: the keys that sign entries, releases and checkpoints."""

from typing import TYPE_CHECKING, Any

import click

from bastide.cli.command import Call, parameters, read_envelope, write_envelope
from bastide.core.errors import Waiting
from bastide.core.key import Purpose
from bastide.core.register import KeyState

if TYPE_CHECKING:
    from bastide.app.environment import Environment
    from bastide.core.evidence import Evidence, Statement
    from bastide.crypto.dsse import Envelope, Signer

__all__ = ["record_request", "signing_key"]

_PURPOSES = ("evidence", "release", "model-signing", "ledger")
_KEYS = click.option(
    "--key", "keys", metavar="FILE", multiple=True, help="OpenSSH private key that signs; repeat."
)
_REASON = click.option("--reason", required=True, help="Why; kept in the ledger.")
_OUT = click.option("--out", metavar="FILE", help="Write the request, for others to sign.")
_TRUSTED = click.option(
    "--trusted-before",
    type=click.IntRange(0),
    metavar="ENTRY",
    help="Of a compromised key: what it signed before this entry goes on counting.",
)
_COMPROMISED = click.option(
    "--compromised", is_flag=True, help="The old key is compromised, not just replaced."
)


@click.group("signing-key")
def signing_key() -> None:
    """List, rotate and revoke the keys that sign. API keys: `bastide key`."""


@parameters(
    "ls",
    "bastide signing-key ls --all",
    click.option("--all", "ended", is_flag=True, help="Those that ended, too."),
)
def ls(call: Call, ended: bool) -> None:
    """List the keys that may sign: purpose, party, state, and since which entry.

    Computed from the ledger's own entries. `--all` shows deactivated, compromised and destroyed
    keys, too.
    """
    from bastide.app.signing_keys import list_signing_keys

    with call.environment() as env:
        rows = list_signing_keys(env, ended)
    call.rows(rows, ("id", "purpose", "party", "holder", "state", "since"), "no key is enrolled")


@parameters(
    "rotate",
    "bastide signing-key rotate evidence --reason 'once a year'\n"
    "bastide signing-key rotate ledger --reason 'once a year' --out request.json",
    click.argument("purpose", type=click.Choice(_PURPOSES)),
    _REASON,
    _COMPROMISED,
    _TRUSTED,
    _KEYS,
    _OUT,
)
def rotate(
    call: Call,
    purpose: str,
    reason: str,
    compromised: bool,
    trusted_before: int | None,
    keys: tuple[str, ...],
    out: str | None,
) -> None:
    """Replace the key of a service. It takes two parties; services that run take it over.

    The new key is made in the keyring at once and counts once two parties have signed: here with
    --key, under `solo` with the keys that are held, or elsewhere with --out and `import`.
    """
    from bastide.app.signing_keys import successor

    signers = _signers(call, keys)
    with call.environment() as env:
        asked = successor(env, Purpose(purpose), reason, compromised, trusted_before)
        _finish(call, env, asked, signers, out)


@parameters(
    "import",
    "bastide signing-key import firm.json guardian.json",
    click.argument("files", nargs=-1, required=True),
)
def bring(call: Call, files: tuple[str, ...]) -> None:
    """Put the signatures of some files together and append; status 5 says who is missing.

    `bastide enrol --import FILE` is the same.
    """
    record_request(call, files)


@parameters(
    "revoke",
    "bastide signing-key revoke SHA256:... --state compromised --trusted-before 120"
    " --key guardian.key --reason 'laptop stolen'",
    click.argument("ident", metavar="ID"),
    click.option(
        "--state",
        type=click.Choice(["suspended", "deactivated", "compromised"]),
        required=True,
        help="suspended: for now; deactivated: what it signed counts; compromised: it does not.",
    ),
    _REASON,
    _TRUSTED,
    _KEYS,
    _OUT,
)
def revoke(
    call: Call,
    ident: str,
    state: str,
    reason: str,
    trusted_before: int | None,
    keys: tuple[str, ...],
    out: str | None,
) -> None:
    """Stop a key. Its own party is enough, or the guardian; within a second nothing uses it."""
    _change(call, ident, KeyState(state), trusted_before, reason, keys, out)


@parameters(
    "activate",
    "bastide signing-key activate SHA256:... --reason 'it was found' --key firm.key"
    " --key guardian.key",
    click.argument("ident", metavar="ID"),
    _REASON,
    _KEYS,
    _OUT,
)
def activate(call: Call, ident: str, reason: str, keys: tuple[str, ...], out: str | None) -> None:
    """Let a suspended key sign again. It takes two parties."""
    _change(call, ident, KeyState.ACTIVE, None, reason, keys, out)


@parameters(
    "destroy",
    "bastide signing-key destroy SHA256:... --reason 'end of its time' --key firm.key"
    " --key guardian.key",
    click.argument("ident", metavar="ID"),
    _REASON,
    _KEYS,
    _OUT,
)
def destroy(call: Call, ident: str, reason: str, keys: tuple[str, ...], out: str | None) -> None:
    """End a stopped key for ever; the keyring's copy is erased. It takes two parties."""
    _change(call, ident, KeyState.DESTROYED, None, reason, keys, out)


for _command in (ls, rotate, bring, revoke, activate, destroy):
    signing_key.add_command(_command)


def record_request(call: Call, files: tuple[str, ...]) -> None:
    """What `signing-key import` and `enrol --import` do: one request, in files signed by some."""
    from bastide.app.signing_keys import merge

    envelope = merge(read_envelope(file) for file in files)
    with call.environment() as env:
        _settle(call, env, envelope)


def _change(
    call: Call,
    ident: str,
    state: KeyState,
    trusted_before: int | None,
    reason: str,
    keys: tuple[str, ...],
    out: str | None,
) -> None:
    from bastide.app.signing_keys import change

    signers = _signers(call, keys)
    with call.environment() as env:
        _state(call, env, change(ident, state, trusted_before, reason, env.clock), signers, out)


def _state(
    call: Call, env: "Environment", statement: "Statement", signers: "list[Signer]", out: str | None
) -> None:
    from bastide.crypto.dsse import Envelope

    _finish(call, env, Envelope(statement.payload(), ()), signers, out)


def _finish(
    call: Call, env: "Environment", asked: "Envelope", signers: "list[Signer]", out: str | None
) -> None:
    """Sign with what is at hand; then write the request, or append."""
    from bastide.app.signing_keys import gather

    signed = gather(env, asked, signers)
    if out is not None:
        _write(call, out, signed)
    else:
        _settle(call, env, signed)


def _settle(call: Call, env: "Environment", envelope: "Envelope") -> None:
    from bastide.app.signing_keys import log_key, settle

    try:
        row: Evidence = settle(env, envelope)
    except Waiting as error:
        error.fix = (
            "collect them: --out FILE, `bastide sign` elsewhere, `bastide signing-key import`"
        )
        raise
    ident = row.subject.name
    state = row.body.get("state", KeyState.COMPROMISED.value)  # a party's revocation has none
    replaced = row.body.get("replaces")
    result: dict[str, Any] = {"key": ident, "state": state, "entry": row.entry}
    result["replaces"] = replaced["key"] if replaced else None
    text = f"{state}: {ident}  (entry {row.entry})"
    if replaced:
        text += f"\n{replaced['state']}: {replaced['key']}"
    if vkey := log_key(env, row):
        result["log_key"] = vkey
        text += f"\ntell every witness: bastide witness watch keys.json --log-key '{vkey}'"
    call.show(result, text)


def _signers(call: Call, keys: tuple[str, ...]) -> "list[Signer]":
    found = [call.party_key(key) for key in keys]
    return [signer for signer in found if signer is not None]


def _write(call: Call, out: str, envelope: "Envelope") -> None:
    write_envelope(out, envelope)
    signers = [ident for ident, _ in envelope.signatures]
    by = ", ".join(signers) or "nobody yet"
    call.show({"request": out, "signers": signers}, f"wrote {out}  (signed by {by})")
