# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Admit: bring a model in from outside, or refuse it with every reason.

1. Hash every file; together they are one artifact. If it is admitted under this name, that
   admission is the result. Files that are not those of a given signature are refused here.
2. Seal every file while hashing it again; a file that changed in between is refused.
3. Check the format, the files and the chat template, reading the sealed objects: what is checked
   is what will be loaded.
4. Judge the gates of the row `admit`.
5. Append the admission; or delete what was sealed, append a refusal, and raise Refused.

Nothing but the last append makes a model known, and every step before it can be repeated, so a
run that was killed is finished by running it again.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final

from bastide.core.artifact import Artifact, Part
from bastide.core.canonical import canonical
from bastide.core.errors import Misconfigured, NotFound, NotProven, Refused
from bastide.core.evidence import Evidence, Statement, refusals
from bastide.core.limits import CHECKPOINT_FILES_MAX, FAULTS_MAX, MIB, MODEL_BYTES_MAX
from bastide.core.subject import Digest, Subject, hashed
from bastide.crypto.dsse import Signer
from bastide.crypto.signed_model import SignedModel
from bastide.formats import chat_template, checkpoint, gguf, identify
from bastide.formats.summary import Summary
from bastide.gates.dossier import Dossier
from bastide.gates.panel import judge_stage
from bastide.ledger import Ledger
from bastide.ports import Clock, Reader, SealingStore

__all__ = ["Claim", "Progress", "SourceFile", "admit"]

Progress = Callable[[str, int, int], None]  # what is done, bytes done, bytes in all

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_PATH: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._ +=@-]{0,199}")
_REASON_CHARS_MAX: Final = 300


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file that is brought in: its path in the model, and its bytes."""

    path: str
    reader: Reader


@dataclass(frozen=True, slots=True)
class Claim:
    """What the person who brings a model says about it."""

    name: str
    origin: str
    licence: str
    signature: SignedModel | None = None


def admit(
    ledger: Ledger,
    store: SealingStore,
    sources: Sequence[SourceFile],
    claim: Claim,
    signer: Signer,
    clock: Clock,
    progress: Progress | None = None,
) -> Evidence:
    """Admit one model. Raises Refused with every reason, Misconfigured for a bad name or path.

    Admitting the same files under the same name again returns the admission that exists.
    """
    _check_claim(sources, claim)
    artifact = _measure(sources, progress)  # 1.
    stated = None if claim.signature is None else claim.signature.to_json()
    known = ledger.find("admission/v1", subject=artifact.digest, name=claim.name)
    known = [row for row in known if stated is None or row.body.get("signature") == stated]
    if known:
        return known[-1]
    used = _used_objects(ledger)
    reasons = () if claim.signature is None else claim.signature.faults(artifact)
    reasons = reasons or _seal(store, sources, artifact, used, progress)  # 2.
    body: dict[str, Any] = {}
    if not reasons:
        body = _examine(store, artifact, claim, clock, progress)  # 3.
        reasons = _judge(ledger, artifact, claim, body)  # 4.
    if reasons:  # 5.
        for part in artifact.parts:
            if _object_name(part) not in used:
                store.delete(_object_name(part))
        raise _refusal(ledger, artifact, claim, reasons, signer, clock)
    subject = Subject(claim.name, artifact.digest)
    return ledger.append_statement(Statement("admission/v1", (subject,), body), [signer])


def _check_claim(sources: Sequence[SourceFile], claim: Claim) -> None:
    if not _NAME.fullmatch(claim.name):
        raise Misconfigured(
            f"{claim.name!r} is not a name for a model",
            fix="use up to 128 letters, digits, dots, underscores and hyphens",
        )
    if not 0 < len(sources) <= CHECKPOINT_FILES_MAX:
        raise Misconfigured(f"a model has 1 to {CHECKPOINT_FILES_MAX} files, not {len(sources)}")
    for source in sources:
        if not _PATH.fullmatch(source.path):
            raise Misconfigured(
                f"{source.path!r} is not a file name for a model", fix="rename the file"
            )
    if sum(source.reader.size for source in sources) > MODEL_BYTES_MAX:
        raise Misconfigured(f"the model has over {MODEL_BYTES_MAX} bytes")


# Hashing and sealing


class _Meter:
    """Tells the caller how far a step over all files is."""

    def __init__(self, progress: Progress | None, what: str, size: int) -> None:
        self._progress = progress
        self._what = what
        self._size = size
        self._done = 0

    def add(self, count: int) -> None:
        self._done += count
        if self._progress is not None:
            self._progress(self._what, self._done, self._size)


def _chunks(reader: Reader, meter: _Meter) -> Iterator[bytes]:
    for offset in range(0, reader.size, MIB):
        chunk = reader.read_at(offset, min(MIB, reader.size - offset))
        meter.add(len(chunk))
        yield chunk


def _measure(sources: Sequence[SourceFile], progress: Progress | None) -> Artifact:
    meter = _Meter(progress, "hashing", sum(source.reader.size for source in sources))
    return Artifact.of(
        Part(source.path, source.reader.size, Digest.of_chunks(_chunks(source.reader, meter)))
        for source in sources
    )


def _object_name(part: Part) -> str:
    return f"models/{part.digest.hex}"


def _used_objects(ledger: Ledger) -> frozenset[str]:
    """The objects that admissions rest on; they are never replaced or deleted here."""
    rows = ledger.find("admission/v1")
    return frozenset(entry["object"] for row in rows for entry in row.body["objects"])


def _seal(
    store: SealingStore,
    sources: Sequence[SourceFile],
    artifact: Artifact,
    used: frozenset[str],
    progress: Progress | None,
) -> tuple[str, ...]:
    """Seal what is not sealed yet. Returns what is wrong with the sources."""
    readers = {source.path: source.reader for source in sources}
    meter = _Meter(progress, "sealing", artifact.size)
    for part in artifact.parts:
        name = _object_name(part)
        if _is_sealed(store, part):
            meter.add(part.size)
            continue
        if name in used:
            raise NotProven(
                f"the sealed object {name} of an admitted model is missing or damaged",
                fix="restore it from a backup",
            )
        state = hashlib.sha256()
        store.put(name, hashed(_chunks(readers[part.path], meter), state))
        if state.hexdigest() != part.digest.hex:
            return (f"format-safe: {part.path} changed while it was read",)
    return ()


def _is_sealed(store: SealingStore, part: Part) -> bool:
    """True if an earlier run sealed exactly this file, and it opens."""
    try:
        with store.open(_object_name(part)) as reader:
            return Digest.of_chunks(_chunks(reader, _Meter(None, "", 0))) == part.digest
    except (NotFound, NotProven):
        return False


# Checking and judging


def _examine(
    store: SealingStore,
    artifact: Artifact,
    claim: Claim,
    clock: Clock,
    progress: Progress | None,
) -> dict[str, Any]:
    """Check the sealed files, and write the body of the admission."""
    meter = _Meter(progress, "checking", artifact.size)
    with ExitStack() as stack:
        files = {
            part.path: stack.enter_context(store.open(_object_name(part)))
            for part in artifact.parts
        }
        findings = [
            reason for path, reader in files.items() for reason in identify.suspicions(path, reader)
        ]
        summary, faults = _inspect(files)
    template, template_faults = _examine_template(summary)
    objects = []
    for part in artifact.parts:
        header, body = store.digests(_object_name(part))
        row = {"path": part.path, "object": _object_name(part)}
        objects.append({**row, "header": str(header), "body": str(body)})
        meter.add(part.size)
    return {
        "model": claim.name,
        "artifact": artifact.manifest(),
        "format": summary.format,
        "architecture": summary.architecture,
        "parameters": summary.parameters,
        "context_tokens": summary.context_tokens,
        "vocabulary": summary.vocabulary,
        "origin": claim.origin,
        "licence": claim.licence,
        "template": template,
        "scan": {"format_safe": faults, "findings": findings, "template": template_faults},
        "objects": objects,
        **({} if claim.signature is None else {"signature": claim.signature.to_json()}),
        "time_ms": clock.now_ms(),
    }


def _inspect(files: Mapping[str, Reader]) -> tuple[Summary, list[str]]:
    """Ask the validator of the format; what it refuses are faults, and nothing is known then."""
    kinds = [identify.identify(reader).name for reader in files.values()]
    try:
        if len(files) > 1 or kinds == ["safetensors"]:
            return checkpoint.inspect(files), []
        (only,) = files.values()
        return gguf.inspect(only), []
    except Refused as refused:
        return Summary("", "", 0, 0, 0), list(refused.reasons)


def _examine_template(summary: Summary) -> tuple[dict[str, Any] | None, list[str]]:
    """The template's digest with what the approver should know, and its faults.

    With further templates, the digest is of the canonical JSON list of all names and digests.
    """
    named = [] if summary.template is None else [("", summary.template)]
    named += summary.further_templates
    reports = [(name, chat_template.inspect(text)) for name, text in named]
    if not reports:
        return None, []
    notes, faults = [], []
    for name, report in reports:
        label = f"chat template {name}, " if name else ""
        notes += [label + note for note in (*report.faults, *report.notes)]
        faults += [label + fault for fault in report.faults]
    digest = reports[0][1].digest
    if summary.further_templates:
        digest = Digest.of(canonical([[name, str(report.digest)] for name, report in reports]))
    return {"digest": str(digest), "findings": notes[:FAULTS_MAX]}, faults


def _judge(
    ledger: Ledger, artifact: Artifact, claim: Claim, body: dict[str, Any]
) -> tuple[str, ...]:
    """Judge the admission before it is signed; its digest is not known yet and is not looked at."""
    statement = Statement("admission/v1", (Subject(claim.name, artifact.digest),), body)
    policy = ledger.policy()
    dossier = Dossier(
        subject=artifact.digest,
        action="admit",
        admission=Evidence(statement, (), artifact.digest),
        evaluation=None,
        candidate=None,
        approvals=(),
        keys=ledger.known_keys(),
        policy=policy,
    )
    return refusals(judge_stage(policy, "admit", dossier))


def _refusal(
    ledger: Ledger,
    artifact: Artifact,
    claim: Claim,
    reasons: Sequence[str],
    signer: Signer,
    clock: Clock,
) -> Refused:
    """Append the refusal, unless the newest says the same, and return it as an error."""
    stated = [reason[:_REASON_CHARS_MAX] for reason in reasons[: 2 * FAULTS_MAX]]
    known = ledger.find("refusal/v1", subject=artifact.digest, name=claim.name)
    if not known or known[-1].body["reasons"] != stated:
        body = {"stage": "admit", "reasons": stated, "time_ms": clock.now_ms()}
        subject = Subject(claim.name, artifact.digest)
        ledger.append_statement(Statement("refusal/v1", (subject,), body), [signer])
    return Refused(
        f"{claim.name} is not admitted",
        reasons=stated,
        fix="admit GGUF or safetensors, from its origin, with its licence",
    )
