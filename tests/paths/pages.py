# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Pages whose console blocks are run as they stand, and what they print compared.

A block is commands (lines that start with `$ `) and what they print; `...` in the page stands for
anything. All commands of a page run in one shell, in order.
"""

import re
from dataclasses import dataclass

__all__ = ["Step", "console", "matches", "script_of", "verify_printed"]

_MARK = "\x01"


@dataclass
class Step:
    command: str
    expected: str = ""


def console(block: str) -> list[Step]:
    """The commands of a console block, with what each prints."""
    found: list[Step] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append(Step(line[2:]))
        else:
            found[-1].expected += line + "\n"
    return found


def matches(expected: str, printed: str) -> bool:
    """`...` stands for anything, also over several lines."""
    pattern = ".*".join(re.escape(part) for part in expected.strip().split("..."))
    return re.fullmatch(pattern, printed.strip(), re.DOTALL) is not None


def script_of(todo: list[Step]) -> str:
    """A shell script that runs all, and marks where each ends and with which status."""
    return "".join(f"{step.command}\nprintf '{_MARK}%s{_MARK}\\n' $?\n" for step in todo)


def verify_printed(todo: list[Step], output: str) -> None:
    """Check what such a script printed: every command ended well and said what the page says."""
    parts = re.split(f"{_MARK}(\\d+){_MARK}\\n", output)
    printed, states = parts[0::2], parts[1::2]
    assert len(states) == len(todo), output
    for step, text, state in zip(todo, printed, states, strict=False):
        assert state == "0", f"$ {step.command}\n{text}\nexit {state}"
        if step.expected:
            assert matches(step.expected, text), (
                f"$ {step.command}\n{text}\n--- expected\n{step.expected}"
            )
