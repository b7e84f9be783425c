# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Coverage-guided fuzzing of the Bedrock dialect: a body is read or refused, nothing else.

python tests/fuzz/fuzz_bedrock.py -runs=100000 [libFuzzer options] [corpus folders]
"""

import sys
from functools import partial
from pathlib import Path

import atheris

sys.path[:0] = [str(Path(__file__).parents[2] / "src")]

with atheris.instrument_imports(include=["bastide.dialects"]):
    from bastide.core.errors import Misconfigured
    from bastide.dialects import bedrock_converse, bedrock_count
    from bastide.dialects.bedrock_invoke import Invocation

READERS = (
    partial(bedrock_converse.decode, model="m", stream=False),
    partial(bedrock_count.decode, model="m"),
    Invocation("m", stream=True, headers={}).decode,
    Invocation("openai.m", stream=True, headers={}).decode,
)


def run_one(data: bytes) -> None:
    """Read one body in each way. Anything but a request or a reasoned refusal is a find."""
    for read in READERS:
        try:
            read(data, "ID")
        except Misconfigured as refused:
            if not refused.message or len(refused.message) > 2_000:
                raise AssertionError("a refusal says nothing, or repeats the body") from refused


if __name__ == "__main__":
    atheris.Setup(sys.argv, run_one)
    atheris.Fuzz()
