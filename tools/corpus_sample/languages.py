# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The language of a file, from its path: ISO 639-3 and ISO 15924, as in `dan_Latn`.

The path says what the translators meant. A page that is not translated yet is still English, and
an HTML page may say so itself: telling the languages apart is a step of the corpus, not of this.
"""

import re

__all__ = ["EUROPEAN", "language_of_locale", "language_of_path"]

# The 24 official languages of the European Union.
_UNION = """
bul_Cyrl ces_Latn dan_Latn deu_Latn ell_Grek eng_Latn est_Latn fin_Latn fra_Latn gle_Latn hrv_Latn
hun_Latn ita_Latn lav_Latn lit_Latn mlt_Latn nld_Latn pol_Latn por_Latn ron_Latn slk_Latn slv_Latn
spa_Latn swe_Latn
"""
EUROPEAN = frozenset(_UNION.split())

# The codes of locales in ISO 639-3. Latvian is `lav`, as in the lists of the Union; a macrolanguage
# otherwise gets its standard variety, and Norwegian without more is Bokmål.
_CODES = """
af:afr am:amh ar:arb as:asm ast:ast az:azj be:bel bg:bul bn:ben br:bre bs:bos ca:cat cs:ces csb:csb
cy:cym da:dan de:deu el:ell en:eng eo:epo es:spa et:est eu:eus fa:pes fi:fin fo:fao fr:fra fur:fur
fy:fry ga:gle gd:gla gl:glg gu:guj he:heb hi:hin hr:hrv hsb:hsb hu:hun hy:hye ia:ina id:ind is:isl
it:ita ja:jpn ka:kat kk:kaz km:khm kn:kan ko:kor ku:kmr la:lat lb:ltz lt:lit lv:lav mai:mai mk:mkd
ml:mal mn:khk mr:mar ms:zsm mt:mlt my:mya nb:nob no:nob nds:nds ne:npi nl:nld nn:nno oc:oci or:ory
pa:pan pl:pol pt:por ro:ron ru:rus se:sme si:sin sk:slk sl:slv sq:als sr:srp sv:swe ta:tam te:tel
tg:tgk th:tha tr:tur ug:uig uk:ukr uz:uzn vi:vie wa:wln xh:xho zh:zho zu:zul
"""
_ISO_639_3: dict[str, str] = {pair[:-4]: pair[-3:] for pair in _CODES.split()}

# The scripts (ISO 15924) of those that are not written in Latin letters.
_OTHER_SCRIPTS = """
amh:Ethi arb:Arab asm:Beng bel:Cyrl ben:Beng bul:Cyrl ell:Grek guj:Gujr heb:Hebr hin:Deva hye:Armn
jpn:Jpan kan:Knda kat:Geor kaz:Cyrl khk:Cyrl khm:Khmr kor:Kore mai:Deva mal:Mlym mar:Deva mkd:Cyrl
mya:Mymr npi:Deva ory:Orya pan:Guru pes:Arab rus:Cyrl sin:Sinh srp:Cyrl tam:Taml tel:Telu tgk:Cyrl
tha:Thai uig:Arab ukr:Cyrl zho:Hans
"""
_SCRIPTS: dict[str, str] = {pair[:3]: pair[4:] for pair in _OTHER_SCRIPTS.split()}

_LOCALE = re.compile(
    r"([a-z]{2,3})(?:[_-]([A-Za-z]{2,4}))?(?:[_-](?:[a-z]{5,8}|\d{4}))?(?:\.[\w-]+)?(?:@(\w+))?$"
)
_PLACES = (
    re.compile(r"/locale/([^/]+)/LC_MESSAGES/"),
    re.compile(r"/share/help/([^/]+)/"),
    re.compile(r"/doc/HTML/([^/]+)/"),
    re.compile(r"/libreoffice/help/([^/]+)/"),
    re.compile(r"/gimp/2\.0/help/([^/]+)/"),
    re.compile(r"/share/man/([^/]+)/man\d"),
    re.compile(r"/fortunes/([a-z]{2})/"),
    re.compile(r"/share/doc/[^/]+/(?:html/|FAQ/)?([a-z]{2}(?:[-_][A-Za-z]{2})?)/"),
    re.compile(r"\.([a-z]{2}(?:[-_][A-Za-z]{2})?)\.(?:html|txt)(?:\.gz)?$"),
)
_UNTRANSLATED = re.compile(r"/share/man/man\d/")
_OF_PACKAGE = re.compile(r"-([a-z]{2}(?:-[a-z]{2})?)(?:-dev)?$")


def language_of_locale(locale: str) -> str:
    """Give the language of a locale such as `pt_BR` or `sr@latin`; empty if it is not known."""
    if locale in ("C", "POSIX"):
        return "eng_Latn"
    found = _LOCALE.match(locale)
    code = _ISO_639_3.get(found[1]) if found else None
    if found is None or code is None:
        return ""
    script = _SCRIPTS.get(code, "Latn")
    if found[3] in ("latin", "ijekavianlatin", "Latn"):
        script = "Latn"
    elif found[3] == "cyrillic":
        script = "Cyrl"
    elif code == "zho" and (found[2] or "").upper() in ("TW", "HK", "HANT"):
        script = "Hant"
    return f"{code}_{script}"


def language_of_path(path: str, package: str, declared: str = "") -> str:
    """Give the language of a file.

    Args:
        path: Where the package installs it, from the root.
        package: The name of the package: some end in a language.
        declared: The locale that the file itself declares, if it does.

    Returns:
        The first that is known of: the path's, the file's own, the package's; English if all
        three are silent; empty if the path names a language that is not in the table.
    """
    if _UNTRANSLATED.search(path):
        return "eng_Latn"
    for place in _PLACES[:7]:
        if found := place.search(path):
            return language_of_locale(found[1])
    for place in _PLACES[7:]:
        if (found := place.search(path)) and (language := language_of_locale(found[1])):
            return language
    if language := language_of_locale(declared.replace("-", "_")):
        return language
    found = _OF_PACKAGE.search(package)
    return (language_of_locale(found[1]) if found else "") or "eng_Latn"
