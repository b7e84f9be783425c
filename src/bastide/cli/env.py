# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""`bastide env`."""

import shlex

import click

from bastide.cli.command import Call, parameters

__all__ = ["env"]


@parameters(
    "env",
    'eval "$(bastide env --tenant demo --shell)"',
    click.option("--tenant", required=True, help="Whose application."),
    click.option("--model", "models", multiple=True, help="Only this model (repeatable)."),
    click.option("--url", help="Base URL of the gateway.  [default: where it listens]"),
    click.option("--tls", is_flag=True, help="Over HTTPS, with our authority to trust."),
    click.option("--shell", is_flag=True, help="Print commands for a shell's `eval`."),
)
def env(
    call: Call, tenant: str, models: tuple[str, ...], url: str | None, tls: bool, shell: bool
) -> None:
    """Make an API key; print the variables with which an application moves here.

    The SDKs of OpenAI, Azure, Anthropic, Google, AWS Bedrock and Ollama read them, so that no line
    of the application changes. The key is shown once: only its HMAC is kept. `--shell` also unsets
    variables that an SDK would put before these. `--tls` names HTTPS addresses, and the file with
    the certificate of this environment's authority; boto3 sends an API key over HTTPS only.
    """
    from bastide.app.moving import move_application

    with call.environment() as environment:
        move = move_application(environment, tenant, models, url, tls)
    row = {
        "id": move.key,
        "tenant": move.tenant,
        "variables": move.variables,
        "unset": list(move.unset),
    }
    call.tell(f"key {move.key} of {tenant}, shown once:")
    lines = [f"{name}={value}" for name, value in move.variables.items()]
    if shell:
        lines = [f"export {name}={shlex.quote(value)}" for name, value in move.variables.items()]
        lines.append("unset " + " ".join(move.unset))
    call.show(row, "\n".join(lines))
