# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The guide has the tables that the program prints."""

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_guide_has_what_the_program_prints() -> None:
    spec = importlib.util.spec_from_file_location("at_scale", ROOT / "tools/corpus_at_scale.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    printed = module.pages(module.Corpus(), module.Rates(), [1, 4, 16, 64], 128)
    assert printed in (ROOT / "docs/guides/corpus-scale.md").read_text()
