# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""`bastide sealed ...`: prompts that only an attested node can read. Needs no environment."""

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bastide.cli.command import Call, parameters, read_text
from bastide.core.errors import Misconfigured, NotAllowed, Refused
from bastide.core.limits import SEALED_HEAD_AGE_S

if TYPE_CHECKING:
    from bastide.app.sealed_client import SealedClient

__all__ = ["sealed"]

_KEYS = click.option(
    "--keys",
    metavar="FILE",
    required=True,
    help="keys.json, from somebody whom you trust.",
)


def _asking(command: Callable[..., None]) -> Callable[..., None]:
    """The options of whoever asks a gateway."""
    options = (
        click.option("--gateway", required=True, metavar="URL", help="https://HOST:PORT"),
        _KEYS,
        click.option(
            "--witnesses",
            type=click.IntRange(0, 3),
            default=2,
            show_default=True,
            help="Parties whose witnesses must have cosigned the log.",
        ),
        click.option(
            "--head-age",
            type=click.IntRange(60),
            default=SEALED_HEAD_AGE_S,
            show_default=True,
            help="Seconds for which such a cosignature counts.",
        ),
        click.option(
            "--state",
            type=click.Path(path_type=Path),
            default=Path("sealed-head.json"),
            show_default=True,
            help="Remembers the log's head, so that no other history is taken.",
        ),
        click.option(
            "--tokens-max",
            type=click.IntRange(1, 131_072),
            default=4_096,
            show_default=True,
            help="Tokens of an answer at most; the gateway sees this number.",
        ),
        click.option("--ca", metavar="FILE", help="Authorities of the gateway's certificate."),
        click.option(
            "--insecure-http",
            is_flag=True,
            help="Send the API key in clear to an http:// gateway beyond loopback.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


_KEY_FILE = click.option(
    "--api-key-file", required=True, metavar="FILE", help="The tenant's API key; - reads stdin."
)


@click.group()
def sealed() -> None:
    """Ask so that nobody can read it on the way: only a node that you have verified."""


@parameters(
    "nodes",
    "bastide sealed nodes --gateway https://llm.example --keys keys.json --api-key-file key",
    _KEY_FILE,
)
@_asking
def nodes(call: Call, api_key_file: str, **asking: Any) -> None:
    """Verify the nodes, and say what is proven of each and what is not. Exit 3 if there is none."""
    found = _client(**asking).nodes(read_text(api_key_file).strip())
    rows = [{**asdict(row), "hpke": row.hpke.hex()} for row in found.nodes]
    value = {
        "head": asdict(found.head),
        "witnessed": dict(found.witnessed),
        "nodes": rows,
        "refused": {name: list(reasons) for name, reasons in found.refused.items()},
    }
    lines = [
        f"log {found.head.origin}, {found.head.size} entries, cosigned by"
        f" {', '.join(sorted(found.witnessed)) or 'nobody'}"
    ]
    for row in found.nodes:
        lines.append(f"{row.model}  {row.name}, replica {row.replica}: {row.said.what}")
        lines += [f"  checked: {text}" for text in row.said.checked]
        lines += [f"  not checked: {text}" for text in row.said.unchecked]
    for name, reasons in value["refused"].items():
        lines += [f"refused {name[:19]}: {reason}" for reason in reasons]
    call.show(value, "\n".join(lines))
    if not found.nodes:
        reasons = [text for row in found.refused.values() for text in row]
        raise Refused("no node was proven", reasons=reasons)


@parameters(
    "chat",
    'bastide sealed chat "What is a bastide?" --model smollm2-135m-instruct'
    " --gateway https://llm.example --keys keys.json --api-key-file key",
    click.argument("question"),
    click.option("--model", required=True, help="Which model, by its own name."),
    click.option("--max-tokens", type=click.IntRange(1), default=256, show_default=True),
    click.option(
        "--save",
        type=click.Path(path_type=Path),
        help="File for the ciphertexts, to check the receipt later.",
    ),
    _KEY_FILE,
)
@_asking
def chat(
    call: Call,
    question: str,
    model: str,
    max_tokens: int,
    save: Path | None,
    api_key_file: str,
    **asking: Any,
) -> None:
    """Ask one question, sealed to a node that was verified and chosen by chance."""
    body = {
        "model": model,
        "max_tokens": max_tokens,
        "messages": [{"role": "user", "content": question}],
    }
    key = read_text(api_key_file).strip()
    client = _client(**asking)
    answer = client.ask(key, "/v1/chat/completions", "", {}, json.dumps(body).encode())
    told = json.loads(answer.read())
    if answer.status != 200:
        raise Misconfigured(f"the node refuses ({answer.status}): {told['error']['message']}")
    if save is not None:
        save.write_text(json.dumps(answer.kept()) + "\n")
    text = told["choices"][0]["message"]["content"]
    call.show(
        {
            "answer": text,
            "receipt": answer.receipt,
            "node": answer.node.statement,
            "finish": told["choices"][0]["finish_reason"],
            "usage": told["usage"],
            "guard": (answer.end or {})["guard"],
        },
        text,
    )
    call.tell(f"receipt {answer.receipt}, sealed to {answer.node.name} ({answer.node.said.what})")


@parameters(
    "proxy",
    "bastide sealed proxy --listen 127.0.0.1:8484 --gateway https://llm.example --keys keys.json",
    click.option("--listen", default="127.0.0.1:8484", show_default=True, help="Of the loopback."),
)
@_asking
def proxy(call: Call, listen: str, **asking: Any) -> None:
    """Let SDKs of this machine ask sealed: set their base URL to it. Runs until interrupted."""
    from bastide.app.sealed_proxy import SealedProxy

    server = SealedProxy(listen, _client(**asking), call.tell)
    call.tell(f"listens on {server.url}")
    sys.stderr.flush()
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        server.server_close()


@parameters(
    "verify",
    "bastide sealed verify kept.json --receipt receipt.json --keys keys.json --api-key-file key",
    click.argument("file", metavar="FILE", type=click.Path(path_type=Path)),
    click.option("--receipt", required=True, metavar="FILE", help="The exported receipt."),
    _KEYS,
    _KEY_FILE,
)
def verify(call: Call, file: Path, receipt: str, keys: str, api_key_file: str) -> None:
    """Verify offline that a receipt is about a sealed answer that `--save` kept. Exit 6 if not."""
    from bastide.app.receipts import read_anchors, read_bundle
    from bastide.app.sealed_receipts import read_kept, trace_kept

    key = read_text(api_key_file).strip()
    anchors, bundle = read_anchors(Path(keys)), read_bundle(Path(receipt))
    chain = trace_kept(read_kept(file), bundle, anchors, key)
    value = {"verified": True, "receipt": chain.receipt.ident, "release": chain.release}
    call.show(
        value, f"VERIFIED  {chain.receipt.ident} is of this sealed answer, by {chain.release}"
    )


for _command in (nodes, chat, proxy, verify):
    sealed.add_command(_command)


def _client(
    gateway: str,
    keys: str,
    witnesses: int,
    head_age: int,
    state: Path,
    tokens_max: int,
    ca: str | None,
    insecure_http: bool,
) -> "SealedClient":
    import ssl

    from bastide.app import wiring
    from bastide.app.receipts import read_anchors
    from bastide.app.sealed_client import SealedClient
    from bastide.app.sealed_gateway import Gateway
    from bastide.ledger.verify_nodes import Trust

    try:
        context = None if ca is None else ssl.create_default_context(cafile=ca)
    except OSError as error:
        raise NotAllowed(f"{ca} holds no authorities: {error}") from error
    return SealedClient(
        Gateway(gateway, context, plain=insecure_http),
        read_anchors(Path(keys)),
        wiring.clock(),
        wiring.entropy(),
        Trust(witnesses, head_age),
        state,
        tokens_max,
    )
