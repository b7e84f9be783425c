# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Moderations as the SDKs see them: the guard policy of the caller's tenant answers."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from mistralai.client import Mistral

from bastide.core.guard import GuardPolicy
from paths.gateway_rig import KEY, STRANGE_KEY, Rig, bugs, gateway

IBAN = "DE89 3704 0044 0532 0130 00"
TEXTS = [f"Pay to {IBAN}.", "Hello"]
IMAGE: Any = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}


@pytest.fixture
def rig() -> Iterator[Rig]:
    with gateway() as made:
        yield made
        assert bugs(made) == []
        assert made.engine.requests == []
        assert made.control.receipts == []
        assert "3704" not in repr(made.logged)


def guard(rig: Rig, tenant: str = "acme") -> None:
    policy = GuardPolicy.from_json({"in": {"iban": "refuse"}, "out": {"email": "mask"}})
    rig.publish(guards={tenant: json.dumps(policy.to_json())})


def clients(rig: Rig) -> dict[str, openai.OpenAI]:
    return {
        "openai": openai.OpenAI(base_url=rig.url + "/v1", api_key=KEY, max_retries=0),
        "azure v1": openai.OpenAI(base_url=rig.url + "/openai/v1/", api_key=KEY, max_retries=0),
        "azure": openai.AzureOpenAI(
            azure_endpoint=rig.url, api_key=KEY, api_version="2024-10-21", max_retries=0
        ),
    }


def check(told: openai.types.ModerationCreateResponse) -> None:
    assert told.id.startswith("modr-")
    first, second = told.results
    assert (first.flagged, second.flagged) == (True, False)
    found = first.categories.to_dict()
    assert {name for name, there in found.items() if there} == {"iban"}
    assert first.category_scores.to_dict()["iban"] == 1
    assert first.categories.harassment_threatening is False
    assert "iban" not in second.categories.to_dict()


@pytest.mark.parametrize("name", ["openai", "azure v1", "azure"])
def test_texts_are_judged(rig: Rig, name: str) -> None:
    guard(rig)
    check(clients(rig)[name].moderations.create(input=TEXTS, model="omni-moderation-latest"))


def test_texts_are_judged_async(rig: Rig) -> None:
    guard(rig)

    async def ask() -> openai.types.ModerationCreateResponse:
        async with openai.AsyncOpenAI(base_url=rig.url + "/v1", api_key=KEY) as client:
            return await client.moderations.create(input=TEXTS)

    check(asyncio.run(ask()))


def test_parts_are_judged_and_images_refused(rig: Rig) -> None:
    guard(rig)
    client = clients(rig)["openai"]
    parts: list[Any] = [{"type": "text", "text": text} for text in TEXTS]
    [one] = client.moderations.create(input=parts).results
    assert one.flagged
    with pytest.raises(openai.BadRequestError, match="images") as caught:
        client.moderations.create(input=[*parts, IMAGE])
    assert caught.value.param == "input[2]"


@pytest.mark.parametrize("name", ["openai", "azure v1", "azure"])
def test_a_tenant_without_a_policy_is_told_so(rig: Rig, name: str) -> None:
    guard(rig, tenant="other")
    with pytest.raises(openai.NotFoundError, match="No guard policy is set") as caught:
        clients(rig)[name].moderations.create(input="Hi")
    assert caught.value.code == "guard_not_found"


def test_a_stranger_is_told_nothing(rig: Rig) -> None:
    guard(rig)
    client = openai.OpenAI(base_url=rig.url + "/v1", api_key=STRANGE_KEY, max_retries=0)
    with pytest.raises(openai.AuthenticationError):
        client.moderations.create(input="Hi")


@pytest.mark.parametrize("asynchronous", [False, True])
def test_mistral_s_client(rig: Rig, asynchronous: bool) -> None:
    guard(rig)
    client = Mistral(api_key=KEY, server_url=rig.url, timeout_ms=20_000)
    asked: Any = {"model": "mistral-moderation-latest", "inputs": TEXTS}
    if asynchronous:
        told = asyncio.run(client.classifiers.moderate_async(**asked))
    else:
        told = client.classifiers.moderate(**asked)
    found = [row.categories or {} for row in told.results]
    assert [row["pii"] for row in found] == [True, False]
    assert found[0]["iban"] is True
    assert found[0]["hate_and_discrimination"] is False
