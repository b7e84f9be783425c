# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Signer: a public key, and what makes signatures with the private one."""

from collections.abc import Callable
from dataclasses import dataclass

from bastide.core.key import PublicKey

__all__ = ["Signer"]


@dataclass(frozen=True, slots=True)
class Signer:
    """A public key, and the function that makes its raw signature.

    Ed25519: 64 bytes; ECDSA over P-256: DER; a FIDO key: all that its scheme puts into an
    envelope. The private key stays behind the function: in a keyring, in an agent, in an HSM or
    in an authenticator.
    """

    public: PublicKey
    sign: Callable[[bytes], bytes]
