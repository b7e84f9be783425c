# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What a model was trained on, as somebody says: datasets or packings, and records of runs.

Nobody can check it from the weights. It links a dataset to the models, releases and deployments
that an erasure from it concerns.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bastide.app.duties import require
from bastide.app.environment import Environment
from bastide.app.models import find_model
from bastide.app.naming import newest_named
from bastide.app.remedies import outside
from bastide.core.errors import Misconfigured
from bastide.core.evidence import Evidence, Statement
from bastide.core.key import Purpose
from bastide.core.limits import TRAINING_ROWS_MAX
from bastide.core.subject import Digest, Subject

__all__ = ["record_training"]


def record_training(
    env: Environment, model: str, datasets: Sequence[str], runs: Sequence[Path]
) -> Evidence:
    """State that an admitted model was trained on datasets, by the runs of which there are records.

    datasets: names or digests of datasets, also of erased ones, or digests of packings. runs: files
    that are hashed and not kept. The same again is the statement that exists. Raises NotFound,
    Misconfigured, Unavailable.
    """
    require(env, "model-admit", model)
    if not datasets:
        raise Misconfigured("a training is on at least one dataset", fix="--on DATASET")
    if max(len(datasets), len(runs)) > TRAINING_ROWS_MAX:
        raise Misconfigured(f"a training names at most {TRAINING_ROWS_MAX} datasets and runs")
    admission = find_model(env, model)
    body: dict[str, Any] = {
        "datasets": sorted({_dataset(env, name) for name in datasets}),
        "runs": [
            {"name": name, "digest": digest}
            for name, digest in sorted({_record(path) for path in runs})
        ],
    }
    for row in env.ledger.find("training/v1", subject=admission.subject.digest):
        if {name: row.body[name] for name in body} == body:
            return row
    subject = Subject(admission.subject.name, admission.subject.digest)
    statement = Statement("training/v1", (subject,), {**body, "time_ms": env.clock.now_ms()})
    return env.ledger.append_statement(statement, [env.signer(Purpose.EVIDENCE)])


def _dataset(env: Environment, name: str) -> str:
    """The digest of the manifest of a dataset or a packing."""
    for row in env.ledger.find("packing/v1"):
        if name == str(row.subject.digest):
            return name
    return str(newest_named(env.ledger.find("dataset/v1"), name, "dataset").subject.digest)


def _record(path: Path) -> tuple[str, str]:
    """Name and digest. Runs in folders of their own have records of the same name."""
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise outside(error, str(path)) from error
    return path.name, str(Digest.parse(f"sha256:{digest}"))
