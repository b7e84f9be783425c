# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A worker on a Ray cluster: an actor. What it holds and does is in its memory alone.

Ray carries sealed bytes, keeps no traceback of ours (a task answers with errors as values), and
never has a key.
"""

from typing import Any

from bastide.adapters.compute.channel import ANSWER, CALL, open_message, seal_message, take_over
from bastide.adapters.compute.ray_guard import CONTROL, refuse_open
from bastide.core.errors import NotAllowed
from bastide.crypto import age
from bastide.ports import Entropy

__all__ = ["RayWorker"]


class RayWorker:
    """Lives in a process that Ray began. Calls come in their order, one after the other."""

    def __init__(self, entropy: Entropy) -> None:
        self._identity = age.HybridIdentity(entropy.token(32))
        self._key = b""
        self._held: Any = None
        self._number = 0

    def hello(self) -> tuple[str, str]:
        """The recipient that the worker can open; why its cluster may have no key, or empty."""
        import ray

        try:
            refuse_open(ray.get_runtime_context().gcs_address, CONTROL)
        except Exception as error:  # without certificates, for instance
            return str(self._identity.recipient()), f"{type(error).__name__}: {error}"[:300]
        return str(self._identity.recipient()), ""

    def begin(self, sealed: bytes) -> bytes:
        """Take what the worker must hold; once."""
        if self._key:
            raise NotAllowed("this worker was begun already")
        self._key, self._held = take_over(self._identity, sealed)
        return seal_message(self._key, ANSWER, 0, "ready")

    def run(self, number: int, sealed: bytes) -> bytes:
        """Do one job. Calls are numbered upwards from 1: none is taken twice."""
        if not self._key or number <= self._number:
            raise NotAllowed("this call is out of its order")
        task, job = open_message(self._key, CALL, number, sealed)
        self._number = number
        return seal_message(self._key, ANSWER, number, task(self._held, job))
