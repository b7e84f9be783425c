# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Addresses with ports: what is one, and what is said of one that cannot be had.

To see these tests fail I once broke the code: with `text.rpartition("-")` as before, `8490-x` was
one port and `my-host` none; without the last error's message a wrong address read as a busy port.
"""

import socket

import pytest

from bastide.app.config import Settings
from bastide.app.runner_far import FarSocket
from bastide.app.setting_checks import read_port_range, split_address
from bastide.core.errors import Misconfigured, Unavailable
from bastide.core.service import Credential


@pytest.mark.parametrize(
    ("text", "host", "ports"),
    [
        ("10.0.0.2:8490", "10.0.0.2", range(8490, 8491)),
        ("10.0.0.2:8490-8499", "10.0.0.2", range(8490, 8500)),
        ("my-host:8490", "my-host", range(8490, 8491)),
        ("my-host.example:8490-8491", "my-host.example", range(8490, 8492)),
        ("[2001:db8::2]:8490-8499", "2001:db8::2", range(8490, 8500)),
        ("10.0.0.2:1-65535", "10.0.0.2", range(1, 65_536)),
    ],
)
def test_a_range_of_ports(text: str, host: str, ports: range) -> None:
    assert read_port_range(text) == (host, ports)


@pytest.mark.parametrize(
    "ports", ["8490-x", "8490-", "-8490", "x", "", "0", "8499-8490", "8490-65536", "8490-8491-8492"]
)
def test_what_is_no_range_of_ports(ports: str) -> None:
    with pytest.raises(Misconfigured, match="is no address with ports"):
        read_port_range(f"10.0.0.2:{ports}")


@pytest.mark.parametrize("text", ["", "8490", ":8490", "0.0.0.0:8490", "[::]:8490", "10.0.0.2"])
def test_what_is_no_address_for_others(text: str) -> None:
    with pytest.raises(Misconfigured, match="is no address with ports"):
        read_port_range(text)


@pytest.mark.parametrize("text", ["10.0.0.1", ":8475", "10.0.0.1:x", "10.0.0.1:²", "a:65536"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(Misconfigured, match="is no address"):
        split_address(text)


def test_why_no_port_can_be_had_is_said() -> None:
    def ask(listen: str) -> str:
        with pytest.raises(Unavailable) as refused:
            FarSocket(Settings("test", runner_listen=listen), _nobody, "name")
        return refused.value.message

    # TEST-NET-1 (RFC 5737) is nobody's, so not this machine's.
    assert ask("192.0.2.1:8490-8491").endswith("8491: Cannot assign requested address")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert ask(f"127.0.0.1:{port}").endswith("Address already in use")


def _nobody() -> Credential:
    raise AssertionError("nobody asks for a certificate before there is a port")
