# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Coverage-guided fuzzing of the Anthropic dialect: a body is read or refused, nothing else.

python tests/fuzz/fuzz_anthropic.py -runs=100000 [libFuzzer options] [corpus folders]
"""

import sys
from pathlib import Path

import atheris

sys.path[:0] = [str(Path(__file__).parents[2] / "src")]

with atheris.instrument_imports(include=["bastide.dialects"]):
    from bastide.core.errors import Misconfigured
    from bastide.dialects import anthropic_messages, anthropic_vertex


def run_one(data: bytes) -> None:
    """Read one body in each way. Anything but a request or a reasoned refusal is a find."""
    for read in (
        anthropic_messages.decode,
        anthropic_messages.decode_count,
        anthropic_vertex.decode_count,
        lambda body, ident: anthropic_vertex.decode(body, ident, model="m", streams=False),
    ):
        try:
            read(data, "ID")
        except Misconfigured as refused:
            if not refused.message or len(refused.message) > 2_000:
                raise AssertionError("a refusal says nothing, or repeats the body") from refused


if __name__ == "__main__":
    atheris.Setup(sys.argv, run_one)
    atheris.Fuzz()
