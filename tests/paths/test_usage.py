# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What `bastide usage` says is what the receipts of a real model say; a budget then stops it."""

import time
from typing import Any

import openai
import pytest

from bastide.core.money import euros
from paths.conftest import Running

PATIENCE_S = 20.0


def ask(running: Running, key: str, **changes: Any) -> str:
    """Ask the model something; the id of the receipt."""
    client = openai.OpenAI(base_url=f"{running.url}/v1", api_key=key, max_retries=0)
    asked: dict[str, Any] = {
        "model": running.model,
        "messages": [{"role": "user", "content": "Name a colour."}],
        "max_tokens": 6,
    }
    raw = client.chat.completions.with_raw_response.create(**(asked | changes))
    return raw.headers["x-bastide-receipt"]


def test_usage_is_the_sum_of_the_receipts_and_a_budget_holds(running: Running) -> None:
    demo = running
    price = ("--input-eur-per-mtok", "0.10", "--output-eur-per-mtok", "0.40")
    demo.json("price", "set", "--model", running.model, *price)
    made = demo.json("key", "new", "--tenant", "demo")
    end, idents, receipts = time.monotonic() + PATIENCE_S, [], []
    while not receipts or receipts[-1]["cost_picoeur"] == 0:
        assert time.monotonic() < end, "the price never reached the gateway"
        idents.append(ask(running, made["key"]))
        receipts.append(demo.json("receipt", "export", idents[-1])["receipt"])
    (row,) = [
        row
        for row in demo.json("usage", "--tenant", "demo", "--by", "key")
        if row["group"] == made["id"]
    ]
    assert row["requests"] == len(receipts)
    assert row["prompt_tokens"] == sum(one["prompt_tokens"] for one in receipts)
    assert row["completion_tokens"] == sum(one["completion_tokens"] for one in receipts)
    assert row["eur"] == euros(sum(one["cost_picoeur"] for one in receipts))
    last = receipts[-1]
    assert (
        last["cost_picoeur"]
        == last["prompt_tokens"] * 100_000 + last["completion_tokens"] * 400_000
    )
    used = str(row["prompt_tokens"] + row["completion_tokens"])
    demo.json(
        "budget", "set", "--tenant", "demo", "--key", made["id"], "--tokens", used, "--per", "day"
    )
    with pytest.raises(openai.RateLimitError) as caught:
        while time.monotonic() < end:
            ask(running, made["key"])
    assert caught.value.code == "insufficient_quota"
