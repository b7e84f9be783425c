# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What sealed mode adds to the time to the first token.

One real gateway and the runner's door in front of an engine that answers at once; asked in turn
directly and through the local proxy, by one client, over the loopback. All of it is one process,
so what the parts wait for each other counts, too. Proving nodes is not in it: a client does that
once a minute, beside its requests.

    python benchmarks/sealed.py --rounds 300
"""

import argparse
import http.client
import json
import statistics
import sys
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from bastide.adapters.clock.system import SystemClock
from bastide.adapters.entropy.system import SystemEntropy
from bastide.app.sealed_client import SealedClient
from bastide.app.sealed_door import SealedDoor, Served
from bastide.app.sealed_gateway import Gateway
from bastide.app.sealed_proxy import SealedProxy
from bastide.core.chat import Delta, GenerateRequest
from bastide.crypto.attestation import Said
from bastide.ledger.verify_nodes import KnownNode
from paths.gateway_rig import KEY, MODEL, RELEASE, ScriptedEngine, gateway


class _Engine(ScriptedEngine):
    """The scripted engine, behind a door for what is sealed."""

    door: SealedDoor

    async def generate(self, request: GenerateRequest) -> AsyncIterator[Delta]:
        if request.sealed is None:
            async for delta in super().generate(request):
                yield delta
            return
        async for delta in self.door.answer(request, super()):
            yield delta


class _Proven(SealedClient):
    """A client that has proven its one node a moment ago."""

    node: KnownNode

    def choose(self, key: str, model: str, fresh: bool = False, without: str = "") -> KnownNode:
        return self.node


def _first_ms(port: int, body: bytes) -> float:
    """Milliseconds from the request to the first piece of text."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    began = time.perf_counter()
    connection.request("POST", "/v1/chat/completions", body, headers)
    response = connection.getresponse()
    assert response.status == 200, response.read()
    while b"Hel" not in response.readline():
        pass
    took = time.perf_counter() - began
    response.read()
    connection.close()
    return took * 1_000


def _spread(rows: list[float]) -> dict[str, float]:
    ordered = sorted(rows)
    row = {"median": statistics.median(ordered), "p95": ordered[int(len(ordered) * 0.95)]}
    return {name: round(value, 3) for name, value in row.items()}


def measure(rounds: int, prompt_bytes: int) -> dict[str, dict[str, float]]:
    """Both ways in turn, so that what else the machine does meets both alike."""
    clock, key = SystemClock(), X25519PrivateKey.generate()
    deployment = f"sha256:{MODEL}"
    served = Served(deployment, MODEL, RELEASE)
    said = Said("a benchmark", (), ())
    node = KnownNode(
        "sha256:node", "node-1", 1, key.public_key().public_bytes_raw(), MODEL, deployment,
        RELEASE, 2**53, said,
    )  # fmt: skip
    body = json.dumps(
        {"model": MODEL, "stream": True, "max_tokens": 64,
         "messages": [{"role": "user", "content": "x" * prompt_bytes}]}
    ).encode()  # fmt: skip
    with gateway() as rig:
        engine = _Engine()
        engine.door = SealedDoor(key, served, rig.control, clock, SystemEntropy())
        rig.engine = engine
        client = _Proven(Gateway(rig.url), {}, clock, SystemEntropy())
        client.node = node
        proxy = SealedProxy("127.0.0.1:0", client)
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        sealed_port = int(proxy.server_address[1])
        direct: list[float] = []
        sealed: list[float] = []
        for number in range(rounds + 20):
            pair = (_first_ms(rig.port, body), _first_ms(sealed_port, body))
            if number >= 20:  # the first ones import and compile
                direct.append(pair[0])
                sealed.append(pair[1])
        proxy.shutdown()
        proxy.server_close()
    added = [after - before for before, after in zip(direct, sealed, strict=True)]
    return {"direct_ms": _spread(direct), "sealed_ms": _spread(sealed), "added_ms": _spread(added)}


def main() -> None:
    """Print what is added, the last line as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=300)
    rounds = parser.parse_args().rounds
    found = {}
    for size in (100, 10_000, 100_000):
        row = found[str(size)] = measure(rounds, size)
        added = row["added_ms"]
        print(
            f"prompt of {size:>7} bytes: direct {row['direct_ms']['median']:.2f} ms, sealed"
            f" {row['sealed_ms']['median']:.2f} ms; added: median {added['median']:.2f} ms,"
            f" 95 % below {added['p95']:.2f} ms"
        )
    print(json.dumps(found))


if __name__ == "__main__":
    main()
