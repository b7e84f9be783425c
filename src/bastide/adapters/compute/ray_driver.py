# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The process that speaks to Ray for a build: it carries sealed bytes and has no key.

A process of its own, because Ray reads token and certificates from the environment, once for each
process. It ends with who began it: its link closes, and it takes a cluster that it began with it.

    python -m bastide.adapters.compute.ray_driver DESCRIPTOR ADDRESS WORKERS FOLDER
"""

import os
import shutil
import sys
import threading
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

from bastide.adapters.compute.ray_guard import CLIENTS, refuse_open
from bastide.adapters.compute.ray_worker import RayWorker
from bastide.core.limits import MIB

__all__ = ["LOCAL"]

LOCAL: Final = "local"  # an address: a cluster of this machine, begun and ended by this process
_NODE_IP: Final = "127.0.0.2"  # Ray takes 127.0.0.1 for the machine's address in a network
_OBJECTS_BYTES: Final = 80 * MIB  # of Ray's store, the least that it takes: only messages pass


def main() -> None:
    """Connect, say so, and do what comes over the link until it closes."""
    descriptor, address, workers, folder = sys.argv[1:]
    link = Connection(int(descriptor))
    try:
        import ray
    except ImportError:
        link.send(("missing", ""))
        return
    try:
        if address != LOCAL:
            refuse_open(address.removeprefix("ray://"), CLIENTS)
        _connect(ray, address, int(workers), folder)
    except Exception as error:
        link.send(("failed", f"{type(error).__name__}: {error}"[:500]))
        return
    link.send(("connected", os.getpid()))
    _serve(ray, link)
    # Who began us may have been killed; of a cluster that we began all lies in one folder of ours.
    shutil.rmtree(Path(folder).parent, ignore_errors=True)
    os._exit(0)  # `ray.shutdown` may wait for a cluster that is gone


def _connect(ray: Any, address: str, workers: int, folder: str) -> None:
    if address != LOCAL:
        ray.init(address, log_to_driver=False)
        return
    from ray._private import parameter

    # Neither an autoscaler nor a reader of logs: `ray.init` has no option for them, and a busy
    # machine needs longer for all of Ray's processes than the 15 s that Ray gives each other.
    made = parameter.RayParams
    parameter.RayParams = partial(made, no_monitor=True, include_log_monitor=False)  # type: ignore
    ray.init(
        address="local",
        num_cpus=workers,
        num_gpus=0,
        include_dashboard=False,
        log_to_driver=False,
        configure_logging=False,
        object_store_memory=_OBJECTS_BYTES,
        _temp_dir=folder,
        _node_ip_address=_NODE_IP,
    )


def _serve(ray: Any, link: Connection) -> None:
    lock = threading.Lock()
    actors: dict[int, Any] = {}
    actor = ray.remote(num_cpus=1, max_restarts=0, max_task_retries=0)(RayWorker)

    def answered(worker: int, call: int, future: Any) -> None:
        try:
            told = ("answer", worker, call, future.result())
        except Exception as error:
            told = ("lost", worker, call, type(error).__name__)
        with lock:
            link.send(told)

    orders: dict[str, Callable[..., Any]] = {
        "hello": lambda one, call, entropy: one.hello.remote(),
        "begin": lambda one, call, sealed: one.begin.remote(sealed),
        "run": lambda one, call, sealed: one.run.remote(call, sealed),
    }
    while True:
        try:
            order, worker, *rest = link.recv()
        except (EOFError, OSError):
            break
        if order == "stop":
            if (gone := actors.pop(worker, None)) is not None:
                ray.kill(gone)
            continue
        if order == "hello":
            actors[worker] = actor.remote(rest[1])
        future = orders[order](actors[worker], *rest).future()
        future.add_done_callback(partial(answered, worker, rest[0]))
    for one in actors.values():
        ray.kill(one)
    ray.shutdown()


if __name__ == "__main__":
    main()
