# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What a runner on another machine than control's does besides: it reaches control over mutual TLS,
loads from a replica of the ledger that is not behind, and fetches the bodies of its objects."""

import dataclasses
from collections.abc import Mapping

from bastide.app import wiring_services
from bastide.app.config import Home, Settings
from bastide.app.loading import prove_stated
from bastide.app.machine_home import MachineHome
from bastide.app.machine_objects import drop_bodies, fetch_bodies
from bastide.app.process import log
from bastide.app.runner_far import FarSocket
from bastide.app.setting_checks import split_address
from bastide.core.errors import Unavailable
from bastide.core.service import far_name
from bastide.core.subject import Digest
from bastide.ledger import Ledger
from bastide.ports import Clock
from bastide.stages import deploy

__all__ = ["Away", "as_planned"]


class Away:
    """For one runner. Its port is bound when this is made. Raises Unavailable, NotFound."""

    def __init__(self, home: Home, settings: Settings, deployment: str, clock: Clock) -> None:
        self._home, self._deployment, self._clock = home, deployment, clock
        self._headers: Mapping[str, bytes] = {}
        credential = MachineHome(home).credential
        address = split_address(settings.control, "control")
        self.control = wiring_services.far_control(address, settings.environment, credential, clock)
        self.socket = FarSocket(settings, credential, far_name(Digest.parse(deployment)))

    def verify_stated(self, ledger: Ledger) -> None:
        """Raise what the ledger alone has against this start, before a body is fetched for it.

        Unavailable if the replica has not every entry that control told of; NotProven, Refused.
        """
        self._headers = {}  # of this start: what fails here says nothing of bodies that came before
        snapshot = self.control.snapshot
        if snapshot is None or ledger.size < snapshot.version:
            raise Unavailable("the replica of the ledger is behind control")
        prove_stated(ledger, Digest.parse(self._deployment))

    async def fetch(self, headers: Mapping[str, bytes]) -> None:
        """Have the bodies of these objects on this machine. Raises Unavailable, Refused."""
        self._headers = headers
        came = await fetch_bodies(self.control, self._home, self._deployment, headers)
        log("runner", "fetched", self._clock.now_ms, bytes=came)

    def drop(self) -> None:
        """Forget bodies that did not prove to be right."""
        drop_bodies(self._home, self._headers)


def as_planned(settings: Settings, plan: deploy.Plan) -> Settings:
    """Settings of a machine, with what the deployment says: control's machine has its own."""
    share = plan.share
    return dataclasses.replace(settings, slots=share.slots, context_tokens=share.context_tokens)
