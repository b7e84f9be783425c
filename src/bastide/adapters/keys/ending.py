# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""How a key of the store ends, by key service: what is done, and what it cannot reach."""

from collections.abc import Callable, Mapping
from typing import Final

from bastide.adapters.keys.memory import is_place
from bastide.adapters.keys.services import forget_place, key_service
from bastide.core.errors import Misconfigured, NotProven
from bastide.core.store_key import key_of
from bastide.crypto import age
from bastide.ports import Entropy

__all__ = ["destroy", "holder_of", "leaves", "means", "opens", "public_of", "service_of", "stays"]

_FILE_KEY: Final = bytes(range(16))
_KEYRINGS: Final = (
    "every backup of the keyring file from the time of this key, for who knows its passphrase"
)
_TOKENS: Final = "backups and clones of the token, which its maker's tool can make"
_SERVERS: Final = "backups and snapshots of the server's storage, for who can unseal the server"
_CHIPS: Final = "the memory of processes that opened with it; and a copy of a virtual TPM's state"
_LEAVES: Final[Mapping[str, str]] = {
    "file": _KEYRINGS,
    "pkcs11": _TOKENS,
    "openbao": _SERVERS,
    "tpm": _CHIPS,
}
_MEANS: Final[Mapping[str, str]] = {
    "file": "the keyring file holds it no more",
    "pkcs11": "the token deletes the key pair",
    "openbao": "the server trims this version of the key and all before it",
    "tpm": "the TPM removes the index that holds it",
}


def service_of(identity: str) -> str:
    """The key service that holds an identity of a keyring, or the place that stands for one."""
    return identity.partition(":")[0] if is_place(identity) else "file"


def holder_of(place: str) -> str:
    """Who holds the key: the keyring's file, or which token, server or TPM. Raises Misconfigured.

    As far as names tell: a token's label and its module, a server's URL and who vouches for it.
    `file` stands for the file itself.
    """
    service = service_of(place)
    if service == "pkcs11":
        from bastide.adapters.keys.pkcs11_token import Place

        token = Place.parse(place)
        return f"pkcs11: the token {token.token}, through {token.module}"
    if service == "openbao":
        from bastide.adapters.keys.openbao import BaoPlace

        server = BaoPlace.parse(place)
        vouches = f", by the authority of {server.ca}" if server.ca else ""
        return f"openbao: {server.url}/{server.mount}{vouches}"
    if service == "tpm":
        from bastide.adapters.keys.tpm import TpmPlace

        chip = TpmPlace.parse(place)
        return f"tpm: {chip.tcti}, by the registers {', '.join(map(str, chip.registers))}"
    return service


def stays(old: str, new: str, entropy: Entropy) -> bool:
    """True if who holds the new key has the old one too, of two keys whose holder has one name.

    Another token, server or chip may have that name. Raises Unavailable, NotProven.
    """
    service = service_of(old)
    if service == "file":
        return True  # both are in the keyring
    if service == "pkcs11":
        from bastide.adapters.keys.pkcs11 import in_one_token

        return in_one_token(old, new)
    return all(opens(place, entropy) for place in (old, new))


def public_of(identity: str) -> str:
    """The name of the key: made of its recipient, or of where a server has it; never a secret."""
    service = service_of(identity)
    if service == "file":
        return key_of(str(age.parse_identity(identity).recipient()))
    if service == "pkcs11":
        from bastide.adapters.keys.pkcs11_token import Place

        return key_of(Place.parse(identity).recipient)
    if service == "tpm":
        from bastide.adapters.keys.tpm import TpmPlace

        return key_of(TpmPlace.parse(identity).recipient)
    from bastide.adapters.keys.openbao import BaoPlace

    place = BaoPlace.parse(identity)
    return key_of(f"{place.url}/{place.mount}/{place.key} v{place.version}")


def means(service: str) -> str:
    """How a key of a service is destroyed, in words that the two parties sign."""
    return _MEANS[service]


def leaves(service: str) -> str:
    """What may still hold the key afterwards."""
    return _LEAVES[service]


def destroy(place: str, entropy: Entropy) -> bool:
    """Destroy the key that a place names; True if it opened a header before. Again: False.

    Afterwards that header MUST NOT open. Raises NotProven if it does, or if another key is there;
    Unavailable if the service is away, Refused if it does not allow it.
    """
    service = service_of(place)
    probe = _PROBES[service](place, entropy)
    opened = probe is not None and _unwraps(place, probe)
    _ENDERS[service](place)
    forget_place(place)
    if probe is not None and _unwraps(place, probe):
        raise NotProven(f"the key service {service} still opens with the key")
    return opened


def opens(place: str, entropy: Entropy) -> bool:
    """True if the key is there and opens a header made for it. Raises Unavailable."""
    probe = _PROBES[service_of(place)](place, entropy)
    return probe is not None and _unwraps(place, probe)


def _unwraps(place: str, probe: age.Stanza) -> bool:
    try:
        return key_service([place]).unwrap([probe], "") == _FILE_KEY
    except Misconfigured:  # there is no such key
        return False


def _probe_pkcs11(place: str, entropy: Entropy) -> age.Stanza:
    from bastide.adapters.keys.pkcs11_token import Place

    return age.parse_recipient(Place.parse(place).recipient).wrap(_FILE_KEY, entropy.token)


def _probe_tpm(place: str, entropy: Entropy) -> age.Stanza:
    from bastide.adapters.keys.tpm import TpmPlace

    return age.parse_recipient(TpmPlace.parse(place).recipient).wrap(_FILE_KEY, entropy.token)


def _end_tpm(place: str) -> None:
    from bastide.adapters.keys.tpm import destroy_index

    destroy_index(place)


def _probe_openbao(place: str, entropy: Entropy) -> age.Stanza | None:
    del entropy
    from bastide.adapters.keys.openbao_end import wrap_old

    return wrap_old(place, _FILE_KEY)


def _end_pkcs11(place: str) -> None:
    from bastide.adapters.keys.pkcs11 import destroy_key

    destroy_key(place)


def _end_openbao(place: str) -> None:
    from bastide.adapters.keys.openbao_end import trim_key

    trim_key(place)


_PROBES: Final[Mapping[str, Callable[[str, Entropy], age.Stanza | None]]] = {
    "pkcs11": _probe_pkcs11,
    "openbao": _probe_openbao,
    "tpm": _probe_tpm,
}
_ENDERS: Final[Mapping[str, Callable[[str], None]]] = {
    "pkcs11": _end_pkcs11,
    "openbao": _end_openbao,
    "tpm": _end_tpm,
}
