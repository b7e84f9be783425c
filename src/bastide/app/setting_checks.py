# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What texts of settings must be: addresses, witnesses, workers. config.py calls them."""

from bastide.core.errors import Misconfigured
from bastide.core.party import Party

__all__ = ["read_witnesses", "split_address", "verify_compute"]


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
    if not host or not port.isdigit() or int(port) > 65_535:
        raise Misconfigured(f"{name} = {listen!r} is no address", fix='write "127.0.0.1:8471"')
    return host.strip("[]"), int(port)
