# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Coverage-guided fuzzing of the OpenAI dialect: a body is read, or refused as a client's mistake.

Azure's and Mistral's clients are read by the same code.

python tests/fuzz/fuzz_openai.py -runs=100000 [libFuzzer options] [corpus folders]
"""

import sys
from pathlib import Path

import atheris

sys.path[:0] = [str(Path(__file__).parents[2] / "src")]

with atheris.instrument_imports(include=["bastide.dialects"]):
    from bastide.core.errors import Misconfigured
    from bastide.dialects import (
        openai_chat,
        openai_completions,
        openai_embeddings,
        openai_responses,
    )
    from bastide.dialects.openai import OPENAI
    from bastide.dialects.openai_responses_writer import ResponseAsked, ResponseWriter
    from bastide.dialects.surface import Asked, Context, problem_of


def run_one(data: bytes) -> None:
    """Read one body in four ways. Anything but a request or a bounded refusal is a find."""
    for read in (openai_chat.decode, openai_completions.decode, openai_responses.decode):
        try:
            asked = read(data, "ID")
        except Misconfigured as refused:
            _check(refused)
        else:
            _check_asked(asked)
    try:
        openai_embeddings.decode(data, "ID")
    except Misconfigured as refused:
        _check(refused)


def _check_asked(asked: Asked) -> None:
    request = asked.request
    if not request.messages and request.prompt is None:
        raise AssertionError("a request of nothing")
    names = {tool.name for tool in request.tools}
    if len(names) < len(request.tools) or request.choice.name not in {None, *names}:
        raise AssertionError("a choice of a tool that is not there, or one name twice")
    calls = {call.ident for message in request.messages for call in message.calls}
    if any(message.role == "tool" and message.answers not in calls for message in request.messages):
        raise AssertionError("a result without a call")
    if isinstance(asked, ResponseAsked):  # an answer repeats what was asked
        ResponseWriter(Context("ID", 1, "m", "sha256:ab", asked)).first()


def _check(refused: Misconfigured) -> None:
    answer = OPENAI.refusal(problem_of(refused), "ID")
    if answer.status != 400 or len(answer.body) > 8_192:
        raise AssertionError("a refusal that is no 400, or too long") from refused


if __name__ == "__main__":
    atheris.Setup(sys.argv, run_one)
    atheris.Fuzz()
