# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What the guard costs for each small piece of a streamed answer.

    python benchmarks/guard.py [--rounds 7]

One piece is one word, as engines send them. Prose has nothing to find in it; the other text has an
address, a card and a link in every third sentence. The last line is one JSON object.
"""

import argparse
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from bastide.core.chat import Delta, GenerateRequest, Message
from bastide.core.erasure import ErasureList
from bastide.core.guard import GuardPolicy
from bastide.detectors.guard import Guard, make_kit

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
    names = [f"Person{number} Surname{number}" for number in range(1_000)]
    kit = make_kit(policy, ErasureList.make(names, "2026-11-01", bytes(16)))
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


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    texts = {"prose": PROSE * 100, "found": (PROSE * 2 + FOUND) * 30}
    result = {}
    print(f"{'policy':<14}" + "".join(f"{name + ' us':>12}" for name in texts))
    for name, value in POLICIES.items():
        policy = GuardPolicy.from_json(value)
        row = {kind: round(cost_us(policy, text, rounds), 2) for kind, text in texts.items()}
        result[name] = row
        print(f"{name:<14}" + "".join(f"{cost:>12.2f}" for cost in row.values()))
    print(json.dumps({"us_per_piece": result}))


if __name__ == "__main__":
    main()
