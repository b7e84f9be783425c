# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""SoftHSM tokens for tests: the software twin of an HSM. It protects nothing; it speaks PKCS#11."""

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

MODULE = Path("/usr/lib/softhsm/libsofthsm2.so")
PIN = "2486-canary-of-the-pin"

needs_softhsm = pytest.mark.skipif(
    shutil.which("softhsm2-util") is None or not MODULE.exists(),
    reason="SoftHSM is not installed",
)


@dataclass(frozen=True)
class SoftToken:
    """One token. `away` and `back` are what pulling it out and putting it in would be."""

    label: str
    pin: Path

    def place(self, key: str = "store") -> str:
        return (
            f"pkcs11:token={self.label};object={key}"
            f"?module-path={MODULE}&pin-source=file:{self.pin}"
        )

    def erase(self) -> None:
        """Delete the token with all its keys."""
        _softhsm("--delete-token", "--token", self.label)


def tokens() -> Path:
    """The folder of all tokens of this process; the module reads its place once."""
    config = os.environ.get("SOFTHSM2_CONF", "")
    if not Path(config).name.startswith("bastide-test"):
        folder = Path(tempfile.mkdtemp(prefix="bastide-softhsm-"))
        path = folder / "bastide-test.conf"
        (folder / "tokens").mkdir()
        path.write_text(
            f"directories.tokendir = {folder / 'tokens'}\n"
            "objectstore.backend = file\nlog.level = ERROR\n"
        )
        os.environ["SOFTHSM2_CONF"] = str(path)
    return Path(os.environ["SOFTHSM2_CONF"]).parent / "tokens"


def make_token(label: str, pin_file: Path) -> SoftToken:
    tokens()
    pin_file.write_text(PIN + "\n")
    pin_file.chmod(0o600)
    _softhsm("--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", "13579-so")
    return SoftToken(label, pin_file)


def _softhsm(*arguments: str) -> None:
    subprocess.run(["softhsm2-util", *arguments], check=True, capture_output=True, timeout=30)
