# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What stands between an SDK and the gateway hears the SDK, whoever else knocks at its port."""

import socket

import pytest

from paths.exchanges import recorded
from paths.gateway_rig import Rig
from paths.sdk_calls import CALLS
from paths.sdk_tap import exchange

pytestmark = pytest.mark.filterwarnings("ignore:FakeEngine")


@pytest.mark.parametrize("stays", [False, True])
def test_who_says_nothing_is_not_the_sdk(stays: bool) -> None:
    name, call = next(iter(CALLS["openai"].items()))

    def asked(url: str, rig: Rig) -> object:
        stranger = socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])))
        if not stays:
            stranger.close()
        try:
            return call(url, rig)
        finally:
            stranger.close()

    assert exchange(name, asked) == recorded("openai")[name]
