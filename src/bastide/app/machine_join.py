# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Joining: a machine takes up an invitation. It makes a key of its own, and gets a certificate.

A kill at any moment leaves a machine that can do it again with the same file: control knows the
key by then. Settings are written last: without them nothing starts.
"""

import asyncio
import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from bastide.app import wiring, wiring_services
from bastide.app.config import Home, Settings, read_settings, write_settings
from bastide.app.machine_home import MachineHome
from bastide.app.setting_checks import split_address
from bastide.core.errors import Misconfigured, NotAllowed, NotFound, Refused
from bastide.core.service import Credential
from bastide.ledger.bundle_form import read_anchors
from bastide.ports import Clock, Entropy

__all__ = ["join_environment", "read_invitation"]

_FIELDS = ("environment", "machine", "control", "authority", "certificate", "key", "anchors")


def read_invitation(text: str) -> dict[str, Any]:
    """What `bastide machine add` wrote. Raises Misconfigured."""
    try:
        told = json.loads(text)
        given = {name: told[name] for name in (*_FIELDS, "expires_ms")}
        sound = all(isinstance(given[name], str) for name in _FIELDS)
        sound = sound and type(given["expires_ms"]) is int
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise Misconfigured("the file is no invitation", fix="bastide machine add NAME") from error
    if not sound:
        raise Misconfigured("the file is no invitation", fix="bastide machine add NAME")
    return given


def join_environment(
    home: Home, invitation: Mapping[str, Any], wishes: Settings, clock: Clock, entropy: Entropy
) -> Settings:
    """Join, and write the settings of this home. wishes: those that are this machine's own.

    Raises Refused if the home is another environment's, NotAllowed if the invitation was used or
    is over, NotProven if who answers is not its control, Unavailable if nobody does.
    """
    if clock.now_ms() >= invitation["expires_ms"]:  # then no handshake would say why it failed
        fix = f"on control's machine: bastide machine add {invitation['machine']}"
        raise NotAllowed(f"the invitation of {invitation['machine']} is over", fix=fix)
    _verify_free(home, invitation)
    read_anchors(_json(invitation["anchors"]))
    home.root.mkdir(mode=0o700, parents=True, exist_ok=True)
    place = MachineHome(home)
    place.make(entropy)
    given = asyncio.run(_ask(invitation, place, clock))
    place.keep(given)
    home.anchors.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    wiring.replace_small(home.anchors, invitation["anchors"].encode())
    settings = dataclasses.replace(
        wishes,
        environment=invitation["environment"],
        node=invitation["machine"],
        control=invitation["control"],
        share_prompt_weight=given["share_prompt_weight"],
        share_output_weight=given["share_output_weight"],
    )
    wiring.replace_small(home.config, write_settings(settings).encode())
    return settings


async def _ask(invitation: Mapping[str, Any], place: MachineHome, clock: Clock) -> dict[str, Any]:
    shown = Credential(*(invitation[name] for name in ("certificate", "key", "authority")))
    address = split_address(invitation["control"], "control")
    environment = invitation["environment"]
    control = wiring_services.far_control(address, environment, lambda: shown, clock)
    await control.start()
    try:
        return await control.ask("machine-join", {"request": place.request()})
    finally:
        await control.close()


def _verify_free(home: Home, invitation: Mapping[str, Any]) -> None:
    """Raise Refused if a home is anything but this very machine's."""
    try:
        found = read_settings(home)
    except NotFound:
        return
    same = found.environment == invitation["environment"] and found.node == invitation["machine"]
    if not found.control or not same:
        raise Refused(f"{home.root} is another machine's", fix="give a new folder: --home DIR")


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Misconfigured("the invitation's keys.json is no JSON") from error
