# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Ollama generate: ``POST /api/generate``.

The prompt is a user's turn, after a system's turn if `system` is there. With `raw` it goes to the
model as it is, without the model's template.
"""

from typing import Any, Final

import msgspec

from bastide.core.chat import GenerateRequest, Message
from bastide.core.errors import Misconfigured
from bastide.dialects.ollama_fields import Asking, LineWriter, ollama_name, options_of
from bastide.dialects.ollama_tools import schema_of
from bastide.dialects.openai_fields import ABSENT, decode_body, refuse_unsupported
from bastide.dialects.surface import Asked, TextWriter

__all__ = ["GenerateWriter", "decode"]

_UNSUPPORTED: Final[dict[str, tuple[Any, ...]]] = {
    "suffix": ("",),
    "template": ("",),
    "context": ([],),
    "images": ([],),
    "width": (0,),
    "height": (0,),
    "steps": (0,),
}


class _Body(Asking, kw_only=True):
    prompt: str | None = None
    system: str | None = None
    raw: bool | None = None
    suffix: msgspec.Raw = ABSENT
    template: msgspec.Raw = ABSENT
    context: msgspec.Raw = ABSENT
    images: msgspec.Raw = ABSENT
    width: msgspec.Raw = ABSENT
    height: msgspec.Raw = ABSENT
    steps: msgspec.Raw = ABSENT


_decoder = msgspec.json.Decoder(_Body)


def decode(body: bytes, ident: str) -> Asked:
    """Read a request. Raises Misconfigured."""
    given = decode_body(_decoder, body)
    refuse_unsupported({name: getattr(given, name) for name in _UNSUPPORTED}, _UNSUPPORTED)
    if not given.prompt:
        raise Misconfigured("Missing 'prompt': models are always loaded.", place="prompt")
    if given.raw and given.system:
        raise Misconfigured("Invalid 'system': with 'raw' there is no template.", place="system")
    system = (Message("system", given.system),) if given.system else ()
    request = GenerateRequest(
        ident,
        ollama_name(given.model),
        () if given.raw else (*system, Message("user", given.prompt)),
        given.prompt if given.raw else None,
        options_of(given),
        schema=schema_of(given.format),
    )
    return Asked(request, given.stream is not False, usage=True)


class GenerateWriter(LineWriter, TextWriter):
    """Writes one answer."""
