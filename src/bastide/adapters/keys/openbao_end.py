# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The end of a version of a key of Transit."""

from typing import Any

from bastide.adapters.keys.openbao import BaoPlace, OpenBaoKeys
from bastide.core.errors import Refused
from bastide.crypto import age

__all__ = ["trim_key", "wrap_old"]


def trim_key(text: str) -> None:
    """Have the server forget a version and all before it, which it then cannot bring back.

    Raises Refused for the newest version, Unavailable if the server is away.
    """
    from hvac import exceptions

    place = BaoPlace.parse(text)

    def trim(client: Any) -> None:
        transit, first = client.secrets.transit, place.version + 1
        where = {"name": place.key, "mount_point": place.mount}
        newest = int(transit.read_key(**where)["data"]["latest_version"])
        if newest < first:
            raise Refused(
                f"version {place.version} of the key {place.key} is the newest",
                fix="bastide store rotate",
            )
        # Transit trims only what may neither encrypt nor decrypt any more, and the first must not
        # be below the second. In one call the client refuses that they are the same.
        transit.update_key_configuration(min_encryption_version=first, **where)
        transit.update_key_configuration(min_decryption_version=first, **where)
        transit.trim_key(min_version=first, **where)

    try:
        OpenBaoKeys(place).ask(trim)
    except exceptions.InvalidRequest as error:
        raise Refused(
            f"OpenBao does not trim the key {place.key} to version {place.version + 1}",
            reasons=[str(text) for text in error.errors or ()],
            fix="`bao read transit/keys/NAME` shows its versions",
        ) from error


def wrap_old(text: str, file_key: bytes) -> age.Stanza | None:
    """A file key encrypted under the version that a place names; None if that is gone."""
    from hvac import exceptions

    place = BaoPlace.parse(text)
    try:
        return OpenBaoKeys(place).wrapped(file_key, key_version=place.version)
    except exceptions.InvalidRequest:
        return None
