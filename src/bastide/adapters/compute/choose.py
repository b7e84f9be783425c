# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The workers that the setting `compute` names."""

import contextlib
from collections.abc import Callable, Generator, Mapping

from bastide.ports import Clock, Compute, Entropy

__all__ = ["open_compute"]


@contextlib.contextmanager
def open_compute(
    place: str,
    files: str,
    workers: int,
    bench: object,
    lost: Callable[[], None],
    environment: Mapping[str, str],
    clock: Clock,
    entropy: Entropy,
) -> Generator[Compute]:
    """Begin workers; who leaves by an error does not wait for what they do.

    place: `processes`, `ray:local` or `ray://host:port`. Raises Misconfigured or Unavailable.
    """
    with contextlib.ExitStack() as stack:
        compute: Compute
        if place == "processes":
            from bastide.adapters.compute.processes import ProcessCompute

            compute = ProcessCompute(workers, bench, lost)
        else:
            from bastide.adapters.compute.ray_compute import RayCompute
            from bastide.adapters.compute.ray_link import LOCAL, RayLink

            address = LOCAL if place == "ray:local" else place
            link = RayLink(address, files, workers, environment, clock, entropy)
            stack.callback(link.close)
            compute = RayCompute(link, workers, bench, lost, entropy)
        try:
            yield compute
        except BaseException:
            compute.close(cancel=True)
            raise
        compute.close()
