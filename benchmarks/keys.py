# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Headers opened per second, by key service: what it costs that a key lies elsewhere.

* file: age identities in this process (X25519).
* pkcs11: a P-256 key in a SoftHSM token, one key agreement a header. A software twin: it says what
  our side costs, not how fast an HSM is.

Each header is parsed, its opening recorded, its file key unwrapped and its MAC checked, as the
sealed store does. Rounds are interleaved; the numbers are medians, and of CPU time, too, because
the waiting for a thread is long on a busy machine. The last line is one JSON object.

    python benchmarks/keys.py --rounds 5
"""

import argparse
import json
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

from bastide.adapters.clock.system import SystemClock  # noqa: E402
from bastide.adapters.entropy.system import SystemEntropy  # noqa: E402
from bastide.adapters.keys.services import key_service, make_store_keys  # noqa: E402
from bastide.adapters.keys.watched import DenyFile, WatchedKeys  # noqa: E402
from bastide.adapters.store.memory import MemoryStore  # noqa: E402
from bastide.adapters.store.sealed import SealedStore  # noqa: E402
from bastide.crypto import age  # noqa: E402
from contracts.softhsm import make_token  # noqa: E402

GOAL = 500  # headers a second through the token
HEADERS = 500
CALLERS = 4
ENTROPY = SystemEntropy()


def made_store(place: str, folder: Path) -> SealedStore:
    """A store with one small object, as `wiring.open_store` makes it."""
    owner = age.X25519Identity(ENTROPY.token(32)).recipient()
    keys = key_service(make_store_keys(place, ENTROPY))
    watched = WatchedKeys(keys, folder / "openings", DenyFile(folder / "denied"), SystemClock())
    store = SealedStore(MemoryStore(), watched, [str(owner)], ENTROPY)
    store.put("m/x", [b"weights"])
    return store


def opened(store: SealedStore, callers: int) -> tuple[float, float]:
    """Openings per second of wall time, and per second of CPU time."""

    def work() -> None:
        for _ in range(HEADERS // callers):
            with store.open("m/x"):
                pass

    threads = [threading.Thread(target=work) for _ in range(callers)]
    wall, cpu = time.perf_counter(), time.process_time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    count = HEADERS // callers * callers
    return count / (time.perf_counter() - wall), count / (time.process_time() - cpu)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        token = make_token("benchmark", folder / "pin")
        stores = {"file": made_store("file", folder), "pkcs11": made_store(token.place(), folder)}
        seen: dict[str, list[tuple[float, float]]] = {}
        for _ in range(rounds):
            for service, store in stores.items():
                for callers in (1, CALLERS):
                    seen.setdefault(f"{service}_{callers}", []).append(opened(store, callers))
    result = {"goal": GOAL, "headers": HEADERS, "rounds": rounds, "token": "SoftHSM, software twin"}
    for row, numbers in seen.items():
        wall, cpu = (round(statistics.median(column)) for column in zip(*numbers, strict=True))
        result[row] = wall
        result[row + "_per_cpu_s"] = cpu
        print(f"{row:10}  {wall:6} headers/s  {cpu:6} per CPU-second")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
