# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What texts of settings must be: addresses, witnesses, workers. config.py calls them."""

import re
from typing import Final

from bastide.core.errors import Misconfigured
from bastide.core.party import Party

__all__ = [
    "read_port_range", "read_witnesses", "split_address", "verify_compute", "verify_places",
]  # fmt: skip

_PORTS: Final = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")


def verify_compute(place: str, keys: str) -> None:
    """Raises Misconfigured unless this names workers, and a cluster's with how they are known."""
    if place in ("processes", "ray:local"):
        return
    if not place.startswith("ray://"):
        one = '"processes", "ray:local" or "ray://host:port"'
        raise Misconfigured(f"compute = {place!r} names no workers", fix=f"one of {one}")
    split_address(place.removeprefix("ray://"), "compute")
    if not keys:
        raise Misconfigured("compute = ray://... needs compute_keys", fix='compute_keys = "FOLDER"')


def read_witnesses(text: str) -> dict[str, str]:
    """Where witnesses listen, by their parties. Raises Misconfigured."""
    found: dict[str, str] = {}
    for part in filter(None, (row.strip() for row in text.split(","))):
        party, _, url = part.partition("=")
        if party not in set(Party) or party in found or not url.startswith(("http://", "https://")):
            raise Misconfigured(
                f"witnesses: {part!r} is not a party and its witness's URL",
                fix='witnesses = "firm=http://127.0.0.1:8481, guardian=https://..."',
            )
        found[party] = url
    return found


def split_address(listen: str, name: str = "listen") -> tuple[str, int]:
    """Split ``host:port``. Raises Misconfigured."""
    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65_535:
        raise Misconfigured(f"{name} = {listen!r} is no address", fix='write "127.0.0.1:8471"')
    return host.strip("[]"), int(port)


def read_port_range(text: str, name: str = "runner_listen") -> tuple[str, range]:
    """Host and ports of ``host:first-last``. Raises Misconfigured: gateways elsewhere must find
    it, so it is no address that stands for all."""
    place, _, told = text.rpartition(":")
    host, asked, ports = place.strip("[]"), _PORTS.fullmatch(told), range(0)
    if asked:
        ports = range(int(asked[1]), int(asked[2] or asked[1]) + 1)
    nowhere = host in ("", "0.0.0.0", "::")  # noqa: S104 (compared)
    if nowhere or not ports or not ports[0] or ports[-1] > 65_535:
        raise Misconfigured(
            f"{name} = {text!r} is no address with ports", fix='write "10.0.0.2:8490-8499"'
        )
    return host, ports


def verify_places(control_listen: str, control: str, runner_listen: str) -> None:
    """Raise Misconfigured unless these say where services on other machines are found."""
    if control_listen:
        split_address(control_listen, "control_listen")
    if control:
        split_address(control, "control")
        read_port_range(runner_listen)
