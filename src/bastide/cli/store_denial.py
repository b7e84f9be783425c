# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""`bastide store deny` and `bastide store allow`."""

from typing import TYPE_CHECKING, Any, Final

import click

from bastide.cli.command import Call, parameters, read_text, verify_one_way, write_envelope
from bastide.core.errors import Misconfigured
from bastide.core.party import Party

if TYPE_CHECKING:
    from bastide.app.environment import Environment

__all__ = ["allow", "denied_lines", "deny"]

_KNOWN_SAID: Final = 10  # beginnings of names, where one takes in nothing

_NAMES = click.argument("names", nargs=-1, metavar="[NAME]...")
_REASON = click.option("--reason", default="", help="Why; kept in the ledger.")


@parameters(
    "deny",
    "bastide store deny 'models/' --key firm.key --reason 'the contract has ended'\n"
    "bastide store deny 'models/' --party firm --out denial.json\n"
    "bastide store deny --signed denial.json",
    _NAMES,
    click.option("--key", metavar="FILE", help="A party's key: it signs the denial."),
    _REASON,
    click.option(
        "--party",
        type=click.Choice([party.value for party in Party]),
        help="With --out: who signs it.",
    ),
    click.option("--out", metavar="FILE", help="Write it, for that party to sign elsewhere."),
    click.option("--signed", metavar="FILE", help="What a party signed elsewhere."),
)
def deny(
    call: Call,
    names: tuple[str, ...],
    key: str | None,
    reason: str,
    party: str | None,
    out: str | None,
    signed: str | None,
) -> None:
    """Let nobody open objects whose names begin so; '*' is all. What serves them is stopped.

    It is a statement in the ledger, signed by a party: deleting a file lifts nothing, and an audit
    names a load that comes after it. While the environment is locked, or without a party's key, it
    holds on this machine's list only, and says so: a stop does not wait. It tells how many objects
    and which deployments each name takes in; a name that takes in none is denied, with a warning.
    """
    from bastide.app.store_denials import deny as put
    from bastide.app.store_denials import deny_locked, draft_denial, taken_in

    verify_one_way(out, signed)
    _check_names(names, out, signed)
    if (out is None) != (party is None):
        raise Misconfigured("--out and --party go together", place="party")
    if out is not None and party is not None:
        with call.environment() as env:
            write_envelope(out, draft_denial(env, names[0], Party(party), reason))
        told = f"wrote {out}: the {party} runs `bastide sign {out} --key KEY`; then --signed {out}"
        call.show({"statement": out}, told)
        return
    with call.environment_if_open(call.party_key(key)) as env:
        if signed is not None:
            names, rows = _carry(call, env, signed)
        else:
            rows = deny_locked(call.home, names) if env is None else put(env, names, reason)
        _show(call, rows, taken_in(call.home, names, None if env is None else env.ledger))


@parameters(
    "allow",
    "bastide store allow '*' --key guardian.key\n"
    "bastide store allow models/ --key guardian.key --key firm.key\n"
    "bastide store allow models/ --out end.json\n"
    "bastide store allow --signed end.json",
    _NAMES,
    click.option(
        "--key", "keys", metavar="FILE", multiple=True, help="A party's key that signs; repeat."
    ),
    _REASON,
    click.option("--out", metavar="FILE", help="Write it, for parties to sign elsewhere."),
    click.option("--signed", metavar="FILE", help="What they signed elsewhere."),
)
def allow(
    call: Call,
    names: tuple[str, ...],
    keys: tuple[str, ...],
    reason: str,
    out: str | None,
    signed: str | None,
) -> None:
    """Let denied objects be opened again: the guardian, and the firm too if the firm denied them.

    What stands on this machine's list only is the guardian's to take off. The policies can ask
    for more.
    """
    from bastide.app.store_denials import allow as take
    from bastide.app.store_denials import carry_allowance, draft_allowance

    verify_one_way(out, signed)
    _check_names(names, out, signed)
    given = [signer for file in keys if (signer := call.party_key(file)) is not None]
    with call.environment(given[0] if given else None) as env:
        if out is not None:
            write_envelope(out, draft_allowance(env, names[0], reason))
            told = f"wrote {out}: parties run `bastide sign {out} --key KEY`; then --signed {out}"
            call.show({"statement": out}, told)
            return
        if signed is not None:
            rows = carry_allowance(env, read_text(signed))
        else:
            rows = take(env, names, reason, given)
    _show(call, rows)


def denied_lines(rows: list[dict[str, Any]]) -> list[str]:
    """One line for each denial: the name, whose it is, and where that stands."""
    return [
        f"{row['name']}  by the {row['party']}  (entry {row['entry']})"
        + (f": {row['reason']}" if row["reason"] else "")
        if row["entry"] is not None
        else f"{row['name']}  on this machine's list only: no party signed it"
        for row in rows
    ]


def _carry(
    call: Call, env: "Environment | None", signed: str
) -> tuple[tuple[str, ...], list[dict[str, Any]]]:
    """What was signed elsewhere, into the ledger; onto this machine's list while it is locked."""
    from bastide.app.store_denials import carry_denial, carry_denial_locked

    text = read_text(signed)
    if env is not None:
        name, rows = carry_denial(env, text)
    else:
        name, rows = carry_denial_locked(call.home, text)
        call.tell(
            "the statement is not in the ledger, which is locked: it holds on this machine's list"
            " only, whoever signed it. Once the ledger is open, carry it there:"
            f" bastide store deny --signed {signed}"
        )
    return (name,), rows


def _show(
    call: Call, rows: list[dict[str, Any]], taken: list[dict[str, Any]] | None = None
) -> None:
    lines = [f"denied  {line}" for line in denied_lines(rows)]
    if taken is None:
        call.show({"denied": rows}, "\n".join(lines) or "nothing is denied")
        return
    for row in taken:
        if row["objects"] == 0:
            known = ", ".join(row["known"][:_KNOWN_SAID]) or "no object is there"
            call.tell(
                f"no object's name begins with {row['name']}, so this stops nothing that is there;"
                f" known beginnings: {known}"
            )
        elif row["objects"] is not None:
            by = ", ".join(row["deployments"] or ()) or "no deployment that is known"
            lines.append(f"{row['name']} takes in {row['objects']} objects, opened by {by}")
    call.show({"denied": rows, "taken_in": taken}, "\n".join(lines))


def _check_names(names: tuple[str, ...], out: str | None, signed: str | None) -> None:
    if (signed is None) == (not names):
        raise Misconfigured("give NAME, or --signed FILE", place="names")
    if out is not None and len(names) != 1:
        raise Misconfigured("--out takes one NAME: each is a statement of its own", place="names")
