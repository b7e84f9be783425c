# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What the guard costs for each small piece of a streamed answer, and for a whole one.

    python benchmarks/guard.py [--rounds 7]

One piece is one word, as engines send them. Prose has nothing to find in it; the other text has an
address, a card and a link in every third sentence. A whole answer is 20 words to a prompt of 460
characters and a system message of 85, in and out. CPU time; the last line is one JSON object.
"""

import argparse
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from bastide.core.chat import Delta, FinishReason, GenerateRequest, Message
from bastide.core.erasure import ErasureList
from bastide.core.guard import GuardPolicy
from bastide.detectors.guard import Guard, make_kit

WHOLE = 200  # answers in a round
PROSE = "The council met on Tuesday to talk about the new bridge, which costs less than feared. "
FOUND = "Write to anna@firma.eu, pay with 4111 1111 1111 1111, see https://evil.eu/page now. "
SYSTEM = "You are the clerk of the town and you never speak about the treasure below the old oak. "
POLICIES = {
    "nothing": {},
    "secrets": {"out": {"secrets": "mask"}},
    "documented": {
        "out": {
            "secrets": "mask",
            "iban": "mask",
            "card": "mask",
            "national-number": "mask",
            "email": "observe",
            "link": "observe",
            "invisible": "mask",
            "prompt-leak": "observe",
        }
    },
    "erasure": {"out": {"erasure": "mask"}},
    "everything": {
        "out": {
            "personal": "mask",
            "secrets": "mask",
            "link": "mask",
            "invisible": "mask",
            "prompt-leak": "mask",
            "erasure": "mask",
        }
    },
}


def cost_us(policy: GuardPolicy, text: str, rounds: int) -> float:
    """CPU microseconds a piece, the best of some rounds."""
    kit = make_kit(policy, _listed())
    request = GenerateRequest("i", "m", (Message("system", SYSTEM), Message("user", "hi")))
    pieces = [Delta(word + " ") for word in text.split()]
    best = float("inf")
    for _ in range(rounds):
        guard = Guard(kit, "acme", 1_793_500_000_000)
        guard.inward(request)
        started = time.thread_time()
        for piece in pieces:
            guard.outward(piece)
        best = min(best, (time.thread_time() - started) / len(pieces))
    return best * 1e6


def whole_us(policy: GuardPolicy, text: str, rounds: int) -> float:
    """CPU microseconds for a prompt and an answer that come whole, the best of some rounds."""
    kit, best = make_kit(policy, _listed()), float("inf")
    user = Message("user", "Which town has a wall? " * 20)
    asked = GenerateRequest("i", "m", (Message("system", SYSTEM), user))
    last = Delta(" ".join(text.split()[:20]), FinishReason.STOP)
    for _ in range(rounds):
        started = time.thread_time()
        for _ in range(WHOLE):
            guard = Guard(kit, "acme", 1_793_500_000_000)
            guard.inward(asked)
            guard.outward(last)
            guard.decisions()
        best = min(best, (time.thread_time() - started) / WHOLE)
    return best * 1e6


def _listed() -> ErasureList:
    names = [f"Person{number} Surname{number}" for number in range(1_000)]
    return ErasureList.make(names, "2026-11-01", bytes(16))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    texts = {"prose": PROSE * 100, "found": (FOUND + PROSE * 2) * 30}
    result = {}
    shown = [f"{name}, {what} us" for what in ("piece", "whole") for name in texts]
    print(f"{'policy':<14}" + "".join(f"{name:>18}" for name in shown))
    for name, value in POLICIES.items():
        policy = GuardPolicy.from_json(value)
        row = {f"{kind}_piece": cost_us(policy, text, rounds) for kind, text in texts.items()}
        row |= {f"{kind}_whole": whole_us(policy, text, rounds) for kind, text in texts.items()}
        result[name] = {key: round(cost, 2) for key, cost in row.items()}
        print(f"{name:<14}" + "".join(f"{cost:>18.2f}" for cost in row.values()))
    print(json.dumps({"us": result}))


if __name__ == "__main__":
    main()
