# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The life of an engine's own process: how it starts, what it says of that, and how it ends.

1. It starts in its jail with descriptors of its own: what it is given, one end of a pipe on which
   it reports, and one of its lifeline.
2. It opens nothing that it was given before `go` writes to its lifeline: the weights are proven by
   then.
3. It says that it is ready, or why it is not.
4. It ends when the lifeline does, which is also when we die; who does not is killed.

Each engine has a life, and adds how it is asked. What breaks while it is asked, `gone` explains.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable, Mapping

from bastide.adapters.engine.saying import printable
from bastide.adapters.engine.starting import started, until_said
from bastide.core.ending import ending
from bastide.core.errors import Unavailable
from bastide.ports import Jail, Process, Sandbox

__all__ = ["EngineLife", "JailOf"]

_CLOSE_TIMEOUT_S = 1.0
_READY = b"ready"
JailOf = Callable[[Mapping[str, int]], Jail]
"""The jail of a process that keeps these descriptors, by what they are."""


class EngineLife:
    """One process of an engine. Belongs to one event loop."""

    def __init__(
        self,
        process: Process,
        name: str,
        lifeline: int | None = None,
        status: int | None = None,
    ) -> None:
        self.name = name
        self._process = process
        self._lifeline = lifeline
        self._status = status
        self._ended = asyncio.ensure_future(process.wait())

    @classmethod
    async def start(
        cls, sandbox: Sandbox, name: str, given: Mapping[str, int], jail_of: JailOf
    ) -> "EngineLife":
        """Start it in its jail. What is `given` is the process's: ours are closed, come what may.

        Raises Unavailable.
        """
        status_end, status = os.pipe()
        lifeline, lifeline_end = os.pipe()
        kept = {**given, "status": status, "lifeline": lifeline}
        try:
            process = await started(sandbox, jail_of(kept))
        except BaseException:
            os.close(lifeline_end)
            os.close(status_end)
            raise
        finally:
            for descriptor in kept.values():
                os.close(descriptor)
        return cls(process, name, lifeline_end, status_end)

    @property
    def pid(self) -> int:
        """Process id of the sandbox's outermost process."""
        return self._process.pid

    def on_end(self, do: Callable[[], None]) -> None:
        """Call something once the process has ended."""
        self._ended.add_done_callback(lambda _: do())

    def go(self, order: bytes = b"g") -> None:
        """Let it open what it was given. One that has ended already has said why."""
        assert self._lifeline is not None
        with contextlib.suppress(BrokenPipeError):
            os.write(self._lifeline, order)

    async def said(self, timeout_s: float) -> bytes:
        """What it reports of its start; nothing if it ended. Raises Unavailable if too late."""
        assert self._status is not None
        status, self._status = self._status, None
        return await until_said(status, timeout_s, self.name)

    async def verify_ready(self, said: bytes) -> None:
        """Raises Unavailable if it does not say that it is; then it has been killed."""
        if said == _READY:
            return
        self.kill()
        status = await self.wait()
        why = printable(said.decode("utf-8", "replace")) or "it said nothing"
        raise Unavailable(f"the engine of {self.name} did not start, and {ending(status)}: {why}")

    @property
    def ended(self) -> bool:
        """True once it has ended."""
        return self._ended.done()

    def verify_alive(self) -> None:
        """Raises ConnectionError if it has ended."""
        if self.ended:
            raise ConnectionError("it has ended")

    async def gone(self, error: OSError) -> Unavailable:
        """What to tell of a connection that broke."""
        # That is noticed a moment before the end of the process is.
        with contextlib.suppress(TimeoutError):
            status = await asyncio.wait_for(asyncio.shield(self._ended), _CLOSE_TIMEOUT_S)
            return Unavailable(f"the engine of {self.name} {ending(status)}")
        return Unavailable(f"the engine of {self.name} failed: {error}")

    def silent(self) -> Unavailable:
        """What to tell of one that took too long."""
        return Unavailable(f"the engine of {self.name} does not answer")

    async def wait(self) -> int:
        """Wait until it has ended; its status, negative for a signal."""
        return await asyncio.shield(self._ended)

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    async def close(self) -> None:
        """Stop: ask it to end, then make it."""
        for descriptor in (self._lifeline, self._status):
            if descriptor is not None:
                os.close(descriptor)
        self._lifeline = self._status = None
        try:
            await asyncio.wait_for(asyncio.shield(self._ended), _CLOSE_TIMEOUT_S)
        except TimeoutError:
            self._process.kill()
            await self.wait()
