# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A software TPM for tests. It proves nothing about a machine; it speaks TPM 2.0."""

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

needs_swtpm = pytest.mark.skipif(
    any(shutil.which(name) is None for name in ("swtpm", "swtpm_setup", "tpm2_quote")),
    reason="swtpm, swtpm-tools and tpm2-tools are not installed",
)
_PATIENCE_S = 10


class SoftTpm:
    """One TPM with its state. `boot` is what switching its machine off and on does."""

    def __init__(self) -> None:
        # A socket's path holds at most 107 bytes.
        self.folder = Path(tempfile.mkdtemp(prefix="bastide-tpm-"))
        self._process: subprocess.Popen[bytes] | None = None
        state, maker = self.folder / "state", self.folder / "maker"
        state.mkdir()
        maker.mkdir()
        # A maker of its own: that of the machine belongs to root.
        local, setup = maker / "localca.conf", maker / "setup.conf"
        local.write_text(
            f"statedir = {maker}\nsigningkey = {maker / 'signkey.pem'}\n"
            f"issuercert = {maker / 'issuercert.pem'}\ncertserial = {maker / 'certserial'}\n"
        )
        setup.write_text(
            f"create_certs_tool = {shutil.which('swtpm_localca')}\n"
            f"create_certs_tool_config = {local}\ncreate_certs_tool_options = /dev/null\n"
            "active_pcr_banks = sha256\n"
        )
        subprocess.run(
            [
                "swtpm_setup", "--tpm2", "--tpmstate", str(state), "--create-ek-cert",
                "--config", str(setup),
            ],
            capture_output=True, timeout=60, check=True,
        )  # fmt: skip
        root = maker / "swtpm-localca-rootca-cert.pem"
        self.issuers = self.folder / "issuers.pem"
        self.issuers.write_text((maker / "issuercert.pem").read_text() + root.read_text())
        self.boot()

    @property
    def tcti(self) -> str:
        """How tpm2-tools name it."""
        return f"swtpm:path={self.folder / 'tpm'}"

    def boot(self) -> None:
        """Begin anew: registers are empty, keys are the same."""
        self.stop()
        socket, state = self.folder / "tpm", self.folder / "state"
        self._process = subprocess.Popen(
            [
                "swtpm", "socket", "--tpm2", "--tpmstate", f"dir={state}",
                "--server", f"type=unixio,path={socket}",
                "--ctrl", f"type=unixio,path={socket}.ctrl",
                "--flags", "not-need-init,startup-clear",
            ],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        deadline = time.monotonic() + _PATIENCE_S
        while not (socket.exists() and Path(f"{socket}.ctrl").exists()):
            assert time.monotonic() < deadline, "swtpm did not start"
            time.sleep(0.02)

    def tool(self, name: str, *args: str) -> subprocess.CompletedProcess[bytes]:
        """Run one of tpm2-tools, as whoever is root on the machine can."""
        surroundings = {"PATH": os.environ["PATH"], "TPM2TOOLS_TCTI": self.tcti}
        return subprocess.run(
            [f"tpm2_{name}", *args], env=surroundings, capture_output=True, timeout=60, check=False
        )

    def stop(self) -> None:
        """Switch it off."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            process.wait(_PATIENCE_S)

    def remove(self) -> None:
        """Switch it off, and forget its keys."""
        self.stop()
        shutil.rmtree(self.folder)
