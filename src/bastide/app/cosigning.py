# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Cosigning: control shows every new head of the ledger to the parties' witnesses.

The settings name where each party's witness listens; whose keys it has, the ledger says. A witness
that is away is asked again with the next head. One that refuses has seen another history, and the
status tells everybody. A head that stays the newest is cosigned again now and then, so that clients
of sealed mode see by its time that no newer one is kept from them.
"""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import Engine

from bastide.app.config import Settings
from bastide.core.errors import BastideError, NotProven, Unavailable
from bastide.core.evidence import Evidence
from bastide.core.limits import COSIGN_AGAIN_S
from bastide.core.metrics import WITNESS_BEHIND, Sample, sample
from bastide.crypto.cosignature import cosigned_by, with_cosignatures
from bastide.crypto.submission import write_submission
from bastide.ledger import Ledger
from bastide.ledger.cosigned import CosignedHeads, cosigner_of, enrolled
from bastide.ledger.heads import open_head
from bastide.ports import Clock

__all__ = ["Cosigning", "Post", "cosigning_of"]

Post = Callable[[str, bytes], tuple[int, bytes]]  # URL and body; status and body
_OK, _CONFLICT = 200, 409


def cosigning_of(
    settings: Settings, ledger: Ledger, records: Engine, post: Post, clock: Clock
) -> "Cosigning | None":
    """What collects the cosignatures that the settings ask for; None if they ask for none."""
    urls = settings.witness_urls
    return Cosigning(ledger, CosignedHeads(records), urls, post, clock) if urls else None


class Cosigning:
    """Collects cosignatures. For one thread at a time.

    urls: where the witness of a party listens. post: asks; raises Unavailable.
    """

    def __init__(
        self,
        ledger: Ledger,
        heads: CosignedHeads,
        urls: Mapping[str, str],
        post: Post,
        clock: Clock,
    ) -> None:
        self._clock = clock
        self._ledger = ledger
        self._heads = heads
        self._urls = urls
        self._post = post
        self._sizes: dict[str, int] = {}  # what each witness cosigned last
        self._at: dict[str, float] = {}  # and when, on our monotonic clock
        self._shown = 0
        self.problems: dict[str, str] = {}
        self.cosigned: dict[str, int] = {}

    def round(self) -> None:
        """Show the newest head to every witness that has not cosigned it; keep what they sign.

        Raises nothing: what is wrong with the ledger itself, others say.
        """
        try:
            self._round()
        except BastideError as error:
            self.problems.update(dict.fromkeys(self._urls, error.message))

    def _round(self) -> None:
        rows = {row.body["party"]: row for row in enrolled(self._ledger)}
        for party in self._urls.keys() - rows.keys():
            self.problems[party] = "no witness of this party is enrolled: bastide witness enrol"
        note = self._ledger.checkpoint()
        origin = self._ledger.charter().body["origin"]
        size = open_head(note, origin, self._ledger.register()).size
        self._shown = size
        old = self._clock.monotonic() - COSIGN_AGAIN_S
        asked = [
            party
            for party in self._urls
            if party in rows and (self.cosigned.get(party, 0) < size or self._at[party] <= old)
        ]
        if not asked:
            return
        with ThreadPoolExecutor(len(asked)) as pool:
            lines = list(pool.map(lambda party: self._ask(party, rows[party], note, size), asked))
        if any(lines):
            known = self._heads.newest()
            before = known[1] if known is not None and known[0] == size else ""
            self._heads.put(size, with_cosignatures(note, before, "".join(lines)))

    def told(self) -> dict[str, str]:
        """What each party's witness did last, in words."""
        return {
            party: self.problems.get(party) or f"cosigned {self.cosigned.get(party, 0)} entries"
            for party in self._urls
        }

    def samples(self) -> Iterator[Sample]:
        """How far each party's witness is behind what it was shown."""
        for party in self._urls:
            behind = self._shown - self.cosigned.get(party, 0)
            yield sample(WITNESS_BEHIND, max(behind, int(party in self.problems)), party)

    def _ask(self, party: str, row: Evidence, note: str, size: int) -> str:
        """The cosignature lines of one witness, or none."""
        try:
            lines = self._cosigned(party, note, size)
            if cosigned_by(note + lines, cosigner_of(row)) is None:
                raise NotProven("it is not the witness that is enrolled")
        except BastideError as error:
            self.problems[party] = error.message
            return ""
        self.problems.pop(party, None)
        self.cosigned[party] = self._sizes[party] = size
        self._at[party] = self._clock.monotonic()
        return lines

    def _cosigned(self, party: str, note: str, size: int) -> str:
        url = f"{self._urls[party].rstrip('/')}/add-checkpoint"
        for _ in range(2):
            old = self._sizes.get(party, 0)
            if old > size:
                raise NotProven(
                    f"the witness has cosigned a head of {old} entries, and the ledger has {size}:"
                    " it was rolled back"
                )
            proof = self._ledger.prove_consistency(old, size) if 0 < old < size else []
            status, body = self._post(url, write_submission(old, proof, note).encode())
            text = body.decode(errors="replace")
            if status == _OK:
                return text
            if status != _CONFLICT or not text.strip().isdecimal():
                raise NotProven(f"the witness refused the head ({status}): {text[:200].strip()}")
            self._sizes[party] = int(text[:18])
        raise Unavailable("the witness cosigns for somebody else at the same time")
