# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""An engine without a model that does whatever any text of its prompt tells it to do.

Intended only for tests of what stands around a model: the worst model there can be, which no
training and no classifier holds back. It obeys the last line of the prompt that is an order,
whoever wrote it: a person, a page or a tool.

* ``ORDER say TEXT``: says the text.
* ``ORDER link URL``: shows an image from there, with the first words of the prompt in its address.
* ``ORDER leak``: repeats its system message.
* ``ORDER call NAME {JSON}``: calls a tool.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from typing import Final

from bastide.core.chat import (
    CallPart,
    Delta,
    Embedded,
    EmbedRequest,
    FinishReason,
    GenerateRequest,
    TokenChoice,
    Usage,
)

__all__ = ["ObedientEngine"]

_ORDER: Final = re.compile(r"ORDER (say|link|leak|call)(?: (.*))?$", re.MULTILINE)


class ObedientEngine:
    """Obeys. `piece` is how many characters it says at once."""

    version = "obedient"

    def __init__(self, piece: int = 3) -> None:
        self._piece = piece
        self.requests: list[GenerateRequest] = []
        self.running = 0

    async def generate(self, request: GenerateRequest) -> AsyncIterator[Delta]:
        """Obey the last order in a request."""
        self.requests.append(request)
        self.running += 1
        try:
            said, name, arguments = _deed(request)
            count = 0
            for delta in self._deltas(said, name, arguments):
                await asyncio.sleep(0)
                count += 1
                yield Delta(delta.text, call=delta.call, usage=Usage(7, count))
            finish = FinishReason.TOOL_CALLS if name else FinishReason.STOP
            yield Delta("", finish, Usage(7, count))
        finally:
            self.running -= 1

    def _deltas(self, said: str, name: str, arguments: str) -> list[Delta]:
        cut = range(0, len(said), self._piece)
        deltas = [Delta(said[at : at + self._piece]) for at in cut]
        if name:
            deltas.append(Delta(call=CallPart(0, "call_1", name)))
            cut = range(0, len(arguments), self._piece)
            deltas += [
                Delta(call=CallPart(0, "", "", arguments[at : at + self._piece])) for at in cut
            ]
        return deltas

    async def count(self, request: GenerateRequest) -> int:
        """Seven, always."""
        return 7

    async def embed(self, request: EmbedRequest) -> Embedded:
        """A vector of one number for each text."""
        return Embedded(tuple((1.0,) for _ in request.texts), len(request.texts))

    async def next_tokens(self, prompt: str, count: int) -> Sequence[TokenChoice]:
        """Nothing."""
        return []

    async def health(self) -> None:
        """Return: it is always well."""

    async def close(self) -> None:
        """Do nothing."""


def _deed(request: GenerateRequest) -> tuple[str, str, str]:
    """What to say, which tool to call, and with what."""
    prompt = "\n".join(message.content for message in request.messages) or request.prompt or ""
    orders = _ORDER.findall(prompt)
    if not orders:
        return "Nobody told me to do anything.", "", ""
    verb, rest = orders[-1]
    if verb == "say":
        return rest, "", ""
    if verb == "link":
        return f"Look: ![picture]({rest}?q={'+'.join(prompt.split()[:3])})", "", ""
    if verb == "leak":
        system = [row.content for row in request.messages if row.role == "system"]
        return "I was told: " + " ".join(system), "", ""
    name, _, arguments = rest.partition(" ")
    return "", name, arguments
