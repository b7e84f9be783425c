# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""SPIFFE IDs: names of services, as the SPIFFE-ID standard writes them (sections 2.1 to 2.4)."""

import re
from typing import Final

from bastide.core.errors import Misconfigured

__all__ = ["service_id", "service_path", "trust_domain", "verify_spiffe_id"]

_BYTES_MAX: Final = 2_048
_SPIFFE: Final = re.compile(
    r"spiffe://(?P<domain>[a-z0-9._-]{1,255})(?P<path>(/[A-Za-z0-9._-]+)+)", re.ASCII
)


def verify_spiffe_id(text: str) -> None:
    """Check that a text is the SPIFFE ID of a service, in its one form. Raises Misconfigured."""
    found = _SPIFFE.fullmatch(text)
    dots = found is not None and {".", ".."} & set(found["path"].split("/"))
    if found is None or dots or len(text) > _BYTES_MAX:
        raise Misconfigured(
            f"{text!r} is no SPIFFE ID of a service",
            fix="spiffe://example.org/chat: the domain in lower case, no port, no slash at its end",
        )


def trust_domain(environment: str) -> str:
    """The trust domain of an environment's own services: ``bastide.local/1f`` is
    ``1f.bastide.local``."""
    return ".".join(reversed(environment.lower().split("/")))


def service_id(environment: str, *path: str) -> str:
    """The SPIFFE ID of one of our own services. Raises Misconfigured for a name that is none."""
    text = f"spiffe://{trust_domain(environment)}/{'/'.join(path)}"
    verify_spiffe_id(text)
    return text


def service_path(text: str, environment: str) -> tuple[str, ...]:
    """What `service_id` made an ID of; empty for one of another trust domain."""
    root = f"spiffe://{trust_domain(environment)}/"
    return tuple(text.removeprefix(root).split("/")) if text.startswith(root) else ()
