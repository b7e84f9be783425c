# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What the installed SDKs send today is what tests/vectors/dialects has, and so are the answers."""

import pytest

from paths.exchanges import recorded
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
