# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The key service `tpm`: an age identity in the memory of a TPM 2.0, for a machine that booted so.

    tpm:0x01800b57?tcti=device:/dev/tpmrm0&registers=0,2,4,7

The identity lies in an NV index that is read only while the named registers (SHA-256) hold what
they held when it was made, and that is never written again. It is on no disk, so in no backup; it
is in the memory of a process from its first opening on. `tpm2-tools` do the work, and the identity
passes through pipes alone.
"""

import os
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, quote

from bastide.core.errors import Misconfigured, NotAllowed, NotProven, Unavailable
from bastide.crypto import age
from bastide.ports import Entropy

__all__ = ["TpmKeys", "TpmPlace", "destroy_index", "make_index"]

_SCHEME: Final = "tpm:"
_EXAMPLE: Final = "write tpm:0x01800b57?tcti=device:/dev/tpmrm0&registers=0,2,4,7"
_BYTES: Final = 32
_PATIENCE_S: Final = 30
_ATTRIBUTES: Final = "ownerwrite|policyread|writedefine|no_da"
_PROBE: Final = bytes(16)
# Response codes of TPM 2.0, Part 2, 6.6.3: which session or handle it was is masked out.
_CODE: Final = re.compile(r"\(0x([0-9A-Fa-f]{1,8})\)")
_MASK, _POLICY_FAIL, _HANDLE = 0x0BF, 0x09D, 0x08B


@dataclass(frozen=True, slots=True)
class TpmPlace:
    """Which index of which TPM, and on which registers it depends."""

    index: int
    tcti: str
    registers: tuple[int, ...]
    recipient: str = ""

    @classmethod
    def parse(cls, text: str) -> "TpmPlace":
        """Read a place. Raises Misconfigured."""
        path, _, query = text.removeprefix(_SCHEME).partition("?")
        fields = dict(parse_qsl(query))
        chosen = fields.get("registers", "").split(",")
        right = (
            text.startswith(_SCHEME)
            and set(fields) - {"x-recipient"} == {"tcti", "registers"}
            and re.fullmatch(r"0x01[89a-fA-F][0-9a-fA-F]{5}", path)
            and re.fullmatch(r"(device|swtpm|tabrmd|mssim):?[\w./:=,-]*", fields["tcti"])
            and all(name.isdigit() and int(name) < 24 for name in chosen)
            and len(set(chosen)) == len(chosen)
        )
        if not right:
            raise Misconfigured(
                "the place of a TPM's key is an index of the owner, a tcti and registers",
                fix=_EXAMPLE,
            )
        registers = tuple(sorted(map(int, chosen)))
        return cls(int(path, 16), fields["tcti"], registers, fields.get("x-recipient", ""))

    @property
    def selection(self) -> str:
        """The registers as tpm2-tools name them."""
        return "sha256:" + ",".join(map(str, self.registers))

    def __str__(self) -> str:
        query = f"tcti={quote(self.tcti, safe=':/')}&registers={','.join(map(str, self.registers))}"
        query += f"&x-recipient={self.recipient}" if self.recipient else ""
        return f"{_SCHEME}0x{self.index:08x}?{query}"


class TpmKeys:
    """Opens with the identity in a TPM. The place must name its recipient. Raises Misconfigured."""

    def __init__(self, place: TpmPlace) -> None:
        recipient = age.parse_recipient(place.recipient) if place.recipient else None
        if not isinstance(recipient, age.X25519Recipient):
            raise Misconfigured(
                f"the index 0x{place.index:08x} has no recipient",
                fix="name the place that `bastide init` or `bastide store rotate` wrote",
            )
        self.place = place
        self._recipient = recipient
        self._identity: age.X25519Identity | None = None
        self._reading = threading.Lock()

    @property
    def name(self) -> str:
        """Which TPM; a software one is called so."""
        twin = self.place.tcti.startswith(("swtpm", "mssim"))
        about = "software TPM (software twin: no hardware protects the key)" if twin else "TPM 2.0"
        return f"{about}, index 0x{self.place.index:08x}, registers {self.place.selection}"

    def recipients(self) -> tuple[age.Recipient, ...]:
        """The one that was pinned when the identity was made."""
        return (self._recipient,)

    def unwrap(self, stanzas: Sequence[age.Stanza], what: str) -> bytes | None:
        """The file key. Raises NotAllowed if the machine did not boot as it must."""
        del what
        return self._held().unwrap(stanzas)

    def health(self) -> str:
        """Read the TPM anew, whatever this process holds, and open a header made for it."""
        if _read(self.place).unwrap([self._recipient.wrap(_PROBE, bytes)]) != _PROBE:
            raise NotProven(
                f"{self.name} holds another key than the one that objects were sealed to",
                fix="is it the right machine? The exit identity opens every object",
            )
        return self.name

    def _held(self) -> age.X25519Identity:
        with self._reading:
            if self._identity is None:
                identity = _read(self.place)
                if str(identity.recipient()) != self.place.recipient:
                    raise NotProven(
                        f"{self.name} holds another key than the one that objects were sealed to",
                        fix="is it the right machine? The exit identity opens every object",
                    )
                self._identity = identity
            return self._identity


def make_index(text: str, entropy: Entropy) -> str:
    """Make an identity in the index that a place names; return the place with its recipient.

    It is bound to what the registers hold now. Raises Misconfigured if the index is taken,
    Unavailable if the TPM is away.
    """
    place = TpmPlace.parse(text)
    index = f"0x{place.index:08x}"
    if _tool(place, "nvreadpublic", index, missing=True) is not None:
        raise Misconfigured(
            f"the index {index} of the TPM is taken",
            fix=f"name another; if nothing needs it: tpm2_nvundefine {index}",
        )
    identity = age.X25519Identity(raw := entropy.token(_BYTES))
    with tempfile.TemporaryDirectory(prefix="bastide-tpm-") as folder:
        policy = str(Path(folder) / "policy")  # no secret: the digest of what the registers hold
        _tool(place, "createpolicy", "--policy-pcr", "-l", place.selection, "-L", policy)
        size = ("-s", str(_BYTES))
        _tool(place, "nvdefine", index, "-C", "o", *size, "-a", _ATTRIBUTES, "-L", policy)
    _tool(place, "nvwrite", index, "-C", "o", "-i", "-", given=raw)
    _tool(place, "nvwritelock", index, "-C", "o")
    place = replace(place, recipient=str(identity.recipient()))
    TpmKeys(place).health()
    return str(place)


def destroy_index(text: str) -> None:
    """Remove the index that a place names, and its content; one that is gone stays so.

    Raises NotProven if it holds another key, or is still there afterwards.
    """
    place = TpmPlace.parse(text)
    index = f"0x{place.index:08x}"
    if _tool(place, "nvreadpublic", index, missing=True) is None:
        return
    TpmKeys(place).health()
    _tool(place, "nvundefine", index, "-C", "o")
    if _tool(place, "nvreadpublic", index, missing=True) is not None:
        raise NotProven(f"the TPM still has the index {index}")


def _read(place: TpmPlace) -> age.X25519Identity:
    index = f"0x{place.index:08x}"
    found = _tool(
        place, "nvread", index, "-P", f"pcr:{place.selection}", "-s", str(_BYTES), missing=True
    )
    if found is None:
        raise Misconfigured(
            f"the TPM holds no key in the index {index}",
            fix="is it the right machine? The exit identity opens every object",
        )
    if len(found) != _BYTES:
        raise NotProven(f"the TPM gave no key of {_BYTES} bytes")
    return age.X25519Identity(found)


def _tool(
    place: TpmPlace, name: str, *args: str, given: bytes = b"", missing: bool = False
) -> bytes | None:
    """Run one of tpm2-tools; None if `missing` may be and there is no such index."""
    program = shutil.which(f"tpm2_{name}", path=os.defpath)
    if program is None:
        raise Unavailable(f"tpm2_{name} is not installed", fix="install tpm2-tools 5")
    surroundings = {"PATH": os.defpath, "TPM2TOOLS_TCTI": place.tcti, "LC_ALL": "C"}
    try:
        done = subprocess.run(
            [program, *args],
            input=given,
            env=surroundings,
            capture_output=True,
            timeout=_PATIENCE_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        kind = type(error).__name__  # its text may quote what was given
        raise Unavailable(f"the TPM {place.tcti} does not answer ({kind})") from None
    if done.returncode == 0:
        return done.stdout
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    codes = {int(code, 16) & _MASK for line in lines for code in _CODE.findall(line)}
    if missing and _HANDLE in codes:
        return None
    if _POLICY_FAIL in codes:
        raise NotAllowed(
            f"the TPM gives no key: the registers {place.selection} are not as they were",
            fix="boot the machine as it was, `bastide store rotate --to file`, change it, rotate"
            " back; if it is lost, the exit identity opens every object with stock age",
        )
    raise Unavailable(
        f"tpm2_{name} failed with the TPM {place.tcti}",
        reasons=lines[-2:],
        fix="see that the TPM is there, and that this user may use it; nothing opens meanwhile",
    )
