# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The root command and the table of all commands. Each is imported only when it is called."""

import json
from collections.abc import Sequence

import click

from bastide.cli.command import Lazy
from bastide.core.errors import Misconfigured

__all__ = ["bastide", "run"]

_INTERRUPTED = 130


def _services(name: str) -> click.Command:
    from bastide.cli import services

    return services.COMMANDS[name]


def _receipt(name: str) -> click.Command:
    from bastide.cli import receipt

    return receipt.COMMANDS[name]


def _approval(name: str) -> click.Command:
    from bastide.cli import approval

    return approval.COMMANDS[name]


def _login(name: str) -> click.Command:
    from bastide.cli import login

    return login.COMMANDS[name]


def _people() -> click.Command:
    from bastide.cli import people

    return people.people


def _init() -> click.Command:
    from bastide.cli import init

    return init.init


def _unseal(name: str) -> click.Command:
    from bastide.cli import unseal

    return {"unseal": unseal.unseal, "resplit": unseal.resplit}[name]


def _ceremony() -> click.Command:
    from bastide.cli import ceremony

    return ceremony.ceremony


def _enrol(name: str) -> click.Command:
    from bastide.cli import enrol

    return enrol.COMMANDS[name]


def _passkey() -> click.Command:
    from bastide.cli import passkey

    return passkey.passkey


def _chat() -> click.Command:
    from bastide.cli import chat

    return chat.chat


def _metrics() -> click.Command:
    from bastide.cli import metrics

    return metrics.metrics


def _doctor() -> click.Command:
    from bastide.cli import doctor

    return doctor.doctor


def _model() -> click.Command:
    from bastide.cli import model

    return model.model


def _evaluate() -> click.Command:
    from bastide.cli import model

    return model.evaluate


def _release() -> click.Command:
    from bastide.cli import release

    return release.release


def _corpus() -> click.Command:
    from bastide.cli import corpus

    return corpus.corpus


def _tenant() -> click.Command:
    from bastide.cli import tenant

    return tenant.tenant


def _key() -> click.Command:
    from bastide.cli import key

    return key.key


def _store() -> click.Command:
    from bastide.cli import store

    return store.store


def _project() -> click.Command:
    from bastide.cli import project

    return project.project


def _price() -> click.Command:
    from bastide.cli import price

    return price.price


def _budget() -> click.Command:
    from bastide.cli import budget

    return budget.budget


def _usage_command() -> click.Command:
    from bastide.cli import usage

    return usage.usage


def _alias() -> click.Command:
    from bastide.cli import alias

    return alias.alias


def _guard() -> click.Command:
    from bastide.cli import guard

    return guard.guard


def _share() -> click.Command:
    from bastide.cli import share

    return share.share


def _env() -> click.Command:
    from bastide.cli import env

    return env.env


def _ledger() -> click.Command:
    from bastide.cli import ledger

    return ledger.ledger


def _sealed() -> click.Command:
    from bastide.cli import sealed

    return sealed.sealed


def _witness() -> click.Command:
    from bastide.cli import witness

    return witness.witness


def _signing_key() -> click.Command:
    from bastide.cli import signing_key

    return signing_key.signing_key


def _machine() -> click.Command:
    from bastide.cli import machine

    return machine.machine


def _node() -> click.Command:
    from bastide.cli import node

    return node.node


def _policy() -> click.Command:
    from bastide.cli import policy

    return policy.policy


def _break_glass() -> click.Command:
    from bastide.cli import break_glass

    return break_glass.break_glass


def _revoke() -> click.Command:
    from bastide.cli import revoke

    return revoke.revoke


def _bom() -> click.Command:
    from bastide.cli import bom

    return bom.bom


def _provenance() -> click.Command:
    from bastide.cli import provenance

    return provenance.provenance


def _exit_codes() -> click.Command:
    from bastide.cli import exit_codes

    return exit_codes.exit_codes


_TABLE = {
    "up": (lambda: _services("up"), "Start everything; the first time, make it."),
    "down": (lambda: _services("down"), "Stop the services; the data stays."),
    "status": (lambda: _services("status"), "Show what runs, and where."),
    "doctor": (_doctor, "Check this machine and this environment."),
    "metrics": (_metrics, "Print the metrics of all processes for Prometheus."),
    "exit-codes": (_exit_codes, "Explain the exit codes."),
    "chat": (_chat, "Ask the model; prints the answer and its receipt."),
    "env": (_env, "Print the variables with which an application moves here."),
    "sealed": (_sealed, "Ask so that only an attested node can read it."),
    "verify": (lambda: _receipt("verify"), "Verify an answer offline, with public keys only."),
    "trace": (lambda: _receipt("trace"), "Show the chain behind an answer as a tree."),
    "receipt": (lambda: _receipt("receipt"), "Export and open receipts."),
    "ledger": (_ledger, "List, show, prove, audit, rebuild and export the ledger."),
    "witness": (_witness, "Cosign ledgers, so that nobody can show two histories."),
    "provenance": (_provenance, "Print how a dataset, model or release came to be, as SLSA says."),
    "bom": (_bom, "Print the bill of materials of Bastide itself."),
    "corpus": (_corpus, "Make datasets from raw text; show and prove what is in them."),
    "model": (_model, "Admit, list, show and export models."),
    "evaluate": (_evaluate, "Run the evaluation suite against a model."),
    "release": (_release, "Propose, show and publish releases."),
    "approve": (
        lambda: _approval("approve"),
        "Approve a release, a deployment or a dataset with a party's key.",
    ),
    "deploy": (lambda: _approval("deploy"), "Put a release into service."),
    "undeploy": (lambda: _approval("undeploy"), "Take a deployment out of service."),
    "alias": (_alias, "Let a deployment answer to other providers' model names."),
    "tenant": (_tenant, "Enrol and list tenants."),
    "project": (_project, "Add and list the projects of tenants."),
    "key": (_key, "Make, list, rotate and revoke API keys."),
    "share": (_share, "Promise tenants a part of a deployment, and prove that they got it."),
    "budget": (_budget, "Limit what tenants, projects and keys use in a day or a month."),
    "price": (_price, "Set and list what tokens cost."),
    "usage": (_usage_command, "Show what was used, exact to the token."),
    "guard": (_guard, "Look for personal data, secrets and links in prompts and answers."),
    "init": (_init, "Make an environment: keys, ledger, sealed store."),
    "passkey": (_passkey, "Make a passkey with which a party signs in the browser."),
    "enrol": (lambda: _enrol("enrol"), "Make another key of a party count."),
    "sign": (lambda: _enrol("sign"), "Show a statement that travels, and sign it."),
    "signing-key": (_signing_key, "List, rotate and revoke the keys that sign."),
    "store": (
        _store,
        "Sealed objects and their keys: where they are, who opened what, deny, rotate.",
    ),
    "unseal": (
        lambda: _unseal("unseal"),
        "Start the services with the shares of two custodians.",
    ),
    "resplit": (
        lambda: _unseal("resplit"),
        "Split the quorum again, for other custodians; old shares end.",
    ),
    "ceremony": (_ceremony, "Print the record of a key ceremony; the ledger keeps its digest."),
    "policy": (_policy, "Who may begin what: check, test, explain and change it."),
    "people": (_people, "Who may log in, and where: propose, apply, show."),
    "login": (lambda: _login("login"), "Log in, as one of those people, for this terminal."),
    "logout": (lambda: _login("logout"), "End the session of this terminal."),
    "whoami": (lambda: _login("whoami"), "Say who one is here, and for which parties."),
    "break-glass": (_break_glass, "Open an emergency for minutes, loudly; close it; list them."),
    "revoke": (_revoke, "Stop a release, a deployment, a dataset, an approval or a node for ever."),
    "machine": (_machine, "Other machines that serve: invite, join, run, list, remove."),
    "node": (_node, "Machines that prove what they are before they get weights."),
}

# The heading of a command and of those after it, in the help.
_HEADINGS = {
    "up": "Run and ask",
    "verify": "Check what was answered",
    "corpus": "Data and models",
    "tenant": "Those who call",
    "init": "Parties and their keys",
    "policy": "Who may what",
    "machine": "Other machines",
}


def _version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"bastide {version('bastide')}")
        ctx.exit()


@click.group(
    cls=Lazy,
    table=_TABLE,
    headings=_HEADINGS,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Version."
)
def bastide() -> None:
    """Run open language models under keys you hold; prove every answer.

    Begin with `bastide up`, then `bastide chat "Hello"`, then `bastide verify newest`.
    """


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit status; a usage error obeys ``--json`` too."""
    try:
        status = bastide.main(list(arguments), prog_name="bastide", standalone_mode=False)
    except click.Abort:
        click.echo("Interrupted", err=True)
        return _INTERRUPTED
    except click.ClickException as error:
        if "--json" in arguments:
            click.echo(json.dumps(_usage(error), indent=2, ensure_ascii=False))
        else:
            error.show()
        return error.exit_code
    return status if isinstance(status, int) else 0


def _usage(error: click.ClickException) -> dict[str, object]:
    where = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else ""
    return {
        "error": Misconfigured.code,
        "message": error.format_message(),
        "reasons": [],
        "fix": f"{where or 'bastide'} --help",
    }
