# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The key services by name: what a keyring names as the store's keys, and who opens with them."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from bastide.adapters.keys.identities import IdentityKeys
from bastide.adapters.keys.memory import is_place, new_identities
from bastide.adapters.keys.watched import ChainedKeys
from bastide.core.errors import Misconfigured
from bastide.ports import Entropy, KeyService

__all__ = ["forget_place", "key_service", "make_store_keys"]


def _open_pkcs11(place: str) -> KeyService:
    from bastide.adapters.keys.pkcs11 import Pkcs11Keys
    from bastide.adapters.keys.pkcs11_token import Place

    return Pkcs11Keys(Place.parse(place))


def _make_pkcs11(place: str, entropy: Entropy) -> tuple[str, ...]:
    from bastide.adapters.keys.pkcs11 import make_key

    return (make_key(place, entropy),)


def _open_openbao(place: str) -> KeyService:
    from bastide.adapters.keys.openbao import BaoPlace, OpenBaoKeys

    return OpenBaoKeys(BaoPlace.parse(place))


def _make_openbao(place: str, entropy: Entropy) -> tuple[str, ...]:
    from bastide.adapters.keys.openbao import make_transit_key

    return (make_transit_key(place),)


def _open_tpm(place: str) -> KeyService:
    from bastide.adapters.keys.tpm import TpmKeys, TpmPlace

    return TpmKeys(TpmPlace.parse(place))


def _make_tpm(place: str, entropy: Entropy) -> tuple[str, ...]:
    from bastide.adapters.keys.tpm import make_index

    return (make_index(place, entropy),)


# A name, then how its key is made. `file` is made in this process.
_MAKERS: Final[Mapping[str, Callable[[str, Entropy], tuple[str, ...]]]] = {
    "file": lambda _, entropy: new_identities(entropy),
    "pkcs11": _make_pkcs11,
    "openbao": _make_openbao,
    "tpm": _make_tpm,
}
_OPENERS: Final[Mapping[str, Callable[[str], KeyService]]] = {
    "pkcs11": _open_pkcs11,
    "openbao": _open_openbao,
    "tpm": _open_tpm,
}


def make_store_keys(place: str, entropy: Entropy) -> tuple[str, ...]:
    """New keys for a store, as a keyring names them: identities for `file`, else where they are.

    Raises Misconfigured for a place that is none, Unavailable if nobody is there.
    """
    scheme = place.partition(":")[0]
    if scheme not in _MAKERS:
        raise Misconfigured(
            f"there is no key service {scheme!r}", fix=f"one of {', '.join(_MAKERS)}"
        )
    return _MAKERS[scheme](place, entropy)


def key_service(identities: Sequence[str]) -> KeyService:
    """Who opens sealed objects: the identities of a keyring, or where it says that they are."""
    held = IdentityKeys([text for text in identities if not is_place(text)])
    services = [_opener(text) for text in identities if is_place(text)]
    if not services:
        return held
    if held.recipients():
        services.insert(len(services) if is_place(identities[0]) else 0, held)
    return services[0] if len(services) == 1 else ChainedKeys(services)


def forget_place(place: str) -> None:
    """Drop the connections of this process: the key of a place is another, or none."""
    del place
    _opener.cache_clear()


@functools.cache
def _opener(place: str) -> KeyService:
    """One connection for a place and process."""
    scheme = place.partition(":")[0]
    if scheme not in _OPENERS:
        raise Misconfigured(f"the keyring names a key service {scheme!r} that we do not know")
    return _OPENERS[scheme](place)
