# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What SDKs were recorded to ask, asked again without them: the gateway gives the same bytes."""

from typing import Any

import pytest

from paths.exchanges import FOLDER, asked_again, familiar, recorded

pytestmark = pytest.mark.filterwarnings("ignore:FakeEngine")

SDKS = sorted(path.stem for path in FOLDER.glob("*.json"))
EXCHANGES = [
    pytest.param(name, made, id=f"{sdk} {name}")
    for sdk in SDKS
    for name, made in recorded(sdk).items()
]


@pytest.mark.parametrize(("name", "made"), EXCHANGES)
def test_the_answer_is_the_recorded_one(name: str, made: dict[str, Any]) -> None:
    with familiar(name) as rig:
        assert asked_again(rig, made["request"]) == made["response"]


@pytest.mark.parametrize("sdk", SDKS)
def test_the_exchanges_that_every_sdk_has(sdk: str) -> None:
    made = recorded(sdk)
    usual = {"chat", "stream", "tools", "tools in a stream", "schema", "broken stream"}
    assert usual <= set(made)
    assert made["an unknown model"]["response"]["status"] == 404
    assert made["what is not supported"]["response"]["status"] == 400
