# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What the desk does for a caller, as a job: a row, a page of rows, or the content of a file."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any, Protocol, cast

from bastide.core.batch import batch_secret
from bastide.core.limits import DESK_PIECE_BYTES
from bastide.core.snapshot import KeyGrant
from bastide.dialects.surface import BYTES, Deed, Order
from bastide.gateway.reply import Outgoing, Reply

__all__ = ["Desk", "file_away"]


class Desk(Protocol):
    """What the gateway needs from the desk."""

    async def ask(self, deed: str, fields: dict[str, Any], content: memoryview | None) -> Any:
        """Have one thing done; what it answers."""
        ...

    def read(self, deed: str, fields: dict[str, Any]) -> AsyncIterator[bytes]:
        """The content of a file, piece by piece."""
        ...


async def file_away(
    desk: Desk, out: Outgoing, deed: Deed, order: Order, grant: KeyGrant, api_key: str, ident: str
) -> None:
    """Have the desk do it, and answer. Raises what the desk says is wrong."""
    fields = {**order.fields, "tenant": grant.tenant}
    if order.deed == "put_file":
        size = 0 if order.content is None else len(order.content)
        fields |= {"ident": f"file-{ident.lower()}", "size": size}
    elif order.deed == "create_batch":
        batch = f"batch_{ident.lower()}"
        fields |= {"ident": batch, "key": grant.key, "secret": batch_secret(api_key, batch)}
    if deed.write is not None:
        told = await desk.ask(order.deed, fields, order.content)
        out.reply(Reply(200, deed.write(told)))
        return
    pieces = cast(Any, desk.read(order.deed, fields))
    async with aclosing(pieces):
        held = b""
        begun = False
        async for piece in pieces:
            if held:
                slow = out.stream(held, ())
                if slow is not None:
                    await slow
                begun = True
            held = piece
    if begun:
        out.finish(held, ())
    else:
        out.reply(Reply(200, held[:DESK_PIECE_BYTES], content_type=BYTES))
