# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What the journal of handed-over answers costs a runner, in CPU time.

* begin: one answer's row, before its first piece; once per answer, on the hot path.
* keep: a thousand running answers of 1,600 characters that went on, and 4,096 ended ones that did
  not change; once every HANDED_JOURNAL_S, beside it.
* rewrite: all of these rows; once most of the file is old.

    python benchmarks/handed_journal.py
"""

import json
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from bastide.adapters.clock.system import SystemClock
from bastide.app.handed import Handed, HandedAnswer
from bastide.app.handed_journal import HandedJournal
from bastide.core.chat import Delta, GenerateRequest, Usage
from bastide.core.limits import HANDED_JOURNAL_S, UNSETTLED_MAX
from bastide.core.receipt import commit
from bastide.core.standing import Standing

RUNNING = 1_000
PIECES = 400
ROUNDS = 20
SALT = b"s" * 32


def begun(number: int) -> HandedAnswer:
    """An answer of which one piece is ready."""
    prompt = commit(SALT, "prompt", b"x")
    standing = Standing(f"r_{number:026}", "k" * 26, SALT, prompt)
    answer = HandedAnswer(GenerateRequest("id", "demo", prompt="x"), standing)
    answer.hand(Delta("word", usage=Usage(9, 1)))
    return answer


def main() -> None:
    """Print the costs, the last line as JSON."""
    with tempfile.TemporaryDirectory() as folder:
        clock = SystemClock()
        journal = HandedJournal(Path(folder) / "j", clock)
        handed = Handed(clock, 1, journal)
        answers = [begun(number) for number in range(RUNNING + UNSETTLED_MAX)]
        at = time.process_time()
        for answer in answers:
            handed.begin(answer)
            handed.note(answer)
        begin_us = (time.process_time() - at) / len(answers) * 1e6
        for answer in answers[RUNNING:]:
            handed.end(answer, failed=False)
        for answer in answers[:RUNNING]:
            for _ in range(PIECES):
                answer.hand(Delta("word", usage=Usage(9, 1)))
        spent_s = [0.0, 0.0]
        for _ in range(ROUNDS):
            for answer in answers[:RUNNING]:
                answer.hand(Delta("", usage=Usage(9, 1)))
            at = time.process_time()
            journal.rewrite(handed.rows())
            spent_s[0] += time.process_time() - at
            for answer in answers[:RUNNING]:
                answer.hand(Delta("", usage=Usage(9, 1)))
            at = time.process_time()
            for _ in journal._kept(handed.rows()):
                pass
            spent_s[1] += time.process_time() - at
        rewrite_ms, keep_ms = (1e3 * spent / ROUNDS for spent in spent_s)
        size = (Path(folder) / "j").stat().st_size
        journal.close()
    share = keep_ms / 1e3 / HANDED_JOURNAL_S
    print(f"begin {begin_us:.1f} us an answer; keep {keep_ms:.1f} ms, {share:.1%} of a core")
    print(f"rewrite {rewrite_ms:.1f} ms")
    row = {"begin_us": begin_us, "keep_ms": keep_ms, "rewrite_ms": rewrite_ms}
    row |= {"core_share": share, "bytes": size}
    print(json.dumps({key: round(value, 4) for key, value in row.items()}))


if __name__ == "__main__":
    main()
