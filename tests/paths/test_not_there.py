# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What the `openai` package can ask for and nobody answers here: it is refused by its name."""

from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest

from paths.gateway_rig import KEY, MODEL, STRANGE_KEY, Rig, bugs, gateway

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def rig() -> Iterator[Rig]:
    with gateway() as made:
        yield made
        assert bugs(made) == []


def client(rig: Rig, key: str = KEY) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{rig.url}/v1", api_key=key, timeout=20)


def test_sounds_and_images_are_refused_by_their_names(rig: Rig) -> None:
    """As forms and as JSON: a form's own media type is not what is wrong with it."""
    asking = client(rig)
    asks: dict[str, Callable[[], Any]] = {
        "audio/speech": lambda: asking.audio.speech.create(model=MODEL, voice="alloy", input="x"),
        "audio/transcriptions": lambda: asking.audio.transcriptions.create(model=MODEL, file=b"x"),
        "audio/translations": lambda: asking.audio.translations.create(
            model=MODEL, file=b"x" * 1_000_000
        ),
        "images/generations": lambda: asking.images.generate(model=MODEL, prompt="x"),
        "images/edits": lambda: asking.images.edit(model=MODEL, prompt="x", image=b"x"),
        "images/variations": lambda: asking.images.create_variation(model=MODEL, image=b"x"),
        "videos": lambda: asking.videos.create(model=MODEL, prompt="x"),
    }
    for name, ask in asks.items():
        with pytest.raises(openai.BadRequestError, match=f"'{name}' does not work") as bad:
            ask()
        assert (bad.value.param, bad.value.code) == (name, "unsupported_parameter")
    with pytest.raises(openai.AuthenticationError):
        client(rig, STRANGE_KEY).audio.transcriptions.create(model=MODEL, file=b"x")
    assert rig.engine.requests == []


def test_azures_client_is_told_the_same(rig: Rig) -> None:
    asking = openai.AzureOpenAI(azure_endpoint=rig.url, api_version="2024-10-21", api_key=KEY)
    with pytest.raises(openai.BadRequestError, match="'audio/transcriptions' does not work"):
        asking.audio.transcriptions.create(model=MODEL, file=b"x")
    with pytest.raises(openai.BadRequestError, match="'images/generations' does not work"):
        asking.images.generate(model=MODEL, prompt="x")
