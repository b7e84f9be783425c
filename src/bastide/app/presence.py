# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Presence: whoever acts with a party's key shows that the key is there, by signing a challenge.

A key file may be public: a passkey's is, and what an OpenSSH file says of a key in a FIDO device.
So a given key is a claim, and counts once it has signed. It is asked at most once in a command,
and only for what the policies do not permit without it: reading takes no touch of a device.
"""

from dataclasses import dataclass, field, replace
from typing import Final

from bastide.core.canonical import canonical
from bastide.core.errors import NotAllowed, NotProven
from bastide.core.party import Party, Principal
from bastide.crypto import dsse
from bastide.crypto.dsse import Signer
from bastide.gates.access.actions import ACTIONS
from bastide.ports import Clock, Entropy

__all__ = ["PRESENCE_TYPE", "Claim"]

# Not the type of statements: what was signed as a challenge is never an entry of a ledger.
PRESENCE_TYPE: Final = "application/vnd.bastide.presence+json"
_NONCE_BYTES = 32


@dataclass(slots=True)
class Claim:
    """A key that somebody gave, and the party it is enrolled for.

    signer: with the public key as the ledger has it, not as the file says it.
    """

    signer: Signer
    party: Party
    environment: str
    clock: Clock
    entropy: Entropy
    _proven: bool = field(default=False, init=False)

    def joined(self, principal: Principal) -> Principal:
        """Who it would be if the claim holds."""
        return replace(principal, parties=principal.parties | {self.party})

    def prove(self, action: str, on: str | None) -> None:
        """Have the key sign a fresh challenge that says what it is for, once in a command.

        Raises NotAllowed if it does not sign, or what the key's own adapter raises.
        """
        if self._proven:
            return
        challenge = {
            "environment": self.environment,
            "party": self.party.value,
            "action": action,
            "does": ACTIONS[action].does,
            "on": on,
            "time_ms": self.clock.now_ms(),
            "nonce": self.entropy.token(_NONCE_BYTES).hex(),
        }
        public = self.signer.public
        envelope = dsse.sign(canonical(challenge), [self.signer], PRESENCE_TYPE)
        try:
            dsse.verify_envelope(envelope, {public.ident: public}, PRESENCE_TYPE)
        except NotProven as error:
            raise NotAllowed(
                f"the key {public.ident} of the {self.party} did not sign the challenge",
                reasons=(error.message,),
                fix="give the key itself: its public half is not enough",
            ) from error
        self._proven = True
