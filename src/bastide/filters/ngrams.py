# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""N-grams of words that are in a text more than once, for all lengths from one pass.

An n-gram can only be there twice if both its (n-1)-grams are. So each length looks only at the
places that the one before left, which are few in prose. All numbers stand for words exactly:
nothing is hashed, so there is no collision that could remove a document.
"""

from collections.abc import Collection, Sequence
from itertools import count

__all__ = ["Repeats"]


class Repeats:
    """The repeated n-grams of one text; n begins at 1, `longer` goes on to the next.

    distinct: the different words, in any order.
    """

    def __init__(self, words: Sequence[str], distinct: Collection[str]) -> None:
        import numpy as np

        self._np = np
        self._count = len(words)
        table = dict(zip(distinct, count(), strict=False))
        self._words = np.fromiter(map(table.__getitem__, words), np.int64, self._count)
        self._different = len(table)
        # Characters before each word, so that the size of any run is one subtraction.
        self._sizes = np.fromiter(map(len, distinct), np.int64, self._different)[self._words]
        self._before = np.zeros(self._count + 1, np.int64)
        np.cumsum(self._sizes, out=self._before[1:])
        self.n = 1
        counts = np.bincount(self._words, minlength=self._different)[self._words]
        self._places = (counts > 1).nonzero()[0]  # where a repeated n-gram begins
        self._grams = self._words[self._places]  # which one
        self._counts = counts[self._places]  # and how often it is there

    def longer(self) -> None:
        """Go on to the n-grams of one word more."""
        np = self._np
        self.n += 1
        places, grams = self._places, self._grams
        # The (n-1)-gram at the next place must be repeated too.
        if not len(places):
            return
        follows = (places[1:] == places[:-1] + 1).nonzero()[0]
        places = places[follows]
        keys = grams[follows] * self._different + self._words[places + self.n - 1]
        order = keys.argsort()
        ordered = keys[order]
        begins = np.empty(len(ordered), dtype=bool)
        begins[:1] = True
        np.not_equal(ordered[1:], ordered[:-1], out=begins[1:])
        grams = np.empty_like(keys)
        grams[order] = begins.cumsum() - 1
        counts = np.bincount(grams)[grams] if len(grams) else grams
        repeated = counts > 1
        self._places, self._grams = places[repeated], grams[repeated]
        self._counts = counts[repeated]

    def top_chars(self) -> int:
        """Characters in all places of the most frequent n-gram, with the spaces between words.

        Of several that are as frequent it is the first in the text. 0 if there is no n-gram.
        """
        if self._count < self.n:
            return 0
        first, most = 0, 1
        if len(self._counts):
            at = int(self._counts.argmax())  # the first of the highest
            first, most = int(self._places[at]), int(self._counts[at])
        chars = int(self._before[first + self.n] - self._before[first])
        return (chars + self.n - 1) * most

    def covered_chars(self) -> int:
        """Characters of all words that are in a repeated n-gram: `repeated_chars` of this length
        and of any that is longer cannot be more.
        """
        covered = self._np.zeros(self._count, dtype=bool)
        for at in range(self.n):
            covered[self._places + at] = True
        return int(self._sizes[covered].sum())

    def repeated_chars(self, more_than: float) -> int:
        """Characters in n-grams that stood before, none overlapping the repeated one before it.

        What cannot be more than `more_than` is not counted exactly: 0 stands for it.
        """
        np = self._np
        places, grams = self._places, self._grams
        if not len(places):
            return 0
        chars = self._before[places + self.n] - self._before[places]
        firsts = np.unique(grams, return_index=True)[1]
        if chars.sum() - chars[firsts].sum() <= more_than:
            return 0
        seen: set[int] = set()
        total = free = 0
        rows = zip(places.tolist(), grams.tolist(), chars.tolist(), strict=True)
        for place, gram, size in rows:
            if place < free:
                continue
            if gram in seen:
                total += size
                free = place + self.n
            else:
                seen.add(gram)
        return total
