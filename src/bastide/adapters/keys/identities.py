# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The key service `file`: age identities in this process, from the keyring file."""

from collections.abc import Sequence

from bastide.core.errors import Misconfigured
from bastide.crypto import age

__all__ = ["IdentityKeys"]


class IdentityKeys:
    """Opens with age identities (``AGE-SECRET-KEY-...``). Raises Misconfigured for other texts."""

    name = "age identities of the keyring file"

    def __init__(self, identities: Sequence[str]) -> None:
        self._identities = [age.parse_identity(text) for text in identities]

    def recipients(self) -> tuple[age.Recipient, ...]:
        """The public halves, newest first."""
        return tuple(identity.recipient() for identity in self._identities)

    def unwrap(self, stanzas: Sequence[age.Stanza], what: str) -> bytes | None:
        """The file key, or None if no stanza is for one of the identities."""
        del what
        for identity in self._identities:
            if (file_key := identity.unwrap(stanzas)) is not None:
                return file_key
        return None

    def health(self) -> str:
        """Nothing outside can fail. Raises Misconfigured if there is no identity at all."""
        if not self._identities:
            raise Misconfigured("the keyring has no identity", fix="restore it from a backup")
        return self.name
