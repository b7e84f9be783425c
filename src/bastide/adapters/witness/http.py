# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Asks a witness over HTTP or HTTPS; nothing is followed, no proxy is used."""

import http.client
import ssl
import urllib.parse
from typing import Final

from bastide.core.errors import Misconfigured, Unavailable

__all__ = ["post"]

TIMEOUT_S: Final = 5.0
ANSWER_BYTES_MAX: Final = 64 * 1024


def post(url: str, body: bytes) -> tuple[int, bytes]:
    """Post a body; status and body of the answer. Raises Unavailable, Misconfigured."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Misconfigured(f"{url} is no address of a witness", fix="http://127.0.0.1:8481")
    if parts.scheme == "https":
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            parts.hostname, parts.port, timeout=TIMEOUT_S, context=ssl.create_default_context()
        )
    else:
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=TIMEOUT_S)
    try:
        connection.request("POST", parts.path, body, {"Content-Type": "text/plain"})
        answer = connection.getresponse()
        return answer.status, answer.read(ANSWER_BYTES_MAX)
    except (OSError, http.client.HTTPException) as error:
        raise Unavailable(f"the witness at {parts.netloc} does not answer: {error}") from error
    finally:
        connection.close()
