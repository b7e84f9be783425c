# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Moments and days as text: in UTC, RFC 3339 in documents that others read."""

import datetime

__all__ = ["DAY_MS", "utc_day", "utc_minute", "utc_time"]

DAY_MS = 86_400_000


def utc_day(time_ms: int) -> str:
    """``2026-11-26`` from milliseconds since 1970."""
    return datetime.datetime.fromtimestamp(time_ms / 1000, datetime.UTC).date().isoformat()


def utc_minute(time_ms: int) -> str:
    """``2026-11-26 13:00 UTC``, for people; also of a number that somebody made up."""
    try:
        moment = datetime.datetime.fromtimestamp(time_ms / 1000, datetime.UTC)
    except (OverflowError, ValueError):
        return f"the millisecond {time_ms}"
    return moment.strftime("%Y-%m-%d %H:%M UTC")


def utc_time(time_ms: int) -> str:
    """``2026-11-26T13:00:00.123Z`` from milliseconds since 1970."""
    moment = datetime.datetime.fromtimestamp(time_ms / 1000, datetime.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
