# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Sealed mode, from SDKs to an attested runner and back: real services, a real model, a TPM
emulator, witnesses of two parties.

To see these tests fail I once broke the code: with the runner's set of seen requests left out,
`test_a_request_is_answered_once` failed; with the request in a line of the runner's log, the canary
was found there.
"""

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import ollama
import openai
import pytest
from google import genai

from bastide.crypto.base64url import b64url
from bastide.dialects.sealed import ANSWERS, SealedBody
from paths.demo import ARGV, ROOT, environment
from paths.sealed_rig import PATIENCE_S, SealedWorld, sealed_proxy, sealed_world
from paths.swtpm_rig import needs_swtpm

pytestmark = needs_swtpm
CANARY = "Zyxomma-petiolatum-4711"
QUESTION = f"Repeat these words and nothing else: {CANARY} flies at dusk."


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SealedWorld]:
    with sealed_world(tmp_path_factory.mktemp("sealed")) as made:
        yield made


@pytest.fixture(scope="module")
def proxy(world: SealedWorld) -> Iterator[str]:
    with sealed_proxy(world.client()) as url:
        yield url


def asked(world: SealedWorld, text: str = QUESTION, **more: Any) -> bytes:
    messages = [{"role": "user", "content": text}]
    body = {"model": world.up["model"], "max_tokens": 24, "temperature": 0, "messages": messages}
    return json.dumps(body | more).encode()


def test_the_openai_sdk_asks_sealed(world: SealedWorld, proxy: str) -> None:
    client = openai.OpenAI(base_url=f"{proxy}/v1", api_key=world.up["key"], max_retries=0)
    about: dict[str, Any] = {
        "model": world.up["model"], "max_tokens": 16, "temperature": 0,
        "messages": [{"role": "user", "content": "What is a bastide?"}],
    }  # fmt: skip
    whole = client.chat.completions.with_raw_response.create(**about)
    said = whole.parse()
    assert said.choices[0].message.content and said.usage.completion_tokens > 0
    assert whole.headers["x-bastide-receipt"].startswith("r_")
    assert whole.headers["x-bastide-node"].startswith("sha256:")
    pieces = list(client.chat.completions.create(**about, stream=True))
    text = "".join(row.choices[0].delta.content or "" for row in pieces if row.choices)
    assert text == said.choices[0].message.content
    assert len(pieces) > 3, "the stream came in pieces"
    plain = openai.OpenAI(base_url=f"{world.up['gateway_url']}/v1", api_key=world.up["key"])
    assert plain.chat.completions.create(**about).choices[0].message.content == text


def test_the_anthropic_sdk_asks_sealed(world: SealedWorld, proxy: str) -> None:
    client = anthropic.Anthropic(base_url=proxy, api_key=world.up["key"], max_retries=0)
    about: dict[str, Any] = {
        "model": world.up["model"], "max_tokens": 16, "extra_body": {"temperature": 0},
        "messages": [{"role": "user", "content": "What is a bastide?"}],
    }  # fmt: skip
    whole = client.messages.create(**about)
    with client.messages.stream(**about) as stream:
        text = "".join(stream.text_stream)
        assert stream.get_final_message().stop_reason == whole.stop_reason
    assert text == whole.content[0].text and text


def test_the_google_sdk_asks_sealed(world: SealedWorld, proxy: str) -> None:
    client = genai.Client(api_key=world.up["key"], http_options={"base_url": proxy})
    about: dict[str, Any] = {
        "model": world.up["model"], "contents": "What is a bastide?",
        "config": {"max_output_tokens": 16, "temperature": 0},
    }  # fmt: skip
    whole = client.models.generate_content(**about)
    pieces = [piece.text or "" for piece in client.models.generate_content_stream(**about)]
    assert "".join(pieces) == whole.text and whole.text
    assert len(pieces) > 3, "the stream came in pieces"


def test_the_ollama_sdk_asks_sealed(world: SealedWorld, proxy: str) -> None:
    client = ollama.Client(host=proxy, headers={"Authorization": f"Bearer {world.up['key']}"})
    about: dict[str, Any] = {
        "model": world.up["model"], "options": {"num_predict": 16, "temperature": 0},
        "messages": [{"role": "user", "content": "What is a bastide?"}],
    }  # fmt: skip
    whole = client.chat(**about)
    pieces = [piece.message.content or "" for piece in client.chat(**about, stream=True)]
    assert "".join(pieces) == whole.message.content and whole.message.content
    assert len(pieces) > 3, "the stream came in pieces"


def test_an_sdk_is_told_what_is_wrong_in_its_own_words(world: SealedWorld, proxy: str) -> None:
    client = openai.OpenAI(base_url=f"{proxy}/v1", api_key=world.up["key"], max_retries=0)
    row = {"role": "user", "content": "x"}
    with pytest.raises(openai.NotFoundError, match="no proven node serves the model 'else'"):
        client.chat.completions.create(model="else", messages=[row])
    with pytest.raises(openai.BadRequestError, match="says outside that it has at most 256"):
        client.chat.completions.create(model=world.up["model"], max_tokens=300, messages=[row])
    with pytest.raises(openai.NotFoundError):
        client.models.list()
    stranger = openai.OpenAI(base_url=f"{proxy}/v1", api_key="bst_" + "x" * 36, max_retries=0)
    with pytest.raises(openai.PermissionDeniedError):
        stranger.chat.completions.create(model=world.up["model"], max_tokens=3, messages=[row])


@pytest.mark.attacks("C224")
def test_nobody_but_runner_and_engine_ever_has_prompt_or_answer(world: SealedWorld) -> None:
    """The canary is in prompt and answer. What the operator sees is searched: the home with its
    logs and database, and the memory of gateway and control while the answer runs and after."""
    client = world.client()
    answer = client.ask(world.up["key"], "/v1/chat/completions", "", {}, asked(world, stream=True))
    found: dict[str, list[str]] = {}
    said = b""
    for piece in answer:
        said += piece
        if not found:
            found = _memories(world, CANARY.encode())
    assert answer.end is not None and answer.end["completion_tokens"] > 0
    text = "".join(
        json.loads(line[6:])["choices"][0]["delta"].get("content") or ""
        for line in said.splitlines()
        if line.startswith(b"data: {") and json.loads(line[6:]).get("choices")
    )
    assert len(text) > 12, text
    for needle in (CANARY.encode(), text[:40].encode()):
        for kind, pids in _memories(world, needle).items():
            assert kind == "runner_main", (kind, pids)
        for path in world.demo.home.rglob("*"):
            if path.is_file():
                assert needle not in path.read_bytes(), path
    # The search finds what is there: the runner has it, or had it while it answered.
    assert found.keys() == {"runner_main"}, found


@pytest.mark.attacks("C224")
def test_an_unsealed_prompt_is_found_where_a_sealed_one_is_not(world: SealedWorld) -> None:
    """So the search above is one that could fail."""
    needle = b"Orthetrum-cancellatum-0815"
    body = asked(world, needle.decode(), stream=True, max_tokens=200)
    host = world.up["gateway_url"].removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=PATIENCE_S)
    headers = {"Authorization": f"Bearer {world.up['key']}", "Content-Type": "application/json"}
    connection.request("POST", "/v1/chat/completions", body, headers)
    response = connection.getresponse()
    assert response.readline()
    assert "gateway" in _memories(world, needle)
    connection.close()


@pytest.mark.attacks("C226")
def test_a_request_is_answered_once(world: SealedWorld) -> None:
    answer = world.client().ask(world.up["key"], "/v1/chat/completions", "", {}, asked(world))
    answer.read()
    status, told = _post(world, answer.request)
    assert status == 422 and "came before" in told


@pytest.mark.attacks("C225")
def test_nothing_beside_the_ciphertext_can_be_changed(world: SealedWorld) -> None:
    """Who stands between cannot raise the limit, name another model or node, or another suite."""
    answer = world.client().ask(world.up["key"], "/v1/chat/completions", "", {}, asked(world))
    answer.read()
    row = json.loads(answer.request)
    for changes, status, words in (
        ({"tokens_max": 257}, 422, "it was changed"),
        ({"replica": 2}, 422, "it was changed"),
        ({"node": b64url(b"x" * 32)}, 422, "to another node"),
        ({"suite": "p256-hkdf-sha256-aes128gcm"}, 400, "The one suite is"),
        ({"sealed": row["sealed"][:-8] + "AAAAAAAA"}, 422, "it was changed"),
        ({"model": "other"}, 404, "does not exist"),
        ({"hidden": 1}, 400, "Not a sealed request"),
    ):
        found, told = _post(world, json.dumps(row | changes).encode())
        assert (found, words in told) == (status, True), (changes, found, told)
    assert SealedBody.__struct_fields__ == tuple(row)


@pytest.mark.attacks("C232")
def test_a_guess_in_the_tenants_name_finds_nothing_of_a_sealed_prompt(world: SealedWorld) -> None:
    """The operator knows the tenant, and guesses the prompt, sealed and plain."""
    text = "The meeting of the board is on the ninth of May. " * 8
    for _ in range(2):
        assert _cached(world, text, sealed=True) == 0
    assert _cached(world, text, sealed=False) == 0
    assert _cached(world, text, sealed=False) > 0, "what is not sealed is found again"
    assert _cached(world, text, sealed=True) == 0


@pytest.mark.attacks("C231")
def test_the_receipt_is_about_the_ciphertexts_and_this_node(
    world: SealedWorld, tmp_path: Path
) -> None:
    kept, receipt = tmp_path / "kept.json", tmp_path / "receipt.json"
    words = ("sealed", "chat", "What is a bastide?", "--model", world.up["model"])
    done = _bastide(*words, "--max-tokens", "8", "--save", str(kept), *world.asking())
    row = json.loads(done.stdout)
    assert row["answer"] and row["guard"] == []
    bundle = world.demo.json("receipt", "export", row["receipt"])
    receipt.write_text(json.dumps(bundle))
    assert row["node"] in bundle["receipt"]["attestations"]
    assert bundle["receipt"]["finish"] == "stop" and row["finish"] == "length"
    asked_for = ("--receipt", str(receipt), "--keys", str(world.keys))
    asked_for = (*asked_for, "--api-key-file", str(world.folder / "api-key"))
    assert json.loads(_bastide("sealed", "verify", str(kept), *asked_for).stdout)["verified"]
    good = json.loads(kept.read_text())
    for name, value, words_ in (
        ("request", good["request"].replace('"tokens_max":4096', '"tokens_max":4095'), "prompt"),
        ("answer", good["answer"][:-1], "another answer"),
        ("end", good["end"] | {"completion_tokens": 1}, "completion_tokens"),
        ("node", "sha256:" + "0" * 64, "not of the node"),
    ):
        kept.write_text(json.dumps(good | {name: value}))
        refused = _bastide("sealed", "verify", str(kept), *asked_for, status=6)
        assert words_ in refused.stdout + refused.stderr


def test_the_nodes_are_told_with_what_is_proven_and_what_is_not(world: SealedWorld) -> None:
    done = _bastide("sealed", "nodes", *world.asking())
    row = json.loads(done.stdout)
    assert sorted(row["witnessed"]) == ["firm", "guardian"]
    (node,) = row["nodes"]
    assert node["model"] == world.up["model"] and node["said"]["what"].startswith("software TPM")
    assert any("may say anything" in text for text in node["said"]["unchecked"])
    assert "confidential" not in done.stdout
    refused = _bastide("sealed", "nodes", *world.asking(), "--witnesses", "3", status=6)
    assert "not of 3" in refused.stdout + refused.stderr


def test_a_node_that_was_revoked_is_refused(world: SealedWorld) -> None:
    """Last, for it ends the service. What the client learns of it, it refuses; and the gateway has
    no such node any more."""
    demo, client = world.demo, world.client()
    (node,) = client.nodes(world.up["key"]).nodes
    demo.json("revoke", "node", node.name, "--reason", "stolen at night")
    deadline = time.monotonic() + PATIENCE_S
    while client.nodes(world.up["key"], fresh=True).nodes:
        assert time.monotonic() < deadline, "the node is still told"
        time.sleep(0.2)
    done = _bastide("sealed", "nodes", *world.asking(), status=3)
    assert "no node was proven" in done.stdout + done.stderr


def _cached(world: SealedWorld, text: str, *, sealed: bool) -> int:
    """How many tokens of a prompt the engine had."""
    path, body = "/v1/chat/completions", asked(world, text, max_tokens=2)
    if sealed:
        said = world.client().ask(world.up["key"], path, "", {}, body).read()
    else:
        said = _post(world, body, path)[1].encode()
    row = json.loads(said)
    return int(row["usage"]["prompt_tokens_details"]["cached_tokens"])


def _bastide(*args: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [*ARGV, *args, "--json"], env=environment(), capture_output=True, text=True, cwd=ROOT,
        timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert done.returncode == status, (args, done.stdout, done.stderr)
    return done


def _post(world: SealedWorld, body: bytes, path: str = ANSWERS) -> tuple[int, str]:
    host = world.up["gateway_url"].removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=PATIENCE_S)
    headers = {"Authorization": f"Bearer {world.up['key']}", "Content-Type": "application/json"}
    connection.request("POST", path, body, headers)
    response = connection.getresponse()
    return response.status, response.read().decode()


def _memories(world: SealedWorld, needle: bytes) -> dict[str, list[str]]:
    """In which of the environment's processes some bytes are, as UTF-8 or as Python holds text."""
    found: dict[str, list[str]] = {}
    for kind, pids in world.processes().items():
        for pid in pids:
            places = _places(pid, needle)
            if places:
                found[kind] = places
    return found


def _places(pid: int, needle: bytes) -> list[str]:
    places = []
    maps = Path(f"/proc/{pid}/maps").read_text().splitlines()
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:  # noqa: PTH123
        for line in maps:
            span, rights, *rest = line.split()
            if "r" not in rights or (rest and rest[-1].startswith("[v")):
                continue
            low, high = (int(text, 16) for text in span.split("-"))
            try:
                memory.seek(low)
                data = memory.read(high - low)
            except (OSError, OverflowError):
                continue
            if needle in data:
                places.append(rest[-1] if rest else span)
    return places


assert sys.platform == "linux"
