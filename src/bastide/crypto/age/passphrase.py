# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The scrypt recipient type of C2SP age.md: a passphrase is both recipient and identity."""

import re
from collections.abc import Callable, Sequence
from typing import ClassVar, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from bastide.core.errors import Misconfigured
from bastide.core.limits import AGE_SCRYPT_LOG_N_MAX
from bastide.crypto.age.header import FILE_KEY_BYTES, Stanza, decode_unpadded, encode_unpadded

__all__ = ["LOG_N_GENERATED", "LOG_N_HUMAN", "Passphrase"]

LOG_N_HUMAN: Final = 18  # the age CLI's own: about a second and 256 MiB for every guess
LOG_N_GENERATED: Final = 10  # a passphrase of 256 random bits needs no stretching
_LABEL = b"age-encryption.org/v1/scrypt"
_NONCE = bytes(12)
_DECIMAL = re.compile(r"[1-9][0-9]*")


class Passphrase:
    """A passphrase. `log_n` is the work factor of what it seals, not of what it opens."""

    family: ClassVar[str] = "passphrase"

    def __init__(self, text: str, log_n: int = LOG_N_HUMAN) -> None:
        if not text:
            raise Misconfigured("the passphrase is empty", fix="choose one")
        if not 1 <= log_n <= AGE_SCRYPT_LOG_N_MAX:
            raise Misconfigured(f"the scrypt work factor must be 1 to {AGE_SCRYPT_LOG_N_MAX}")
        self._secret = text.encode()
        self._log_n = log_n

    def wrap(self, file_key: bytes, entropy: Callable[[int], bytes]) -> Stanza:
        """Wrap a file key."""
        salt = entropy(16)
        body = ChaCha20Poly1305(self._stretch(salt, self._log_n)).encrypt(_NONCE, file_key, None)
        return Stanza(("scrypt", encode_unpadded(salt), str(self._log_n)), body)

    def unwrap(self, stanzas: Sequence[Stanza]) -> bytes | None:
        """The file key, or None if the passphrase is another. Raises Misconfigured."""
        if stanzas[0].kind != "scrypt":
            return None
        (stanza,) = stanzas  # the parser refuses a passphrase stanza beside others
        arguments = stanza.arguments
        salt = decode_unpadded(arguments[1].encode()) if len(arguments) == 3 else b""
        if len(salt) != 16 or len(stanza.body) != FILE_KEY_BYTES + 16:
            raise Misconfigured("not a valid age header: bad scrypt stanza")
        if not _DECIMAL.fullmatch(arguments[2]) or len(arguments[2]) > 2:
            raise Misconfigured("not a valid age header: bad scrypt work factor")
        log_n = int(arguments[2])
        if log_n > AGE_SCRYPT_LOG_N_MAX:
            raise Misconfigured(
                f"not a valid age header: scrypt work factor {log_n} is above our limit"
                f" {AGE_SCRYPT_LOG_N_MAX}",
                fix="seal the file again with a smaller work factor",
            )
        try:
            key = self._stretch(salt, log_n)
            return ChaCha20Poly1305(key).decrypt(_NONCE, stanza.body, None)
        except InvalidTag:
            return None

    def _stretch(self, salt: bytes, log_n: int) -> bytes:
        return Scrypt(salt=_LABEL + salt, length=32, n=1 << log_n, r=8, p=1).derive(self._secret)

    def __repr__(self) -> str:
        return "Passphrase(...)"
