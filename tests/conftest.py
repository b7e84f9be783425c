# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""For all tests: no example of a property has a deadline, because the machine is shared; what the
tests of one process share is ended with it.
"""

from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_sessionfinish() -> None:
    """At the end of each process of pytest."""
    from contracts.s3_server import end_sharing  # slow, and most runs of few tests need no server

    end_sharing()
