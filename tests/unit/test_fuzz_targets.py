# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The fuzz targets run: a few thousand inputs each, from a small seed, without a find."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from unit.dialect_cases import VECTORS
from unit.model_files import make_checkpoint, make_gguf

FUZZ = Path(__file__).parents[1] / "fuzz"


def vector(family: str, name: str) -> bytes:
    """The body of a request that a dialect reads."""
    rows = json.loads((VECTORS / family / "requests.json").read_text())["cases"]
    return json.dumps(next(row["body"] for row in rows if row["name"] == name)).encode()


SEEDS = {
    "fuzz_anthropic": vector("anthropic", "calls and their results"),
    "fuzz_bedrock": vector("bedrock", "calls and their results"),
    "fuzz_gguf": make_gguf(vocabulary=8).encode(),
    "fuzz_google": vector("google", "calls and results without ids"),
    "fuzz_ollama": vector("ollama", "calls and results by name"),
    "fuzz_openai": vector("openai", "calls and their results"),
    "fuzz_safetensors": make_checkpoint()["model.safetensors"],
}

needs_atheris = pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None, reason="atheris has no wheel for this Python"
)


def fuzz(target: str, tmp_path: Path, runs: int) -> subprocess.CompletedProcess[str]:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / "seed").write_bytes(SEEDS[target])
    options = [f"-runs={runs}", "-seed=1", "-max_len=16384", "-rss_limit_mb=2048", "-timeout=10"]
    return subprocess.run(
        [sys.executable, str(FUZZ / f"{target}.py"), *options, str(corpus)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )


@pytest.mark.attacks("C35")
@needs_atheris
@pytest.mark.slow
@pytest.mark.parametrize("target", SEEDS)
def test_a_fuzz_target_finds_nothing(target: str, tmp_path: Path) -> None:
    done = fuzz(target, tmp_path, runs=4_000)
    assert done.returncode == 0, done.stderr[-3_000:]
    assert "Done 4000 runs" in done.stderr
    assert not list(tmp_path.glob("crash-*"))


def test_every_target_is_run() -> None:
    assert {path.stem for path in FUZZ.glob("fuzz_*.py")} == set(SEEDS)
