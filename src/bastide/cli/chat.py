# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""`bastide chat`."""

import sys
from pathlib import Path

import click

from bastide.cli.command import Call, parameters, read_text
from bastide.core.errors import Misconfigured, NotFound

__all__ = ["chat"]


@parameters(
    "chat",
    'bastide chat "What is the capital of Sweden?"',
    click.argument("question", required=False),
    click.option("--model", help="Which model.  [default: the first that is served]"),
    click.option("--system", help="System prompt."),
    click.option("--max-tokens", type=click.IntRange(1), default=256, show_default=True),
    click.option("--temperature", type=click.FloatRange(0, 2), default=0.0, show_default=True),
    click.option("--seed", type=int, help="For repeatable sampling."),
    click.option("--api-key-file", metavar="FILE", help="Ask as a tenant; - reads stdin."),
    click.option(
        "--save",
        type=click.Path(path_type=Path),
        help="Folder for prompt.json and answer.txt, to open the receipt's commitments later.",
    ),
)
def chat(
    call: Call,
    question: str | None,
    model: str | None,
    system: str | None,
    max_tokens: int,
    temperature: float,
    seed: int | None,
    api_key_file: str | None,
    save: Path | None,
) -> None:
    """Ask one question; the answer streams to standard output, its receipt follows.

    Without a question it is read from standard input.
    """
    from bastide.app.asking import ask
    from bastide.app.config import read_settings

    settings = read_settings(call.home)
    if question is None:
        if sys.stdin.isatty():
            call.tell("Your question, then Ctrl-D:")
        question = sys.stdin.read()
    if not question.strip():
        raise Misconfigured("there is no question", fix='bastide chat "Hello"')
    key = _read_key(api_key_file) if api_key_file else _own_key(call)
    messages = [{"role": "system", "content": system}] if system else []
    messages.append({"role": "user", "content": question})
    body = {
        "model": model or _served(call),
        "messages": messages,
        "max_tokens": max_tokens,
        "temperature": temperature,
        **({"seed": seed} if seed is not None else {}),
    }
    try:
        answer = ask(settings.listen, key, body, _write if not call.as_json else lambda _: None)
    except NotFound as error:
        error.fix = error.fix or "`bastide status` shows the models that are served"
        raise
    if save is not None:
        save.mkdir(parents=True, exist_ok=True)
        (save / "prompt.json").write_bytes(answer.request)
        (save / "answer.txt").write_bytes(answer.text.encode())
    if call.as_json:
        call.show(
            {
                "answer": answer.text,
                "receipt": answer.receipt,
                "finish": answer.finish,
                "usage": answer.usage,
                "model": body["model"],
            }
        )
        return
    click.echo()
    call.tell(
        f"receipt {answer.receipt}" + ("" if answer.finish == "stop" else f"  ({answer.finish})")
    )


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _read_key(path: str) -> str:
    key = read_text(path).strip()
    if not key.isascii() or not key.isprintable() or " " in key:
        raise Misconfigured(
            f"{path} holds no API key: it is one line, bst_...",
            fix="bastide key new --tenant TENANT > FILE",
        )
    return key


def _own_key(call: Call) -> str:
    from bastide.app.keys import own_key
    from bastide.app.tenants import list_tenants

    with call.environment() as env:
        tenants = list_tenants(env)
        if not tenants:
            raise NotFound("there is no tenant yet", fix="bastide tenant add NAME")
        return own_key(env, tenants[0]["tenant"])


def _served(call: Call) -> str:
    from bastide.app.services import status

    row = status(call.home)
    if not row["running"]:
        from bastide.core.errors import Unavailable

        raise Unavailable("the services are stopped", fix="bastide up")
    if row["model"] is None:
        raise NotFound("no model is served", fix="bastide deploy RELEASE")
    return row["model"]
