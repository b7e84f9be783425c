# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Handed: what a runner handed to one gateway and no receipt may say yet.

A gateway that lives states each answer itself. Of one that dies, only the runner knows what it
was given. So the runner keeps, for each answer of a link, what it handed over: the text while the
answer runs, then the commitment to it, for UNSETTLED_S. Which of these have a receipt is not known
here; control knows (app/cut_receipts.py). Should the runner be killed too, its next life finds them
in a journal (app/handed_journal.py).
"""

from collections import deque
from functools import partial
from typing import Self

from bastide.app.handed_journal import HandedJournal, Row
from bastide.core.chat import (
    Delta,
    Embedded,
    EmbedRequest,
    GenerateRequest,
    Hearing,
    Said,
    Usage,
)
from bastide.core.limits import UNSETTLED_MAX, UNSETTLED_S
from bastide.core.receipt import answer_bytes, commit, vector_bytes
from bastide.core.standing import Cut, Standing
from bastide.ports import Clock

__all__ = ["Handed", "HandedAnswer", "Handing"]

_NOTHING_SAID = Said()
_NOTHING_USED = Usage()


class HandedAnswer:
    """One answer on its way to a gateway."""

    __slots__ = ("_asked", "_cut", "_heard", "_usage", "_vectors", "noted", "standing")

    def __init__(self, asked: GenerateRequest | EmbedRequest, standing: Standing) -> None:
        self.standing = standing
        self.noted = False  # in the journal
        self._asked = asked
        self._heard = Hearing()
        self._usage = _NOTHING_USED
        self._vectors: Embedded | None = None
        self._cut: Cut | None = None  # of all that was handed

    def hand(self, delta: Delta) -> None:
        """One more piece is on its way."""
        self._cut = None
        self._heard.hear(delta)
        if delta.usage is not None:
            self._usage = delta.usage

    def hand_vectors(self, embedded: Embedded) -> None:
        """All vectors are on their way."""
        self._vectors, self._usage = embedded, Usage(embedded.prompt_tokens)
        self._cut = None

    @property
    def begun(self) -> bool:
        """True once anything is on its way."""
        return self._vectors is not None or self._usage != _NOTHING_USED or self._heard.begun

    def cut(self, now_ms: int) -> Cut:
        """What a receipt would say, had the gateway died now. The same one until more is handed."""
        if self._cut is None:
            self._cut = self._made(now_ms)
        return self._cut

    def _made(self, now_ms: int) -> Cut:
        asked, standing, usage = self._asked, self.standing, self._usage
        said = self._heard.said()
        if isinstance(asked, EmbedRequest):
            answered = vector_bytes(self._vectors.vectors if self._vectors is not None else ())
        else:
            answered = answer_bytes(said)
        # What is wanted whole is sent once its receipt is durable, so nothing of it was sent.
        streamed = isinstance(asked, GenerateRequest) and not asked.whole
        return Cut(
            receipt=standing.receipt,
            key=standing.key,
            model=asked.model,
            prompt_commitment=standing.prompt_commitment,
            answer_commitment=commit(standing.salt, "answer", answered),
            time_ms=now_ms,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            cached_tokens=usage.cached_tokens,
            delivered=streamed and said != _NOTHING_SAID,
            guard=standing.guard,
            fingerprint=standing.fingerprint,
            retry=standing.retry,
        )


class Handed:
    """All that one link was handed lately."""

    def __init__(
        self, clock: Clock, gateway: int = 0, journal: HandedJournal | None = None
    ) -> None:
        self._clock = clock
        self._gateway = gateway
        self._journal = journal
        self._running: set[HandedAnswer] = set()
        self._ended: deque[tuple[float, Cut]] = deque(maxlen=UNSETTLED_MAX)

    def begin(self, answer: HandedAnswer) -> None:
        """An answer is asked for."""
        self._running.add(answer)

    def note(self, answer: HandedAnswer) -> None:
        """Have an answer in the journal before its first piece goes. Raises Unavailable."""
        if answer.noted or self._journal is None or not answer.begun:
            return
        self._journal.begin(self._gateway, answer.cut(self._clock.now_ms()))
        answer.noted = True

    def end(self, answer: HandedAnswer, failed: bool = False) -> None:
        """Nothing more is handed of an answer: its text is dropped, the commitment is kept.

        Of what failed before its first piece nothing was handed over, and the gateway may ask
        another replica, whose word on this receipt is then the only one.
        """
        self._running.discard(answer)
        self._forget()
        if answer.begun or not failed:
            self._ended.append((self._clock.monotonic(), answer.cut(self._clock.now_ms())))

    def rows(self) -> list[Row]:
        """What may have no receipt, of answers that run too."""
        gateway, now_ms = self._gateway, self._clock.now_ms()
        rows: list[Row] = [(gateway, cut) for cut in self.unsettled()]
        rows += [(gateway, partial(one.cut, now_ms)) for one in self._running if one.begun]
        return rows

    def unsettled(self) -> list[Cut]:
        """What may have no receipt."""
        self._forget()
        return [cut for _, cut in self._ended]

    def _forget(self) -> None:
        oldest = self._clock.monotonic() - UNSETTLED_S
        while self._ended and self._ended[0][0] < oldest:
            self._ended.popleft()


class Handing:
    """What is handed over of one answer, while it is: `with` it.

    Nothing is remembered without a link to remember it for, or if no receipt is to be made.
    """

    __slots__ = ("_answer", "_handed")

    def __init__(self, handed: Handed | None, request: GenerateRequest | EmbedRequest) -> None:
        self._handed = handed
        self._answer: HandedAnswer | None = None
        if handed is not None and request.standing is not None:
            self._answer = HandedAnswer(request, request.standing)

    def __enter__(self) -> Self:
        if self._handed is not None and self._answer is not None:
            self._handed.begin(self._answer)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._handed is not None and self._answer is not None:
            self._handed.end(self._answer, kind is not None and issubclass(kind, Exception))

    def hand(self, delta: Delta) -> None:
        """A piece is about to go. Raises Unavailable: then it must not."""
        if self._answer is not None:
            self._answer.hand(delta)
            self._note(self._answer)

    def hand_vectors(self, embedded: Embedded) -> None:
        """All vectors are about to go. Raises Unavailable: then they must not."""
        if self._answer is not None:
            self._answer.hand_vectors(embedded)
            self._note(self._answer)

    def _note(self, answer: HandedAnswer) -> None:
        if self._handed is not None and not answer.noted:
            self._handed.note(answer)
