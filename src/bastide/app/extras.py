# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Extras: packages that only some commands need, and what to type where they are not installed.

The remedy fits how Bastide came here. In a checkout it is `make`, which takes packages by their
hashes; whoever installed a wheel gets the extra of the very same wheel, and only who took Bastide
from an index is sent there again.
"""

import json
import sys
from collections.abc import Mapping
from importlib.metadata import Distribution, PackageNotFoundError
from importlib.util import find_spec
from pathlib import Path
from shlex import quote
from types import MappingProxyType
from typing import Final
from urllib.parse import unquote

from bastide.core.errors import Misconfigured

__all__ = ["EXTRAS", "install_command", "require_extra"]

# What each extra is for, and its modules.
EXTRAS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = MappingProxyType(
    {
        "corpus": (
            "the corpus commands",
            ("fastokens", "fastwarc", "py3langid", "pyarrow", "pydivsufsort", "re2", "rensa",
             "resiliparse", "tokenizers", "yaml", "zstandard"),
        ),
        "oidc": ("a login", ("joserfc",)),
        "ray": ("a cluster of Ray", ("ray",)),
    }
)  # fmt: skip
_LOCK: Final = "requirements/corpus.txt"
_COMPLETE: Final[set[str]] = set()


def require_extra(extra: str) -> None:
    """Raises Misconfigured, naming every module that is missing and what to type."""
    if extra in _COMPLETE:
        return
    who, modules = EXTRAS[extra]
    if missing := [name for name in modules if find_spec(name) is None]:
        raise Misconfigured(
            f"{who} need{'s' * who.startswith('a ')} what is not installed: {', '.join(missing)}",
            fix=install_command(extra),
        )
    _COMPLETE.add(extra)


def install_command(extra: str) -> str:
    """What installs an extra beside this very Bastide."""
    checkout = Path(sys.prefix).parent  # of the environment that `make` makes
    makes = Path(sys.prefix).name == ".venv" and (checkout / _LOCK).is_file()
    if makes and extra == "corpus":
        return f"make -C {quote(str(checkout))} corpus"
    url = _came_from()
    what = quote(f"bastide[{extra}] @ {url}" if url else f"bastide[{extra}]")
    python = quote(sys.executable)
    if find_spec("pip") is not None:
        return f"{python} -m pip install {what}"
    own = Path(sys.prefix) / "bin" / "uv"
    uv = quote(str(own)) if own.is_file() else "uv"
    return f"{uv} pip install --python {python} {what}"


def _came_from() -> str:
    """The URL of a direct installation (PEP 610) that can be installed again, or nothing."""
    try:
        text = Distribution.from_name("bastide").read_text("direct_url.json")
    except PackageNotFoundError:
        return ""
    try:
        told = json.loads(text or "{}")
        url = str(told.get("url", ""))
        if (vcs := told.get("vcs_info")) is not None:
            return f"{vcs['vcs']}+{url}@{vcs['commit_id']}"
    except (ValueError, AttributeError, LookupError, TypeError):
        return ""
    file = url.removeprefix("file://")
    return "" if file != url and not Path(unquote(file)).exists() else url
