# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What the installed SDKs send today is what tests/vectors/dialects has, and so are the answers.

So it is with the older generations, and JavaScript's, below `.sdks`.
"""

import json

import pytest

from paths.exchanges import FOLDER, recorded
from paths.generations import GENERATIONS, of_each, talked
from paths.sdk_calls import CALLS
from paths.sdk_tap import exchange

pytestmark = pytest.mark.filterwarnings("ignore:FakeEngine")


@pytest.mark.parametrize(
    ("sdk", "name"),
    [pytest.param(sdk, name, id=f"{sdk} {name}") for sdk, calls in CALLS.items() for name in calls],
)
def test_an_sdk_talks_as_it_was_recorded(sdk: str, name: str) -> None:
    assert exchange(name, CALLS[sdk][name]) == recorded(sdk)[name]


@pytest.mark.parametrize("sdk", CALLS)
def test_nothing_recorded_is_left_over(sdk: str) -> None:
    assert list(recorded(sdk)) == list(CALLS[sdk])


@pytest.mark.parametrize("generation", GENERATIONS)
def test_a_generation_talks_as_it_was_recorded(generation: str) -> None:
    files, said = talked(generation)
    raised = of_each(generation, said["versions"], said["raised"])
    kept = {path.stem for path in (FOLDER / "generations").glob(f"{generation}-*.json")}
    # A name that begins another: 2025 and 2025-google.
    others = [name for name in GENERATIONS if name.startswith(f"{generation}-")]
    kept -= {name for name in kept if name.startswith(tuple(f"{other}-" for other in others))}
    assert {file.rpartition("/")[2] for file in files} == kept
    for file, made in files.items():
        assert made == recorded(file), file
        assert raised[file] == json.loads((FOLDER / f"{file}.json").read_text())["raised"], file
