# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""`bastide verify`, `trace` and `receipt ...`: what an answer can prove."""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from msgspec.structs import asdict

from bastide.cli.command import Call, parameters, read_text
from bastide.core.errors import NotFound, NotProven

if TYPE_CHECKING:
    from bastide.core.receipt import Receipt
    from bastide.ledger.verify import Chain

__all__ = ["COMMANDS"]

_WHAT = click.argument("file_or_id", metavar="FILE_OR_ID")
_KEYS = click.option(
    "--keys", metavar="FILE", help="Trust anchors.  [default: this environment's keys.json]"
)


@parameters(
    "verify",
    "bastide verify receipt.json --keys keys.json\nbastide verify receipt.json --witnessed 2",
    _WHAT,
    _KEYS,
    click.option(
        "--witnessed",
        type=click.IntRange(0, 3),
        default=0,
        help="Demand that the witnesses of so many parties cosigned the ledger's head.",
    ),
)
def verify(call: Call, file_or_id: str, keys: str | None, witnessed: int) -> None:
    """Verify an answer offline, back to its model, with public keys only.

    FILE_OR_ID is an exported receipt, the id of one in this environment, or `newest`. Exit 6 says
    what does not hold, and where.
    """
    chain = _chain(call, file_or_id, keys)
    _require_witnessed(chain, witnessed)
    receipt = chain.receipt
    lines = [
        f"VERIFIED  answer -> release -> approvals ({', '.join(sorted(chain.approvals))})"
        f" -> evaluation -> scan -> model {chain.model_digest}"
        f"  (entry {chain.batch} of {chain.ledger_size})",
        f"  receipt {receipt.ident}: {receipt.completion_tokens} tokens by {chain.model},"
        f" {receipt.sandbox} on {chain.node}",
    ]
    lines.append(
        f"  witnessed by {', '.join(sorted(chain.witnessed))}: no other history was shown to them"
        if chain.witnessed
        else "  NOT witnessed: who runs the ledger may show others another one"
    )
    for node in chain.attested:
        lines.append(f"  {node.what}, allowed by {node.reference}")
        lines += [f"    checked: {row}" for row in node.checked]
        lines += [f"    not checked: {row}" for row in node.unchecked]
    if chain.parties == "solo":
        lines.append("  policy solo: one person holds all three parties' keys")
    call.show({"verified": True, **chain.to_json()}, "\n".join(lines))


@parameters("trace", "bastide trace newest --json", _WHAT, _KEYS)
def trace(call: Call, file_or_id: str, keys: str | None) -> None:
    """Show the verified chain behind an answer as a tree."""
    chain = _chain(call, file_or_id, keys)
    call.show(chain.to_json(), "\n".join(_tree(chain)))


@click.group()
def receipt() -> None:
    """Export and open receipts."""


@parameters("export", "bastide receipt export newest > receipt.json", click.argument("ident"))
def export(call: Call, ident: str) -> None:
    """Print a receipt with every proof as one self-contained file."""
    from bastide.app.receipts import export_receipt

    with call.environment() as env:
        bundle = export_receipt(env, ident, time.sleep)
    call.show(bundle, json.dumps(bundle, indent=2, ensure_ascii=False))


@parameters(
    "open",
    "bastide receipt open newest --api-key-file key.txt --prompt prompt.json --answer answer.txt",
    _WHAT,
    click.option("--api-key-file", metavar="FILE", required=True, help="The tenant's API key."),
    click.option(
        "--prompt", type=click.Path(path_type=Path), required=True, help="The request's body."
    ),
    click.option(
        "--answer", type=click.Path(path_type=Path), required=True, help="The answer's bytes."
    ),
    click.option("--batch", metavar="ID", default="", help="The batch of which it was a line."),
    _KEYS,
)
def open_(
    call: Call,
    file_or_id: str,
    api_key_file: str,
    prompt: Path,
    answer: Path,
    batch: str,
    keys: str | None,
) -> None:
    """Check that a receipt is about exactly this prompt and this answer.

    The answer is its text; docs/reference/receipts.md says what it is for tools and vectors.
    Only the holder of the API key can: it salts the receipt's commitments.
    """
    from bastide.app.receipts import open_receipt, read_content
    from bastide.core.batch import batch_secret

    bundle = _bundle(call, file_or_id)
    chain = _verified(call, bundle, keys)
    key = read_text(api_key_file).strip()
    key = batch_secret(key, batch) if batch else key
    open_receipt(bundle, key, read_content(prompt), read_content(answer))
    text = f"OPENED  the receipt {chain.receipt.ident} is about exactly this prompt and this answer"
    call.show({"opened": True, "receipt": chain.receipt.ident}, text)


@parameters(
    "open-batch",
    "bastide receipt open-batch batch_... --api-key-file key.txt --input in.jsonl"
    " --output out.jsonl",
    click.argument("batch", metavar="BATCH"),
    click.option("--api-key-file", metavar="FILE", required=True, help="The tenant's API key."),
    click.option(
        "--input",
        "asked",
        type=click.Path(path_type=Path),
        required=True,
        help="The file that was uploaded.",
    ),
    click.option(
        "--output",
        "results",
        type=click.Path(path_type=Path),
        required=True,
        help="The batch's output file.",
    ),
    _KEYS,
)
def open_batch(
    call: Call, batch: str, api_key_file: str, asked: Path, results: Path, keys: str | None
) -> None:
    """Verify the receipt of every answered line of a batch, and that it is about that line.

    BATCH is its id. Each receipt is verified back to its model, as `bastide verify` does. Exit 6
    names the first line that does not hold.
    """
    from bastide.app.receipts import open_lines, read_content

    def find(ident: str) -> "Receipt":
        return _verified(call, _bundle(call, ident), keys).receipt

    key = read_text(api_key_file).strip()
    count = open_lines(find, key, batch, read_content(asked), read_content(results))
    text = f"OPENED  {count} receipts are about exactly the lines of {batch} and their answers"
    call.show({"opened": count, "batch": batch}, text)


@parameters(
    "verify-promise",
    "bastide receipt verify-promise promise.txt --receipt receipt.json --keys keys.json",
    click.argument("file", metavar="FILE", type=click.Path(path_type=Path)),
    click.option("--receipt", "proof", metavar="FILE", help="The exported receipt: was it kept?"),
    _KEYS,
)
def verify_promise(call: Call, file: Path, proof: str | None, keys: str | None) -> None:
    """Verify a merge promise offline, and that it was kept.

    FILE has the header `x-bastide-promise`, or the stream with its comment. With --receipt, the
    receipt must be the promised one, and merged in time. Without both --receipt and --keys, it is
    looked for in this environment. Exit 6 on a broken promise: it is proof against the operator.
    """
    from bastide.app.promises import find_sealed, read_promise, trace_promise, verify_kept
    from bastide.app.receipts import read_anchors, read_bundle

    anchors = read_anchors(Path(keys) if keys is not None else call.home.anchors)
    promise = trace_promise(read_promise(file), anchors)
    bundle, state = None, "not looked for"
    if proof is not None:
        bundle = read_bundle(Path(proof))
    elif keys is None:
        with call.environment() as env:
            bundle, state = find_sealed(env, promise), "not there yet, and its time is not over"
    if bundle is not None:
        verify_kept(promise, bundle, anchors)
        state = "kept: the receipt was merged in time"
    text = f"PROMISED  the receipt {promise.receipt}, merged by {promise.merge_by_ms} ms; {state}"
    call.show({"promised": True, "kept": bundle is not None, **asdict(promise)}, text)


receipt.add_command(export)
receipt.add_command(verify_promise)
receipt.add_command(open_)
receipt.add_command(open_batch)

COMMANDS = {"verify": verify, "trace": trace, "receipt": receipt}


def _require_witnessed(chain: "Chain", least: int) -> None:
    """Raise NotProven if witnesses of fewer parties cosigned the head."""
    if len(chain.witnessed) < least:
        raise NotProven(
            f"the witnesses of {len(chain.witnessed)} parties cosigned the head, not of {least}",
            reasons=[
                f"cosigned by the witness of the {party}" for party in sorted(chain.witnessed)
            ],
            fix="export the receipt again when the witnesses have seen a newer head",
        )


def _chain(call: Call, file_or_id: str, keys: str | None) -> "Chain":
    return _verified(call, _bundle(call, file_or_id), keys)


def _bundle(call: Call, file_or_id: str) -> dict[str, Any]:
    """A receipt file, or a receipt of this environment by its id."""
    from bastide.app.receipts import export_receipt, read_bundle

    if Path(file_or_id).is_file() or not _is_ident(file_or_id):
        if not Path(file_or_id).exists():
            raise NotFound(
                f"{file_or_id!r} is neither a file nor the id of a receipt",
                fix="an id is r_ and 26 characters; `newest` names the last one",
            )
        return read_bundle(Path(file_or_id))
    with call.environment() as env:
        return export_receipt(env, file_or_id, time.sleep)


def _verified(call: Call, bundle: dict[str, Any], keys: str | None) -> "Chain":
    from bastide.app.receipts import read_anchors, trace_receipt

    anchors = read_anchors(Path(keys) if keys is not None else call.home.anchors)
    return trace_receipt(bundle, anchors)


def _is_ident(text: str) -> bool:
    return text == "newest" or (text.startswith("r_") and len(text) == 28)


def _tree(chain: "Chain") -> list[str]:
    """The answer at the root; below it what it stands on, each with its entry and signers."""
    receipt = chain.receipt
    by_kind: dict[str, list[str]] = {}
    for link in chain.links:
        row = f"{link.name}  {link.digest[:19]}  entry {link.index}, by {', '.join(link.signers)}"
        by_kind.setdefault(link.kind.partition("/")[0], []).append(row)
    scores = ", ".join(f"{name} {score:.3f}" for name, score in sorted(chain.scores.items()))
    (release_approvals, deploy_approvals) = (
        ", ".join(sorted(rows)) for rows in (chain.approvals, chain.deployment_approvals)
    )
    return [
        f"answer {receipt.ident}  {receipt.completion_tokens} tokens, finish {receipt.finish},"
        f" tenant {receipt.tenant}",
        f"├─ batch       {by_kind['receipts'][0]}",
        f"├─ deployment  {by_kind['deployment'][0]}",
        f"│  └─ approved by {deploy_approvals}; {chain.sandbox} on {chain.node}",
        f"├─ release     {by_kind['release'][0]}",
        f"│  ├─ candidate   {by_kind['candidate'][0]}",
        f"│  ├─ approved by {release_approvals}",
        f"│  ├─ evaluation  {by_kind['evaluation'][0]}",
        f"│  │  └─ {chain.suite}: {scores}",
        f"│  └─ admission   {by_kind['admission'][0]}",
        f"│     ├─ model     {chain.model_digest}  {chain.format}",
        f"│     ├─ origin    {chain.origin}",
        f"│     └─ licence   {chain.licence}",
        f"└─ charter     {by_kind['charter'][0]}, policy {chain.policy[:19]}",
    ]
