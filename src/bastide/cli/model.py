# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""`bastide model ...` and `bastide evaluate`."""

from pathlib import Path

import click

from bastide.cli.amounts import many, size
from bastide.cli.command import Call, parameters, read_text
from bastide.cli.registry import REGISTRY, open_registry

__all__ = ["evaluate", "model"]


@click.group()
def model() -> None:
    """Admit, list, show and export models."""


@parameters(
    "add",
    "bastide model add model.gguf --origin https://example.org/model --licence Apache-2.0",
    click.argument("file", type=click.Path(exists=True, path_type=Path), required=False),
    click.option("--builtin", help="A model of an installed package: embed."),
    click.option("--name", help="Name in this environment.  [default: the file's name]"),
    click.option("--origin", default="", help="Where it comes from."),
    click.option("--licence", default="", help="SPDX expression, or LicenseRef-NAME."),
    click.option("--signature", metavar="FILE", help="Its OpenSSF model-signing bundle."),
    click.option("--signer", metavar="FILE", help="The signer's public key, in PEM."),
)
def add(
    call: Call,
    file: Path | None,
    builtin: str | None,
    name: str | None,
    origin: str,
    licence: str,
    signature: str | None,
    signer: str | None,
) -> None:
    """Admit a GGUF file, a safetensors file, a folder of safetensors, or a built-in model.

    The file is checked, sealed and recorded. What a gate refuses leaves nothing behind but a
    refusal in the ledger; every reason is listed, and the exit code is 3. With a signature, exactly
    the files that its signer signed are admitted, and the admission says who that was.
    """
    from bastide.app.models import add_built_in, add_model
    from bastide.crypto.signed_model import read_signed_model
    from bastide.stages.admit import Claim

    if (file is None) is (builtin is None) or (builtin and (name or origin or licence)):
        raise click.UsageError("give a file and its claims, or --builtin alone")
    if (signature is None) is not (signer is None) or (builtin and signature):
        raise click.UsageError("give --signature and --signer together, for a file or folder")
    signed = None
    if signature is not None and signer is not None:
        signed = read_signed_model(read_text(signature).encode(), read_text(signer).encode())
    with call.environment() as env:
        if file is None:
            row = add_built_in(env, str(builtin), call.progress())
        else:
            claim = Claim(name or file.name.removesuffix(".gguf").lower(), origin, licence, signed)
            row = add_model(env, file, claim, call.progress())
    body = row.body
    template = body["template"]
    result = {
        "model": row.subject.name,
        "digest": str(row.subject.digest),
        "format": body["format"],
        "architecture": body["architecture"],
        "parameters": body["parameters"],
        "template": template,
        "entry": row.entry,
    }
    text = f"admitted {row.subject.name}  {row.subject.digest}  (entry {row.entry})"
    if template:
        text += (
            f"\n  chat template {template['digest']}: {many(len(template['findings']), 'finding')}"
        )
    call.show(result, text)


@parameters(
    "pull",
    "bastide model pull registry.example/models/smollm2:1 --signer firm.pem",
    click.argument("where", metavar="HOST/REPOSITORY[:TAG][@sha256:...]"),
    click.option("--signer", metavar="FILE", required=True, help="The signer's key, in PEM."),
    click.option("--name", help="Name in this environment.  [default: the release's]"),
    click.option(
        "--identity",
        metavar="FILE",
        help="age identity file that opens it.  [default: the store's]",
    ),
    *REGISTRY,
)
def pull(
    call: Call,
    where: str,
    signer: str,
    name: str | None,
    identity: str | None,
    login: str | None,
    ca: Path | None,
    plain_http: bool,
    token_host: str | None,
) -> None:
    """Pull a release that was pushed to an OCI registry, and admit it.

    Nothing of it is believed before it is proven: digests, the signature under the key that you
    got from its owner, then every gate of an admission. It lies sealed on the disk and is opened in
    memory. A pull that was killed goes on when it is run again.
    """
    from bastide.app.model_pull import pull_model
    from bastide.app.quorum import identity_lines

    reference, registry = open_registry(where, login, ca, plain_http, token_host)
    keys = [] if identity is None else identity_lines(read_text(identity))
    pem = read_text(signer).encode()
    with call.environment() as env:
        row = pull_model(env, reference, registry, pem, name, keys, call.progress())
    result = {
        "model": row.subject.name,
        "digest": str(row.subject.digest),
        "origin": row.body["origin"],
        "signature": row.body["signature"],
        "entry": row.entry,
    }
    text = f"admitted {row.subject.name}  {row.subject.digest}  (entry {row.entry})"
    call.show(result, f"{text}\n  from {row.body['origin']}")


@parameters("ls", "bastide model ls")
def ls(call: Call) -> None:
    """List admitted models."""
    from bastide.app.models import list_models

    with call.environment() as env:
        rows = list_models(env)
    columns = ("model", "format", "architecture", "parameters", "evaluated", "digest", "entry")
    call.rows(rows, columns, "no model is admitted yet: bastide model add FILE")


@parameters("show", "bastide model show smollm2-135m-instruct", click.argument("name"))
def show(call: Call, name: str) -> None:
    """Show all that the ledger states about a model."""
    from bastide.app.models import show_model

    with call.environment() as env:
        row = show_model(env, name)
    lines = [f"{row['model']}  {row['digest']}  (entry {row['entry']})"]
    parameters = "-" if row["parameters"] is None else f"{row['parameters']:,}"
    shown = {**row, "parameters": parameters, "size": size(row["bytes"])}
    fields = ("format", "architecture", "parameters", "size", "origin", "licence")
    lines += [f"  {field:<13}{shown[field]}" for field in fields]
    if row["signature"]:
        lines.append(f"  signed by    {row['signature']['key']}")
    if row["template"]:
        lines.append(f"  template     {row['template']['digest']}")
        lines += [f"    finding    {finding}" for finding in row["template"]["findings"]]
    for evaluation in row["evaluations"]:
        scores = ", ".join(f"{name} {score:.3f}" for name, score in evaluation["scores"].items())
        lines.append(f"  evaluation   {scores}  (entry {evaluation['entry']})")
    call.show(row, "\n".join(lines))


@parameters(
    "export",
    "bastide model export smollm2-135m-instruct --to ./out\n"
    "age -d -i .bastide/keys/exit.age ./out/*.age > model.gguf",
    click.argument("name"),
    click.option("--to", "folder", type=click.Path(path_type=Path), required=True, help="Folder."),
)
def export(call: Call, name: str, folder: Path) -> None:
    """Write a model as age files, which your exit identity opens with the stock age tool."""
    from bastide.app.models import export_model

    with call.environment() as env:
        files = [str(path) for path in export_model(env, name, folder)]
    call.show({"files": files}, "\n".join(files))


@parameters(
    "evaluate",
    "bastide evaluate smollm2-135m-instruct",
    click.argument("name"),
    click.option("--suite", help="Which suite.  [default: the one for this kind of model]"),
)
def evaluate(call: Call, name: str, suite: str | None) -> None:
    """Run the evaluation suite against a model, in the sandbox, and record the scores.

    A killed run goes on where it stopped.
    """
    from bastide.app.models import evaluate_model

    with call.environment() as env:
        row = evaluate_model(env, name, suite, call.progress())
    result = {
        "model": row.subject.name,
        "suite": row.body["suite"],
        "scores": row.body["scores"],
        "counts": row.body["counts"],
        "seconds": row.body["seconds"],
        "sandbox": row.body["sandbox"],
        "entry": row.entry,
    }
    scores = row.body["scores"].items()
    asked = row.body["suite"]["name"]
    lines = [f"{row.subject.name} on {asked}  (entry {row.entry})"]
    lines += [f"  {name:<12}{score:.3f}  of {row.body['counts'][name]}" for name, score in scores]
    call.show(result, "\n".join(lines))


@parameters(
    "trained",
    "bastide model trained letters-7b --on letters --run train.log",
    click.argument("name"),
    click.option("--on", multiple=True, required=True, help="Dataset, or digest of a packing."),
    click.option(
        "--run",
        multiple=True,
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="Record of a training run: its name and digest are kept.",
    ),
)
def trained(call: Call, name: str, on: tuple[str, ...], run: tuple[Path, ...]) -> None:
    """Say what an admitted model was trained on. May be said again for further datasets.

    Nobody can check it from the weights. `bastide corpus erase` follows it to the models, releases
    and deployments that an erasure concerns.
    """
    from bastide.app.trainings import record_training

    with call.environment() as env:
        row = record_training(env, name, on, run)
    result = {"model": row.subject.name, "digest": str(row.subject.digest), "entry": row.entry}
    result |= {"datasets": row.body["datasets"], "runs": row.body["runs"]}
    lines = [f"{row.subject.name}  {row.subject.digest}  (entry {row.entry})"]
    lines += [f"  on              {one}" for one in row.body["datasets"]]
    lines += [f"  by {one['name']:<13}{one['digest']}" for one in row.body["runs"]]
    call.show(result, "\n".join(lines))


for _command in (add, pull, ls, show, export, trained):
    model.add_command(_command)
