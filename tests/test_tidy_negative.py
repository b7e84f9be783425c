# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Every rule of the house fails on a tree that breaks it, and only that rule does."""

from pathlib import Path

import pytest

from tidy_rules import RULES

HEADER = (
    "# SPDX-File" + "CopyrightText: 2026 The Bastide authors\n"
    "# SPDX-License-" + "Identifier: Apache-2.0\n"
)
MARK = "TO" + "DO"
HOST = "py" + "pi.org"
PLACE = "/wo" + "rk/main"
LONG_BODY = "def long():\n" + "    x = 1\n" * 60

# Per case: the rule that must find it, the file that offends, and its content.
OFFENCES: dict[str, tuple[str, str, str]] = {
    "long file": ("long_files", "src/bastide/one.py", "x = 1\n" * 399),
    "long function": ("long_functions", "src/bastide/one.py", LONG_BODY),
    "long method in a test": ("long_functions", "tests/test_one.py", LONG_BODY),
    "file called utils": ("file_names", "tools/utils.py", "x = 1\n"),
    "folder called common": ("file_names", "tests/common/test_one.py", "x = 1\n"),
    "function called process": ("function_names", "src/bastide/one.py", "def process(): ...\n"),
    "method called _handle": ("function_names", "src/bastide/one.py", "def _handle(): ...\n"),
    "verdict that can be ignored": (
        "function_names",
        "src/bastide/one.py",
        "def verify_x() -> bool: ...\n",
    ),
    "prefix handle_": ("function_names", "tests/test_one.py", "async def handle_x(): ...\n"),
    "no header": ("headers", "benchmarks/one.py", ""),
    "silent package": ("package_docstrings", "src/bastide/gates/__init__.py", "x = 1\n"),
    "registry host": ("machine_traces", "requirements/one.txt", f"# from {HOST}/simple\n"),
    "machine path": ("machine_traces", "docs/one.md", f"cd {PLACE}\n"),
    "machine path in code": ("machine_traces", "src/bastide/one.py", f'x = "{PLACE}"\n'),
    "remark": ("unfinished_work", "src/bastide/one.py", f"x = 1  # {MARK}: more\n"),
    "remark in the Makefile": ("unfinished_work", "Makefile", f"# {MARK}\n"),
    "dead link": ("dead_links", "docs/one.md", "see [the rest](rest.md)\n"),
    "dead anchor": ("dead_links", "docs/one.md", "# Top\n\nsee [below](#bottom)\n"),
    "import by name": ("dynamic_imports", "src/bastide/one.py", "__import__('os')\n"),
    "import_module": (
        "dynamic_imports",
        "src/bastide/one.py",
        "from importlib import import_module as load\nload('os')\n",
    ),
    "exec": ("dynamic_imports", "tools/one.py", "exec('1')\n"),
    "eval": ("dynamic_imports", "src/bastide/one.py", "x = eval('1')\n"),
    "plug-ins": (
        "dynamic_imports",
        "src/bastide/one.py",
        "import importlib.metadata\nimportlib.metadata.entry_points()\n",
    ),
    "wall clock": ("clock_and_chance", "src/bastide/one.py", "import time\ntime.time()\n"),
    "renamed clock": (
        "clock_and_chance",
        "src/bastide/one.py",
        "from time import monotonic_ns as tick\ntick()\n",
    ),
    "calendar": (
        "clock_and_chance",
        "src/bastide/one.py",
        "from datetime import datetime\nx = datetime.now()\n",
    ),
    "clock of the loop": (
        "clock_and_chance",
        "src/bastide/one.py",
        "import asyncio\nx = asyncio.get_running_loop().time()\n",
    ),
    "chance": ("clock_and_chance", "src/bastide/one.py", "import secrets\n"),
    "urandom": ("clock_and_chance", "src/bastide/one.py", "import os\nx = os.urandom(4)\n"),
    "uuid": ("clock_and_chance", "src/bastide/one.py", "from uuid import uuid4\n"),
    "key made by a library": (
        "clock_and_chance",
        "src/bastide/one.py",
        "from cryptography import Ed25519PrivateKey\nx = Ed25519PrivateKey.generate()\n",
    ),
    "environ": ("environment_reads", "src/bastide/one.py", "import os\nx = os.environ['A']\n"),
    "getenv": ("environment_reads", "tools/one.py", "from os import getenv\n"),
    "fetching": ("url_fetching", "src/bastide/one.py", "import urllib.request\n"),
    "fetching, from": ("url_fetching", "tools/one.py", "from urllib import request\n"),
    "printing": ("printing", "src/bastide/app/one.py", "print('x')\n"),
    "dead module": ("dead_modules", "src/bastide/two.py", "x = 1\n"),
    "dead adapter": ("dead_modules", "src/bastide/adapters/two.py", "x = 1\n"),
}

# What looks like an offence and is none.
INNOCENT: dict[str, str] = {
    "src/bastide/cli/__init__.py": '"""Prints."""\nfrom bastide import one\nprint(one)\n',
    "src/bastide/app/wiring.py": "import importlib\nx = importlib.import_module('os')\n",
    "src/bastide/app/config.py": "import os\nx = os.environ\n",
    "src/bastide/app/__init__.py": '"""Uses."""\nfrom bastide.app import config, wiring\n',
    "src/bastide/adapters/clock/system.py": "import time\nx = time.monotonic()\n",
    "src/bastide/adapters/fake.py": "x = 1\n",
    "src/bastide/run.py": "NAME = 'bastide.served'\nfrom bastide.adapters.clock import system\n",
    "src/bastide/served.py": "import urllib.parse\nfrom bastide import run\nrandom = 1\nrandom\n",
    "src/bastide/one.py": "def processed(self):\n    return self.time()\n",
    "tests/test_fake.py": "import os, random, time\nfrom bastide.adapters import fake\n",
    "docs/one.md": "# The `one` page\n\n[it](#the-one-page), [x](../README.md)\n`[y](z.md)`\n",
    "README.md": "# One\n\n```\n[no](link.md)\n```\n[out](https://example.org/x)\n",
    "tests/vectors/case.txt": f"{MARK}\n",
    ".cache/one.py": f"# {MARK}\n",
}


def plant(root: Path, name: str, content: str, header: str = HEADER) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text((header if path.suffix == ".py" else "") + content)


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    """A small tree that keeps every rule."""
    plant(tmp_path, "src/bastide/__init__.py", '"""Whole."""\n')
    plant(tmp_path, "src/bastide/one.py", "x = 1\n")
    plant(tmp_path, "src/bastide/__main__.py", '"""Start."""\nfrom bastide import one\none.x\n')
    return tmp_path


@pytest.mark.attacks("C64")
@pytest.mark.parametrize("case", OFFENCES)
def test_an_offence_is_found(case: str, clean: Path) -> None:
    rule, name, content = OFFENCES[case]
    if name.startswith("src/bastide/app/"):
        plant(clean, "src/bastide/__main__.py", "from bastide import one\nimport bastide.app.one\n")
    plant(clean, name, content, header="" if rule == "headers" else HEADER)
    broken = {ident: faults for ident, check in RULES.items() if (faults := check(clean))}
    assert set(broken) == {rule}
    assert broken[rule][0].startswith(name), "the fault names the file"


def test_every_rule_has_an_offence() -> None:
    assert {rule for rule, _, _ in OFFENCES.values()} == set(RULES)


def test_what_is_allowed_is_not_found(clean: Path) -> None:
    for name, content in INNOCENT.items():
        plant(clean, name, content)
    assert {ident: check(clean) for ident, check in RULES.items()} == {rule: [] for rule in RULES}


@pytest.mark.parametrize(("rule", "lines"), [("long_files", 398), ("long_functions", 59)])
def test_a_limit_itself_is_allowed(rule: str, lines: int, clean: Path) -> None:
    body = "def f():\n" + "    x = 1\n" * lines if rule == "long_functions" else "x = 1\n" * lines
    plant(clean, "src/bastide/one.py", body)
    assert RULES[rule](clean) == []
