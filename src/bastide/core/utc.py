# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Moments and days as text: RFC 3339 in UTC, for documents that others read."""

import datetime

__all__ = ["utc_day", "utc_time"]


def utc_day(time_ms: int) -> str:
    """``2026-11-26`` from milliseconds since 1970."""
    return datetime.datetime.fromtimestamp(time_ms / 1000, datetime.UTC).date().isoformat()


def utc_time(time_ms: int) -> str:
    """``2026-11-26T13:00:00.123Z`` from milliseconds since 1970."""
    moment = datetime.datetime.fromtimestamp(time_ms / 1000, datetime.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
