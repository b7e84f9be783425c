# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""`bastide policy ...`: who may begin what."""

import contextlib
from collections.abc import Generator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bastide.cli.command import Call, parameters, read_file, read_text, write_envelope
from bastide.core.errors import Misconfigured

if TYPE_CHECKING:
    from bastide.gates.access.policy_set import PolicySet

__all__ = ["policy"]

_MISSED = 1  # exit status: the policies decide something else than a case expects
_FILE = click.argument("file")


@click.group()
def policy() -> None:
    """Access policies: check, test, explain, propose, apply, show."""


@parameters("check", "bastide policy check access.cedar", _FILE)
def check(call: Call, file: str) -> None:
    """Check a set of policies by the schema, and say what it changes against the defaults.

    A misspelt action, type or attribute is refused with file, line and column; an action that the
    set gives to no party and names nowhere is told. Needs no key.
    """
    from bastide.gates.access.policy_set import default_policies

    policies = _read(file)
    rows, told = default_policies().widens(policies), _missing(policies)
    result = {"file": file, "digest": str(policies.digest), "changes": rows, **told}
    lines = [f"{file}: holds  {policies.digest}", "against the defaults:"]
    lines += [f"  {row}" for row in rows or ["no change"]]
    call.show(result, "\n".join([*lines, *_told(told)]))


@parameters(
    "test",
    "bastide policy test access.cedar\nbastide policy test access.cedar --cases cases.toml",
    _FILE,
    click.option("--cases", metavar="FILE", help="TOML or JSON.  [default: FILE with .toml]"),
)
def test(call: Call, file: str, cases: str | None) -> None:
    """Ask a set of policies what it must decide; exit status 1 if it decides otherwise.

    The cases lie beside it: access.cedar has access.toml. Needs no key.
    """
    from bastide.gates.access.cases import read_cases

    cases = cases or str(Path(file).with_suffix(".toml"))
    policies = _read(file)
    done = [case.run(policies) for case in read_cases(read_text(cases), cases)]
    rows = [
        {
            "case": number,
            "asked": str(row.case),
            "expected": "allow" if row.case.allow else "deny",
            "decision": "allow" if row.decision.allowed else "deny",
            "met": row.met,
            "by": [f"{reason.file}:{reason.line}" for reason in row.decision.reasons],
        }
        for number, row in enumerate(done, 1)
    ]
    call.rows(rows, ("case", "asked", "expected", "decision", "met", "by"), "no cases")
    for line in _told(_missing(policies)):
        call.tell(line)
    missed = [row["case"] for row in rows if not row["met"]]
    if missed:
        call.tell(f"{len(missed)} of {len(rows)} cases are not met")
        click.get_current_context().exit(_MISSED)


@parameters(
    "explain",
    'bastide policy explain --as operator "guard-set" acme\n'
    "bastide policy explain --as firm+operator release-publish --policies access.cedar",
    click.argument("action"),
    click.argument("on", required=False),
    click.option("--as", "who", required=True, metavar="WHO", help="Parties, joined by +."),
    click.option("--policies", metavar="FILE", help="Instead of those in force; needs no key."),
)
def explain(call: Call, action: str, on: str | None, who: str, policies: str | None) -> None:
    """Say whether somebody may do something, by which lines of which policies, and who may.

    ON is the name of the thing; without it, anything of the environment.
    """
    from bastide.app.access_policies import explain as explained

    with _policies(call, policies) as found:
        row = explained(found, who, action, on)
    lines = [
        f"{row['decision']}: {who} {action}{f' {on}' if on else ''}",
        f"  because  {row['why']}",
    ]
    lines += [
        f"  policy   {line['policy']}  ({line['file']}, line {line['line']})"
        for line in row["policies"]
    ]
    lines.append(f"  may      {', '.join(row['may']) or 'nobody'}")
    if row["needed"]:
        lines.append(f"  needed   {row['needed']}")
    call.show(row, "\n".join(lines))


@parameters(
    "propose",
    "bastide policy propose access.cedar --reason 'the guardian sets budgets' --out p.json\n"
    "bastide sign p.json --key guardian.key",
    _FILE,
    click.option("--reason", required=True, help="Why; kept in the ledger."),
    click.option("--out", required=True, metavar="FILE", help="Where the statement goes."),
    click.option("--key", metavar="FILE", help="OpenSSH private key, or passkey file, of a party."),
)
def propose(call: Call, file: str, reason: str, out: str, key: str | None) -> None:
    """Make the next version of the policies, for the guardian and one more party to sign.

    It says what each party may do from then on that it may not now. Nothing changes yet.
    """
    from bastide.app import access_policies

    policies, signer = _read(file), call.party_key(key)
    with call.environment(signer) as env:
        envelope = access_policies.propose_policies(env, policies, reason, signer)
        changes = access_policies.widens(env, policies)
    write_envelope(out, envelope)
    signers = [ident for ident, _ in envelope.signatures]
    result = {"proposal": out, "changes": changes, "signers": signers}
    lines = [f"proposed: {out}  (the guardian and one more party sign it: bastide sign {out})"]
    call.show(result, "\n".join([*lines, *(f"  {row}" for row in changes or ["no change"])]))


@parameters("apply", "bastide policy apply p.json", _FILE)
def apply(call: Call, file: str) -> None:
    """Put a signed proposal in force, for the next command on."""
    from bastide.app.access_policies import apply_policies

    with call.environment() as env:
        row = read_file(file, partial(apply_policies, env))
    result = {"version": row.body["version"], "entry": row.entry, "digest": str(row.digest)}
    call.show(result, f"in force: access policies version {result['version']}  (entry {row.entry})")


@parameters(
    "show",
    "bastide policy show\nbastide policy show --text > access.cedar\n"
    "bastide policy show --left-out >> access.cedar\nbastide policy show --schema",
    click.option("--text", "as_text", is_flag=True, help="The policies in force, to change."),
    click.option("--left-out", is_flag=True, help="Policies for actions that these leave out."),
    click.option("--schema", is_flag=True, help="The schema: every action, duty and type."),
)
def show(call: Call, as_text: bool, left_out: bool, schema: bool) -> None:
    """Show which policies are in force, and those before; with --text, themselves.

    An action that came with a later version than the set may be given to nobody: --left-out
    writes the policies that give it to whom the defaults do, to be put behind the others. An action
    that is permitted only under conditions that nobody can meet is told, with the policies.
    """
    from bastide.app.access_policies import list_versions
    from bastide.gates.access.amendment import amendment
    from bastide.gates.access.schema import SCHEMA

    if schema:
        call.show({"schema": SCHEMA}, SCHEMA.rstrip())
        return
    with call.environment() as env:
        versions, policies = list_versions(env), env.access.policies()
    missing = _missing(policies)
    if as_text or left_out:
        text = policies.text if as_text else ""
        text += f"\n{amendment(missing['left_out'])}" if left_out else ""
        call.show({"policies": text, **missing}, text.rstrip())
        for line in _told({**missing, "left_out": []}) if left_out else []:
            call.tell(line)
        return
    result = {"in_force": policies.file, "digest": str(policies.digest)}
    result |= {"versions": versions, **missing}
    lines = [f"in force: {policies.file}  {policies.digest}"]
    lines += [
        f"  version {row['version']}  entry {row['entry']}  {', '.join(row['signed'])}"
        f"  {row['reason']}"
        for row in versions
    ]
    call.show(result, "\n".join([*lines, *_told(missing)]))


def _missing(policies: "PolicySet") -> dict[str, list[str]]:
    """The actions that nobody may begin, though nobody forbade them."""
    from bastide.gates.access.reach import reach

    found = reach(policies)
    return {
        "left_out": policies.left_out(),
        "unmet": list(map(str, found.unmet)),
        "unseen": list(found.unseen),
    }


def _told(missing: dict[str, list[str]]) -> list[str]:
    """What is said of actions that nobody may begin since the policies name them nowhere, or ask
    what nobody can meet.
    """
    from bastide.gates.access.amendment import LEFT_OUT_FIX
    from bastide.gates.access.reach import SITUATIONS_MAX

    lines = []
    if left_out := missing["left_out"]:
        lines += [f"given to nobody, and named nowhere: {', '.join(left_out)}", f"  {LEFT_OUT_FIX}"]
    lines += [
        f"permitted under conditions that nobody can meet: {action}" for action in missing["unmet"]
    ]
    if unseen := missing["unseen"]:
        lines.append(
            f"not looked at to the end, for want of time ({SITUATIONS_MAX} situations):"
            f" {', '.join(unseen)}"
        )
    return lines


def _read(file: str) -> "PolicySet":
    from bastide.gates.access.policy_set import PolicySet

    text = read_text(file)
    if not text.strip():
        raise Misconfigured(f"{file} is empty: it would permit nothing", place=file)
    return PolicySet(text, Path(file).name)


@contextlib.contextmanager
def _policies(call: Call, file: str | None) -> "Generator[PolicySet]":
    if file is not None:
        yield _read(file)
        return
    with call.environment() as env:
        yield env.access.policies()


for _command in (check, test, explain, propose, apply, show):
    policy.add_command(_command)
