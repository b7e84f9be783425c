# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Coverage-guided fuzzing of the gguf validator: it returns or raises Refused, nothing else.

python tests/fuzz/fuzz_gguf.py -runs=100000 [libFuzzer options] [corpus folders]
"""

import sys
from pathlib import Path

import atheris

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2] / "src")]

with atheris.instrument_imports(include=["bastide.formats"]):
    from bastide.core.errors import Refused
    from bastide.formats import gguf
    from unit.model_files import MemorySource


def run_one(data: bytes) -> None:
    """Inspect one input. Anything but an answer or a reasoned refusal is a find."""
    try:
        gguf.inspect(MemorySource(data))
    except Refused as refused:
        if not refused.reasons:
            raise AssertionError("a refusal without a reason") from refused


if __name__ == "__main__":
    atheris.Setup(sys.argv, run_one)
    atheris.Fuzz()
