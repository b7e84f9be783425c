# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""One running demo environment per test process: the real thing, started by `bastide up`."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest

from paths import drawn  # for the profile of Hypothesis that it registers
from paths.demo import Demo
from paths.furnished import running_copy
from paths.loading_rig import broken, served

__all__ = ["Running", "broken", "drawn", "running", "served"]


@dataclasses.dataclass(frozen=True)
class Running(Demo):
    """A demo whose services run; `up` is what the first `bastide up --json` printed."""

    up: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def url(self) -> str:
        return str(self.up["gateway_url"])

    @property
    def key(self) -> str:
        return str(self.up["key"])

    @property
    def model(self) -> str:
        return str(self.up["model"])


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running_copy(tmp_path_factory, "demo") as (demo, up):
        yield Running(demo.home, up)
