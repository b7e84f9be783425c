# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Machines: others than control's, on which our runners may serve. Who they are, the ledger says.

An *invitation* (`machine/v1`) names a key that the operator carries to the machine in a file.
`machine-key/v1` says which key the machine made for itself when it came with it; only that key
counts from then on. `machine-end/v1` ends all of it.
"""

import re
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from bastide.app.certificates import services_secret
from bastide.app.config import Home
from bastide.app.duties import require
from bastide.app.environment import Environment
from bastide.app.loading import verify_entries
from bastide.app.setting_checks import split_address
from bastide.core.canonical import canonical
from bastide.core.errors import Misconfigured, NotAllowed, NotFound, NotProven, Refused
from bastide.core.evidence import Evidence, Statement
from bastide.core.key import Purpose
from bastide.core.limits import INVITATION_S, MACHINE_NAME_MAX, MACHINES_MAX, TLS_BACKDATE_S
from bastide.core.register import KEY_KINDS
from bastide.core.service import Caller
from bastide.core.spiffe import service_id
from bastide.core.subject import Digest, Subject
from bastide.crypto import p256, service_x509
from bastide.ledger import Ledger
from bastide.stages import deploy

__all__ = [
    "MACHINE_KINDS",
    "Machine",
    "Machines",
    "Own",
    "Standing",
    "invite_machine",
    "list_machines",
    "machine_statement",
    "remove_machine",
]

MACHINE_KINDS: Final = ("machine/v1", "machine-key/v1", "machine-end/v1")
_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")


class Standing(StrEnum):
    """How far a machine has come."""

    INVITED = "invited"
    JOINED = "joined"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine as the ledger has it. Keys are digests; `entry` is its newest statement's."""

    name: str
    standing: Standing
    invitation: str
    expires_ms: int  # of the invitation
    key: str
    entry: int
    time_ms: int


def _fold(rows: Iterable[Evidence]) -> dict[str, Machine]:
    """What statements make of machines, in the ledger's order."""
    found: dict[str, Machine] = {}
    for row in rows:
        body, entry = row.body, row.entry or 0
        name, time_ms, old = body["machine"], body["time_ms"], found.get(body["machine"])
        if row.kind == "machine/v1":
            # One that has joined goes on with its key until it comes with the new invitation.
            key = old.key if old is not None and old.standing is Standing.JOINED else ""
            standing = Standing.JOINED if key else Standing.INVITED
            given = body["invitation"], body["expires_ms"]
            found[name] = Machine(name, standing, *given, key, entry, time_ms)
        elif old is None:
            continue
        elif row.kind == "machine-end/v1":
            found[name] = replace(old, standing=Standing.REMOVED, entry=entry, time_ms=time_ms)
        elif old.standing is not Standing.REMOVED and body["invitation"] == old.invitation:
            moved = {"key": body["key"], "entry": entry, "time_ms": time_ms}
            found[name] = replace(old, standing=Standing.JOINED, **moved)
    return found


class Machines:
    """The machines of a ledger, each statement proven before it counts. Threads may share it."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._proven: set[Digest] = set()
        self._newest = -2
        self._found: dict[str, Machine] = {}
        self._turn = threading.Lock()

    def now(self) -> Mapping[str, Machine]:
        """All that were ever invited, by name. Raises NotProven for a planted statement.

        What a key signed that counts no more invites and joins nobody, but goes on ending what it
        ended: nobody comes back because a key was stolen.
        """
        with self._turn:
            newest = self._ledger.newest_of(*MACHINE_KINDS, *KEY_KINDS)
            if newest != self._newest:
                rows = [row for kind in MACHINE_KINDS for row in self._ledger.find(kind)]
                fresh = [row for row in rows if row.digest not in self._proven]
                verify_entries(self._ledger, fresh, past=True)
                self._proven.update(row.digest for row in fresh)
                counts = self._ledger.register().counts
                rows = [row for row in rows if row.kind == "machine-end/v1" or counts(row)]
                self._found = _fold(sorted(rows, key=lambda row: row.entry or 0))
                self._newest = newest
            return self._found

    def reasons_against(self, name: str) -> list[str]:
        """Why nothing may be served on a machine; empty if it may, and for control's own."""
        found = self.now().get(name) if name else None
        if not name or (found is not None and found.standing is Standing.JOINED):
            return []
        if found is None:
            return [f"there is no machine {name}"]
        if found.standing is Standing.REMOVED:
            return [f"the machine {name} was removed in entry {found.entry}"]
        return [f"the machine {name} has not joined"]

    def verify(self, caller: Caller) -> None:
        """Raise NotAllowed unless a caller with a certificate is what it says, now."""
        found = self.now().get(caller.machine)
        if found is None:
            raise NotAllowed(f"there is no machine {caller.machine}")
        if found.standing is Standing.REMOVED:
            raise NotAllowed(f"the machine {found.name} was removed in entry {found.entry}")
        key = found.invitation if caller.role == "joiner" else found.key
        if caller.key != key:
            what = "invitation" if caller.role == "joiner" else "key"
            raise NotAllowed(f"another {what} of the machine {found.name} counts now")


def _verify_taken(plan: deploy.Plan, deployment: str, model: str, replica: int) -> None:
    if model != plan.name:
        raise NotAllowed(f"the deployment {deployment} is of {plan.name}, not of {model}")
    if not 1 <= replica <= plan.replicas:
        raise NotAllowed(f"the deployment {deployment} has no replica {replica}")


def machine_statement(kind: str, name: str, now_ms: int, **body: Any) -> Statement:
    """A statement about a machine."""
    subject = Subject(name, Digest.of(canonical({"machine": name})))
    return Statement(kind, (subject,), {"machine": name, **body, "time_ms": now_ms})


class Own:
    """What machines may speak about: themselves, and deployments that name them. For any thread.

    A deployment's digest is of its plan, which never changes: what a digest says is read once.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._plans: dict[str, deploy.Plan] = {}

    def verify(self, machine: str, kind: str, body: Any) -> None:
        """Raise NotAllowed unless what a machine asks is about a deployment of its own.

        body: of a frame of this kind. Its own name is the only one under which it can be a node.
        """
        match kind, body:
            case "node-headers", {"statement": str(digest)}:
                about = self._ledger.by_digest(Digest.parse(digest))
                if about.kind != "node/v1":
                    raise NotAllowed(f"{digest} is no statement of a node")
                deployment, node = about.body["deployment"], about.body["node"]
            case "node-join", {"deployment": str(deployment), "node": str(node)}:
                pass
            case "loaded" | "cut" | "share-minute" | "object", {"deployment": str(deployment)}:
                node = machine
            case "taken", {"model": str(), "place": [str(deployment), int()]}:
                node = machine
            case (("erasure" | "status" | "certificate" | "machine-join" | "ledger"), _):
                return
            case (("node-challenge" | "snapshot"), _):
                return
            case _:
                raise Misconfigured(f"a {kind} that does not say what it is about")
        if node != machine:
            raise NotAllowed(f"the machine {machine} speaks for the node {node}")
        plan = self._plan(deployment)
        if plan is None or plan.machine != machine:
            raise NotAllowed(f"the deployment {deployment} is not one of the machine {machine}")
        if kind == "taken":
            _verify_taken(plan, deployment, body["model"], body["place"][1])

    def _plan(self, deployment: str) -> deploy.Plan | None:
        if (known := self._plans.get(deployment)) is not None:
            return known
        rows = self._ledger.find("deployment/v1", subject=Digest.parse(deployment))
        if not rows:
            return None
        plan = self._plans[deployment] = deploy.plan_of(rows[-1])
        return plan


# Use cases


def invite_machine(
    env: Environment, name: str, address: str | None, keep: Callable[[Mapping[str, Any]], None]
) -> dict[str, Any]:
    """Make an invitation: what a file for the machine holds. It is secret, and good once.

    address: where the machine finds control, if not at `control_listen`. keep: writes the file;
    the ledger has the invitation, in place of an earlier one, only once that is done. Raises
    Misconfigured, and what `keep` raises.
    """
    require(env, "machine-add", name)
    if _NAME.fullmatch(name) is None or len(name) > MACHINE_NAME_MAX or name == env.settings.node:
        raise Misconfigured(
            f"{name!r} is no name for another machine",
            fix="letters in lower case, digits and -; not this machine's own (`node`)",
        )
    if not env.settings.control_listen:
        raise Misconfigured(
            "control listens for no machine",
            fix='control_listen = "10.0.0.1:8474" in config.toml, then bastide down, bastide up',
        )
    where = address or env.settings.control_listen
    if split_address(where, "--address")[0] in ("0.0.0.0", "::"):  # noqa: S104 (compared)
        raise Misconfigured(f"{where} is no address of control", fix="give --address HOST:PORT")
    rows = Machines(env.ledger).now().values()
    others = [row for row in rows if row.name != name and row.standing is not Standing.REMOVED]
    if len(others) >= MACHINES_MAX:
        raise Refused(f"there are {MACHINES_MAX} machines already")
    now_ms = env.clock.now_ms()
    secret, key = services_secret(env.keyring), p256.secret_from(env.entropy.token(48))
    public = service_x509.public_of(key)
    identity = service_id(env.settings.environment, "invitation", name)
    given = (secret, env.settings.environment)
    made = service_x509.issue_service(
        *given,
        identity,
        public,
        env.entropy.token(16),
        now_ms,
        connects=True,
        valid_s=TLS_BACKDATE_S + INVITATION_S,
    )
    authority = service_x509.services_authority(*given, env.entropy.token(16), now_ms)
    invitation = str(service_x509.key_of(public))
    body = {"invitation": invitation, "expires_ms": now_ms + INVITATION_S * 1000}
    invited = {
        "environment": env.settings.environment,
        "machine": name,
        "control": where,
        "authority": authority.decode(),
        "certificate": made.decode(),
        "key": service_x509.private_pem(key).decode(),
        "anchors": _anchors(env.home),
        **body,
    }
    keep(invited)
    stated = machine_statement("machine/v1", name, now_ms, **body)
    env.ledger.append_statement(stated, [env.signer(Purpose.EVIDENCE)])
    return invited


def list_machines(env: Environment) -> list[Machine]:
    """All machines that were ever invited, the newest statement's last."""
    require(env, "read")
    return sorted(Machines(env.ledger).now().values(), key=lambda row: row.entry)


def remove_machine(env: Environment, name: str, reason: str) -> Evidence:
    """End a machine: within a second control and gateways drop it. Raises NotFound."""
    require(env, "machine-add", name)
    found = Machines(env.ledger).now().get(name)
    if found is None or found.standing is Standing.REMOVED:
        raise NotFound(f"there is no machine {name!r}", fix="bastide machine ls")
    stated = machine_statement("machine-end/v1", name, env.clock.now_ms(), reason=reason)
    return env.ledger.append_statement(stated, [env.signer(Purpose.EVIDENCE)])


def _anchors(home: Home) -> str:
    try:
        return home.anchors.read_text()
    except OSError as error:
        raise NotProven(f"{home.anchors} cannot be read: {error.strerror}") from error
