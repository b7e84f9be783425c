# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Which uploads are let in. Each stands in memory until the desk has it, so they are few."""

from typing import Final
from weakref import WeakKeyDictionary

from bastide.core.limits import UPLOADS_MAX
from bastide.dialects.surface import Problem
from bastide.gateway.inbound import Request
from bastide.gateway.reply import Reply, refusal

__all__ = ["Uploads"]

_FULL: Final = Problem(
    429, "Too many files are uploaded now. Try again later.", "rate_limit_exceeded", kind="requests"
)


class Uploads:
    """Counts uploads that are in memory: a request that is gone, however it went, has left."""

    def __init__(self, most: int = UPLOADS_MAX) -> None:
        self._most = most
        self._inside: WeakKeyDictionary[Request, str] = WeakKeyDictionary()

    def screen(self, request: Request, tenant: str) -> Reply | None:
        """Refuse an upload by its head alone."""
        media = request.headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        coded = request.headers.get(b"content-encoding", b"identity").lower() != b"identity"
        if media != b"multipart/form-data" or coded:
            message = "The Content-Type must be multipart/form-data, and the body not coded."
            return refusal(Problem(415, message, "unsupported_content_type"), request.family)
        tenants = list(self._inside.values())
        if len(tenants) >= self._most or tenants.count(tenant) >= max(1, self._most // 2):
            return refusal(_FULL, request.family)
        self._inside[request] = tenant
        return None
