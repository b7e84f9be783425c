# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Coverage-guided fuzzing of the Ollama dialect: a body is read, or refused as a client's mistake.

python tests/fuzz/fuzz_ollama.py -runs=100000 [libFuzzer options] [corpus folders]
"""

import sys
from pathlib import Path

import atheris

sys.path[:0] = [str(Path(__file__).parents[2] / "src")]

with atheris.instrument_imports(include=["bastide.dialects"]):
    from bastide.core.errors import Misconfigured
    from bastide.dialects import ollama_chat, ollama_generate, ollama_models
    from bastide.dialects.ollama import OLLAMA
    from bastide.dialects.surface import problem_of


def run_one(data: bytes) -> None:
    """Read one body in three ways. Anything but a request or a bounded refusal is a find."""
    for read in (ollama_chat.decode, ollama_generate.decode):
        try:
            asked = read(data, "ID")
            if not asked.request.messages and not asked.request.prompt:
                raise AssertionError("a request of nothing")
        except Misconfigured as refused:
            _check(refused)
    try:
        ollama_models.named(data)
    except Misconfigured as refused:
        _check(refused)


def _check(refused: Misconfigured) -> None:
    answer = OLLAMA.refusal(problem_of(refused), "ID")
    if answer.status != 400 or len(answer.body) > 8_192:
        raise AssertionError("a refusal that is no 400, or too long") from refused


if __name__ == "__main__":
    atheris.Setup(sys.argv, run_one)
    atheris.Fuzz()
