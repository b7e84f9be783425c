# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Older generations of the official Python SDKs: applications do not upgrade when they move."""

import pytest

from paths.bedrock_rig import signing_gateway
from paths.sdk_probes import PROBES, SDKS, ask, expect_answers

pytestmark = pytest.mark.filterwarnings("ignore:FakeEngine")

OPENAI = ("AuthenticationError", "NotFoundError")
CLIENT = ("ClientError", "ClientError")
AWS = ("ClientError", "ResourceNotFoundException")
GENERATIONS = {
    "2024": {"openai": OPENAI, "anthropic": OPENAI, "boto3": AWS},
    "2025": {"openai": OPENAI, "anthropic": OPENAI, "google": CLIENT, "boto3": AWS},
    "2025-google": {"google": CLIENT},
}


@pytest.mark.parametrize("generation", GENERATIONS)
def test_an_older_generation_works_unchanged(generation, tmp_path):
    with signing_gateway() as rig:
        python = SDKS / generation / "bin" / "python"
        found = ask([python, PROBES / "probe.py"], rig, tmp_path)
    expect_answers(found)
    errors = {
        name: (row["bad_key"], row["bad_model"]) for name, row in found.items() if name != "azure"
    }
    assert errors == GENERATIONS[generation]
    assert ("azure" in found) == ("openai" in found)
