# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Copyright files of Debian, and the SPDX expressions that the sample corpus makes of them."""

import pytest
from corpus_sample.licences import Licence, Stated, licence_of, spdx_of

HEAD = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\n"


@pytest.mark.parametrize(
    ("stanzas", "kind", "spdx"),
    [
        ({"*": "GPL-2+", "debian/*": "MIT"}, "man", "GPL-2.0-or-later"),
        ({"*": "GPL-2+", "doc/*": "GFDL-NIV-1.2+"}, "handbook", "GFDL-1.2-no-invariants-or-later"),
        ({"*": "GPL-2+", "doc/*": "GFDL-1.2"}, "catalogue", "GPL-2.0-or-later"),
        ({"*": "GPL-2+", "po/uk/*": "LGPL-2.1"}, "catalogue", "GPL-2.0-or-later AND LGPL-2.1-only"),
        ({"*": "GPL-3+ or CC-BY-SA-3.0"}, "text", "CC-BY-SA-3.0 OR GPL-3.0-or-later"),
        ({"*": "GPL-2+3+KDEeV"}, "catalogue", "GPL-2.0-only OR GPL-3.0-only"),
        ({"*": "GPL-2+ or custom"}, "catalogue", "GPL-2.0-or-later"),
        ({"*": "GPL-2+ and custom"}, "catalogue", "LicenseRef-Debian-pkg"),
        ({"*": "custom"}, "text", "LicenseRef-Debian-pkg"),
        ({"*": "GPL-2+", "doc/*": "custom"}, "handbook", "LicenseRef-Debian-pkg"),
        ({"*": "CC-BY"}, "text", "LicenseRef-Debian-pkg"),
    ],
)
def test_a_licence_is_translated_only_where_it_is_certain(
    stanzas: dict[str, str], kind: str, spdx: str
) -> None:
    rows = [f"Files: {files}\nCopyright: X\nLicense: {name}\n" for files, name in stanzas.items()]
    assert licence_of(HEAD + "\n".join(rows), kind, "pkg").spdx == spdx


def test_a_statement_holds_as_long_as_its_evidence_stands_in_the_file() -> None:
    stated = Stated("GPL-2.0-only", "licensed under version 2")
    text = "It is licensed\nunder version 2."
    assert licence_of(text, "text", "pkg", stated) == Licence("GPL-2.0-only", "stated")
    assert licence_of(text.replace("2", "3"), "text", "pkg", stated).found == "unclear"


@pytest.mark.parametrize(
    "name", ["GPL", "GPL-9", "GPL-2 or MIT and ISC", "GPL-2+ with OpenSSL", "other"]
)
def test_a_name_without_a_certain_meaning_has_no_expression(name: str) -> None:
    assert spdx_of(name) is None


def test_the_packaging_is_not_the_document() -> None:
    rows = "Files: *\nLicense: GPL-2+\n\nFiles: debian/*\nLicense: custom\n"
    assert licence_of(HEAD + rows, "man", "pkg") == Licence("GPL-2.0-or-later", "one-licence")
