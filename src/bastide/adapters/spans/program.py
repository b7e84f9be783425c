# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A finder that is a program: it reads a text from standard input and writes its spans, in turn.

One line of JSON each way, in UTF-8. Positions count characters (Unicode code points).

    {"text": "Aino Kallasvuori lives there."}
    [[0, 16, "name"]]

The program runs in the sandbox: no network, no file but its own, no environment. Its files, which
the build has hashed, are given to it as anonymous memory: what it reads is what was hashed, and
nothing is left on the disk. Their paths are its arguments, in the order of the recipe. A program
whose name ends in `.py` is run by the Python that runs us, with the standard library alone.
"""

import asyncio
import json
import os
import select
import socket
import tempfile
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager, suppress
from typing import Final

from bastide.core.errors import Refused, Unavailable
from bastide.core.limits import FINDER_ANSWER_BYTES_MAX, FINDER_ANSWER_S
from bastide.ports import Clock, Jail, Process, Sandbox

__all__ = ["ProgramFinder"]

_MEMORY: Final = "/dev/shm"  # noqa: S108 (not a place for files: nothing of it is a disk)
# Says that the jail stands; the descriptor becomes the program's standard input and output.
_BEGIN: Final = (
    "import os,sys;f=int(sys.argv[1]);os.dup2(f,0);os.dup2(f,1);os.write(1,b'\\n');"
    "os.execv(sys.argv[2],sys.argv[2:])"
)
_END_S: Final = 10.0
_FIX: Final = "run it by hand: one line of JSON for each line, docs/guides/names.md has an example"


class ProgramFinder:
    """Asks a program. It starts with the first question.

    name: of the program, for errors. files: opens each of its files' content, its own first.
    interpreter: our Python, then what it reads. sandbox: chooses one.

    A text has one time limit, from before the program starts to the end of its answer.
    """

    def __init__(
        self,
        name: str,
        files: Sequence[Callable[[], bytes]],
        interpreter: Sequence[str],
        sandbox: Callable[[], Sandbox],
        clock: Clock,
    ) -> None:
        self._name = name
        self._files = files
        self._interpreter = interpreter
        self._sandbox = sandbox
        self._clock = clock
        self._held = ExitStack()
        self._channel: _Channel | None = None

    def find(self, texts: Sequence[str]) -> list[list[tuple[int, int, str]]]:
        """The spans of each text. Raises Refused if the program ends, is slow or babbles."""
        return [self._asked(text) for text in texts]

    def close(self) -> None:
        """Kill the program."""
        self._channel = None
        self._held.close()

    def _asked(self, text: str) -> list[tuple[int, int, str]]:
        left_s = _counting(self._clock, FINDER_ANSWER_S)
        channel = self._channel or self._started(left_s)
        question = json.dumps({"text": text}, ensure_ascii=False).encode() + b"\n"
        try:
            if channel.unasked():
                raise self._refused("it ended, or says more than it is asked")
            line = channel.ask(question, left_s)
        except TimeoutError:
            raise self._refused(f"it did not answer within {FINDER_ANSWER_S:.0f} s") from None
        except OSError:
            raise self._refused("it ended") from None
        if not line.endswith(b"\n"):
            raise self._refused("its answer is too long" if line else "it ended")
        try:
            return [(start, end, kind) for start, end, kind in json.loads(line)]
        except (ValueError, TypeError, RecursionError):
            raise self._refused("its answer is no list of first, last and kind") from None

    def _refused(self, why: str) -> Refused:
        # Nothing of what it said: it may quote the text.
        self.close()
        return Refused(
            f"the finder {self._name} failed, so nothing is built", reasons=(why,), fix=_FIX
        )

    def _started(self, left_s: Callable[[], float]) -> "_Channel":
        sandbox = self._sandbox()
        ours, theirs = socket.socketpair()
        # A jail has a folder to write to. This one is gone before the program gets a text. What the
        # program is given stays until a start that is late has come to its end.
        with (
            theirs,
            tempfile.TemporaryDirectory(dir=_MEMORY) as writable,
            ExitStack() as given,
            ExitStack() as stack,
        ):
            stack.callback(ours.close)
            loop = stack.enter_context(_loop())
            files = [_in_memory(read(), given) for read in self._files]
            jail = self._jail(theirs.fileno(), files, writable)
            starting = asyncio.run_coroutine_threadsafe(sandbox.start(jail), loop)
            stack.callback(starting.add_done_callback, _kill)  # at the end, or when it has started
            channel = _Channel(ours)
            try:
                starting.result(left_s())
                theirs.close()
                begun = channel.ask(b"", left_s)
            except (TimeoutError, OSError):
                begun = b""
            if not begun:
                raise Unavailable(f"the finder {self._name} cannot be started")
            self._channel, self._held = channel, stack.pop_all()
        return channel

    def _jail(self, channel: int, files: Sequence[int], writable: str) -> Jail:
        interpreter, *libraries = self._interpreter
        python = (interpreter, "-I", "-S", "-B")
        paths = tuple(f"/proc/self/fd/{file}" for file in files)
        runs = (*python, *paths) if self._name.endswith(".py") else paths
        return Jail(
            argv=(*python, "-c", _BEGIN, str(channel), *runs),
            readable=(interpreter, *libraries),
            writable=writable,
            inherit=(channel, *files),
            environment=(("PYTHONUTF8", "1"), ("LC_ALL", "C.UTF-8")),
        )


def _counting(clock: Clock, seconds: float) -> Callable[[], float]:
    """Says how much is left of a time that begins now. Raises TimeoutError if nothing is."""
    end = clock.monotonic() + seconds

    def left_s() -> float:
        if (left := end - clock.monotonic()) <= 0:
            raise TimeoutError
        return left

    return left_s


class _Channel:
    """Lines over a socket."""

    def __init__(self, stream: socket.socket) -> None:
        self._stream = stream
        self._rest = bytearray()

    def unasked(self) -> bool:
        """Whether something was said that nobody asked: it would be taken for the next answer."""
        poll = select.poll()  # select(2) knows no descriptor from 1,024 on
        poll.register(self._stream, select.POLLIN)
        return bool(self._rest or poll.poll(0))

    def ask(self, line: bytes, left_s: Callable[[], float]) -> bytes:
        """The line that answers one; without its end if it is too long, or nobody is there.

        left_s: of the time for all of it, however many pieces it comes in. Raises TimeoutError.
        """
        self._stream.settimeout(left_s())
        self._stream.sendall(line)
        while (at := self._rest.find(b"\n")) < 0 and len(self._rest) < FINDER_ANSWER_BYTES_MAX:
            self._stream.settimeout(left_s())
            data = self._stream.recv(1 << 16)
            if not data:
                break
            self._rest += data
        answer = bytes(self._rest[: at + 1]) if at >= 0 else bytes(self._rest)
        del self._rest[: len(answer)]
        return answer


@contextmanager
def _loop() -> Generator[asyncio.AbstractEventLoop]:
    """A loop in a thread of its own, which the sandbox watches its child with. What runs in it at
    the end, the child having been killed, comes to its end first."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        with suppress(TimeoutError):
            asyncio.run_coroutine_threadsafe(_rest(), loop).result(_END_S)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _rest() -> None:
    # A start that is late begins to watch its child, and the child is killed right after.
    while others := asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.gather(*others, return_exceptions=True)


def _kill(starting: Future[Process]) -> None:
    if starting.exception() is None:
        starting.result().kill()


def _in_memory(data: bytes, stack: ExitStack) -> int:
    descriptor = os.memfd_create("finder", os.MFD_CLOEXEC)
    stack.callback(os.close, descriptor)
    with open(descriptor, "wb", closefd=False) as file:
        file.write(data)
    os.fchmod(descriptor, 0o500)
    return descriptor
