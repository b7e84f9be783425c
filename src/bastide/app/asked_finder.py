# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""AskedFinder: a finder of names whose every answer is judged. What is no answer refuses a build.

A finder that fails, and one that finds nothing, look alike from outside. So an exception, an answer
too few, a span beyond the text, and another answer to the same text end the build.
"""

from collections.abc import Sequence

from bastide.core.errors import BastideError, Refused
from bastide.core.limits import FINDER_ASKED_TWICE
from bastide.detectors.personal.kinds import MODEL_KINDS
from bastide.filters.names import FoundSpan
from bastide.ports import SpanFinder

__all__ = ["AskedFinder"]


class AskedFinder:
    """Asks a finder. name: for errors."""

    def __init__(self, name: str, finder: SpanFinder) -> None:
        self._name = name
        self._finder = finder
        self._asked = 0

    def find(self, texts: Sequence[str]) -> list[list[FoundSpan]]:
        """The spans of each text, in order, none inside another. Raises Refused, Unavailable."""
        found = self._answers(texts)
        self._asked += len(texts)
        if self._asked % FINDER_ASKED_TWICE < len(texts) and self._answers(texts) != found:
            raise self._refused("it answers the same text in two ways")
        return found

    def close(self) -> None:
        """Close the finder."""
        self._finder.close()

    def _answers(self, texts: Sequence[str]) -> list[list[FoundSpan]]:
        try:
            answers = [list(spans) for spans in self._finder.find(texts)]
        except BastideError:
            raise
        except Exception as error:
            # Only its kind: its words may quote the text.
            raise self._refused(type(error).__name__) from None
        if len(answers) != len(texts):
            raise self._refused(f"{len(answers)} answers to {len(texts)} texts")
        for text, spans in zip(texts, answers, strict=True):
            self._verify(text, spans)
        return answers

    def _verify(self, text: str, spans: Sequence[FoundSpan]) -> None:
        done = 0
        for span in spans:
            if len(span) != 3 or type(span[0]) is not int or type(span[1]) is not int:
                raise self._refused("a span is not two numbers and a kind")
            start, end, kind = span
            if kind not in MODEL_KINDS:
                raise self._refused("a span has a kind that does not exist")
            if not done <= start < end <= len(text):
                raise self._refused(f"a span from {start} to {end} in {len(text)} characters,"
                                    f" after one that ends at {done}")  # fmt: skip
            done = end

    def _refused(self, why: str) -> Refused:
        return Refused(
            f"the finder {self._name} failed, so nothing is built",
            reasons=(why,),
            fix="mend the finder: what it finds is removed, and what it misses stays",
        )
