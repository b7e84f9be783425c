# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""For all tests: no example of a property has a deadline, because the machine is shared; what the
tests of one process share is ended with it. In continuous integration no tool may be missing.
"""

import os
from collections.abc import Generator
from typing import TypeVar

import pytest
from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_sessionfinish() -> None:
    """At the end of each process of pytest."""
    from contracts.s3_server import end_sharing  # slow, and most runs of few tests need no server

    end_sharing()


Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)

# Why a test may be left out in continuous integration: the machine cannot, whatever is installed.
UNABLE = ("only root ", "no network namespace", "no tmpfs here", "Ray does not begin on a machine")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    return missing_tool(report)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    return missing_tool(report)


def missing_tool(report: Report) -> Report:
    """A test that was left out for want of a tool, as a failure if `.ci/run` began this."""
    if report.skipped and "BASTIDE_CI" in os.environ and isinstance(report.longrepr, tuple):
        reason = str(report.longrepr[2]).removeprefix("Skipped: ")
        if not reason.startswith(UNABLE):
            report.outcome = "failed"
            report.longrepr = f"left out, which .ci/run does not allow: {reason}"
    return report
