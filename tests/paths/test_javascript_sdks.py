# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The official JavaScript SDKs of OpenAI, Anthropic, Google and AWS (which speaks HTTP/2 only)."""

import shutil

import pytest

from paths.bedrock_rig import signing_gateway
from paths.sdk_probes import PROBES, SDKS, ask, expect_answers

pytestmark = pytest.mark.filterwarnings("ignore:FakeEngine")

ERRORS = {
    "openai": ("AuthenticationError", "NotFoundError"),
    "anthropic": ("AuthenticationError", "NotFoundError"),
    "google": ("ApiError", "ApiError"),
    "aws": ("InvalidSignatureException", "ResourceNotFoundException"),
}


def test_they_work_unchanged():
    folder = SDKS / "javascript"
    node = SDKS / "node" / "bin" / "node"
    assert (folder / "node_modules").is_dir(), "run `make setup-dev`"
    shutil.copy(PROBES / "probe.mjs", folder)
    with signing_gateway() as rig:
        found = ask([node, "probe.mjs"], rig, folder)
    expect_answers(found)
    assert {name: (row["bad_key"], row["bad_model"]) for name, row in found.items()} == ERRORS
