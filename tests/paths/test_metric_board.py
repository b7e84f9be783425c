# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Rules and board before Debian's Prometheus: it reads the rules, and every panel has figures.

The figures are those of a real environment: Prometheus scrapes what its services tell of answers of
the real engine.
"""

import json
import subprocess
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from bastide.app.config import Home
from bastide.app.founding import free_address
from bastide.app.metric_files import metric_file
from paths.demo import Demo
from paths.furnished import served_copy
from paths.sdk_probes import SDKS
from paths.worker_rig import set_values

VECTORS = Path(__file__).parents[1] / "vectors" / "prometheus"
# What does not happen here: nothing was started again, and no witness is set.
SILENT = {"Starts in ten minutes": {"sum by (child)"}, "Witnesses behind, entries": {"max"}}


def test_promtool_finds_no_fault_in_the_rules(rules: Path) -> None:
    checked = _promtool("check", "rules", "--lint=all", "--lint-fatal", str(rules))
    assert "SUCCESS" in checked.stdout


def test_every_alert_fires_when_it_must_and_not_before(rules: Path) -> None:
    name = "alerts.test.yml"
    (rules.parent / name).write_bytes((VECTORS / name).read_bytes())
    done = _promtool("test", "rules", str(rules.parent / name))
    assert "SUCCESS" in done.stdout


def test_promtool_sees_a_metric_that_has_another_name(rules: Path) -> None:
    name = "alerts.test.yml"
    (rules.parent / name).write_bytes((VECTORS / name).read_bytes())
    text = rules.read_text()
    rules.write_text(text.replace("bastide_witness_behind_entries", "bastide_witness_late_entries"))
    done = _promtool("test", "rules", str(rules.parent / name), status=1)
    assert "BastideWitnessBehind" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("", "", ""),
        ('"refresh": 2', '"refresh": 7', "not assignable"),
        ('"gridPos"', '"gridPosition"', "gridPosition"),
        ('"type": "row"', '"type": 1', "not assignable"),
    ],
    ids=["as it is", "an enumeration", "another name", "another type"],
)
def test_the_board_fits_grafanas_own_schema(tmp_path: Path, old: str, new: str, fault: str) -> None:
    """TypeScript checks it as a value of the type that Grafana publishes for its own code.

    What a data source is asked, and the options of a panel's kind, have no types there.
    """
    _, board = metric_file("dashboard")
    assert old in board
    folder, node = SDKS / "javascript", SDKS / "node" / "bin" / "node"
    assert (folder / "node_modules" / "@grafana").is_dir(), "run `make setup-dev`"
    (tmp_path / "node_modules").symlink_to(folder / "node_modules")
    typed = f"export const board: Dashboard = {board.replace(old, new, 1) if old else board};"
    (tmp_path / "board.ts").write_text(f'import {{ Dashboard }} from "@grafana/schema";\n{typed}\n')
    done = subprocess.run(
        [node, "node_modules/typescript/bin/tsc", "--noEmit", "--strict", "--skipLibCheck",
         "--module", "nodenext", "board.ts"],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    if fault:
        assert done.returncode and fault in done.stdout
    else:
        assert done.returncode == 0, done.stdout


def test_every_panel_has_figures_of_a_real_environment(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    home = tmp_path_factory.mktemp("board") / "home"
    demo, key = served_copy(tmp_path_factory, home)
    set_values(Home(home), metrics_listen=free_address(0))
    up = demo.json("up")
    try:
        demo.json("metrics", "rules", "--to", str(tmp_path))
        written = demo.json("metrics", "dashboard", "--to", str(tmp_path))
        board = json.loads(Path(written["path"]).read_text())
        with _prometheus(tmp_path, Home(home), up["metrics_url"]) as url:
            _live(demo, up, key)
            wanted = {
                (panel["title"], target["expr"])
                for panel in board["panels"]
                for target in panel.get("targets", ())
            }
            assert len(wanted) > 40
            _all_answered(url, wanted, demo, up, key)
            for variable in board["templating"]["list"][1:]:
                label = variable["name"]
                found = httpx.get(f"{url}/api/v1/label/{label}/values").json()["data"]
                assert found, variable
            groups = httpx.get(f"{url}/api/v1/rules").json()["data"]["groups"]
            faults = [row for group in groups for row in group["rules"] if row["health"] == "err"]
            assert faults == []
    finally:
        demo.run("down", status=None)


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    written = Demo(tmp_path / "none").json("metrics", "rules", "--to", str(tmp_path))
    return Path(written["path"])


def _promtool(*args: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(["promtool", *args], capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    return done


@contextmanager
def _prometheus(folder: Path, home: Home, url: str) -> Generator[str]:
    """A Prometheus that scrapes an environment every second, and runs its rules."""
    address = free_address(0)
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(folder / "bastide.rules.yml")],
        "scrape_configs": [
            {
                "job_name": "bastide",
                "authorization": {"credentials_file": str(home.metrics_token)},
                "static_configs": [{"targets": [httpx.URL(url).netloc.decode()]}],
            }
        ],
    }
    path = folder / "prometheus.yml"
    path.write_text(json.dumps(config))
    options = (f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address={address}")
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            ["prometheus", f"--config.file={path}", *options], stdout=log, stderr=log
        )
    try:
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait(30)


def _live(demo: Demo, up: dict[str, Any], key: str) -> None:
    """What makes figures: a promise, a budget, a guard that refuses, an engine that is full."""
    demo.json("share", "set", _tenant(demo), "--model", up["model"], "--tokens-per-s", "5")
    budget = ("--tokens", "100000", "--per", "day")
    demo.json("budget", "set", "--tenant", _tenant(demo), *budget)
    guard = demo.home / "guard.toml"
    guard.write_text('[in]\niban = "refuse"\n')
    demo.json("guard", "set", str(guard))
    # More than there are slots, so that the engine is seen full.
    with ThreadPoolExecutor(12) as pool:
        told = [pool.submit(_ask, up, key, f"Tell me about {n}.", 200) for n in range(24)]
    assert [one.exception() for one in told] == [None] * 24


def _tenant(demo: Demo) -> str:
    return str(demo.json("tenant", "ls")[0]["tenant"])


def _ask(up: dict[str, Any], key: str, text: str, *status: int) -> None:
    answer = httpx.post(
        f"{up['gateway_url']}/v1/chat/completions",
        json={
            "model": up["model"],
            "messages": [{"role": "user", "content": text}],
            "max_tokens": 4,
        },
        headers={"authorization": f"Bearer {key}"},
        timeout=60,
    )
    assert answer.status_code in status, answer.text


def _all_answered(
    url: str, wanted: set[tuple[str, str]], demo: Demo, up: dict[str, Any], key: str
) -> None:
    """Ask until each expression has a figure. The figures of shares come with the share minute."""
    end = time.monotonic() + 150
    left = {row for row in wanted if not _silent(*row)}
    while left:
        assert time.monotonic() < end, sorted(left)
        _ask(up, key, "Say a word.", 200)
        _ask(up, key, "Pay to DE89370400440532013000", 200, 400)  # the policy may be on its way
        _ask(up, "bk_wrong", "hello", 401)
        time.sleep(1)
        left = {(title, expr) for title, expr in left if not _figures(url, expr)}
    for _, expr in wanted:
        _figures(url, expr)  # also of those that may be empty: each must be understood


def _figures(url: str, expr: str) -> list[Any]:
    for name in ("tenant", "model"):
        expr = expr.replace(f"${name}", ".*")
    try:
        answer = httpx.get(f"{url}/api/v1/query", params={"query": expr}, timeout=10)
    except httpx.TransportError:
        return []  # it is starting
    if answer.status_code == 503:
        return []
    told = answer.json()
    assert told["status"] == "success", (expr, told)
    return list(told["data"]["result"])


def _silent(title: str, expr: str) -> bool:
    return any(expr.startswith(begin) for begin in SILENT.get(title, ()))
