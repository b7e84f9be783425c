# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""One scrape counts what was asked, to the request and to the token, and gives nothing away."""

import asyncio
import json
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx
import openai
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from bastide.app.listening import bind_address
from bastide.app.metering import told_by
from bastide.app.services import desk_state
from bastide.core.receipt import Receipt
from bastide.dialects.exposition import write_page
from bastide.gateway.watch import Watch, gateway_samples
from paths.conftest import Running
from paths.desk_rig import desk, lines
from paths.gateway_rig import KEY, MODEL, STRANGE_KEY, Rig, bugs, gateway, make_snapshot
from paths.worker_rig import Services, services

CANARY = "quetzal-9b1e-zweihundertelf-periwinkle"
Page = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def read(text: str) -> Page:
    """Every sample of a page, as Prometheus' own parser reads it."""
    return {
        (row.name, tuple(sorted(row.labels.items()))): row.value
        for family in text_string_to_metric_families(text)
        for row in family.samples
    }


def total(page: Page, name: str, **labels: str) -> float:
    """The sum of the series that have these labels."""
    wanted = set(labels.items())
    return sum(value for (what, has), value in page.items() if what == name and wanted <= set(has))


# The gateway, before an engine that follows a script


@pytest.fixture
def rig() -> Iterator[Rig]:
    with gateway() as made:
        yield made
        assert bugs(made) == []


def rig_page(rig: Rig) -> str:
    def tell() -> str:
        watch = rig.server.routes.watch
        samples = gateway_samples(watch, rig.pool, rig.server.connections, 0.0)
        return write_page({"gateway": list(samples)})

    return rig.do(tell)


def ask(rig: Rig, key: str = KEY, **more: Any) -> int:
    body = {"model": MODEL, "messages": [{"role": "user", "content": CANARY}], **more}
    headers = {"authorization": f"Bearer {key}", "user-agent": CANARY}
    with suppress(httpx.HTTPError):
        url = f"{rig.url}/v1/chat/completions"
        return httpx.post(url, json=body, headers=headers).status_code
    return 0


def test_every_outcome_is_counted_once(rig: Rig) -> None:
    for _ in range(3):
        assert ask(rig) == 200
    assert ask(rig, stream=True) == 200
    assert ask(rig, key=STRANGE_KEY) == 401
    assert ask(rig, model="nowhere") == 404
    assert ask(rig, temperature=-1) == 400
    rig.engine.fails_after = 2
    assert ask(rig) == 503
    rig.until(lambda: len(rig.control.receipts) == 5)
    page = read(rig_page(rig))
    ended = Counter(row.finish for row in rig.control.receipts)
    assert ended == {"stop": 4, "error": 1}
    for finish, count in ended.items():
        labels = {"tenant": "acme", "model": MODEL, "operation": "chat", "finish": finish}
        assert total(page, "bastide_answers_total", **labels) == count
    duration = "gen_ai_server_request_duration_seconds_count"
    assert total(page, duration, error_type="") == 4
    assert total(page, duration, error_type="error") == 1
    for status, count in ((401, 1), (404, 1), (400, 1), (503, 1)):
        assert total(page, "bastide_refusals_total", status=str(status)) == count
    assert total(page, "bastide_refusals_total") == 4
    assert total(page, "bastide_requests_inside") == 0


def test_tokens_are_those_of_the_receipts(rig: Rig) -> None:
    for stream in (True, False, True):
        ask(rig, stream=stream)
    rig.engine.fails_after = 2
    ask(rig, stream=True)
    rig.until(lambda: len(rig.control.receipts) == 4)
    page, receipts = read(rig_page(rig)), rig.control.receipts
    for direction, field in (
        ("input", "prompt_tokens"),
        ("input_cached", "cached_tokens"),
        ("output", "completion_tokens"),
    ):
        counted = sum(getattr(row, field) for row in receipts)
        assert counted > 0
        assert total(page, "bastide_tokens_total", direction=direction, tenant="acme") == counted


@pytest.mark.attacks("C92")
def test_no_prompt_answer_key_or_client_is_in_a_scrape(rig: Rig) -> None:
    rig.engine.words = (CANARY, " answer")
    ask(rig)
    ask(rig, stream=True)
    ask(rig, model=CANARY)
    ask(rig, key=CANARY)
    text = rig_page(rig)
    assert "bastide_answers_total" in text
    for secret in (CANARY, KEY, "k_wide", "127.0.0.1"):
        assert secret not in text


def test_a_tenant_of_the_gateway_finds_no_metrics(rig: Rig) -> None:
    for path in ("/metrics", "/v1/metrics"):
        answer = httpx.get(rig.url + path, headers={"authorization": f"Bearer {KEY}"})
        assert answer.status_code == 404
        assert "bastide_" not in answer.text


def test_an_answer_of_a_guard_is_counted_by_its_decisions() -> None:
    watch = Watch()
    call = _CallOf(make_snapshot().served[MODEL])
    rows = ("policy:sha256:ab", "in:iban:mask:2", "out:link:refuse:1", "erasure-list:none:stale")
    watch.answered(call, _receipt(guard=rows), 0.1)  # type: ignore[arg-type]
    page = read(write_page({"gateway": list(watch.samples())}))
    name = "bastide_guard_decisions_total"
    assert total(page, name, direction="in", detector="iban", action="mask", tenant="acme") == 2
    assert total(page, name) == 3


class _CallOf:
    def __init__(self, served: Any) -> None:
        self.served = served


def _receipt(**changes: Any) -> Receipt:
    texts = {name: "x" for name in Receipt.__annotations__ if Receipt.__annotations__[name] is str}
    numbers = {"time_ms": 1, "prompt_tokens": 1, "completion_tokens": 1}
    return Receipt(**{**texts, "tenant": "acme", "finish": "stop", **numbers, **changes})


# All processes, without a model


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    with bind_address("127.0.0.1:0") as free:
        port = free.getsockname()[1]
    root = tmp_path_factory.mktemp("metrics") / "home"
    with services(root, metrics_listen=f"127.0.0.1:{port}", gateway_workers=2) as made:
        yield made


def scrape(world: Services, token: str | None = None, path: str = "/metrics") -> httpx.Response:
    shown = world.home.metrics_token.read_text().strip() if token is None else token
    url = f"http://{world.settings.metrics_listen}{path}"
    return httpx.get(url, headers={"authorization": f"Bearer {shown}"} if shown else {})


def page_with(world: Services, name: str, **labels: str) -> Page:
    """A scrape in which a metric is there; what a process counts may take a moment to come."""
    end = time.monotonic() + 20
    while True:
        page = read(scrape(world).text)
        wanted = set(labels.items())
        if any(what == name and wanted <= set(has) for what, has in page):
            return page
        assert time.monotonic() < end, (name, labels)
        time.sleep(0.05)


def test_one_scrape_has_every_process(world: Services) -> None:
    page = page_with(world, "bastide_process_up", process="metrics")
    up = {dict(has)["process"]: value for (name, has), value in page.items() if name[-3:] == "_up"}
    names = ("supervisor", "control", "desk", "gateway", "gateway-2", "metrics")
    assert up == dict.fromkeys(names, 1.0)
    for name in names:
        assert total(page, "bastide_process_resident_memory_bytes", process=name) > 1_000_000
    assert total(page, "bastide_ledger_entries") > 1
    assert total(page, "bastide_batches_waiting", process="desk") == 0


def test_the_command_line_gives_the_same_page_without_a_token(world: Services) -> None:
    told = {name for name, _ in read(world.demo.run("metrics").stdout)}
    served = {name for name, _ in read(scrape(world).text)}
    assert told == served
    rows = world.demo.json("metrics")
    assert {"name": "bastide_process_up", "labels": [], "value": 1} in rows["gateway-2"]


@pytest.mark.attacks("C92")
def test_only_the_operator_reads_it(world: Services) -> None:
    assert scrape(world).headers["content-type"].startswith("text/plain; version=0.0.4")
    key = world.key()["key"]
    for token in ("", key, "0" * 64, "a b"):
        answer = scrape(world, token)
        assert answer.status_code == 401
        assert "bastide_" not in answer.text
    assert world.home.metrics_token.stat().st_mode & 0o077 == 0
    assert scrape(world, path="/").status_code == 404
    url = f"http://127.0.0.1:{world.port}/metrics"
    token = world.home.metrics_token.read_text().strip()
    for shown in (key, token):
        answer = httpx.get(url, headers={"authorization": f"Bearer {shown}"})
        assert answer.status_code == 404


def test_a_new_token_counts_at_once(world: Services) -> None:
    old = world.home.metrics_token.read_text()
    world.home.metrics_token.write_text("another\n")
    try:
        assert scrape(world, old.strip()).status_code == 401
        assert scrape(world, "another").status_code == 200
        world.home.metrics_token.write_text("\n")
        assert scrape(world, "").status_code == 401
    finally:
        world.home.metrics_token.write_text(old)


def test_a_budget_over_its_soft_limit_is_in_status_and_in_the_metrics(world: Services) -> None:
    world.demo.json("budget", "set", "--tenant", "acme", "--tokens", "0", "--per", "day")
    labels = {"tenant": "acme", "scope": "tenant", "unit": "tokens", "per": "day"}
    page = page_with(world, "bastide_budget_soft_exceeded", **labels)
    assert total(page, "bastide_budget_soft_exceeded", **labels) == 1
    assert total(page, "bastide_budget_hard_exceeded", **labels) == 1
    assert total(page, "bastide_budget_used_ratio", **labels) == 1
    (row,) = world.demo.json("status")["budgets_near"]
    assert (row["tenant"], row["percent"], row["state"]) == ("acme", 100, "hard")
    assert "acme: 100 % of its tokens a day, used up" in world.demo.run("status").stdout
    events = [line for line in world.log("control") if line["event"] == "budget-near"]
    assert [line["tenant"] for line in events] == ["acme"]


def test_status_and_doctor_know_the_desk(world: Services) -> None:
    assert world.demo.json("status")["desk"] == {
        "running": True, "batches_waiting": 0, "batches_running": 0,
    }  # fmt: skip
    assert desk_finding(world)["state"] == "ok"
    desk = process_of(world, "bastide.gateway.desk")
    desk.send_signal(signal.SIGSTOP)
    try:
        state = world.demo.json("status")["desk"]
        assert (state["running"], state["batches_waiting"]) == (True, None)
        page = read(scrape(world).text)
        assert total(page, "bastide_process_up", process="desk") == 0
        assert total(page, "bastide_process_up", process="gateway") == 1
        assert desk_finding(world)["state"] == "warn"
    finally:
        desk.send_signal(signal.SIGCONT)


def test_a_process_that_was_killed_is_counted_and_comes_back(world: Services) -> None:
    os.kill(process_of(world, "bastide.gateway.desk").pid, signal.SIGKILL)
    end = time.monotonic() + 20
    while True:
        page = read(scrape(world).text)
        again = total(page, "bastide_process_restarts_total", child="desk")
        if again >= 1 and total(page, "bastide_process_up", process="desk") == 1:
            break
        assert time.monotonic() < end
        time.sleep(0.05)


def process_of(world: Services, module: str) -> psutil.Process:
    found = [
        child
        for child in psutil.Process(_supervisor(world)).children()
        if module in child.cmdline()
    ]
    return found[0]


def _supervisor(world: Services) -> int:
    return int((world.home.run / "supervisor.lock").read_text())


def desk_finding(world: Services) -> dict[str, Any]:
    done = world.demo.run("doctor", "--json", status=None)
    assert "findings" in done.stdout, done.stdout + done.stderr
    rows = json.loads(done.stdout)["findings"]
    return next(row for row in rows if row["ident"] == "desk")


# The desk, with batches before a slow engine


def test_status_says_how_many_batches_wait() -> None:
    with desk() as made:
        assert desk_state(made.home) == {
            "running": True, "batches_waiting": 0, "batches_running": 0,
        }  # fmt: skip
        made.engine.hangs_after = 1
        asking = openai.OpenAI(base_url=f"{made.url}/v1", api_key=KEY, timeout=20)
        for _ in range(3):
            file = asking.files.create(file=("in.jsonl", lines(2, CANARY)), purpose="batch")
            asking.batches.create(
                input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
            )
        # One of a tenant's runs at a time.
        assert desk_state(made.home) == {
            "running": True, "batches_waiting": 2, "batches_running": 1,
        }  # fmt: skip
        assert CANARY not in repr(asyncio.run(told_by(made.home, "desk")))
    assert desk_state(made.home)["running"] is False


# The real engine


def test_a_real_engine_is_counted_to_the_token(running: Running) -> None:
    running.run("tenant", "add", "metered")
    key = running.json("key", "new", "--tenant", "metered")["key"]
    running.json("share", "set", "metered", "--model", running.model, "--tokens-per-s", "5")
    before = read(running.run("metrics").stdout)
    for number in range(4):
        body = {
            "model": running.model,
            "messages": [{"role": "user", "content": f"{CANARY} {number}"}],
            "max_tokens": 6,
            "stream": bool(number % 2),
        }
        headers = {"authorization": f"Bearer {key}"}
        url = f"{running.url}/v1/chat/completions"
        end = time.monotonic() + 10
        while (
            answer := httpx.post(url, json=body, headers=headers, timeout=60)
        ).status_code == 401:
            assert time.monotonic() < end  # the key is on its way
            time.sleep(0.05)
        assert answer.status_code == 200
    text = running.run("metrics").stdout
    page = read(text)
    (used,) = running.json("usage", "--tenant", "metered")
    whose = {"tenant": "metered", "model": running.model}
    assert total(page, "bastide_answers_total", **whose) == used["requests"] == 4
    tokens = "bastide_tokens_total"
    assert total(page, tokens, **whose, direction="input") == used["prompt_tokens"]
    assert total(page, tokens, **whose, direction="output") == used["completion_tokens"]
    first = "gen_ai_server_time_to_first_token_seconds_count"
    assert total(page, first) - total(before, first) == 4
    assert total(page, "bastide_receipts_total") - total(before, "bastide_receipts_total") == 4
    model = {"model": running.model}
    assert total(page, "bastide_slots_free", **model) == total(page, "bastide_slots", **model) > 0
    assert total(page, "bastide_engine_up", **model) == 1
    assert total(page, "bastide_share_guaranteed_units_per_second", **whose) == 5
    assert any(name == "bastide_queue_waiting" for name, _ in page)
    assert CANARY not in text
    assert key not in text
    running.run("share", "set", "metered", "--model", running.model, "--tokens-per-s", "0")
