# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What requests for embeddings of every family have in common.

Rules:
* A text is never cut: where a family's `truncate` asks for it, a text that fits is not changed by
  it, and one that does not fit is refused, by its number.
* A hint at what the vectors are for (`taskType`, `input_type`) is accepted: the models that we
  serve make the same vectors for all of them.
* Vectors have length 1. A request for others is refused.
"""

from collections.abc import Iterable
from typing import Any

from bastide.core.chat import EmbedRequest
from bastide.core.errors import Misconfigured
from bastide.core.limits import EMBED_NUMBERS_MAX, EMBED_TEXTS_MAX

__all__ = ["dimensions_in", "embed_request"]


def embed_request(
    ident: str, model: str, texts: Iterable[Any], dimensions: int | None, place: str
) -> EmbedRequest:
    """Check the texts, which may be anything yet. Raises Misconfigured, naming the bad one."""
    asked = tuple(texts)
    if not asked:
        raise Misconfigured(f"Invalid '{place}': it is empty.", place=place)
    if len(asked) > EMBED_TEXTS_MAX:
        raise Misconfigured(
            f"Invalid '{place}': at most {EMBED_TEXTS_MAX} texts, got {len(asked)}.", place=place
        )
    for index, text in enumerate(asked):
        at = f"{place}[{index}]" if len(asked) > 1 else place
        if isinstance(text, (int, list)):
            raise Misconfigured(
                f"Invalid '{at}': lists of token numbers are not supported, send text. The "
                "numbers of another model's tokenizer would mean other words here.",
                place=place,
            )
        if not isinstance(text, str):
            raise Misconfigured(f"Invalid '{at}': expected a text.", place=place)
        if not text:
            raise Misconfigured(f"Invalid '{at}': the text is empty.", place=place)
    return EmbedRequest(ident, model, asked, dimensions)


def dimensions_in(name: str, value: int | None) -> int | None:
    """Check how many numbers a vector shall have. Raises Misconfigured."""
    if value is not None and not 1 <= value <= EMBED_NUMBERS_MAX:
        raise Misconfigured(
            f"Invalid '{name}': expected a value from 1 to {EMBED_NUMBERS_MAX}.", place=name
        )
    return value
