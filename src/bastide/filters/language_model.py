# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The naive Bayes model of py3langid, walked for all places of a text at once.

py3langid finds which n-grams end at each byte with an automaton, one byte after the other. No
n-gram has more than six bytes, so the state after a byte depends on the last six only: six
array look-ups give the states of all bytes together, which is about three times as fast.

The weights are float16, so 2^9 times a weight is a whole number; logarithms of counts are rounded
to 2^-14. All sums are then of whole numbers below 2^53, which float64 adds without rounding:
neither the order nor the processor changes a result.
"""

import functools
import math
import unicodedata
from typing import Any, Final

__all__ = ["Model", "model"]

_WEIGHT: Final = 1 << 9
_COUNT: Final = 1 << 14
_COUNTS: Final = 1 << 14  # logarithms in the table: more than the characters looked at
_BYTES: Final = 256
_LEAD_MAX: Final = 99.0  # also that of a single candidate: infinity is no JSON


class Model:
    """The model, choosing among some of its languages."""

    def __init__(self, codes: frozenset[str]) -> None:
        import numpy as np

        shared = _automaton()
        self._np = np
        self._next, self._rows, self._output, self._depth = shared.walk
        classes = shared.identifier.nb_classes
        unknown = codes - set(classes)
        if unknown:
            raise ValueError(f"the model has no {', '.join(sorted(unknown))}")
        columns = [at for at, code in enumerate(classes) if code in codes]
        self._codes = [classes[at] for at in columns]
        # A language of two scripts has two columns.
        self._twins = [
            (self._codes.index(code), at)
            for at, code in enumerate(self._codes)
            if self._codes.index(code) != at
        ]
        # float16 times 2^9 fits 16 bits: the weights lie between -15 and 0.
        table = np.asarray(shared.identifier.nb_ptc)[:, columns].astype(np.float64) * _WEIGHT
        self._table = np.ascontiguousarray(np.rint(table).astype(np.int16))
        prior = np.asarray(shared.identifier.nb_pc)[columns].astype(np.float64)
        self._prior = np.rint(prior * (_WEIGHT * _COUNT))
        logs = [round(math.log1p(count) * _COUNT) for count in range(_COUNTS)]
        self._logs = np.array(logs, dtype=np.float64)

    def identify(self, text: str) -> tuple[str, float]:
        """The most probable language and by how much it is ahead of the second.

        The difference of log probabilities over the root of the number of bytes, as py3langid
        calibrates it, to four places. A text without a known n-gram is 0.0 ahead, a
        single candidate 99.0.
        """
        np = self._np
        raw = unicodedata.normalize("NFC", text.lower() if text.isupper() else text).encode()
        grams, counts = self._grams(np.frombuffer(raw, dtype=np.uint8))
        if not len(grams):
            return self._codes[0], 0.0
        weights = self._logs.take(counts, mode="clip")
        scores = weights @ self._table.take(grams, axis=0).astype(np.float64) + self._prior
        for first, twin in self._twins:
            scores[first] = max(scores[first], scores[twin])
            scores[twin] = -math.inf
        best = int(scores.argmax())
        lead = float(scores[best])
        scores[best] = -math.inf
        lead = (lead - float(scores.max())) / (_WEIGHT * _COUNT)
        return self._codes[best], min(_LEAD_MAX, round(lead / math.sqrt(len(raw)), 4))

    def _grams(self, letters: Any) -> tuple[Any, Any]:
        """The n-grams of the model that are in a text, ascending, and how often each is there."""
        np = self._np
        size = len(letters)
        states = np.zeros(size, dtype=np.intp)
        places = np.empty(size, dtype=np.intp)
        for back in range(min(self._depth, size) - 1, -1, -1):
            # Each place takes its next byte; near the beginning there are fewer to take. No place
            # is outside the table: with `clip` numpy does not look for that, and copies less.
            there = places[: size - back]
            np.take(self._rows, states[back:], out=there, mode="clip")
            np.add(there, letters[: size - back], out=there)
            states[back:] = self._next.take(there, mode="clip")
        found = self._output.take(states, mode="clip")
        found = found[found >= 0]
        found.sort()
        changes = np.empty(len(found), dtype=bool)
        changes[:1] = True
        np.not_equal(found[1:], found[:-1], out=changes[1:])
        begins = np.flatnonzero(changes)
        counts = np.empty_like(begins)
        counts[:-1] = begins[1:] - begins[:-1]
        counts[-1:] = len(found) - begins[-1:]
        return found[begins], counts


@functools.cache
def model(codes: frozenset[str]) -> Model:
    """The model for some languages; made once in a process, it takes about a second."""
    return Model(codes)


class _Automaton:
    def __init__(self) -> None:
        import numpy as np
        from py3langid import langid

        self.identifier: Any = langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE)
        self.walk = (
            np.asarray(self.identifier.tk_nextmove),
            np.asarray(self.identifier.tk_row, dtype=np.intp) * _BYTES,
            np.asarray(self.identifier.tk_output, dtype=np.int32),
            0,
        )
        self.walk = (*self.walk[:3], self._deepest())

    def _deepest(self) -> int:
        """The length of the longest n-gram: steps to the state that is farthest from the start."""
        import numpy as np

        following, rows, output, _ = self.walk
        table = following.reshape(-1, _BYTES)
        numbers = rows // _BYTES
        seen = np.zeros(len(output), dtype=bool)
        seen[0] = True
        left = np.ones(len(table), dtype=bool)  # most states share a row with others
        front = np.array([0])
        depth = -1
        while len(front):
            own = np.unique(numbers[front])
            own = own[left[own]]
            left[own] = False
            reached = np.zeros(len(output), dtype=bool)
            reached[table[own].ravel()] = True
            front = np.flatnonzero(reached & ~seen)
            seen[front] = True
            depth += 1
        return depth


@functools.cache
def _automaton() -> _Automaton:
    return _Automaton()
