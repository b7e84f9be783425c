# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Filters other than the quality rules: language, form, length, signatures, draws, settings."""

import hashlib
import json
import pickle
import random
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastide.core.document import Document
from bastide.core.errors import Misconfigured
from bastide.filters.catalogue import FILTERS, GLOBAL_STEPS, build
from bastide.filters.language import Language
from bastide.filters.language_codes import CODES, RELATIVES, RIVALS
from bastide.filters.language_model import model
from bastide.filters.near_duplicate import BANDS, NearDuplicate, bands, estimate
from bastide.filters.normalise import Normalise
from bastide.filters.sample import RANKS, Sample, rank
from bastide.filters.scripts import script
from bastide.readers.jsonl import Jsonl

VECTORS = Path(__file__).parents[1] / "vectors/corpus_quality.jsonl"
TEXTS = [json.loads(line)["text"] for line in VECTORS.read_text().split("\n") if line]
EU = (
    "bul_Cyrl ces_Latn dan_Latn deu_Latn ell_Grek eng_Latn est_Latn fin_Latn fra_Latn gle_Latn"
    " hrv_Latn hun_Latn ita_Latn lit_Latn lav_Latn mlt_Latn nld_Latn pol_Latn por_Latn ron_Latn"
    " slk_Latn slv_Latn spa_Latn swe_Latn"
)
SENTENCES = {
    "bul_Cyrl": "Всички хора се раждат свободни и равни по достойнство и права.",
    "ces_Latn": "Všichni lidé rodí se svobodní a sobě rovní co do důstojnosti a práv.",
    "deu_Latn": "Alle Menschen sind frei und gleich an Würde und Rechten geboren.",
    "ell_Grek": "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια.",
    "eng_Latn": "All human beings are born free and equal in dignity and rights.",
    "fin_Latn": "Kaikki ihmiset syntyvät vapaina ja tasavertaisina arvoltaan.",
    "hrv_Latn": "Sva ljudska bića rađaju se slobodna i jednaka u dostojanstvu i pravima.",
    "mlt_Latn": "Il-bnedmin kollha jitwieldu ħielsa u ugwali fid-dinjità u d-drittijiet.",
    "slk_Latn": "Všetci ľudia sa rodia slobodní a sebe rovní, čo sa týka ich dôstojnosti.",
    "swe_Latn": "Alla människor är födda fria och lika i värde och rättigheter.",
}


def document(text: str, language: str = "") -> Document:
    return Document(ident="d", text=text, source="test", language=language)


# Language


def test_a_language_gets_the_label_of_the_recipe() -> None:
    one = Language(languages=tuple(EU.split()))
    for label, text in SENTENCES.items():
        found = one.apply(document(text)).document
        assert found is not None, label
        assert found.language == label
    # The spelling of the label is the recipe's: both codes name the same language.
    estonian = "Kõik inimesed sünnivad vabadena ja võrdsetena oma väärikuselt ja õigustelt."
    found = Language(languages=("ekk_Latn",)).apply(document(estonian)).document
    assert found is not None and found.language == "ekk_Latn"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Bütün insanlar hür, haysiyet ve haklar bakımından eşit doğarlar.", "other-language"),
        ("Все люди рождаются свободными и равными в своем достоинстве.", "other-language"),
        (
            "人人生而自由,在尊严和权利上一律平等。他们赋有理性和良心,并应以兄弟关系相待。",
            "other-language",
        ),
        ("0123 4567 89 $$$ 0123 4567 89 ()() 0123 4567", "other-language"),
        ("Kurz.", "too-short"),
    ],
)
def test_what_is_in_no_language_of_the_recipe_is_removed(text: str, reason: str) -> None:
    outcome = Language(languages=("hun_Latn", "fin_Latn", "deu_Latn")).apply(document(text))
    assert outcome.document is None
    assert outcome.reason == f"language/{reason}"


def test_real_declarations_get_their_language() -> None:
    one = Language(languages=tuple(EU.split()))
    for folder in sorted((VECTORS.parents[1] / "corpora/udhr/source").iterdir()):
        for path in folder.iterdir():
            with path.open("rb") as stream:
                for row in Jsonl().read(stream, "udhr", path.name):
                    assert isinstance(row, Document)
                    found = one.apply(row).document
                    assert found is not None and found.language == folder.name


def test_the_script_is_part_of_the_label() -> None:
    cyrillic = "Сва људска бића рађају се слободна и једнака у достојанству и правима."
    latin = "Sva ljudska bića rađaju se slobodna i jednaka u dostojanstvu i pravima."
    both = Language(languages=("srp_Cyrl", "srp_Latn"))
    for text, label in ((cyrillic, "srp_Cyrl"), (latin, "srp_Latn")):
        found = both.apply(document(text)).document
        assert found is not None and found.language == label
    assert Language(languages=("srp_Latn",)).apply(document(cyrillic)).document is None
    for label, text in {
        "zho_Hans": "人人生而自由,在尊严和权利上一律平等。他们赋有理性和良心,并应以兄弟关系相待。",
        "kor_Kore": "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다.",
        "jpn_Jpan": "すべての人間は、生れながらにして自由で、尊厳と権利とについて平等である。",
    }.items():
        found = Language(languages=(label,)).apply(document(text)).document
        assert found is not None and found.language == label


def test_a_small_lead_is_uncertain() -> None:
    one = Language(languages=("ces_Latn", "slk_Latn"), margin_min=50.0)
    assert one.apply(document(SENTENCES["ces_Latn"])).reason == "language/uncertain"


def test_the_model_decides_as_py3langid_does() -> None:
    from py3langid import langid

    codes = frozenset(CODES.values())
    peer = langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE)
    peer.set_languages(codes)
    ours = model(codes)
    pieces = [text[at : at + 150] for text in TEXTS for at in range(0, len(text), 700)]
    pieces += [*SENTENCES.values(), *map(str.upper, SENTENCES.values())]
    for text in pieces:
        scores = peer.rank(text)
        code, lead = ours.identify(text)
        if abs(scores[0][1] - scores[1][1]) > 0.05:  # float32 against whole numbers
            assert code == scores[0][0], text
        size = len(unicodedata.normalize("NFC", text).encode())
        assert lead == pytest.approx((scores[0][1] - scores[1][1]) / size**0.5, abs=0.02), text


def test_the_lead_is_the_same_in_every_process_and_version() -> None:
    one = Language(languages=tuple(EU.split()))
    leads = [one.apply(document(text)).notes["language-margin"] for text in SENTENCES.values()]
    assert leads == LEADS


LEADS = [1.9116, 7.4561, 9.9705, 99.0, 8.5961, 10.6901, 8.2377, 16.2847, 7.2839, 15.5932]


def test_the_tables_name_only_languages_of_the_model() -> None:
    known = set(CODES.values())
    assert all(codes <= known for codes in (*RELATIVES, *RIVALS.values()))
    assert {label[:3] for label in EU.split()} <= set(CODES)
    assert model(frozenset(known)) is not None


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Hello", "Latn"),
        ("…42", "Zyyy"),
        ("Łódź", "Latn"),
        ("Привет!", "Cyrl"),
        ("日本語です", "Jpan"),
    ],
)
def test_scripts(text: str, name: str) -> None:
    assert script(text) == name


# Normalisation


@pytest.mark.parametrize(
    ("raw", "want"),
    [
        ("cafe\u0301", "café"),
        ("a\r\nb\rc\x85d\u2028e\u2029f\x0cg", "a\nb\nc\nd\ne\nf\ng"),
        ("a\0b\x07c\x1bd\x7fe", "abcde"),
        ("a\u200bb\ufeffc\u2060d\xade\u202ef\u2066g", "abcdefg"),
        ("tag\U000e0041\U000e0042", "tag"),
        ("a\xa0b\u2009c\u3000d", "a b c d"),
        ("  a  \t\n\n\n\nb \n", "a\n\nb"),
        ("    indented\n    too", "indented\n    too"),
        ("word\u200cword", "wordword"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("👩\u200d💻", "👩\u200d💻"),
        ("MÃ¼nchen und KÃ¶ln, GrÃ¼ÃŸe", "München und Köln, Grüße"),
        ("itâ€™s a â€œquoteâ€\x9d â€“ yes", "it’s a “quote” – yes"),
        ("PÅ™Ã­liÅ¡ Å¾luÅ¥ouÄ\x8dkÃ½ kÅ¯Åˆ", "Příliš žluťoučký kůň"),
        ("ÐŸÑ€Ð¸Ð²ÐµÑ‚", "Привет"),
        ("Der Buchstabe „Ä“ und „Ö“", "Der Buchstabe „Ä“ und „Ö“"),
        (
            "„Spaß“ und „Ä“ und „Ä“, Ärger, Ägypten, Ähre",
            "„Spaß“ und „Ä“ und „Ä“, Ärger, Ägypten, Ähre",
        ),
    ],
)
def test_normalisation(raw: str, want: str) -> None:
    found = Normalise().apply(document(raw)).document
    assert found is not None
    assert found.text == want


def test_what_is_lost_or_empty_is_removed() -> None:
    assert Normalise().apply(document("caf\ufffd na\ufffdve")).reason == "normalise/undecodable"
    assert Normalise().apply(document(" \u200b\n")).reason == "normalise/empty"
    assert Normalise().apply(document("")).reason == "normalise/empty"
    one = Normalise().apply(document("MÃ¼nchen und KÃ¶ln"))
    assert one.notes == {"mojibake": 2}
    assert Normalise(mojibake=False).apply(document("MÃ¼ KÃ¶")).document == document("MÃ¼ KÃ¶")


NASTY = st.text(
    st.sampled_from(
        "aé\u0301\r\n \t\xa0\u200b\u200d\u200c\ufeffÃ¼¶Äâ€“œ™„\x85\u2028\0\u0430\u1100\u1161"
    )
    | st.characters(exclude_categories=["Cs"]),
    max_size=60,
)


@given(NASTY)
def test_normalising_twice_changes_nothing_further(text: str) -> None:
    one = Normalise(mojibake=False)
    first = one.apply(document(text)).document
    if first is not None:
        again = one.apply(first).document
        assert again == first
        assert unicodedata.is_normalized("NFC", first.text)
        assert "\r" not in first.text and "\n\n\n" not in first.text


@pytest.mark.parametrize("text", TEXTS[:38], ids=lambda text: text[:12])
def test_sound_text_in_any_language_stays_as_it_is(text: str) -> None:
    outcome = Normalise().apply(document(text))
    assert outcome.document is not None
    assert "mojibake" not in outcome.notes
    folded = " ".join(outcome.document.text.split())
    assert folded.replace("\u200b", "") == " ".join(
        unicodedata.normalize("NFC", text).split()
    ).replace("\u200b", "")


# Near duplicates


def similarity(one: str, other: str) -> float:
    def shingles(text: str) -> set[tuple[str, ...]]:
        words = text.split()
        return {tuple(words[at : at + 5]) for at in range(len(words) - 4)}

    a, b = shingles(one), shingles(other)
    return len(a & b) / len(a | b)


def test_signatures_are_the_recorded_ones() -> None:
    near = NearDuplicate()
    text = SENTENCES["eng_Latn"] * 3
    digest = hashlib.sha256(near.signature(text)).hexdigest()
    assert len(near.signature(text)) == 512
    assert digest == SIGNATURE
    assert list(bands(near.signature(text)))[:2] == BAND_KEYS
    assert near.signature(" ... !? ") == b""
    assert near.signature("One Two") == near.signature("one, TWO!")


SIGNATURE = "d15b6008f477b9ce5cbb19a208026f3b27bb13514f2b02c0dc7fb366814be888"
BAND_KEYS = [972945136333555537, 9931853418076804767]


def test_another_process_with_another_hash_seed_makes_the_same() -> None:
    code = (
        "from bastide.filters.near_duplicate import NearDuplicate as N;"
        f"print(N().signature({SENTENCES['fin_Latn']!r}).hex())"
    )
    made = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONPATH": ":".join(sys.path), "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert made == {NearDuplicate().signature(SENTENCES["fin_Latn"]).hex()}


def test_similar_texts_share_a_band_and_others_do_not() -> None:
    draw = random.Random(7)
    words = sorted({word for text in TEXTS[:20] for word in text.split()})
    near = NearDuplicate()
    found = pairs = wrong = far = 0
    for _ in range(300):
        text = [draw.choice(words) for _ in range(draw.randint(60, 600))]
        other = list(text)
        for _ in range(draw.randint(0, max(1, len(text) // 60))):
            other[draw.randrange(len(other))] = draw.choice(words)
        one, two = " ".join(text), " ".join(other)
        true = similarity(one.lower(), two.lower())
        ours, theirs = near.signature(one), near.signature(two)
        share = bool(set(bands(ours)) & set(bands(theirs)))
        if true >= 0.8:
            pairs, found = pairs + 1, found + share
            assert estimate(ours, theirs) == pytest.approx(true, abs=0.2)
        stranger = near.signature(" ".join(draw.choice(words) for _ in range(200)))
        far, wrong = far + 1, wrong + bool(set(bands(ours)) & set(bands(stranger)))
    assert pairs > 100
    assert found / pairs >= 0.97
    assert wrong == 0
    assert len(bands(ours)) == BANDS


# Draws


def test_a_larger_share_holds_the_smaller_one() -> None:
    documents = [Document(ident=f"d{number}", text="t", source="s") for number in range(4000)]

    def kept(share: float, seed: str = "s") -> set[str]:
        one = Sample(share=share, seed=seed)
        return {found.ident for found in documents if one.apply(found).document is not None}

    assert kept(0.0) == set()
    assert len(kept(1.0)) == 4000
    assert kept(0.1) < kept(0.3)
    assert abs(len(kept(0.3)) - 1200) < 120
    assert kept(0.3) != kept(0.3, "t")
    czech = Sample(share=0.0, seed="s", language="ces_Latn")
    assert czech.apply(document("x", "ces_Latn")).reason == "sample/not-drawn"
    assert czech.apply(document("x", "deu_Latn")).document is not None
    assert rank("a", "b") == 1_118_263_820_763_670_512 < RANKS


# Settings


def test_a_filter_is_made_of_its_settings_and_travels_to_other_processes() -> None:
    for ident, kind in {**FILTERS, **GLOBAL_STEPS}.items():
        needed = {
            "language": {"languages": ["ces_Latn"]},
            "sample": {"share": 1, "seed": "s"},
            "budget": {"unit": "bytes", "total": 9},
            "names": {"finder": "list:names.txt"},
        }.get(ident, {})
        if ident == "personal-data":
            continue
        one = build(ident, needed)
        assert isinstance(one, kind)
        assert pickle.loads(pickle.dumps(one)) == one
    assert build("length", {"chars_min": 5}).chars_min == 5
    assert build("fineweb", {"short_lines_max": 1}).short_lines_max == 1.0


@pytest.mark.parametrize(
    ("ident", "settings", "message", "fix"),
    [
        ("gopher-qualty", {}, "no step 'gopher-qualty'", "did you mean 'gopher-quality'?"),
        ("length", {"char_min": 5}, "no setting 'char_min'", "did you mean 'chars_min'?"),
        ("length", {"chars_min": "5"}, "chars_min must be a whole number", ""),
        ("length", {"chars_min": True}, "chars_min must be a whole number", ""),
        ("language", {"languages": "ces_Latn"}, "languages must be a list of texts", ""),
        ("language", {}, "needs the setting languages", ""),
        ("language", {"languages": ["cz"]}, "cz is no language", ""),
        ("language", {"languages": ["ces_latn"]}, "ces_latn is no language", ""),
        ("language", {"languages": []}, "at least one", ""),
        ("language", {"languages": ["zho_Hans", "zho_Hant"]}, "cannot be told apart", ""),
        ("sample", {"share": 2.0, "seed": ""}, "from 0 to 1", ""),
    ],
)
def test_a_wrong_setting_is_named(
    ident: str, settings: dict[str, object], message: str, fix: str
) -> None:
    with pytest.raises(Misconfigured) as caught:
        build(ident, settings)
    assert message in caught.value.message
    assert caught.value.fix == fix


def test_length_counts_characters_and_words() -> None:
    bounds = build("length", {"chars_min": 3, "chars_max": 9, "words_min": 2, "words_max": 3})
    reasons = [
        bounds.apply(document(text)).reason for text in ("a", "a" * 10, "abc", "a b", "a b c d")
    ]
    rules = ["too-few-characters", "too-many-characters", "too-few-words", "", "too-many-words"]
    assert reasons == [rule and f"length/{rule}" for rule in rules]
