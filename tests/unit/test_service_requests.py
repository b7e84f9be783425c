# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Requests for certificates of services: what is none is refused, whatever is wrong with it."""

import base64

import pytest

from bastide.core.errors import Misconfigured
from bastide.core.limits import REQUEST_BYTES_MAX
from bastide.crypto import p256, service_x509

SECRET = p256.secret_from(b"a service" * 6)


def another_version(request: str) -> str:
    """A request of a version that there is not; nobody looks at its signature any more."""
    first, *lines, last = request.splitlines()
    made = base64.b64decode("".join(lines)).replace(b"\x02\x01\x00", b"\x02\x01\x01", 1)
    return "\n".join((first, base64.b64encode(made).decode(), last))


def test_a_request_names_the_key_that_signed_it() -> None:
    request = service_x509.request_for(SECRET)
    assert service_x509.read_request(request) == service_x509.public_of(SECRET)


@pytest.mark.parametrize("case", ["text", "long", "cut", "version"])
def test_what_is_no_request_is_refused(case: str) -> None:
    request = service_x509.request_for(SECRET)
    wrong = {
        "text": "no request",
        "long": request + " " * REQUEST_BYTES_MAX,
        "cut": request[: len(request) // 2],
        "version": another_version(request),
    }
    with pytest.raises(Misconfigured, match="not a request for a certificate"):
        service_x509.read_request(wrong[case])
