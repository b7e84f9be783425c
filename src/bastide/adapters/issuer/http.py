# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Asks an issuer over HTTPS, or HTTP on this machine; nothing is followed, no proxy is used."""

import http.client
import json
import ssl
import urllib.parse
from collections.abc import Mapping
from typing import Any, Final

from bastide.core.errors import NotProven, Unavailable

__all__ = ["ask"]

TIMEOUT_S: Final = 10.0
ANSWER_BYTES_MAX: Final = 256 * 1024


def ask(url: str, form: Mapping[str, str] | None = None) -> tuple[int, dict[str, Any]]:
    """Get a URL, or post a form to it; status and JSON object of the answer.

    Raises Unavailable if it does not answer, NotProven if the answer is no JSON object.
    """
    parts = urllib.parse.urlsplit(url)
    host = parts.hostname or ""
    connection = (
        http.client.HTTPSConnection(
            host, parts.port, timeout=TIMEOUT_S, context=ssl.create_default_context()
        )
        if parts.scheme == "https"
        else http.client.HTTPConnection(host, parts.port, timeout=TIMEOUT_S)
    )
    path = parts.path or "/"
    target = f"{path}?{parts.query}" if parts.query else path
    headers = {"Accept": "application/json"}
    body = None
    if form is not None:
        body = urllib.parse.urlencode(form)
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    try:
        connection.request("GET" if form is None else "POST", target, body, headers)
        answer = connection.getresponse()
        data = answer.read(ANSWER_BYTES_MAX + 1)
    except (OSError, http.client.HTTPException) as error:
        raise Unavailable(
            f"the issuer at {parts.netloc} does not answer: {error}",
            fix="try again; with a party's own key (--key) one needs no login",
        ) from error
    finally:
        connection.close()
    try:
        value = json.loads(data) if len(data) <= ANSWER_BYTES_MAX else None
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise NotProven(f"the issuer answers {url} with {answer.status} and no JSON object")
    return answer.status, value
