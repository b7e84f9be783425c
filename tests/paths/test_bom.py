# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Bills of materials: valid CycloneDX for the public validator, and nothing but evidence."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from bastide.app.own_bom import own_bom, read_locked
from bastide.app.release_bom import release_bom, release_bom_of
from bastide.app.releases import find_published
from bastide.core.canonical import canonical
from bastide.core.errors import Misconfigured, NotFound, NotProven
from bastide.core.subject import Digest
from paths.demo import Demo
from paths.loading_rig import Served
from unit.model_files import TEMPLATE, make_gguf

LOCK = Path(__file__).parents[2] / "requirements" / "runtime.txt"


def faults(data: bytes) -> Any:
    return JsonStrictValidator(SchemaVersion.V1_6).validate_str(data.decode())


def test_the_public_validator_accepts_the_bill_of_a_release(broken: Served) -> None:
    assert faults(release_bom(broken.env, "tiny")) is None


def test_the_validator_would_refuse_what_is_no_bill(broken: Served) -> None:
    bill = json.loads(release_bom(broken.env, "tiny"))
    bill["metadata"]["component"]["modelCard"]["scores"] = 1
    assert faults(json.dumps(bill).encode()) is not None


def test_it_names_files_template_suite_licence_origin_and_scores(broken: Served) -> None:
    bill = json.loads(release_bom(broken.env, "tiny"))
    published = find_published(broken.env, "tiny")
    model = bill["metadata"]["component"]
    by_ref = {row["bom-ref"]: row for row in bill["components"]}
    content = Digest.of(make_gguf().encode())
    (file,) = [row for row in bill["components"] if row["type"] == "file"]
    assert file["hashes"] == [{"alg": "SHA-256", "content": content.hex}]
    assert by_ref["chat-template"]["hashes"][0]["content"] == Digest.of(TEMPLATE.encode()).hex
    suite = published.evaluation.body["suite"]
    assert by_ref["evaluation-suite"]["hashes"][0]["content"] == suite["digest"][7:]
    assert model["licenses"] == [{"expression": "Apache-2.0"}]
    facts = {row["name"]: row["value"] for row in model["properties"]}
    assert facts["bastide:origin"] == "made by a test"
    assert facts["bastide:statement:release/v1"] == str(published.release.digest)
    metrics = model["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
    assert {row["type"]: float(row["value"]) for row in metrics} == published.evaluation.body[
        "scores"
    ]


@pytest.mark.attacks("C134")
def test_the_ledger_alone_gives_its_digest(broken: Served) -> None:
    """Who holds the entries makes the same bytes: no clock, no version, no machine is in them."""
    first = release_bom(broken.env, "tiny")
    broken.env.ledger.rebuild()
    assert canonical(release_bom_of(find_published(broken.env, "tiny"))) == first


def test_what_is_not_released_has_no_bill(broken: Served) -> None:
    with pytest.raises(NotFound):
        release_bom(broken.env, "other")


def test_the_command_writes_it_and_says_its_digest(broken: Served, tmp_path: Path) -> None:
    demo, file = Demo(broken.env.home.root), tmp_path / "tiny.cdx.json"
    said = demo.json("release", "bom", "tiny", "--to", str(file))
    assert said["digest"] == str(Digest.of(file.read_bytes()))
    assert demo.run("release", "bom", "tiny").stdout.encode().strip() == file.read_bytes()


# Bastide itself


def test_the_public_validator_accepts_our_own_bill() -> None:
    data = own_bom(read_locked(LOCK.read_text()))
    assert faults(data) is None
    bill = json.loads(data)
    rows = {row["name"]: row for row in bill["components"]}
    assert bill["metadata"]["component"]["name"] == "bastide"
    assert rows["cryptography"]["licenses"] == [{"expression": "Apache-2.0 OR BSD-3-Clause"}]
    wanted = [row["purl"] for row in bill["components"] if row["name"] == "cryptography"]
    depends = {row["ref"]: row["dependsOn"] for row in bill["dependencies"]}
    assert wanted[0] in depends[bill["metadata"]["component"]["bom-ref"]]
    assert "pytest" not in rows
    assert [row["name"] for row in rows.values() if not row["licenses"]] == []


def test_every_runtime_package_has_the_hashes_of_the_lock() -> None:
    locked = read_locked(LOCK.read_text())
    rows = {row["name"]: row for row in json.loads(own_bom(locked))["components"]}
    for name in ("click", "cryptography", "sqlcipher3", "xllamacpp"):
        (reference,) = rows[name]["externalReferences"]
        assert {row["content"] for row in reference["hashes"]} == set(locked[name][1])


def test_another_version_than_the_locked_is_refused() -> None:
    text = re.sub(r"^click==\S+", "click==1.0", LOCK.read_text(), flags=re.MULTILINE)
    with pytest.raises(NotProven) as caught:
        own_bom(read_locked(text))
    assert any("1.0 is locked" in reason for reason in caught.value.reasons)


@pytest.mark.parametrize("text", ["click", "click==8.5.0", "click>=8 --hash=sha256:" + "0" * 64])
def test_requirements_without_hashes_are_refused(text: str) -> None:
    with pytest.raises(Misconfigured, match="not a locked requirement"):
        read_locked(text)
