# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Where use cases meet the adapters that end keys of the store."""

from dataclasses import dataclass

from bastide.ports import Entropy

__all__ = ["Held", "destroy", "held", "holder_of", "of_keyring", "opens", "stays"]


@dataclass(frozen=True, slots=True)
class Held:
    """A key of the store by its name, who holds it, how it ends and what that leaves.

    place: where it is, if it is not in the keyring itself.
    """

    key: str
    service: str
    means: str
    leaves: str
    place: str | None


def held(identity: str) -> Held:
    """What an identity of a keyring, or the place that stands for one, is called in public."""
    from bastide.adapters.keys import ending

    service = ending.service_of(identity)
    place = None if service == "file" else identity
    key = ending.public_of(identity)
    return Held(key, service, ending.means(service), ending.leaves(service), place)


def holder_of(place: str) -> str:
    """Who holds a key of the store at a place, or the key of an identity; never a secret."""
    from bastide.adapters.keys import ending

    return ending.holder_of(place)


def of_keyring(key: str) -> Held:
    """What is said of a key that only keyring files ever held."""
    from bastide.adapters.keys import ending

    return Held(key, "file", ending.means("file"), ending.leaves("file"), None)


def destroy(place: str, source: Entropy) -> bool:
    """Destroy the key at a place, and prove it; True if it opened a header before."""
    from bastide.adapters.keys import ending

    return ending.destroy(place, source)


def opens(place: str, source: Entropy) -> bool:
    """True if the key at a place is there and opens a header made for it."""
    from bastide.adapters.keys import ending

    return ending.opens(place, source)


def stays(old: str, new: str, source: Entropy) -> bool:
    """True if who holds a new key has the old one too, of two whose holder has one name."""
    from bastide.adapters.keys import ending

    return ending.stays(old, new, source)
