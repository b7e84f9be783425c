# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Founding: `bastide init` makes keys, ledger and store, or nothing at all.

Everything is made in a folder beside the home and renamed into place as the last step, so a
kill at any moment leaves either no environment or a whole one.
"""

import json
import os
import shutil
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bastide.app import wiring
from bastide.app.alone import alone
from bastide.app.certificates import ensure_authority
from bastide.app.charter_signing import CharterRound, collect_signatures
from bastide.app.config import Home, Settings, node_name, write_settings
from bastide.app.quorum import new_quorum
from bastide.app.remedies import outside
from bastide.app.setting_checks import split_address
from bastide.core.canonical import canonical
from bastide.core.errors import Misconfigured, Refused, Unavailable
from bastide.core.evidence import Statement
from bastide.core.key import PublicKey, Purpose
from bastide.core.party import Party
from bastide.core.policy import ATTESTED, GUARD, PACK, PUSH, RELEASED, Policy
from bastide.core.subject import Digest, Subject
from bastide.crypto import age, dsse
from bastide.crypto.dsse import Signer
from bastide.crypto.p256 import public_pem
from bastide.detectors.personal.kinds import KINDS as PERSONAL_KINDS
from bastide.ledger import Ledger
from bastide.ports import Clock, Entropy, Keyring
from bastide.suites import DEMO_FLOORS, EMBEDDING_FLOORS, SUITES

__all__ = ["Founded", "Wishes", "default_policy", "found", "free_address"]

KEYS_TYPE = "https://bastide.eu/keys/v1"
_SERVICE_KEYS = (Purpose.LEDGER, Purpose.EVIDENCE, Purpose.RELEASE, Purpose.MODEL_SIGNING)
_PORT = 8471
_NGRAM_MAX = 13  # words; the length that GPT-3 and most papers since search by


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the founder asks for.

    passphrase: of the keyring, or None: one is generated and kept in the unlock file.
    exit_recipient: age recipient whose identity the owner keeps elsewhere, or None: one is made.
    keys: parties' own keys, under `separate`; who brings none gets a key file.
    custodians: age recipients of the three parties, of whom two unseal; or empty: no quorum.
    store_keys: where the key that opens sealed objects is: `file`, or a place of a key service.
    charter: how all three parties sign the charter elsewhere; or None: it is signed here.
    attested: only attested nodes may serve, as the policy says then for ever.
    pack_released: only released datasets may be packed, likewise.
    """

    parties: str
    listen: str
    passphrase: str | None = None
    exit_recipient: str | None = None
    sandbox: str = "auto"
    keys: Mapping[Party, Signer] = field(default_factory=dict)
    custodians: Mapping[Party, str] = field(default_factory=dict)
    store_keys: str = "file"
    charter: CharterRound | None = None
    attested: bool = False
    pack_released: bool = False


@dataclass(frozen=True, slots=True)
class Founded:
    """What was made, for the person to read."""

    home: Home
    environment: str
    key_files: tuple[Path, ...]
    exit_identity: Path | None
    unlock: Path | None
    shares: tuple[Path, ...] = ()


def default_policy(parties: str, attested: bool = False, pack_released: bool = False) -> Policy:
    """The policy of the demo. Its floors stand above chance for a model of 135M parameters.

    attested: only attested nodes may serve. pack_released: only released datasets may be packed.
    """
    packing = {PACK: {"gates": {RELEASED: {}}, "approvals": {}}} if pack_released else {}
    deploy = {"approvals": {}, ATTESTED: {}} if attested else {"approvals": {}}
    gates: dict[str, Any] = {
        "format-safe": {},
        "scan-clean": {},
        "origin-stated": {},
        "eval-floor": {
            "floors": dict(DEMO_FLOORS),
            "embedding": {"floors": dict(EMBEDDING_FLOORS)},
        },
        "approvals": {},
    }
    early = {name: gates[name] for name in ("format-safe", "scan-clean", "origin-stated")}
    return Policy.from_json(
        {
            "name": parties,
            "separate": parties == "separate",
            "rules": {
                "corpus": {
                    "gates": {
                        "licence-basis": {},
                        "personal-data": {"kinds": list(PERSONAL_KINDS)},
                        "steps-run": {},
                    },
                    "approvals": {},
                },
                "dataset-release": {
                    "gates": {
                        "licence-basis": {},
                        "personal-data": {"kinds": list(PERSONAL_KINDS)},
                        "steps-run": {},
                        "decontaminated": {
                            "suites": {name: str(suite.digest) for name, suite in SUITES.items()},
                            "ngram_max": _NGRAM_MAX,
                        },
                        "approvals": {},
                    },
                    "approvals": {"firm": 1, "guardian": 1},
                },
                "admit": {"gates": early, "approvals": {}},
                "evaluate": {"gates": {"scan-clean": {}}, "approvals": {}},
                "release": {"gates": gates, "approvals": {"firm": 1, "guardian": 1}},
                "deploy": {"gates": deploy, "approvals": {"operator": 1}},
                GUARD: {"gates": {}, "approvals": {"guardian": 1}},
                PUSH: {"gates": {}, "approvals": {"firm": 1}},
                **packing,
            },
        }
    )


def free_address(usual: int = _PORT) -> str:
    """A loopback address for the gateway: the usual port, or any free one if it is taken."""
    for port in (usual, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return f"127.0.0.1:{probe.getsockname()[1]}"
    raise Unavailable("no port is free on 127.0.0.1", fix="give --listen HOST:PORT")


def _tls_address(listen: str) -> str:
    """Where HTTPS goes: the port after that of plain HTTP, on loopback, or any free one."""
    port = split_address(listen)[1] + 1
    return free_address(port if 1 < port < 65_536 else 0)


def found(home: Home, wishes: Wishes) -> Founded:
    """Make a new environment. Raises Refused if there is one, Unavailable if the disk is full."""
    _check_recipient(wishes.exit_recipient)
    try:
        home.root.parent.mkdir(parents=True, exist_ok=True)
        with alone(home.root.parent, lambda: None):
            return _found(home, wishes)
    except OSError as error:
        raise outside(error, f"{home.root} cannot be made") from error


def _check_recipient(recipient: str | None) -> None:
    if recipient is None:
        return
    try:
        age.parse_recipient(recipient)
    except Misconfigured as error:
        raise Misconfigured(
            f"the exit recipient {recipient[:24]!r}: {error.message}",
            fix="give the public key that age-keygen printed: age1...",
        ) from error


def _found(home: Home, wishes: Wishes) -> Founded:
    if (wishes.keys or wishes.custodians) and wishes.parties != "separate":
        raise Misconfigured("parties bring their own keys under --parties separate only")
    if wishes.charter is not None and wishes.parties != "separate":
        raise Misconfigured("parties sign the charter elsewhere under --parties separate only")
    if wishes.custodians and (wishes.passphrase is not None or wishes.exit_recipient is None):
        raise Misconfigured(
            "a quorum takes --exit-recipient, and no passphrase: else one file would open all",
            fix="give --exit-recipient AGE1..., and leave --passphrase-file out",
        )
    if home.founded:
        raise Refused(f"{home.root} is an environment already", fix="`bastide up` starts it")
    if home.root.exists() and any(home.root.iterdir()):
        raise Misconfigured(f"{home.root} is not empty", fix="choose another --home")
    draft = Home(home.root.with_name(home.root.name + ".founding"))
    shutil.rmtree(draft.root, ignore_errors=True)  # what a killed founding left behind
    try:
        for folder in (draft.root, draft.keys, draft.store, draft.anchors.parent, draft.log):
            folder.mkdir(mode=0o700, parents=True)
        founded = _furnish(draft, wishes)
        _sync_tree(draft.root)
        if home.root.exists():
            home.root.rmdir()
        draft.root.rename(home.root)
        _sync(home.root.parent)
    except BaseException:
        shutil.rmtree(draft.root, ignore_errors=True)
        raise
    moved = {path: home.root / path.relative_to(draft.root) for path in _paths(founded)}
    return Founded(
        home=home,
        environment=founded.environment,
        key_files=tuple(moved[path] for path in founded.key_files),
        exit_identity=moved.get(founded.exit_identity) if founded.exit_identity else None,
        unlock=moved.get(founded.unlock) if founded.unlock else None,
        shares=tuple(moved[path] for path in founded.shares),
    )


def _furnish(draft: Home, wishes: Wishes) -> Founded:
    clock, entropy = wiring.clock(), wiring.entropy()
    environment = "bastide.local/" + entropy.token(8).hex()
    settings = Settings(
        environment=environment,
        parties=wishes.parties,
        listen=wishes.listen,
        tls_listen=_tls_address(wishes.listen),
        node=node_name(),
        sandbox=wishes.sandbox,
    )
    draft.config.write_text(write_settings(settings))

    passphrase = wishes.passphrase
    unlock = None
    shares: tuple[Path, ...] = ()
    if wishes.custodians:
        passphrase, shares = _split(draft, environment, wishes.custodians, entropy)
    elif passphrase is None:
        passphrase = entropy.token(32).hex()
        unlock = draft.unlock
        _write_private(unlock, passphrase + "\n")
    generated = wishes.passphrase is None
    parties = tuple(Party) if wishes.parties == "solo" else ()
    store_keys = wiring.make_store_keys(wishes.store_keys, entropy)
    keyring = wiring.create_keyring(
        draft.keyring, passphrase, parties, entropy, generated, store_keys
    )
    party_signers = [keyring.signer(Purpose.PARTY, party) for party in parties]
    key_files = []
    if wishes.parties == "separate" and wishes.charter is None:
        for party in Party:
            if party in wishes.keys:
                party_signers.append(_own(wishes.keys[party], party))
                continue
            path = draft.keys / f"{party.value}.key"
            party_signers.append(wiring.create_party_key(path, party, entropy))
            key_files.append(path)

    exit_recipient, exit_identity = wishes.exit_recipient, None
    if exit_recipient is None:
        exit_identity = draft.keys / "exit.age"
        exit_recipient = wiring.create_exit(exit_identity, wishes.passphrase, entropy)

    charter = _charter(environment, wishes, keyring, party_signers, exit_recipient, clock)
    records = wiring.open_records(draft.database, keyring.secret(Purpose.DATABASE))
    try:
        ledger = Ledger(records, keyring.signer(Purpose.LEDGER), clock)
        ledger.append([charter])
        anchors = _anchors(environment, ledger, charter.digest)
        pem = public_pem(keyring.signer(Purpose.MODEL_SIGNING).public).decode()
        _write_private(draft.model_signing, pem, mode=0o644)
        ensure_authority(draft, keyring, settings, clock, entropy)
        _write_private(draft.anchors, json.dumps(anchors, indent=2) + "\n", mode=0o644)
    finally:
        records.dispose()
    return Founded(draft, environment, tuple(key_files), exit_identity, unlock, shares)


def _split(
    draft: Home, environment: str, custodians: Mapping[Party, str], entropy: Entropy
) -> tuple[str, tuple[Path, ...]]:
    """Make the passphrase that only custodians together have; write the record and the shares."""
    passphrase, record, sealed = new_quorum(environment, custodians, entropy.token)
    _write_private(draft.quorum, json.dumps(record, indent=2) + "\n", mode=0o644)
    draft.shares.mkdir(mode=0o700)
    files = []
    for party, text in sealed.items():
        files.append(draft.shares / f"{party.value}.share.age")
        _write_private(files[-1], text)
    return passphrase, tuple(files)


def _own(signer: Signer, party: Party) -> Signer:
    """The signer of a key that a party brings. Raises Misconfigured if it is another party's."""
    if signer.public.party not in (None, party.value):
        raise Misconfigured(f"the {party}'s key was made for the {signer.public.party}")
    return Signer(replace(signer.public, party=party.value), signer.sign)


def _charter(
    environment: str,
    wishes: Wishes,
    keyring: Keyring,
    party_signers: list[Signer],
    exit_recipient: str,
    clock: Clock,
) -> dsse.Envelope:
    services = [keyring.signer(purpose) for purpose in _SERVICE_KEYS]
    publics: list[PublicKey] = [signer.public for signer in (*services, *party_signers)]
    if wishes.charter is not None:
        publics += [wishes.charter.keys[party] for party in Party]
    body = {
        "environment": environment,
        "origin": environment,
        "time_ms": clock.now_ms(),
        "policy": default_policy(wishes.parties, wishes.attested, wishes.pack_released).to_json(),
        "keys": [public.to_json() for public in publics],
        "exit_recipients": [exit_recipient],
    }
    subject = Subject(environment, Digest.of(canonical(body)))
    statement = Statement("charter/v1", (subject,), body)
    here = dsse.sign(statement.payload(), [*party_signers, keyring.signer(Purpose.EVIDENCE)])
    if wishes.charter is None:
        return here
    signed = collect_signatures(wishes.charter, here.payload)
    return replace(here, signatures=(*(signed[party] for party in Party), *here.signatures))


def _anchors(environment: str, ledger: Ledger, charter: Digest) -> dict[str, Any]:
    return {
        "type": KEYS_TYPE,
        "environment": environment,
        "origin": environment,
        "charter": str(charter),
        "keys": list(ledger.charter().body["keys"]),
    }


def _paths(founded: Founded) -> list[Path]:
    extra = [path for path in (founded.exit_identity, founded.unlock) if path is not None]
    return [*founded.key_files, *founded.shares, *extra]


def _write_private(path: Path, text: str, mode: int = 0o600) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _sync_tree(root: Path) -> None:
    """Make every file and folder of the draft durable before it gets its name."""
    for path in (*root.rglob("*"), root):
        _sync(path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
