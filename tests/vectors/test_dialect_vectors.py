# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What SDKs were recorded to ask, asked again without them: the gateway gives the same bytes."""

from typing import Any

import pytest

from paths.exchanges import FOLDER, asked_again, familiar, recorded

pytestmark = pytest.mark.filterwarnings("ignore:FakeEngine")

SDKS = sorted(str(path.relative_to(FOLDER).with_suffix("")) for path in FOLDER.rglob("*.json"))
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
    usual = {"chat", "stream", "tools", "tools in a stream", "broken stream"}
    # Anthropic's and Amazon's had no schemas then.
    older = sdk.startswith("generations/2") and sdk.endswith(("anthropic", "boto3"))
    assert usual | (set() if older else {"schema"}) <= set(made)
    assert made["an unknown model"]["response"]["status"] == 404
    assert made["what is not supported"]["response"]["status"] == 400
