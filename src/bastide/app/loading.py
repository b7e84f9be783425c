# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Loading: nothing unverified reaches an engine (DESIGN.md invariant 4).

Every load, also after a restart, does all of this again:

1. The admission, and for a deployment also the evaluation, the candidate, the release, the
   deployment and every approval, are read from the ledger, their signatures checked against the
   keys that were active then and count now, and their inclusion proved under the newest signed
   checkpoint.
2. The gates of the row `release` (and `deploy`) are judged again; a policy or an approval that
   no longer holds stops the load.
3. The release's model-signing bundle is checked: its digest and signature, and that it names
   exactly the admitted parts.
4. The sealed object is decrypted into a sealed memfd, chunk by authenticated chunk, and the
   plaintext's digest compared with the admitted one. (The digests of the sealed header and body,
   which the admission states too, are for auditors who hold no key.)
5. The format inspector runs once more over exactly what the engine will read.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bastide.app import denials, wiring, wiring_engines
from bastide.app.config import Settings
from bastide.core.artifact import Artifact
from bastide.core.embedding import embeds
from bastide.core.engine import verify_evaluated
from bastide.core.errors import Misconfigured, NotProven, Refused, Unavailable
from bastide.core.evidence import Evidence
from bastide.core.key import Purpose
from bastide.core.subject import Digest
from bastide.crypto import merkle
from bastide.crypto.model_signing import verify_model_signing
from bastide.formats import checkpoint, gguf
from bastide.gates.panel import refuse
from bastide.ledger import Ledger, statements
from bastide.ledger.heads import open_head
from bastide.ledger.reference_values import reference_values
from bastide.ports import LiveEngine, Sandbox, SealingStore
from bastide.stages import deploy, release

__all__ = [
    "EngineStart",
    "Loaded",
    "bundle_name",
    "context_of",
    "engine_start",
    "load_admitted",
    "load_deployment",
    "load_files",
    "plan_in_force",
    "prove_deployment",
    "prove_stated",
    "start_proven",
    "verify_entries",
]

EngineStart = Callable[[wiring_engines.Weights, Awaitable[Any]], Awaitable[LiveEngine]]


@dataclass(frozen=True, slots=True)
class Loaded:
    """Weights that were proven: a sealed memfd, the model's digest and its admission."""

    descriptor: int
    model: Digest
    admission: Evidence


def bundle_name(digest: Digest) -> str:
    """Where the store keeps the model-signing bundle of a release."""
    return f"releases/{digest.hex}/model.sig"


async def start_proven(
    ledger: Ledger,
    store: SealingStore,
    admission: Evidence,
    start: EngineStart,
) -> LiveEngine:
    """Start an engine over a model whose weights are decrypted and verified meanwhile.

    `start` gets a descriptor, or one for each file of a checkpoint, and something to await before
    the engine may touch them. Raises what `load_admitted` and `load_files` raise.
    """
    paths = [row["path"] for row in admission.body["objects"]]
    files = {path: wiring.create_memfd() for path in paths}
    if admission.body["format"] == "safetensors":
        weights: wiring_engines.Weights = files
        proof = asyncio.to_thread(load_files, ledger, store, admission, files)
    else:
        weights = files[paths[0]]
        proof = asyncio.to_thread(load_admitted, ledger, store, admission, weights)
    proving = asyncio.ensure_future(proof)
    try:
        return await start(weights, proving)
    finally:
        # The thread writes into the descriptor until it ends, whatever became of the start.
        await asyncio.wait((proving,))
        if not proving.cancelled():
            proving.exception()  # raised already, or the start failed before it
        for descriptor in files.values():
            os.close(descriptor)


def engine_start(
    admission: Evidence,
    settings: Settings,
    engine: str,
    jail: Sandbox,
    folder: Path,
    threads: int,
    *,
    alone: bool = False,
) -> EngineStart:
    """How `start_proven` starts an engine for an admitted model; see `wiring_engines`."""
    return lambda weights, proven: wiring_engines.start_engine(
        weights,
        jail,
        folder,
        admission.subject.name,
        settings.slots,
        context_of(admission, settings.context_tokens),
        threads,
        proven,
        alone=alone,
        embeds=embeds(admission.body["architecture"]),
        engine=engine,
        python=settings.vllm_python,
    )


def load_deployment(ledger: Ledger, store: SealingStore, deployment: Digest) -> Loaded:
    """Prove and decrypt what a deployment serves. Raises NotProven or Refused, saying where."""
    return load_admitted(ledger, store, prove_deployment(ledger, store, deployment))


def prove_deployment(ledger: Ledger, store: SealingStore, deployment: Digest) -> Evidence:
    """Steps 1 to 3: the admission of the model that a deployment may serve."""
    released, admission = prove_stated(ledger, deployment)
    _verify_bundle(ledger, store, released, admission)
    return admission


def prove_stated(ledger: Ledger, deployment: Digest) -> tuple[Evidence, Evidence]:
    """Steps 1 and 2, what the ledger alone proves: a deployment's release, and the admission."""
    running = [row for row in deploy.active(ledger) if row.subject.digest == deployment]
    if not running:
        raise Refused(f"no active deployment has the digest {deployment}")
    if denied := denials.reasons_against(ledger, deployment):
        raise Refused(denied[0], reasons=denied, fix="bastide store where")
    plan = running[0].body["deployment"]
    released = deploy.find_release(ledger, Digest.parse(plan["release"]))
    if released is None:
        raise NotProven(f"the deployment {plan['name']} names a release that the ledger lacks")
    candidate = ledger.by_digest(Digest.parse(released.body["candidate"]))
    admission = ledger.by_digest(Digest.parse(candidate.body["release"]["admission"]))
    evaluation = ledger.by_digest(Digest.parse(candidate.body["release"]["evaluation"]))
    approvals = [
        row for about in (released, running[0]) for row in ledger.approvals(about.subject.digest)
    ]
    approvals += reference_values(ledger).values()  # what the gate of attested nodes reads
    verify_entries(ledger, (running[0], released, candidate, admission, evaluation, *approvals))
    if released.body["release"] != candidate.body["release"]:
        raise NotProven(f"the release {released.subject.name} differs from its candidate")
    refuse(release.judge(ledger, candidate), candidate.subject.name, "release")
    wanted = deploy.plan_of(running[0])
    verify_evaluated(wanted.engine, evaluation.body)
    refuse(deploy.judge(ledger, wanted, running[0].body["time_ms"]), wanted.name, "deploy")
    return released, admission


def load_admitted(
    ledger: Ledger, store: SealingStore, admission: Evidence, into: int | None = None
) -> Loaded:
    """Decrypt an admitted GGUF model into a sealed memfd: `into`, if that is given.

    The caller closes the descriptor.
    """
    verify_entries(ledger, (admission,))
    body = admission.body
    if body["format"] != "gguf" or len(body["objects"]) != 1:
        raise Misconfigured(
            f"{body['model']} is {body['format']}: the engine llama.cpp reads one GGUF file",
            fix="convert it to GGUF and admit that file",
        )
    artifact = Artifact.from_manifest(body["artifact"])
    if artifact.digest != admission.subject.digest:
        raise NotProven(f"the admission of {body['model']} names another artifact")
    row, part = body["objects"][0], artifact.parts[0]
    descriptor = wiring.decrypt_to_memfd(store, row["object"], part.digest, part.size, into)
    try:
        reader = wiring.reader_of_descriptor(descriptor)
        gguf.inspect(reader)
        reader.close()
    except BaseException:
        if into is None:
            os.close(descriptor)
        raise
    return Loaded(descriptor, artifact.digest, admission)


def load_files(
    ledger: Ledger, store: SealingStore, admission: Evidence, into: Mapping[str, int]
) -> None:
    """Decrypt every file of an admitted checkpoint into its memfd, and inspect them together."""
    verify_entries(ledger, (admission,))
    artifact = Artifact.from_manifest(admission.body["artifact"])
    if artifact.digest != admission.subject.digest:
        raise NotProven(f"the admission of {admission.body['model']} names another artifact")
    objects = {row["path"]: row["object"] for row in admission.body["objects"]}
    if objects.keys() != {part.path for part in artifact.parts} or objects.keys() != into.keys():
        raise NotProven(f"the admission of {admission.body['model']} names other files")
    for part in artifact.parts:
        wiring.decrypt_to_memfd(store, objects[part.path], part.digest, part.size, into[part.path])
    with ExitStack() as stack:
        readers = {path: wiring.reader_of_descriptor(fd) for path, fd in into.items()}
        for reader in readers.values():
            stack.callback(reader.close)
        checkpoint.inspect(readers)


def verify_entries(ledger: Ledger, rows: Sequence[Evidence], *, past: bool = False) -> None:
    """Check signatures and inclusion of entries under a checkpoint. Raises NotProven.

    past: also of keys that could sign then and count no more.
    """
    register = ledger.register()
    keys = register.signing if past else register.counted
    checkpoint = open_head(ledger.checkpoint(), ledger.charter().body["origin"], register)
    for row in rows:
        if row.entry is None:
            raise NotProven(f"{row.kind} of {row.subject.name} is not in the ledger")
        envelope = ledger.envelope(row.entry)
        if envelope.digest != row.digest:
            raise NotProven(f"entry {row.entry} is not the {row.kind} that the index names")
        statements.read_signed(envelope, keys(row.entry))
        leaf = merkle.leaf_hash(envelope.encode())
        proof = ledger.prove_inclusion(row.entry, checkpoint.size)
        merkle.verify_inclusion(leaf, row.entry, checkpoint.size, proof, checkpoint.root)


def _verify_bundle(
    ledger: Ledger, store: SealingStore, released: Evidence, admission: Evidence
) -> None:
    name = bundle_name(released.subject.digest)
    with store.open(name) as reader:
        data = reader.read_at(0, reader.size)
    if str(Digest.of(data)) != released.body["model_signing"]:
        raise NotProven(f"{name}: not the model-signing bundle that the release names")
    keys = [
        key
        for key in ledger.register().counted(released.entry or 0).values()
        if key.purpose is Purpose.MODEL_SIGNING
    ]
    if len(keys) != 1:
        raise NotProven("the key that signed the release's weights does not count any more")
    artifact = Artifact.from_manifest(admission.body["artifact"])
    verify_model_signing(data, artifact, admission.subject.name, keys[0])


def context_of(admission: Evidence, wanted: int) -> int:
    """Tokens of context for each slot. An encoder cannot read past its own positions."""
    if not embeds(admission.body["architecture"]):
        return wanted
    return min(wanted, admission.body["context_tokens"])


def plan_in_force(ledger: Ledger, deployment: Digest) -> deploy.Plan:
    """What a deployment states, proven or not. Raises Refused if it is not in service."""
    for row in deploy.active(ledger):
        if row.subject.digest == deployment:
            return deploy.plan_of(row)
    raise Refused(f"no active deployment has the digest {deployment}")


def engine_folder(run: Path, name: str) -> Path:
    """A private folder for one engine's socket."""
    folder = run / f"engine-{name}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Unavailable(f"{folder} cannot be made: {error.strerror}") from error
    return folder
