# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Runs one verifier over many damaged copies of a receipt and its anchors, in one process.

`offline_driver.py tool|bastide PLAN`: the plan names the files and the bits to flip; standard
output is JSON: exit status and message per flip, and which network interfaces are up.
"""

import contextlib
import importlib.util
import io
import json
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def run_tool(path: str) -> Callable[[Path, Path], tuple[int, str]]:
    spec = importlib.util.spec_from_file_location("verify_receipt", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(Path(path).parent))  # as for a script: its other half lies beside it
    spec.loader.exec_module(module)

    def verify(receipt: Path, keys: Path) -> tuple[int, str]:
        sys.argv = [path, str(receipt), "--keys", str(keys)]
        said = io.StringIO()
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            try:
                status = module.main()
            except SystemExit as error:
                status = error.code
        return status, said.getvalue()

    return verify


def run_bastide() -> Callable[[Path, Path], tuple[int, str]]:
    from bastide.app.receipts import read_anchors, read_bundle, trace_receipt
    from bastide.core.errors import BastideError

    def verify(receipt: Path, keys: Path) -> tuple[int, str]:
        try:
            chain = trace_receipt(read_bundle(receipt), read_anchors(keys))
        except BastideError as error:
            return error.exit_status, error.message
        return 0, f"VERIFIED {chain.receipt.ident}"

    return verify


def reachable() -> bool:
    """Whether anything outside this namespace, or even its own loopback, answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("127.0.0.1", 9))
        except OSError:
            return False
    return True


def main() -> None:
    which, plan = sys.argv[1], json.loads(Path(sys.argv[2]).read_text())
    verify = run_tool(plan["tool"]) if which == "tool" else run_bastide()
    folder = Path(plan["folder"])
    results: list[Any] = []
    for file, bit in plan["flips"]:
        paths = {name: Path(plan[name]) for name in ("receipt", "keys")}
        if file is not None:
            data = bytearray(paths[file].read_bytes())
            data[bit // 8] ^= 1 << bit % 8
            paths[file] = folder / f"{which}-damaged.json"
            paths[file].write_bytes(data)
        results.append(verify(paths["receipt"], paths["keys"]))
    loaded = sorted(name for name in sys.modules if name.partition(".")[0] == "bastide")
    report = {"results": results, "reachable": reachable(), "bastide_modules": loaded}
    print(json.dumps(report))


if __name__ == "__main__":
    main()
