# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Projects, keys with terms, prices, budgets and usage, from the command line to the gateway."""

import csv
import io
import time
from collections.abc import Iterator

import httpx
import pytest

from paths.demo import Demo
from paths.worker_rig import Services, services

PATIENCE_S = 10.0


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    with services(tmp_path_factory.mktemp("budgets") / "home") as made:
        yield made


def status(world: Services, key: str) -> int:
    return httpx.get(
        f"http://127.0.0.1:{world.port}/v1/models", headers={"authorization": f"Bearer {key}"}
    ).status_code


def until_status(world: Services, key: str, wanted: int) -> None:
    end = time.monotonic() + PATIENCE_S
    while status(world, key) != wanted:
        assert time.monotonic() < end, f"never {wanted}"
        time.sleep(0.05)


def test_a_key_has_a_project_and_terms_and_the_gateway_keeps_to_them(world: Services) -> None:
    demo = world.demo
    demo.json("project", "add", "search", "--tenant", "acme")
    made = demo.json("key", "new", "--tenant", "acme", "--project", "search", "--expires", "90d")
    until_status(world, made["key"], 200)
    far = demo.json("key", "new", "--tenant", "acme", "--network", "10.0.0.0/8")
    until_status(world, far["key"], 403)
    other = demo.json("key", "new", "--tenant", "acme", "--dialect", "anthropic")
    until_status(world, other["key"], 403)
    rows = {row["id"]: row for row in demo.json("key", "ls", "--tenant", "acme")}
    assert rows[far["id"]]["networks"] == ["10.0.0.0/8"]
    assert {row["project"] for row in demo.json("project", "ls", "--tenant", "acme")} == {
        "default", "search",
    }  # fmt: skip


def test_a_rotated_key_ends_and_the_new_one_works(world: Services) -> None:
    demo = world.demo
    old = demo.json("key", "new", "--tenant", "acme")
    until_status(world, old["key"], 200)
    lasting = demo.json("key", "rotate", old["id"], "--overlap", "1h")
    until_status(world, lasting["key"], 200)
    assert status(world, old["key"]) == 200
    newest = demo.json("key", "rotate", lasting["id"], "--overlap", "0")
    until_status(world, lasting["key"], 401)
    until_status(world, newest["key"], 200)


def test_budgets_are_set_shown_and_ended(world: Services) -> None:
    demo = world.demo
    demo.json("budget", "set", "--tenant", "acme", "--tokens", "1000", "--per", "day")
    demo.json("budget", "set", "--tenant", "acme", "--eur", "12.50", "--per", "month")
    rows = demo.json("budget", "ls")
    assert {(row["unit"], row["per"], row["used"]) for row in rows} == {
        ("tokens", "day", 0), ("eur", "month", "0.00"),
    }  # fmt: skip
    demo.json("budget", "set", "--tenant", "acme", "--tokens", "0", "--per", "day", "--off")
    assert [row["unit"] for row in demo.json("budget", "ls")] == ["eur"]


def refuses(demo: Demo, *command: str) -> None:
    assert demo.run(*command, status=None).returncode in (1, 2)


def test_impossible_terms_are_refused(world: Services) -> None:
    new = ("key", "new", "--tenant", "acme")
    refuses(world.demo, *new, "--network", "10.0.0.0/99")
    refuses(world.demo, *new, "--dialect", "gopher")
    refuses(world.demo, *new, "--expires", "yesterday")
    refuses(world.demo, *new, "--project", "nowhere")
    price = ("--input-eur-per-mtok", "0.15", "--output-eur-per-mtok", "0.6")
    refuses(world.demo, "price", "set", "--model", "not-deployed", *price)
    refuses(world.demo, "budget", "set", "--tenant", "nobody", "--tokens", "1", "--per", "day")


def test_usage_without_answers_is_empty_in_every_form(world: Services) -> None:
    assert world.demo.json("usage", "--tenant", "acme") == []
    text = world.demo.run("usage", "--csv").stdout
    assert list(csv.DictReader(io.StringIO(text))) == []
    assert "tenant" in text.splitlines()[0]
