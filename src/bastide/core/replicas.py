# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Replicas: which of a deployment's engines is asked, so that a prompt meets what it left there.

1. *Affine.* Every gateway orders the replicas in the same way for the same beginning of the same
   tenant's conversation: rendezvous hashing (Thaler and Ravishankar, 1998) of `affinity`. Nothing
   is remembered, so nothing is learned from another tenant's prompts, and a replica that comes or
   goes moves only the conversations that were its own.
2. *Bounded.* The first replica of that order with room is asked. Room is a bound on what all have
   there, and on what this tenant has: its part of the slots, or 5/4 of the mean if that is more
   (consistent hashing with bounded loads; Mirrokni, Thorup, Zadimoghaddam, SODA 2018). The second
   bound keeps one hot prompt, and a promise, from standing in line at one replica beside free ones.
3. *Passed over.* Who was down is not asked for REPLICA_PAUSE_S, unless all were.

It knows no clock: every call says what time it is, in seconds. What it counts is what this gateway
has on its way, so each gateway takes its part of the slots (docs/adr/0034-replicas.md).
"""

from collections.abc import Collection
from hashlib import blake2b

from bastide.core.chat import GenerateRequest
from bastide.core.limits import (
    AFFINITY_CHARS,
    AFFINITY_PROMPT_CHARS,
    PREFIX_BLOCK_CHARS,
    REPLICA_PAUSE_S,
)

__all__ = ["Replicas", "affinity"]

_WORD = (1 << 64) - 1
_ODD = 0x9E3779B97F4A7C15  # 2^64 / the golden ratio: every bit of a product depends on all below


def affinity(request: GenerateRequest) -> int:
    """64 bits of who asks and how the conversation begins; equal in all turns of it.

    Of a chat this is the beginning of each text up to the first user's: what an application says
    to all of its users would lead all of them to one replica. Of a plain prompt it is whole blocks.
    """
    made = blake2b(request.tenant.encode(), digest_size=8, person=b"bastide-affinity")
    if request.prompt is not None:
        end = min(len(request.prompt), AFFINITY_PROMPT_CHARS)
        whole = end - end % PREFIX_BLOCK_CHARS if end > PREFIX_BLOCK_CHARS else end
        made.update(b"\0" + request.prompt[:whole].encode(errors="surrogatepass"))
    for message in request.messages:
        text = message.content[:AFFINITY_CHARS]
        made.update(f"\0{message.role}\0{text}".encode(errors="surrogatepass"))
        if message.role == "user":
            break
    return int.from_bytes(made.digest())


def _seed(replica: int) -> int:
    return int.from_bytes(blake2b(replica.to_bytes(4), digest_size=8).digest())


class Replicas:
    """Where one gateway's requests to a deployment are. `slots` are of one replica."""

    def __init__(self, count: int, slots: int, gateways: int = 1) -> None:
        self.count = count
        self._seeds = [_seed(replica) for replica in range(count)]
        self._room = max(1, slots // gateways)
        self._room_own = max(1, self._room // 2)
        self._loads = [0] * count
        self._all = 0
        self._own: dict[str, list[int]] = {}  # by tenant: at each replica, and at all
        self._down_until: dict[int, float] = {}

    @property
    def loads(self) -> tuple[int, ...]:
        """How many requests are at each replica."""
        return tuple(self._loads)

    def choose(
        self, now: float, tenant: str, key: int | None, tried: Collection[int] = ()
    ) -> int | None:
        """The replica to ask, or None if all were tried. Without a `key` any is as good."""
        left = [replica for replica in range(self.count) if replica not in tried]
        if self._down_until:
            left = self._up(now, left)
        if not left:
            return None
        own = self._own.get(tenant)
        if key is not None:
            room = max(self._room, _bound(self._all, len(left)))
            room_own = max(self._room_own, _bound(own[-1], len(left))) if own else 1
            scores = [(key ^ seed) * _ODD & _WORD for seed in self._seeds]
            left.sort(key=scores.__getitem__, reverse=True)
            for replica in left:
                if self._loads[replica] < room and (own is None or own[replica] < room_own):
                    return replica
        return min(left, key=lambda at: (self._loads[at], 0 if own is None else own[at]))

    def enter(self, tenant: str, replica: int) -> None:
        """A request is on its way to a replica."""
        own = self._own.get(tenant)
        if own is None:
            own = self._own[tenant] = [0] * (self.count + 1)
        own[replica] += 1
        own[-1] += 1
        self._loads[replica] += 1
        self._all += 1

    def leave(self, tenant: str, replica: int) -> None:
        """It is over, however it ended."""
        own = self._own[tenant]
        own[replica] -= 1
        own[-1] -= 1
        self._loads[replica] -= 1
        self._all -= 1
        if not own[-1]:
            del self._own[tenant]

    def fell(self, now: float, replica: int) -> None:
        """Nobody was there."""
        self._down_until[replica] = now + REPLICA_PAUSE_S

    def _up(self, now: float, left: list[int]) -> list[int]:
        self._down_until = {at: until for at, until in self._down_until.items() if until > now}
        return [at for at in left if at not in self._down_until] or left


def _bound(load: int, count: int) -> int:
    """5/4 of the mean with one more, rounded up."""
    return -(-5 * (load + 1) // (4 * count))
