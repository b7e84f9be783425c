# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A witness: cosigns heads of logs that only ever grow (C2SP tlog-witness).

Each party runs one, with a key and a memory of its own, best on a machine of its own. It never sees
an entry: it checks that each head continues the last one that it has cosigned. So an operator
cannot show two histories, cut the newest entries off or change one, unless enough witnesses help.

1. The body has the form of the specification; else 400.
2. The log is one that is watched; else 404.
3. One of its keys signed the head, and its signature holds; else 403.
4. The old size is at most the new one (else 400), and the last that was cosigned (else 409).
5. The proof leads from the old root to the new one; else 422, and the head is kept as evidence.
6. The new head is remembered, durably, and only then cosigned.
"""

import hashlib
import re
from dataclasses import dataclass
from typing import Final

from bastide.core.errors import BastideError, Misconfigured, NotFound, NotProven
from bastide.core.witnessing import Seen, Watched
from bastide.crypto import merkle, note
from bastide.crypto.cosignature import CosignerKey
from bastide.crypto.note import Checkpoint
from bastide.crypto.submission import Submission, read_submission
from bastide.ports import Clock, WitnessMemory

__all__ = ["SUBMISSION_BYTES_MAX", "Answer", "Witness"]

SUBMISSION_BYTES_MAX: Final = 64 * 1024
_TEXT: Final = "text/plain; charset=utf-8"
_SIZE: Final = "text/x.tlog.size"
_EMPTY_ROOT: Final = hashlib.sha256(b"").digest()
_PATH: Final = re.compile(r"/([0-9a-f]{64})/checkpoint")


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer."""

    status: int
    kind: str
    text: str


class _Conflict(BastideError):
    """The old size is not the last that was cosigned, which is `size`."""

    def __init__(self, size: int) -> None:
        super().__init__(f"the last head that was cosigned has {size} entries")
        self.size = size


class Witness:
    """Answers logs. Safe for several threads, if its memory is."""

    def __init__(self, key: CosignerKey, memory: WitnessMemory, clock: Clock) -> None:
        self._key = key
        self._memory = memory
        self._clock = clock

    def answer(self, method: str, path: str, body: bytes) -> Answer:
        """Answer one request."""
        if path == "/add-checkpoint":
            if method != "POST":
                return Answer(405, _TEXT, "POST only\n")
            return self._add(body)
        found = _PATH.fullmatch(path)
        if found is None:
            return Answer(404, _TEXT, "there are /add-checkpoint and /<origin hash>/checkpoint\n")
        if method != "GET":
            return Answer(405, _TEXT, "GET only\n")
        for log in self._memory.logs():
            if hashlib.sha256(log.origin.encode()).hexdigest() == found[1] and log.note:
                return Answer(200, _TEXT, log.note)
        return Answer(404, _TEXT, "no head of this log was cosigned\n")

    def _add(self, body: bytes) -> Answer:
        try:
            submission = read_submission(body)  # 1.
            log = self._memory.log(submission.note.partition("\n")[0])  # 2.
            checkpoint, kept = self._opened(submission.note, log)  # 3.
        except BastideError as error:
            return _refusal(error, unproven=403)
        try:
            seen = self._memory.advance(
                log.origin, lambda known: self._judged(submission, checkpoint, kept, known)
            )
        except BastideError as error:
            if isinstance(error, NotProven):
                now_ms = self._clock.now_ms()
                self._memory.refuse(now_ms, log.origin, error.message, submission.note)
            return _refusal(error, unproven=422)
        return Answer(200, _TEXT, seen.note.removeprefix(kept))

    def _opened(self, text: str, log: Watched) -> tuple[Checkpoint, str]:
        # 3. Whatever else stands below the head is not kept.
        for vkey in log.keys:
            name, key = note.read_verifier_key(vkey)
            kept = note.keep_signature(text, name, key)
            if kept is not None:
                return note.open_checkpoint(kept, name, key), kept
        raise NotProven(f"no key of {log.origin} that this witness knows signed the head")

    def _judged(
        self, submission: Submission, checkpoint: Checkpoint, kept: str, known: Watched
    ) -> Seen:
        # 4.
        if submission.old > checkpoint.size:
            raise Misconfigured("the old size is larger than the new one")
        if submission.old != known.size:
            raise _Conflict(known.size)
        # 5.
        if checkpoint.size == 0 and checkpoint.root != _EMPTY_ROOT:
            raise NotProven("the root of an empty tree is the hash of nothing")
        if submission.old in (0, checkpoint.size):
            if submission.proof:
                raise NotProven("there is nothing to prove, and a proof")
            if submission.old and checkpoint.root != known.root:
                raise NotProven("two heads of one size have different roots: the log was forked")
        else:
            merkle.verify_consistency(
                submission.old, checkpoint.size, known.root, checkpoint.root, submission.proof
            )
        # 6.
        text, _ = note.split_note(kept)
        cosigned = self._key.cosign(text, self._clock.now_ms() // 1000)
        return Seen(checkpoint.size, checkpoint.root, kept + cosigned)


def _refusal(error: BastideError, unproven: int) -> Answer:
    if isinstance(error, _Conflict):
        return Answer(409, _SIZE, f"{error.size}\n")
    statuses = {Misconfigured.code: 400, NotFound.code: 404, NotProven.code: unproven}
    return Answer(statuses.get(error.code, 503), _TEXT, f"{error.message}\n")
