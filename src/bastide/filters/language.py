# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Language: which of the recipe's languages a text is in; what is in none of them is removed.

The model is py3langid's (naive Bayes over byte n-grams). It chooses among the recipe's languages
of the text's script and their rivals (language_codes.py): without rivals a Turkish text would have
to be Hungarian, with near relatives among them half the Croatian ones would be Bosnian.

A label is ISO 639-3 and ISO 15924, as `ces_Latn`; the script is that of most letters. Only the
first characters of a text are looked at. Scores are sums of whole numbers, so that every
processor comes to the same result (see language_model.py).
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import msgspec

from bastide.core.document import Document, Outcome
from bastide.filters.filter import removed
from bastide.filters.language_codes import CODES, RELATIVES, RIVALS
from bastide.filters.language_model import model
from bastide.filters.scripts import SAME_SCRIPT, SCRIPTS, script
from bastide.filters.words import Words

__all__ = ["Language"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """Gives every document its language and removes those in none of the recipe's."""

    ident: ClassVar[str] = "language"
    rules: ClassVar[tuple[str, ...]] = ("too-short", "other-language", "uncertain")

    languages: tuple[str, ...]  # labels such as ces_Latn
    margin_min: float = 0.5  # to the second language: difference of log probabilities / sqrt(bytes)
    letters_min: int = 30  # characters of the text; less cannot be told
    chars_max: int = 1_000  # looked at, from the beginning
    rivals: bool = True  # also choose among languages that the recipe does not name

    def __post_init__(self) -> None:
        if not self.languages:
            raise ValueError("languages must name at least one")
        for label in self.languages:
            code, _, letters = label.partition("_")
            if code not in CODES or SAME_SCRIPT.get(letters, letters) not in SCRIPTS:
                raise ValueError(f"{label} is no language that can be told, such as ces_Latn")
        for label in self.languages:
            same = [one for one in self.languages if _key(one) == _key(label)]
            if len(same) > 1:
                raise ValueError(f"{' and '.join(same)} cannot be told apart")

    def apply(self, document: Document, words: Words | None = None) -> Outcome:
        """Judge one document. Notes: `language-margin`, to four places."""
        text = document.text[: self.chars_max]
        if len(text) < self.letters_min:
            return removed(self.ident, "too-short")
        found = script(text)
        labels = _labels(self.languages, found)
        if not labels:
            return removed(self.ident, "other-language")
        code, margin = model(_candidates(frozenset(labels), found, self.rivals)).identify(text)
        notes: dict[str, str | int | float] = {"language-margin": margin}
        if code not in labels:
            return removed(self.ident, "other-language", notes)
        if margin < self.margin_min:
            return removed(self.ident, "uncertain", notes)
        return Outcome(
            document=msgspec.structs.replace(document, language=labels[code]), notes=notes
        )


def _key(label: str) -> tuple[str, str]:
    """The model's code of a label, and the script that `script` finds in such texts."""
    return CODES[label[:3]], SAME_SCRIPT.get(label[4:], label[4:])


@functools.cache
def _labels(languages: tuple[str, ...], found: str) -> Mapping[str, str]:
    """Of some languages those in a script: the label of each by the model's code."""
    return {_key(one)[0]: one for one in languages if _key(one)[1] == found}


@functools.cache
def _candidates(wanted: frozenset[str], found: str, rivals: bool) -> frozenset[str]:
    """The model's codes among which it chooses."""
    if not rivals:
        return wanted
    near = {code for group in RELATIVES if group & wanted for code in group}
    return wanted | (RIVALS.get(found, frozenset()) - near)
