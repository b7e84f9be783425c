# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Function words of each language, for the rule that prose has at least two of them.

The English ones are Gopher's (Rae et al. 2021, A1.1). The paper has none for other languages;
ours are the most frequent function words of each. A language that is not here has no such rule.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

__all__ = ["STOP_WORDS"]

_LISTS: Final = {
    "bul_Cyrl": "и на да за се от в с не е",
    "ces_Latn": "a v se na je že s o i",
    "dan_Latn": "og i at det er en til af der",
    "deu_Latn": "der die und in den von zu das mit ist",
    "ell_Grek": "και το να του η της με για την από",
    "eng_Latn": "the be to of and that have with",
    "est_Latn": "ja on ei et ka see mis oma või",
    "fin_Latn": "ja on ei että se oli myös tai kun",
    "fra_Latn": "de la le et les des en un du une",
    "gle_Latn": "an na agus a ar le is i go",
    "hrv_Latn": "i u je na se da za su od",
    "hun_Latn": "a az és hogy nem is egy ez meg",
    "isl_Latn": "og að í á er sem til við um",
    "ita_Latn": "di e il la che in per un del",
    "lav_Latn": "un ir ar par no kas uz tas lai",
    "lit_Latn": "ir kad su iš yra tai kaip į bet",
    "mlt_Latn": "u li ta' ta’ hija hu ma biex dan kull",
    "nld_Latn": "de en van het een in is dat te",
    "nno_Latn": "og i det er ein til som på av",
    "nob_Latn": "og i det er en til som på av",
    "pol_Latn": "i w na z się do nie to że jest",
    "por_Latn": "de a o e que do da em um para",
    "ron_Latn": "de și în la a cu pe că din o",
    "slk_Latn": "a v na sa je že s o to",
    "slv_Latn": "in je v se na da za ki so",
    "spa_Latn": "de la que el en y a los se un",
    "swe_Latn": "och i att det är en på som för av",
}

# Corpora name these by the individual language too.
_ALIASES: Final = {"ekk_Latn": "est_Latn", "lvs_Latn": "lav_Latn", "nor_Latn": "nob_Latn"}

STOP_WORDS: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        language: frozenset(_LISTS[_ALIASES.get(language, language)].split())
        for language in (*_LISTS, *_ALIASES)
    }
)
