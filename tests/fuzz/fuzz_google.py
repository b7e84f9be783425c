# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Coverage-guided fuzzing of the Google dialect: a body is read, or refused as a client's mistake.

python tests/fuzz/fuzz_google.py -runs=100000 [libFuzzer options] [corpus folders]
"""

import sys
from pathlib import Path

import atheris

sys.path[:0] = [str(Path(__file__).parents[2] / "src")]

with atheris.instrument_imports(include=["bastide.dialects"]):
    from bastide.core.errors import Misconfigured
    from bastide.dialects import google_generate
    from bastide.dialects.google import GOOGLE
    from bastide.dialects.surface import problem_of


def run_one(data: bytes) -> None:
    """Read one body in two ways. Anything but a request or a bounded refusal is a find."""
    try:
        asked = google_generate.decode(data, "ID", model="m", stream=False)
        if not asked.request.messages:
            raise AssertionError("a request of nothing")
    except Misconfigured as refused:
        _check(refused)
    try:
        google_generate.decode_count(data, "ID", model="m")
    except Misconfigured as refused:
        _check(refused)


def _check(refused: Misconfigured) -> None:
    answer = GOOGLE.refusal(problem_of(refused), "ID")
    if answer.status != 400 or len(answer.body) > 8_192:
        raise AssertionError("a refusal that is no 400, or too long") from refused


if __name__ == "__main__":
    atheris.Setup(sys.argv, run_one)
    atheris.Fuzz()
