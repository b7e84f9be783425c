# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A benchmark as a module, for tests that assert its numbers."""

import importlib.util
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

__all__ = ["loaded"]

_FOLDER = Path(__file__).parents[2] / "benchmarks"


@contextmanager
def loaded(name: str) -> Generator[ModuleType]:
    """benchmarks/NAME.py, imported as where a script runs."""
    known = f"benchmark_{name}"
    spec = importlib.util.spec_from_file_location(known, _FOLDER / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = sys.modules[known] = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(_FOLDER))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(_FOLDER))
    yield module
    del sys.modules[known]
