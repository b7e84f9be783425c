# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The environment's own certificate authority, and the gateway's certificates of it.

The authority's key is in the keyring; only the supervisor uses it. Server keys are made anew with
each certificate and never stored: the gateway gets them on its standard input.
"""

import os
from pathlib import Path

from bastide.app.config import Home, Settings
from bastide.core.errors import NotFound
from bastide.core.key import Purpose
from bastide.core.limits import TLS_RENEW_BEFORE_DAYS
from bastide.core.spiffe import verify_spiffe_id
from bastide.crypto import p256, service_x509, x509
from bastide.ports import Clock, Entropy, Keyring

__all__ = [
    "client_authorities",
    "client_files",
    "due",
    "ensure_authority",
    "server_certificate",
    "services_secret",
]

_DAY_MS = 86_400_000


def ensure_authority(
    home: Home, keyring: Keyring, settings: Settings, clock: Clock, entropy: Entropy
) -> None:
    """Write `public/ca.pem`, unless one is there for this key and these names.

    After a change of `tls_names` it is a new file: clients need it again. Raises NotFound if the
    keyring has no key for it.
    """
    secret, names = keyring.secret(Purpose.TLS_CA), settings.certificate_names
    try:
        if x509.covers(home.authority.read_bytes(), secret, names, clock.now_ms()):
            return
    except FileNotFoundError:
        pass
    made = x509.authority_pem(
        secret, settings.environment, names, entropy.token(16), clock.now_ms()
    )
    draft = home.authority.with_suffix(".new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    with os.fdopen(descriptor, "wb") as file:
        file.write(made)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(home.authority)


def server_certificate(
    keyring: Keyring, settings: Settings, clock: Clock, entropy: Entropy
) -> x509.Issued:
    """A new certificate for the gateway, with a new key. Raises NotFound."""
    return x509.issue_server(
        keyring.secret(Purpose.TLS_CA),
        settings.environment,
        settings.certificate_names,
        p256.secret_from(entropy.token(48)),
        entropy.token(16),
        clock.now_ms(),
    )


def services_secret(keyring: Keyring) -> bytes:
    """The key of the authority of our own services' certificates. Raises NotFound."""
    return service_x509.authority_secret(keyring.secret(Purpose.TLS_CA))


def due(issued: x509.Issued, now_ms: int) -> bool:
    """True if a certificate should be replaced by now."""
    return issued.ends_ms - now_ms < TLS_RENEW_BEFORE_DAYS * _DAY_MS


def client_authorities(home: Home, settings: Settings) -> dict[str, str]:
    """The PEM of the authorities whose clients may come, by trust domain; empty if any may.

    Those of a file are under "". Raises NotFound, Misconfigured for a name that is no domain.
    """
    if not settings.client_ca:
        return {}
    path = home.root / settings.client_ca
    found = {}
    for file in client_files(path):
        domain = "" if file == path else file.stem
        if domain:
            verify_spiffe_id(f"spiffe://{domain}/any")
        try:
            found[domain] = file.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise NotFound(f"client_ca: {file} cannot be read", fix="give a PEM file") from error
    if not found:  # else clients would be asked for nothing
        raise NotFound(f"client_ca: {path} has no TRUST-DOMAIN.pem", fix="spiffe.example.org.pem")
    return found


def client_files(path: Path) -> list[Path]:
    """The files of authorities: the one that is named, or all of a folder, by their names."""
    return sorted(path.glob("*.pem")) if path.is_dir() else [path]
