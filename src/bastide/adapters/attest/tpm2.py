# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A TPM 2.0 through `tpm2-tools` 5: a chip behind /dev/tpmrm0, or swtpm, its software twin.

Both keys are primary keys of fixed templates in the endorsement hierarchy, so the TPM makes the
same ones again at every start and nothing is stored. The log of what was measured is a file; it
is written before the register is extended, so a kill in between leaves one event too many, which
the register's value then shows.
"""

import contextlib
import fcntl
import json
import os
import shutil
import ssl
import struct
import subprocess
import tempfile
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any, Final

from bastide.core.canonical import canonical
from bastide.core.errors import Misconfigured, NotProven, Refused, Unavailable
from bastide.core.limits import NODE_EVENTS_MAX
from bastide.crypto.tpm_evidence import BOOT, event_digest, replay

__all__ = ["TpmAttester"]

_PATIENCE_S: Final = 90  # a chip takes seconds for an RSA key
_CREDENTIAL: Final = struct.pack(">II", 0xBADCC0DE, 1)  # the head of tpm2-tools' own file format
_ATTRIBUTES: Final = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|restricted|sign|noda"
_EMPTY: Final = bytes(32)
_CERTIFICATE: Final = "0x01c00002"  # TCG EK Credential Profile, 2.2.1.4: where RSA 2048 has its own
_PEM_END: Final = "-----END CERTIFICATE-----"


class TpmAttester:
    """One TPM. `tcti` names it as tpm2-tools does; `log` is the file of its measurements, and
    `write` puts bytes in the place of a file, durably.

    issuers: a PEM file, from the certificate that issued the endorsement key's own up to the
    maker's root; without it no chain is shown. Raises Unavailable if tpm2-tools or the TPM are
    missing or fail, Misconfigured for another file of issuers.
    """

    kind = "tpm2"

    def __init__(
        self,
        tcti: str,
        register: int,
        log: Path,
        write: Callable[[Path, bytes], None],
        issuers: str = "",
    ) -> None:
        self._tcti, self._register, self._log, self._write_over = tcti, register, log, write
        self._issuers = _read_issuers(Path(issuers)) if issuers else b""
        log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = tempfile.TemporaryDirectory(prefix="tpm-", dir=log.parent)
        self._public: dict[str, bytes] = {}

    def identify(self) -> dict[str, bytes]:
        """The public areas of the endorsement key `ek` and of the attestation key `ak`.

        With `issuers` also `ek_chain`, which begins with the certificate in the TPM itself.
        """
        with self._alone():
            if not self._public:
                self._tool("createek", "-c", "ek.ctx", "-G", "rsa", "-u", "ek.pub", "-f", "tss")
                template = ("-G", "ecc256:ecdsa-sha256:null", "-a", _ATTRIBUTES)
                self._tool("createprimary", "-Q", "-C", "e", *template, "-c", "ak.ctx")
                self._tool("readpublic", "-Q", "-c", "ak.ctx", "-f", "tss", "-o", "ak.pub")
                self._public = {name: self._read(f"{name}.pub") for name in ("ek", "ak")}
                if self._issuers:
                    self._tool("nvread", _CERTIFICATE, "-o", "ek.der")
                    self._public["ek_chain"] = self._read("ek.der") + self._issuers
        return dict(self._public)

    def answer(self, challenge: Mapping[str, bytes]) -> bytes:
        """The secret of a credential: only the TPM that holds both keys can open it."""
        blob, secret = challenge["blob"], challenge["secret"]
        self.identify()
        with self._alone():
            self._write("credential", _CREDENTIAL + blob + secret)
            self._tool("startauthsession", "--policy-session", "-S", "session.ctx", flush=False)
            try:
                self._tool("policysecret", "-Q", "-S", "session.ctx", "-c", "e", flush=False)
                self._tool(
                    "activatecredential", "-Q", "-c", "ak.ctx", "-C", "ek.ctx", "-i", "credential",
                    "-o", "opened", "-P", "session:session.ctx",
                )  # fmt: skip
            finally:
                self._tool("flushcontext", "session.ctx", flush=False)
            return self._read("opened")

    def measure(self, event: Mapping[str, str]) -> None:
        """Extend the register with an event, unless it is the last one already.

        Raises Refused if the register holds what the log does not tell.
        """
        with self._alone():
            events = self._events()
            if events and events[-1] == dict(event):
                return
            if len(events) >= NODE_EVENTS_MAX:
                raise Refused(f"over {NODE_EVENTS_MAX} measurements", fix="boot the machine")
            self._write_over(self._log, canonical([*events, dict(event)]))
            measured = event_digest(event).hex()
            self._tool("pcrextend", f"{self._register}:sha256={measured}")
            if self._held() != replay([*events, event]):
                raise NotProven(f"the TPM's register {self._register} was not extended as asked")

    def quote(self, qualifying: bytes) -> dict[str, bytes]:
        """The parts of the evidence of a `node/v1`, about 32 bytes of the asker's."""
        self.identify()
        with self._alone():
            events = self._events()
            chosen = ",".join(map(str, (*BOOT, self._register)))
            self._tool(
                "quote", "-Q", "-c", "ak.ctx", "-l", f"sha256:{chosen}", "-q", qualifying.hex(),
                "-m", "quote", "-s", "signature", "-o", "registers", "-F", "values", "-g", "sha256",
            )  # fmt: skip
            parts = {name: self._read(name) for name in ("quote", "signature", "registers")}
        return {**parts, **self._public, "events": canonical(events)}

    def close(self) -> None:
        """Remove what was kept for the tools: handles and public keys, no secret."""
        self._folder.cleanup()

    # Private

    def _events(self) -> list[dict[str, str]]:
        """What was measured since the boot, as the log tells it and the register agrees."""
        held = self._held()
        try:
            events = json.loads(self._log.read_bytes())
        except FileNotFoundError:
            events = []
        except (OSError, ValueError) as error:
            raise Unavailable(f"{self._log} cannot be read: {error}") from error
        if held == _EMPTY:
            return []  # the machine was booted since
        for known in (events, events[:-1]):
            if replay(known) == held:
                return known
        raise Refused(
            f"the TPM's register {self._register} holds measurements that {self._log} lacks",
            fix="boot the machine, or choose another register: `tpm_register`",
        )

    def _held(self) -> bytes:
        self._tool("pcrread", "-Q", f"sha256:{self._register}", "-o", "held")
        return self._read("held")

    @contextlib.contextmanager
    def _alone(self) -> Generator[None]:
        """Nobody else of this environment talks to the TPM meanwhile, or extends the register."""
        descriptor = os.open(self._log.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _tool(self, name: str, *args: str, flush: bool = True) -> None:
        """Run one tool. Without a resource manager its objects stay in the TPM until flushed."""
        program = shutil.which(f"tpm2_{name}", path=os.defpath)
        if program is None:
            raise Unavailable("tpm2-tools are not installed", fix="install `tpm2-tools`")
        surroundings: dict[str, Any] = {
            "cwd": self._folder.name,
            "env": {"PATH": os.defpath, "TPM2TOOLS_TCTI": self._tcti},
            "capture_output": True,
            "timeout": _PATIENCE_S,
        }
        try:
            done = subprocess.run([program, *args], check=False, **surroundings)
            if flush:
                flushing = shutil.which("tpm2_flushcontext", path=os.defpath) or program
                subprocess.run([flushing, "-t"], check=False, **surroundings)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Unavailable(f"the TPM {self._tcti} does not answer: {error}") from error
        if done.returncode != 0:
            lines = done.stderr.decode(errors="replace").strip().splitlines()
            raise Unavailable(
                f"tpm2_{name} failed with the TPM {self._tcti}",
                reasons=lines[-3:],
                fix="see that the TPM is there, and that this user may use it",
            )

    def _read(self, name: str) -> bytes:
        return (Path(self._folder.name) / name).read_bytes()

    def _write(self, name: str, data: bytes) -> None:
        (Path(self._folder.name) / name).write_bytes(data)


def _read_issuers(path: Path) -> bytes:
    """The certificates of a PEM file in DER. Raises Misconfigured if there is anything else."""
    try:
        *rows, rest = path.read_text().split(_PEM_END)
        if rest.strip() or not rows:
            raise ValueError("no certificates")
        return b"".join(ssl.PEM_cert_to_DER_cert(row.strip() + "\n" + _PEM_END) for row in rows)
    except (OSError, ValueError) as error:
        raise Misconfigured(
            f"tpm_issuers: {path} is no PEM file of certificates: {error}"
        ) from error
