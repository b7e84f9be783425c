# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Screens one whole text by a policy, and says what was found where: for who only wants to know."""

from bastide.core.guard import Action
from bastide.core.screening import Match, Screened
from bastide.detectors.lineup import Lineup
from bastide.detectors.scanner import Scanner
from bastide.detectors.stream_filter import Chain, filtered

__all__ = ["screen"]


def screen(chain: Chain, text: str) -> Screened:
    """The text as the chain lets it through, and every match, in the order of the text."""
    found = [
        (start, Match(name, Action.OBSERVE, text[start:end]))
        for name, start, end in _spans(chain.observing, text)
    ]
    for name, start, end in _spans(chain.holding, text):
        action = Action.REFUSE if name in chain.refusing else Action.MASK
        found.append((start, Match(name, action, text[start:end])))
    found.sort(key=lambda row: (row[0], row[1].detector))
    said, refused = filtered(chain, text, {})
    return Screened(said, refused, tuple(match for _, match in found))


def _spans(lineup: Lineup, text: str) -> list[tuple[str, int, int]]:
    spans: dict[str, list[tuple[int, int]]] = {}
    for row in Scanner(lineup.within(text)).feed(text, True):
        own = spans.setdefault(row.detector.ident, [])
        if row.fresh or not own:
            own.append((row.start, row.end))
        else:  # it goes on from the match before it
            own[-1] = (own[-1][0], max(own[-1][1], row.end))
    return [(name, start, end) for name, rows in spans.items() for start, end in rows]
