# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The languages that can be told apart: ISO 639-3 codes and the codes of the model for them."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

__all__ = ["CODES", "RELATIVES", "RIVALS"]

_ROWS: Final = (
    "afr:af sqi:sq als:sq amh:am ara:ar arb:ar hye:hy asm:as aze:az azj:az bel:be ben:bn"
    " bos:bs bre:br bul:bg cat:ca ces:cs cym:cy dan:da deu:de ell:el eng:en epo:eo est:et"
    " ekk:et eus:eu fas:fa pes:fa fao:fo fin:fi fra:fr fry:fy gle:ga gla:gd glg:gl guj:gu"
    " hat:ht hau:ha heb:he hin:hi hrv:hr hun:hu ibo:ig ind:id isl:is ita:it jav:jv jpn:ja"
    " kan:kn kat:ka kaz:kk khm:km kin:rw kir:ky kor:ko kmr:ku lao:lo lat:la lav:lv lvs:lv"
    " ltz:lb lit:lt mal:ml mar:mr mkd:mk mlg:mg plt:mg mlt:mt mon:mn khk:mn msa:ms zsm:ms"
    " mya:my nep:ne npi:ne nld:nl nno:nn nob:no nor:no oci:oc ori:or ory:or pan:pa pol:pl"
    " por:pt pus:ps pbt:ps ron:ro rus:ru sin:si slk:sk slv:sl sme:se som:so spa:es srp:sr"
    " swa:sw swh:sw swe:sv tam:ta tat:tt tel:te tgk:tg tgl:tl tha:th tuk:tk tur:tr uig:ug"
    " ukr:uk urd:ur uzb:uz uzn:uz vie:vi xho:xh yor:yo zho:zh cmn:zh zul:zu"
)

# ISO 639-3 to the model's code. Where corpora use the code of the individual language beside that
# of the macrolanguage (ekk and est), both are here.
CODES: Final[Mapping[str, str]] = MappingProxyType({row[:3]: row[4:] for row in _ROWS.split()})

_LATIN: Final = (
    "cs da de en es et fi fr ga hr hu it lt lv mt nl pl pt ro sk sl sv"
    " no is tr sq ca id vi la cy eu sw"
)

# What a text in this script may also be in, however few languages a recipe names. A text in another
# script than any of the recipe's is told by that alone. Each further rival costs time, so these
# are the official languages of the EU and those with the largest share of the web.
RIVALS: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "Latn": frozenset(_LATIN.split()),
        "Cyrl": frozenset({"bg", "ru", "uk", "be", "sr", "kk"}),
        "Arab": frozenset({"ar", "fa", "ur"}),
        "Deva": frozenset({"hi", "mr", "ne"}),
    }
)

# Groups that the model confuses. One that the recipe names has no rival of its own group.
RELATIVES: Final = (
    frozenset({"hr", "bs", "sr"}),
    frozenset({"no", "nn", "da"}),
    frozenset({"is", "fo"}),
    frozenset({"id", "ms", "jv"}),
    frozenset({"es", "gl"}),
    frozenset({"pt", "gl"}),
    frozenset({"ca", "oc"}),
    frozenset({"fi", "se"}),
    frozenset({"bg", "mk"}),
    frozenset({"tr", "az", "tk"}),
    frozenset({"kk", "ky", "tt"}),
)
