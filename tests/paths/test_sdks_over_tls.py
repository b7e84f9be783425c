# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The official SDKs over TLS, told of our authority as `bastide env --tls` tells them."""

import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bastide.gateway.tls import server_context
from paths.bedrock_rig import signing_gateway
from paths.certificates import Site
from paths.gateway_rig import Rig
from paths.sdk_probes import PROBES, SDKS, ask, expect_answers

pytestmark = pytest.mark.filterwarnings("ignore:FakeEngine")


@pytest.fixture
def rig() -> Iterator[Rig]:
    with signing_gateway() as made:
        yield made


@pytest.fixture
def site() -> Site:
    return Site.make()


@pytest.fixture
def url(rig: Rig, site: Site) -> str:
    """An https address of the gateway, whose certificate our authority has signed."""
    issued = site.issue()
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setblocking(False)
    context = server_context(issued.certificate.decode(), issued.key.decode(), "")
    rig.call(rig.server.start(listening, context))
    return f"https://localhost:{listening.getsockname()[1]}"


@pytest.fixture
def authority(site: Site, tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    path.write_bytes(site.authority)
    return str(path)


def test_javascript(rig: Rig, url: str, authority: str) -> None:
    """AWS's client speaks HTTP/2 over TLS, too."""
    folder, node = SDKS / "javascript", SDKS / "node" / "bin" / "node"
    assert (folder / "node_modules").is_dir(), "run `make setup-dev`"
    shutil.copy(PROBES / "probe.mjs", folder)
    found = ask([node, "probe.mjs"], rig, folder, url, NODE_EXTRA_CA_CERTS=authority)
    assert set(found) == {"openai", "anthropic", "google", "aws"}
    expect_answers(found)
    # Without it none of them trusts the gateway: what answered above was it, over TLS.
    with pytest.raises(AssertionError, match="certificate"):
        ask([node, "probe.mjs"], rig, folder, url)


def test_python(rig: Rig, url: str, authority: str, tmp_path: Path) -> None:
    command = [sys.executable, PROBES / "probe.py"]
    trusting = {"SSL_CERT_FILE": authority, "AWS_CA_BUNDLE": authority}
    found = ask(command, rig, tmp_path, url, **trusting)
    assert set(found) == {"openai", "azure", "anthropic", "google", "boto3"}
    expect_answers(found)
    with pytest.raises(AssertionError, match=r"(?i)certificate|connection error"):
        ask(command, rig, tmp_path, url)
