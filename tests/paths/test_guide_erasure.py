# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""docs/guides/erasure.md works word for word: the person is gone, it is proven, and kept out.

Broken once to prove the test: with a list that is not written, and with tombstones of another
digest than the guide says, it fails.
"""

import hashlib
import json
from pathlib import Path

import pytest

from bastide.app.config import Home
from bastide.app.corpora import export_dataset, show_dataset
from bastide.app.corpus_build import build_dataset
from bastide.app.environment import open_environment, read_passphrase
from bastide.core.errors import Refused
from paths.erase_rig import NAME, write_person
from paths.pages import Step
from paths.test_corpus import lines_of
from paths.test_guide_dataset import steps, walk
from paths.test_sealed_at_rest import found_below

SECTIONS = ("Say who it is", "Look, then erase", "Prove it", "Keep the person out of answers")


@pytest.mark.slow
def test_the_guide_erases_a_person(tmp_path: Path) -> None:
    recipe = write_person(tmp_path / "corpus")
    recipe.write_text(recipe.read_text().replace('name = "tiny"', 'name = "letters"'))
    guide = [step for section in SECTIONS for step in steps("erasure.md", section)]
    assert len(guide) == 6
    before = [
        "bastide init >/dev/null",
        "bastide corpus build corpus/tiny.toml >/dev/null",
        "bastide corpus ls --json > before.json",
    ]
    walk([*map(Step, before), *guide], tmp_path)
    (old,) = json.loads((tmp_path / "before.json").read_text())
    tombstones = (tmp_path / "tombstones.jsonl").read_bytes()
    home = Home(tmp_path / ".bastide")
    with open_environment(home, read_passphrase(home)) as env:
        rows = env.ledger.find("dataset-erasure/v1")
        new = show_dataset(env, "letters")
        # 1. What was is refused, and what is there has fewer documents, each with a tombstone.
        with pytest.raises(Refused):
            show_dataset(env, old["digest"])
        assert old["documents"] - new["documents"] == len(tombstones.splitlines()) > 3
        # 2. The digest of all lines is what the ledger says.
        said = json.dumps([row.statement.to_json() for row in rows])
        assert hashlib.sha256(tombstones).hexdigest() in said
        # 3. Nobody finds the person in an export, nor after another build, nor in clear anywhere.
        files = export_dataset(env, "letters", tmp_path / "out", "jsonl")
        texts = json.dumps(lines_of({path.name: path.read_bytes() for path in files}))
        assert NAME not in texts
        assert "kallasvuori" not in texts.casefold()
        recipe.write_text(recipe.read_text() + "# again\n")
        again = build_dataset(env, recipe, 1)
        assert again.body["documents"] == new["documents"]
        removed = {row["step"]: row["removed"] for row in again.body["steps"]}
        assert removed["erasure"] == {"erasure/subject": len(tombstones.splitlines()) + 1}
        # 4. The guard has the list.
        assert json.loads((tmp_path / "list.json").read_text())
        assert env.ledger.find("erasure/v1")
    assert not found_below(home.root, NAME.encode())
