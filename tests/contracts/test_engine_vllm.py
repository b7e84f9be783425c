# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""vLLM's adapter over a recorded vLLM: the musts of the Engine port, and what is ours in between.

tests/vectors/vllm/README.md says what was recorded, from which version, and how to do it again.
"""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bastide.adapters.engine import vllm_child
from bastide.adapters.engine import vllm_wire as wire
from bastide.adapters.engine.vllm_start import ENVIRONMENT, command_of, find_installation
from bastide.core.chat import (
    Delta,
    EmbedRequest,
    FinishReason,
    GenerateRequest,
    Message,
    Sampling,
)
from bastide.core.engine import verify_choice
from bastide.core.errors import Busy, Misconfigured, TooLong, Unavailable
from contracts.vllm_replay import CONTEXT, replayed

COUNTING = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13,"
CAPITAL = "The capital of France is"
SCHEMA = '{"type":"object","properties":{"town":{"enum":["Paris","Rome"]}},"required":["town"]}'
LONG = " ".join(str(number) for number in range(120))


def chat(text: str, **fields: Any) -> GenerateRequest:
    own = {key: fields.pop(key) for key in ("tenant", "priority", "schema") if key in fields}
    return GenerateRequest(
        "id", "m", messages=(Message("user", text),), sampling=Sampling(**fields), **own
    )


def plain(text: str, **fields: Any) -> GenerateRequest:
    return GenerateRequest("id", "m", prompt=text, sampling=Sampling(**fields))


WALLS = chat("Tell me about walls.", max_tokens=12, temperature=0)
ENDS = chat("Say ok.", temperature=0, max_tokens=200)
GOES_ON = plain(CAPITAL, max_tokens=10, temperature=0)
COUNTS = plain(COUNTING, max_tokens=24, temperature=0)
STOPS = plain(COUNTING, max_tokens=24, temperature=0, stop=(" 17",))
SEEDED = plain("Once upon a time", max_tokens=8, temperature=1.0, top_p=0.95, seed=7)
PENALISED = plain(
    COUNTING, max_tokens=8, temperature=0, frequency_penalty=0.5, presence_penalty=0.5
)
BOUND = chat("Which town?", max_tokens=40, temperature=0, schema=SCHEMA)
TOO_LONG = chat("word " * (CONTEXT + 100))
TOO_HOT = chat("Say ok.", temperature=9.0)
REUSED = chat(LONG, max_tokens=2, temperature=0, tenant="acme")
LENT = chat("Say ok.", max_tokens=2, temperature=0, priority=1)
# What record.py asks a real vLLM, in this order.
RECORDED = (
    WALLS, ENDS, GOES_ON, COUNTS, STOPS, SEEDED, PENALISED, BOUND, TOO_LONG, TOO_HOT, REUSED,
    REUSED, LENT, plain("word " * (CONTEXT + 100)),
)  # fmt: skip


async def answer(engine: Any, request: GenerateRequest) -> list[Delta]:
    async with aclosing(engine.generate(request)) as deltas:
        return [delta async for delta in deltas]


async def say(engine: Any, request: GenerateRequest) -> str:
    return "".join(delta.text for delta in await answer(engine, request))


def over(folder: Path, scenario: Callable[[Any, Any], Any]) -> Any:
    async def run() -> Any:
        async with asyncio.timeout(30), replayed(folder) as (engine, server):
            return await scenario(engine, server)

    return asyncio.run(run())


def test_only_the_last_delta_has_a_finish_and_all_have_the_usage_so_far(tmp_path):
    deltas = over(tmp_path, lambda engine, _: answer(engine, WALLS))
    assert len(deltas) > 1
    assert all(delta.finish is None and delta.text for delta in deltas[:-1])
    counts = [delta.usage.completion_tokens for delta in deltas]
    assert counts == sorted(counts) and 0 < counts[0] < counts[-1]
    assert len({delta.usage.prompt_tokens for delta in deltas}) == 1
    assert deltas[-1].finish is FinishReason.LENGTH
    assert deltas[-1].usage.completion_tokens == 12
    assert deltas[-1].usage.cached_tokens == 0


def test_an_answer_that_ends_by_itself_says_stop(tmp_path):
    assert over(tmp_path, lambda engine, _: answer(engine, ENDS))[-1].finish is FinishReason.STOP


def test_a_prompt_goes_on(tmp_path):
    assert "Paris" in over(tmp_path, lambda engine, _: say(engine, GOES_ON))


def test_a_stop_sequence_ends_the_answer_and_is_left_out(tmp_path):
    async def scenario(engine, _):
        return await say(engine, COUNTS), await answer(engine, STOPS)

    whole, deltas = over(tmp_path, scenario)
    text = "".join(delta.text for delta in deltas)
    assert " 17" in whole and text == whole[: whole.index(" 17")]
    assert (deltas[-1].finish, deltas[-1].met) == (FinishReason.STOP, " 17")


def test_a_seed_and_penalties_are_passed_on(tmp_path):
    async def scenario(engine, server):
        assert await say(engine, SEEDED)
        assert await say(engine, PENALISED)
        return [body for _, path, body in server.asked if path == "/v1/completions"]

    seeded, penalised = over(tmp_path, scenario)
    assert (seeded["seed"], seeded["top_p"]) == (7, 0.95)
    assert (penalised["frequency_penalty"], penalised["presence_penalty"]) == (0.5, 0.5)


def test_a_schema_binds_the_answer(tmp_path):
    assert json.loads(over(tmp_path, lambda engine, _: say(engine, BOUND)))["town"] in (
        "Paris",
        "Rome",
    )


def test_a_prompt_beyond_the_context_is_the_callers_fault(tmp_path):
    for request in (TOO_LONG, plain("word " * (CONTEXT + 100))):
        with pytest.raises(TooLong, match="context"):
            over(tmp_path, lambda engine, _, request=request: answer(engine, request))


def test_what_vllm_refuses_is_the_callers_fault(tmp_path):
    with pytest.raises(Misconfigured, match="temperature"):
        over(tmp_path, lambda engine, _: answer(engine, TOO_HOT))
    for request in (GenerateRequest("id", "m"), plain("")):
        with pytest.raises(Misconfigured):
            over(tmp_path, lambda engine, _, request=request: answer(engine, request))


def test_next_tokens_are_sorted(tmp_path):
    choices = over(tmp_path, lambda engine, _: engine.next_tokens(CAPITAL, 5))
    assert len(choices) == 5 and choices[0].text.strip() == "Paris"
    logprobs = [choice.logprob for choice in choices]
    assert logprobs == sorted(logprobs, reverse=True) and logprobs[0] <= 0


def test_prompts_are_counted(tmp_path):
    async def scenario(engine, _):
        counted = await engine.count(WALLS)
        return counted, (await answer(engine, WALLS))[-1].usage.prompt_tokens

    counted, used = over(tmp_path, scenario)
    assert counted == used > 5


def test_it_says_its_version_and_makes_no_embeddings(tmp_path):
    async def scenario(engine, _):
        await engine.health()
        await engine.learn_version()
        with pytest.raises(Misconfigured, match="no embeddings"):
            await engine.embed(EmbedRequest("id", "m", ("text",)))
        return engine.version

    assert over(tmp_path, scenario).startswith("vLLM 0.")


# What is ours


@pytest.mark.attacks("C93")
def test_no_other_path_can_be_asked():
    for method, path in (
        ("POST", "/collective_rpc"), ("POST", "/sleep"), ("POST", "/v1/load_lora_adapter"),
        ("GET", "/metrics"), ("POST", "/invocations"), ("POST", "/health"),
        ("POST", "/tokenize?x"), ("POST", "/v1/completions/../../collective_rpc"),
        ("POST", "/health HTTP/1.1\r\n\r\nPOST /sleep"),
    ):  # fmt: skip
        with pytest.raises(Misconfigured, match="never asked"):
            wire.Asked(method, path)


def test_only_the_allowed_routes_are_ever_asked(tmp_path):
    async def scenario(engine, server):
        for request in RECORDED:
            with suppress(Misconfigured):
                await answer(engine, request)
        await engine.next_tokens(CAPITAL, 5)
        await engine.health()
        return {(method, path) for method, path, _ in server.asked}

    asked = over(tmp_path, scenario)
    assert asked < wire.ROUTES and len(wire.ROUTES) == 5


@pytest.mark.attacks("C93")
def test_the_priority_is_the_queues(tmp_path):
    async def scenario(engine, server):
        await answer(engine, LENT)
        await answer(engine, WALLS)
        return [body["priority"] for _, _, body in server.asked]

    assert over(tmp_path, scenario) == [1, 0]


@pytest.mark.attacks("C91", "C232")
def test_tenants_never_share_a_salt_and_a_request_of_nobody_shares_with_none(tmp_path):
    salts = []

    async def scenario(engine, server):
        for tenant in ("acme", "acme", "other", "", ""):
            salts.append(engine._salt(tenant))
        await answer(engine, REUSED)
        assert server.asked[-1][2]["cache_salt"] == salts[0]
        for _ in range(2):
            await answer(engine, msgspec.structs.replace(REUSED, apart=True))
            salts.append(server.asked[-1][2]["cache_salt"])

    over(tmp_path, scenario)
    assert salts[0] == salts[1] and len(set(salts)) == 6
    assert "acme" not in salts[0] and len(salts[0]) >= 43


def test_what_was_found_in_the_cache_is_counted(tmp_path):
    usage = over(tmp_path, lambda engine, _: answer(engine, REUSED))[-1].usage
    assert 0 < usage.cached_tokens < usage.prompt_tokens


@pytest.mark.parametrize("drop", ['"finish_reason":"length"', '"choices":[]', "[DONE]"])
def test_a_stream_without_its_end_is_a_failure(tmp_path, drop):
    async def scenario(engine, server):
        server.drop = drop
        await answer(engine, WALLS)

    with pytest.raises(Unavailable, match="ended early"):
        over(tmp_path, scenario)


def test_a_stream_that_is_cut_anywhere_is_a_failure(tmp_path):
    async def scenario(engine, server):
        whole = len(await answer(engine, WALLS))
        for server.cut in range(whole + 1):
            with pytest.raises(Unavailable):
                await answer(engine, WALLS)

    over(tmp_path, scenario)


def test_who_goes_away_hangs_up_and_frees_the_slot(tmp_path):
    async def scenario(engine, server):
        server.held = True
        for _ in range(3):
            deltas = engine.generate(WALLS)
            await anext(deltas)
            await deltas.aclose()
            await asyncio.wait_for(server.hung_up.wait(), 5)
            server.hung_up.clear()
        server.held = False
        return await say(engine, WALLS)

    assert over(tmp_path, scenario)


def test_after_its_death_everything_is_unavailable(tmp_path):
    async def scenario(engine, server):
        server.held = True
        deltas = engine.generate(WALLS)
        await anext(deltas)
        engine.kill()
        with pytest.raises(Unavailable):
            async for _ in deltas:
                pass
        for asking in (engine.health(), engine.next_tokens(CAPITAL, 5), answer(engine, WALLS)):
            with pytest.raises(Unavailable):
                await asking
        await engine.close()
        await engine.close()

    over(tmp_path, scenario)


def test_errors_keep_their_kinds():
    full = b'{"error":{"message":"queue","type":"Service Unavailable","param":null,"code":503}}'
    broken = b'{"error":{"message":"x","type":"InternalServerError","param":null,"code":500}}'
    assert isinstance(wire.failure(503, full), Busy)
    assert type(wire.failure(500, broken)) is Unavailable
    assert type(wire.failure(503, b"")) is Unavailable
    reading = wire.AnswerReader()
    with pytest.raises(Unavailable, match="failed"):
        reading.feed(b"data: " + broken)


def test_which_tokens_may_be_drawn_is_passed_on():
    asked = wire.encode_chat(chat("x", top_k=7), "salt")
    assert json.loads(asked.body)["top_k"] == 7
    assert json.loads(wire.encode_chat(chat("x"), "salt").body)["top_k"] == 40  # as llama.cpp


def test_the_command_opens_no_door():
    command = command_of("/python", "/tmp/model", "/run/engine.sock", 4, 2_048)
    assert command[command.index("--uds") + 1] == "/run/engine.sock"
    assert command[command.index("--scheduling-policy") + 1] == "priority"
    for flag in ("--enable-force-include-usage", "--enable-prompt-tokens-details"):
        assert flag in command
    for flag in ("--trust-remote-code", "--host", "--port", "--api-key", "--enable-lora"):
        assert flag not in command
    assert ENVIRONMENT["VLLM_SERVER_DEV_MODE"] == "0"
    assert "VLLM_ALLOW_RUNTIME_LORA_UPDATING" not in ENVIRONMENT
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "VLLM_NO_USAGE_STATS", "DO_NOT_TRACK"):
        assert ENVIRONMENT[name] == "1"


def test_it_must_be_installed_and_nobody_elses(tmp_path):
    for python in ("", str(tmp_path / "bin" / "python")):
        with pytest.raises(Misconfigured, match="not installed"):
            find_installation(python)
    with pytest.raises(Misconfigured, match="did not prove"):
        verify_choice("vllm:https://gpu.example/v1")
    with pytest.raises(Misconfigured):
        verify_choice("sglang")
    verify_choice("vllm")


@pytest.mark.attacks("C93")
def test_nothing_is_shown_or_started_before_the_files_are_proven(tmp_path):
    lifeline, end = os.pipe()
    os.close(end)
    started = tmp_path / "started"
    orders = {"lifeline": lifeline, "folder": str(tmp_path / "model"), "files": {"x": 0}}
    orders |= {"status": 1, "command": ["/usr/bin/touch", str(started)]}
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-B", vllm_child.__file__, json.dumps(orders)],
        pass_fds=(lifeline,),
        timeout=30,
        check=False,
    )
    os.close(lifeline)
    assert done.returncode == 0
    assert not started.exists() and not (tmp_path / "model").exists()


def test_an_interpreter_near_the_root_would_show_all_of_the_disk(tmp_path):
    (tmp_path / "lib/python3.11/site-packages/vllm").mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python").symlink_to("/etc/passwd")
    with pytest.raises(Misconfigured, match="all of the disk"):
        find_installation(str(tmp_path / "bin/python"))
