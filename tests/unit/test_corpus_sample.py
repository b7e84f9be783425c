# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The tool that makes the sample corpus: extractors, languages, licences, packages, collections."""

import bz2
import gettext
import gzip
import io
import json
import shutil
import struct
import subprocess
from collections import Counter
from pathlib import Path

import pytest
import zstandard
from corpus_sample import sample
from corpus_sample.archive import FILE_BYTES_MAX, ArchiveError, Package, copyright_of, package_of
from corpus_sample.catalogue_mo import mo_pages
from corpus_sample.collection import Count, Made, made_before, write_collection
from corpus_sample.documents import Sampled, debian_documents, unpacked
from corpus_sample.hypertext import html_pages, kde_cache_pages
from corpus_sample.languages import EUROPEAN, language_of_locale, language_of_path
from corpus_sample.licences import Licence
from corpus_sample.plain import fortune_pages, plain_pages
from corpus_sample.recipe import NORDIC, SOURCES_MAX, recipe_of
from corpus_sample.roff import roff_pages
from corpus_sample.xml_help import xml_pages

from bastide.core.recipe import parse_recipe
from bastide.filters.catalogue import build

LONG = (
    "Denne sætning er lang nok til, at siden bliver et dokument og ikke kastes bort som en titel."
)

HTML = f"""<!DOCTYPE html><html lang="da"><head><title>T</title><style>p {{}}</style></head><body>
<nav><ul><li>Forside</li></ul></nav><div id="content"><h1>Kapitel <b>1</b></h1>
<p>{LONG}</p><ul><li>et<li>to</ul><pre>rm -r *</pre><table><tr><td>a</td><td>b</td></tr></table>
<script>alert(1)</script></div><footer>bund</footer></body></html>"""

DOCBOOK = f"""<?xml version="1.0"?>
<!DOCTYPE book PUBLIC "-//OASIS//DTD DocBook XML V4.5//EN" "http://192.0.2.1/docbookx.dtd" [
  <!ENTITY app "<application>Regnearket</application>">
  <!ENTITY secret SYSTEM "file:///etc/passwd">
]>
<book lang="da"><bookinfo><author><surname>Hemmelig</surname></author></bookinfo>
<title>Håndbog til &app;</title><!-- bort -->
<para>{LONG} &secret; <!-- bort --><itemizedlist><listitem><para>Et punkt.</para></listitem>
</itemizedlist>efter</para><screen>rm -r *</screen></book>""".encode()

MALLARD = f"""<page xmlns="http://projectmallard.org/1.0/" xml:lang="da"><info><desc>bort</desc>
</info><title>Del filer</title>
<p>{LONG}</p><steps><item><p>Klik på <gui>Deling</gui>.</p></item></steps>
<code>rm</code></page>""".encode()

ROFF = rf""".\" bort
.TH LS 1 "maj 2026"
.SH NAVN
ls \- vis mappeindhold
.PP
{LONG}
Se \fBls\fP(1) og \(lqcaf\['e]\(rq.
.nf
rm -r *
.fi
.TP
.BI \-\-fil " navn"
hører til
.BR cp (1),
""".encode()


def test_html_gives_the_paragraphs_of_the_main_part() -> None:
    (page,) = html_pages(HTML.encode())
    assert page.text.split("\n\n") == ["Kapitel 1", LONG, "et", "to", "a", "b"]
    assert page.language == "da"


def test_html_in_a_declared_encoding_is_read_and_in_an_undeclared_one_refused() -> None:
    latin = HTML.replace("<head>", '<head><meta charset="iso-8859-1">').encode("latin-1")
    assert LONG in html_pages(latin)[0].text
    with pytest.raises(UnicodeDecodeError):
        html_pages(HTML.encode("latin-1"))


def test_a_kde_cache_gives_each_of_its_pages() -> None:
    cache = f'<FILENAME filename="index.html">{HTML}<FILENAME filename="b.html">{HTML}'
    assert [page.part for page in kde_cache_pages(cache.encode())] == ["index.html", "b.html"]


def test_docbook_reads_nothing_outside_and_expands_no_entity() -> None:
    (page,) = xml_pages(DOCBOOK)
    title, first, point, rest = page.text.split("\n\n")
    assert title == "Håndbog til Regnearket"
    assert first == f"{LONG} secret"  # the name, never the file
    assert (point, rest, page.language) == ("Et punkt.", "efter", "da")


def test_an_entity_that_grows_stays_small() -> None:
    rows = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))
    bomb = f'<!DOCTYPE book [<!ENTITY e0 "ha">{rows}]><book><para>{LONG} &e11;</para></book>'
    assert len(xml_pages(bomb.encode())[0].text) < 300


def test_mallard_is_read_and_other_xml_is_not() -> None:
    (page,) = xml_pages(MALLARD)
    assert page.text.split("\n\n") == ["Del filer", LONG, "Klik på Deling."]
    assert xml_pages(MALLARD.replace(b"projectmallard.org", b"example.org")) == []
    assert xml_pages(f"<svg><p>{LONG}</p></svg>".encode()) == []


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_catalogue_gives_its_translated_sentences_once(order: str) -> None:
    messages = {
        "": "Content-Type: text/plain; charset=UTF-8\n",
        "%d file is open now": "%d fil er åben nu\0%d filer er åbne nu",
        "&Save the whole document": "&Gem hele det <b>lange</b> dokument",
        "Open": "Åbn",
        "Stays in English as it is": "Stays in English as it is",
        "menu\4Save the whole document now": "Gem hele det lange dokument",
        "z": LONG,
    }
    data = catalogue(messages, order)
    assert gettext.GNUTranslations(io.BytesIO(data)).gettext("Open") == "Åbn"  # a real catalogue
    (page,) = mo_pages(data)
    assert page.text.split("\n\n") == [
        "%d fil er åben nu", "%d filer er åbne nu", "Gem hele det lange dokument", LONG,
    ]  # fmt: skip


@pytest.mark.parametrize("cut", [3, 20, 60, 200])
def test_a_broken_catalogue_is_refused(cut: int) -> None:
    data = catalogue({"a": LONG, "b": LONG}, "<")
    with pytest.raises(ValueError, match=r"short|fit|outside"):
        mo_pages(data[:cut])
    with pytest.raises(ValueError, match="magic"):
        mo_pages(b"\0" * 40)


def test_a_manual_page_loses_its_macros_and_listings() -> None:
    (page,) = roff_pages(ROFF)
    assert page.text.split("\n\n") == [
        "NAVN", "ls - vis mappeindhold",
        f"{LONG} Se ls(1) og “café”.",
        "--fil navn hører til cp(1),",
    ]  # fmt: skip
    assert roff_pages(b".so man1/ls.1\n") == []


def test_plain_text_and_sayings_are_cut_where_they_say() -> None:
    assert (
        plain_pages(f"A\nB\n=====\n\n{LONG}\n\n----\n".encode())[0].text == f"A B =====\n\n{LONG}"
    )
    assert fortune_pages(f"{LONG}\n%\nto\n%\n".encode())[0].text == f"{LONG}\n\nto"


@pytest.mark.parametrize(
    ("path", "package", "declared", "language"),
    [
        ("/usr/share/man/da/man1/ls.1.gz", "manpages-da", "", "dan_Latn"),
        ("/usr/share/man/man1/ls.1.gz", "manpages-da", "", "eng_Latn"),
        ("/usr/share/help/C/gedit/index.docbook", "gedit", "", "eng_Latn"),
        ("/usr/share/help/pt_BR/gedit/a.page", "gedit", "", "por_Latn"),
        ("/usr/share/locale/sr@latin/LC_MESSAGES/a.mo", "a", "", "srp_Latn"),
        ("/usr/share/locale/sr/LC_MESSAGES/a.mo", "a", "", "srp_Cyrl"),
        ("/usr/share/locale/zh_TW/LC_MESSAGES/a.mo", "a", "", "zho_Hant"),
        ("/usr/share/libreoffice/help/ca-valencia/a.html", "a", "", "cat_Latn"),
        ("/usr/share/locale/xx/LC_MESSAGES/a.mo", "a-da", "da", ""),
        ("/usr/share/doc/guide/fi/ch01.html", "guide", "en", "fin_Latn"),
        ("/usr/share/doc/guide/choosing.de.html", "guide", "", "deu_Latn"),
        ("/usr/share/doc/guide/a.html", "guide-sv", "", "swe_Latn"),
        ("/usr/share/doc/guide/a.html", "guide-sv", "nb-NO", "nob_Latn"),
        ("/usr/share/doc/guide/a.html", "guide", "", "eng_Latn"),
    ],
)
def test_the_path_says_the_language(path: str, package: str, declared: str, language: str) -> None:
    assert language_of_path(path, package, declared) == language


def test_every_official_language_of_the_union_has_a_locale() -> None:
    codes = "bg cs da de el en et fi fr ga hr hu it lv lt mt nl pl pt ro sk sl es sv"
    assert {language_of_locale(code) for code in codes.split()} == EUROPEAN


@pytest.mark.parametrize("ending, pack", [(".gz", gzip.compress), (".bz2", bz2.compress)])
def test_what_unpacks_to_more_than_is_allowed_is_refused(ending: str, pack) -> None:
    assert unpacked("a" + ending, pack(b"text")) == b"text"
    for data in (pack(bytes(FILE_BYTES_MAX + 1)), pack(b"text")[:-5], b"text"):
        with pytest.raises(ValueError):
            unpacked("a" + ending, data)


needs_dpkg = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="dpkg-deb is not here")


@needs_dpkg
def test_a_package_is_read_without_touching_the_disk(tmp_path: Path) -> None:
    deb, package = built(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    faults: Counter[str] = Counter()
    documents = list(debian_documents(package, deb, faults))
    assert [(one.language, one.kind) for one in documents] == [
        ("dan_Latn", "handbook"), ("fin_Latn", "man"),
    ]  # fmt: skip
    assert documents[0].url == "pkg:deb/debian/pkg@1%3A2-3?arch=all#usr/share/doc/pkg/da/a.html"
    assert faults == {"broken": 1}
    assert copyright_of(deb, "pkg") == ("free\n", "")
    assert sorted(tmp_path.rglob("*")) == before


@needs_dpkg
def test_a_package_that_is_cut_off_or_changed_is_an_error(tmp_path: Path) -> None:
    deb, package = built(tmp_path)
    whole = deb.read_bytes()
    # The last bytes are the check over the compressed data, which only dpkg-deb looks at.
    for data in (whole[:-400], whole[:-30] + bytes([whole[-30] ^ 1]) + whole[-29:]):
        deb.write_bytes(data)
        with pytest.raises(ArchiveError):
            list(debian_documents(package, deb, Counter()))


@needs_dpkg
def test_the_same_collection_is_made_of_the_same_bytes_and_only_once(tmp_path: Path) -> None:
    _, package = built(tmp_path)
    (tmp_path / "packages").mkdir()
    (tmp_path / "pkg.deb").rename(tmp_path / "packages" / package.file)
    task = ("pkg", [package], tmp_path, "tool", {})
    first = sample._debian(task)
    bytes_of = contents(tmp_path / "sample")
    marker = tmp_path / "sample" / "pkg" / "marker"
    marker.touch()
    assert sample._debian(task) == first
    assert marker.exists()  # not made again
    assert sample._debian((*task[:3], "other tool", {})) == first
    assert not marker.exists()
    bytes_of.pop("pkg/counts/.made.json")
    again = contents(tmp_path / "sample")
    again.pop("pkg/counts/.made.json")
    assert again == bytes_of


def test_a_collection_has_the_layout_and_an_interrupted_one_no_place(tmp_path: Path) -> None:
    licence = Licence("MIT", "one-licence")
    rows = [
        (Sampled("pkg:a#1", "æble", "dan_Latn", "text"), licence),
        (Sampled("pkg:a#2", "omena", "fin_Latn", "text"), licence),
        (Sampled("pkg:a#1", "twice", "dan_Latn", "text"), licence),
    ]

    def interrupted():
        yield rows[0]
        raise KeyboardInterrupt

    folder = tmp_path / "a"
    blank = Made("a", "https://example.org/", "2026-05-01")
    with pytest.raises(KeyboardInterrupt):
        write_collection(folder, "s", blank, interrupted(), {}, Counter())
    assert not folder.exists()
    blank = Made("a", "https://example.org/", "2026-05-01")
    made = write_collection(folder, "s", blank, iter(rows), {"a": "free"}, Counter())
    assert made_before(folder, "s") == made
    assert made_before(folder, "t") is None
    assert made.faults == {"path-twice": 1}
    part = (folder / "source" / "dan_Latn" / "part-00000.jsonl.zst").read_bytes()
    (line,) = zstandard.ZstdDecompressor().decompressobj().decompress(part).splitlines()
    assert json.loads(line)["text"] == "æble"
    counts = json.loads((folder / "counts" / "dan_Latn.json").read_text())
    assert counts == {"documents": 1, "characters": 4, "bytes": 5}
    assert 'licence: "MIT"\n' in (folder / "metadata.yaml").read_text()


def test_what_has_no_certain_licence_lies_apart(tmp_path: Path) -> None:
    rows = [
        (Sampled("pkg:a#1", "æble", "dan_Latn", "text"), Licence("MIT OR ISC", "one-licence")),
        (
            Sampled("pkg:a#2", "pære", "dan_Latn", "text"),
            Licence("GPL-2.0-only AND MIT", "stanzas"),
        ),
        (Sampled("pkg:a#3", "blomme", "dan_Latn", "man"), Licence("LicenseRef-a", "unclear")),
    ]
    blank = Made("a", "https://example.org/", "2026-05-01")
    made = write_collection(tmp_path / "a", "s", blank, iter(rows), {}, Counter())
    assert made.spdx == "GPL-2.0-only AND MIT AND (MIT OR ISC)"
    assert made.languages["dan_Latn"].documents == 2
    assert made.unclear["dan_Latn"].documents == 1
    assert (tmp_path / "a" / "unclear" / "dan_Latn" / "part-00000.jsonl.zst").exists()


def made_of(name: str, spdx: str, **languages: int) -> Made:
    made = Made(name, "https://example.org/", "2026-05-01", spdx)
    made.languages = {f"{key}_Latn": Count(1, size, size) for key, size in languages.items()}
    return made


def test_a_recipe_names_the_largest_sources_and_the_product_reads_it() -> None:
    made = [made_of(f"p{number}", "MIT", dan=number + 1, swe=1) for number in range(70)]
    made += [made_of("no-language", "MIT", hin=99), made_of("unclear", "", dan=99)]
    whole = parse_recipe(recipe_of(made, "europe", "About.", "x/"), "europe.toml")
    assert len(whole.sources) == SOURCES_MAX
    names = {source.name for source in whole.sources}
    assert names == {f"p{number}" for number in range(6, 70)}
    apart = parse_recipe(recipe_of(made, "north", "About.", "", NORDIC), "north.toml")
    assert apart.sources[-1].path == "p9/source/dan_Latn/*.jsonl.zst"
    assert {source.name[-4:] for source in apart.sources} == {".dan"}


@pytest.mark.parametrize("name", ["europe", "nordic"])
def test_the_examples_are_recipes_of_steps_that_there_are(name: str) -> None:
    path = Path(__file__).parents[2] / "examples" / f"{name}.toml"
    recipe = parse_recipe(path.read_text(), path.name)
    assert len(recipe.sources) > 10
    assert "LicenseRef" not in path.read_text()
    for step in recipe.steps:
        if step.step not in ("exact-duplicate", "personal-data"):  # steps of the build itself
            build(step.step, step.settings)


def test_the_slice_has_every_official_language() -> None:
    folder = Path(__file__).parents[1] / "corpora"
    lines = [line for path in folder.rglob("*.jsonl") for line in path.read_text().splitlines()]
    records = [json.loads(line) for line in lines]
    assert {record["lang"] for record in records} == EUROPEAN
    assert len({record["id"] for record in records}) == len(records) > 100
    assert {record["licence"] for record in records} == {"MIT", "CC-BY-SA-3.0"}


def catalogue(messages: dict[str, str], order: str) -> bytes:
    """Give a catalogue as msgfmt writes it: two tables of lengths and offsets, then the strings."""
    pairs = sorted((a.encode() + b"\0", b.encode() + b"\0") for a, b in messages.items())
    strings = [a for a, _ in pairs] + [b for _, b in pairs]
    offset, table = 28 + 16 * len(pairs), b""
    for string in strings:
        table += struct.pack(order + "II", len(string) - 1, offset)
        offset += len(string)
    head = (0x950412DE, 0, len(pairs), 28, 28 + 8 * len(pairs), 0, 0)
    return struct.pack(order + "7I", *head) + table + b"".join(strings)


def built(folder: Path) -> tuple[Path, Package]:
    """Build a package with a page, a manual page, a broken one, a picture and a link outside."""
    root = folder / "root"
    files = {
        "DEBIAN/control": b"Package: pkg\nVersion: 1:2-3\nArchitecture: all\n"
        b"Maintainer: X <x@example.org>\nDescription: x\n",
        "usr/share/doc/pkg/copyright": b"free\n",
        "usr/share/doc/pkg/da/a.html": HTML.encode(),
        "usr/share/doc/pkg/da/a.png": b"\x89PNG",
        "usr/share/man/fi/man1/ls.1.gz": gzip.compress(ROFF),
        "usr/share/man/fi/man1/no.1.gz": b"no gzip",
    }
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    (root / "usr/share/doc/pkg/da/b.html").symlink_to("/etc/passwd")
    deb = folder / "pkg.deb"
    command = ["dpkg-deb", "--root-owner-group", "--build", root, deb]
    subprocess.run(command, check=True, capture_output=True)
    fields = {"Package": "pkg", "Version": "1:2-3", "Architecture": "all", "Size": "1"}
    return deb, package_of(fields | {"SHA256": "0" * 64})


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
