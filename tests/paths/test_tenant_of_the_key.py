# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Whose share pays is what the key says. No body and no header of any dialect says otherwise."""

import json
import socket
from collections.abc import Iterator

import pytest

from bastide.core.chat import GenerateRequest
from bastide.dialects.frames import FrameReader, decode, encode
from paths.gateway_rig import MODEL, Rig, gateway, read_response, request_bytes

USER = [{"role": "user", "content": "Hi"}]
PARTS = [{"role": "user", "parts": [{"text": "Hi"}]}]
AZURE = f"/openai/deployments/{MODEL}/chat/completions?api-version=2024-10-21"
INVOKE = f"/model/{MODEL}/invoke"
CLAUDE = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 5, "messages": USER}
WAYS = {
    "openai-chat": ("/v1/chat/completions", {"model": MODEL, "messages": USER}),
    "openai-completions": ("/v1/completions", {"model": MODEL, "prompt": "Hi"}),
    "openai-responses": ("/v1/responses", {"model": MODEL, "input": "Hi", "store": False}),
    "azure": (AZURE, {"messages": USER}),
    "anthropic": ("/v1/messages", {"model": MODEL, "max_tokens": 5, "messages": USER}),
    "gemini": (f"/v1beta/models/{MODEL}:generateContent", {"contents": PARTS}),
    "ollama-chat": ("/api/chat", {"model": MODEL, "messages": USER, "stream": False}),
    "ollama-generate": ("/api/generate", {"model": MODEL, "prompt": "Hi", "stream": False}),
    "bedrock-converse": (
        f"/model/{MODEL}/converse",
        {"messages": [{"role": "user", "content": [{"text": "Hi"}]}]},
    ),
    "bedrock-titan": (INVOKE, {"inputText": "Hi"}),
    "bedrock-anthropic": (INVOKE, CLAUDE),
}
CLAIMS = {
    "tenant": "rival",
    "background": False,
    "priority": 9,
    "weight": 1000,
    "user": "rival",
    "safety_identifier": "rival",
    "metadata": {"tenant": "rival", "user_id": "rival"},
    "service_tier": "priority",
    "options": {"tenant": "rival", "priority": 9},
    "labels": {"tenant": "rival"},
    "extra_body": {"tenant": "rival", "priority": 9},
    "requestMetadata": {"tenant": "rival"},
    "performanceConfig": {"latency": "optimized"},
}
HEADERS = "".join(
    f"{name}: rival\r\n"
    for name in (
        "Tenant", "X-Tenant", "X-Tenant-Id", "X-Bastide-Tenant", "Bastide-Tenant", "X-Priority",
        "Priority", "X-Request-Priority", "OpenAI-Organization", "OpenAI-Project",
        "X-Goog-User-Project", "X-Amzn-Bedrock-Service-Tier", "X-Forwarded-User", "X-Background",
    )
)  # fmt: skip


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    with gateway() as made:
        yield made


def asked(rig: Rig, path: str, body: dict, headers: str = "") -> tuple[int, list[GenerateRequest]]:
    """The status of one request, and what reached the engine of it."""
    before = len(rig.engine.requests)
    with rig.connect() as talking:
        assert isinstance(talking, socket.socket)
        talking.sendall(request_bytes(json.dumps(body).encode(), path=path, headers=headers))
        status = read_response(talking).status
    return status, rig.engine.requests[before:]


def mine(requests: list[GenerateRequest]) -> bool:
    return all((row.tenant, row.background) == ("acme", False) for row in requests)


@pytest.mark.attacks("C94")
@pytest.mark.parametrize("way", WAYS)
def test_the_key_says_whose_request_it_is(rig: Rig, way: str) -> None:
    path, body = WAYS[way]
    status, requests = asked(rig, path, body)
    assert (status, len(requests)) == (200, 1) and mine(requests)
    status, requests = asked(rig, path, body, HEADERS)
    assert (status, len(requests)) in ((200, 1), (400, 0)) and mine(requests)
    for name, value in CLAIMS.items():
        status, requests = asked(rig, path, {**body, name: value})
        # It is ignored or refused, as the dialect has it; it is never believed.
        assert (status, len(requests)) in ((200, 1), (400, 0)), (name, status)
        assert mine(requests), name
    for query in ("tenant=rival", "priority=9&background=false"):
        status, requests = asked(rig, f"{path}{'&' if '?' in path else '?'}{query}", body)
        assert status in (200, 400, 404) and mine(requests), query


def test_the_marks_cross_to_the_runner_as_they_are() -> None:
    """What a gateway or the desk sets is what the runner's queue reads."""
    request = GenerateRequest("i", "m", prompt="x", tenant="acme", background=True)
    (frame,) = FrameReader().feed(encode(1, "generate", request))
    assert decode(frame, GenerateRequest) == request
