# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Settings: read once, frozen, passed as arguments.

This is the only file that reads the process environment. `bastide init` writes the settings to
``config.toml`` in the home directory; unknown keys are errors. The reference page
docs/reference/settings.md is made from the comments of `Settings`.
"""

import hashlib
import os
import platform
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from bastide.app.setting_checks import (
    read_witnesses,
    split_address,
    verify_compute,
    verify_places,
)
from bastide.app.setting_texts import SETTINGS_DOC
from bastide.core.bucket import verify_endpoint, verify_patience, verify_store
from bastide.core.engine import verify_choice
from bastide.core.errors import Misconfigured, NotFound
from bastide.core.limits import FILE_DAYS_MAX, FILES_MB_MAX, SHARE_COST_MAX, WORKERS_MAX
from bastide.core.share import Cost
from bastide.crypto.x509 import LOOPBACK_NAMES, read_names

__all__ = ["SETTINGS_DOC", "Home", "Settings", "find_home", "read_settings", "write_settings"]

_SOCKET_FOLDER_BYTES_MAX = 107 - len("/engine-0123456789abcdef-256/engine.sock")


@dataclass(frozen=True, slots=True)
class Settings:
    """What `config.toml` holds. SETTINGS_DOC describes each field."""

    environment: str
    parties: str = "solo"
    listen: str = "127.0.0.1:8471"
    tls_listen: str = ""
    tls_names: str = ""
    client_ca: str = ""
    gateway_workers: int = 1
    control_listen: str = ""
    control: str = ""
    runner_listen: str = ""
    node: str = "localhost"
    attestation: str = ""
    tpm: str = "device:/dev/tpmrm0"
    tpm_issuers: str = ""
    tpm_register: int = 14
    sandbox: str = "auto"
    engine: str = "llamacpp"
    vllm_python: str = ""
    slots: int = 4
    context_tokens: int = 2048
    threads: int = 0
    share_prompt_weight: float = 0.25
    share_output_weight: float = 1.0
    receipts: str = "durable"
    witnesses: str = ""
    metrics_listen: str = ""
    compute: str = "processes"
    compute_keys: str = ""
    file_days: int = 30
    file_mb: int = 1_024
    store: str = ""
    s3_endpoint: str = ""
    s3_region: str = ""
    s3_credentials: str = "environment"
    s3_ca: str = ""
    s3_allow_http: bool = False
    s3_retries: int = 6
    s3_wait_s: int = 60

    def __post_init__(self) -> None:
        for name, allowed in (
            ("parties", ("solo", "separate")),
            ("sandbox", ("auto", "bubblewrap", "landlock")),
            ("receipts", ("durable", "promised")),
            ("attestation", ("", "tpm2")),
        ):
            if getattr(self, name) not in allowed:
                raise Misconfigured(f"{name} = {getattr(self, name)!r}", fix=f"one of {allowed}")
        verify_choice(self.engine)
        split_address(self.listen)
        if self.tls_listen:
            split_address(self.tls_listen, "tls_listen")
        elif self.client_ca:
            raise Misconfigured("client_ca needs tls_listen", fix='tls_listen = "127.0.0.1:8472"')
        if self.metrics_listen:
            split_address(self.metrics_listen, "metrics_listen")
        verify_places(self.control_listen, self.control, self.runner_listen)
        if not 1 <= self.gateway_workers <= WORKERS_MAX:
            raise Misconfigured(f"gateway_workers is not between 1 and {WORKERS_MAX}")
        verify_store(self.store)
        verify_endpoint(self.s3_endpoint, self.s3_allow_http, self.s3_credentials)
        verify_patience(self.s3_retries, self.s3_wait_s)
        read_names(self.tls_names)
        read_witnesses(self.witnesses)
        if self.slots < 1 or self.context_tokens < 64 or self.threads < 0:
            raise Misconfigured("slots, context_tokens or threads is too small")
        verify_compute(self.compute, self.compute_keys)
        if not 8 <= self.tpm_register <= 15:
            raise Misconfigured("tpm_register is not between 8 and 15")
        if not 1 <= self.file_days <= FILE_DAYS_MAX:
            raise Misconfigured(f"file_days is not between 1 and {FILE_DAYS_MAX}")
        if not 1 <= self.file_mb <= FILES_MB_MAX:
            raise Misconfigured(f"file_mb is not between 1 and {FILES_MB_MAX}")
        for name in ("share_prompt_weight", "share_output_weight"):
            if not 0 < getattr(self, name) <= SHARE_COST_MAX:
                raise Misconfigured(f"{name} is not above 0 and at most {SHARE_COST_MAX}")

    @property
    def certificate_names(self) -> tuple[str, ...]:
        """Names of the gateway's certificate besides those of loopback."""
        host, _ = split_address(self.tls_listen or self.listen)
        everywhere = host in ("0.0.0.0", "::")  # noqa: S104 (compared, not bound)
        named = () if everywhere or host in LOOPBACK_NAMES else read_names(host)
        return tuple(dict.fromkeys((*named, *read_names(self.tls_names))))

    @property
    def witness_urls(self) -> dict[str, str]:
        """Where each party's witness listens, by the party."""
        return read_witnesses(self.witnesses)

    @property
    def cost(self) -> Cost:
        """What tokens cost of a share."""
        return Cost(self.share_prompt_weight, self.share_output_weight)

    def engine_threads(self, replicas: int = 1) -> int:
        """Threads for one of some engines that serve: one core stays free for all else."""
        return self.threads or max(1, ((os.cpu_count() or 2) - 1) // replicas)

    def evaluation_threads(self, serving: bool) -> int:
        """Threads for an evaluation. Beside engines that serve, it leaves them what they leave it.

        While nothing else computes, all cores end it 1.7 times sooner on two; beside two busy
        programs they made it take twice as long (measured).
        """
        return self.engine_threads() if serving or self.threads else os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class Home:
    """The state directory and what lies where in it."""

    root: Path

    @property
    def config(self) -> Path:
        """Settings, in TOML."""
        return self.root / "config.toml"

    @property
    def keyring(self) -> Path:
        """The passphrase-encrypted age identity file."""
        return self.root / "keyring.age"

    @property
    def unlock(self) -> Path:
        """The passphrase of the keyring, only where the owner chose an unattended start."""
        return self.root / "unlock"

    @property
    def quorum(self) -> Path:
        """The record of the custodians who unseal the keyring, if they do. Public."""
        return self.root / "public" / "quorum.json"

    @property
    def shares(self) -> Path:
        """One age file for each custodian: a share, sealed to that custodian's own key."""
        return self.root / "shares"

    @property
    def unsealing(self) -> Path:
        """The socket of who collects shares."""
        return self.run / "unseal.sock"

    @property
    def anchors(self) -> Path:
        """Public keys that auditors need: the trust anchors."""
        return self.root / "public" / "keys.json"

    @property
    def authority(self) -> Path:
        """Certificate of the environment's own authority, in PEM, for HTTPS clients."""
        return self.root / "public" / "ca.pem"

    @property
    def model_signing(self) -> Path:
        """Public key of the model-signing bundles, in PEM."""
        return self.root / "public" / "model-signing.pem"

    @property
    def database(self) -> Path:
        """The sealed database with ledger, projections and receipts."""
        return self.root / "ledger.db"

    @property
    def store(self) -> Path:
        """Sealed objects."""
        return self.root / "store"

    @property
    def keys(self) -> Path:
        """Key files of the parties, until they are handed over (`separate`)."""
        return self.root / "keys"

    @property
    def run(self) -> Path:
        """Sockets and process ids.

        A socket's path holds at most 107 bytes (unix(7)), so a deep home has its sockets in a
        private folder of /tmp instead.
        """
        beside = self.root / "run"
        if len(os.fsencode(beside)) <= _SOCKET_FOLDER_BYTES_MAX:
            return beside
        mark = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:16]
        return Path("/tmp") / f"bastide-{os.getuid()}-{mark}"  # noqa: S108 (checked: mode 0700, ours)

    @property
    def log(self) -> Path:
        """Log files of the services."""
        return self.root / "log"

    @property
    def sessions(self) -> Path:
        """Who has logged in: a secret for each terminal, that the ledger has the digest of."""
        return self.root / "sessions"

    @property
    def openings(self) -> Path:
        """The record of openings of sealed objects: a line of JSON each."""
        return self.log / "openings.jsonl"

    @property
    def denied(self) -> Path:
        """What the owner does not let anybody open; a name, or the beginning of one, a line."""
        return self.root / "denied"

    @property
    def rotation(self) -> Path:
        """How far a change of the store's keys has come, while one is under way."""
        return self.root / "rotation.json"

    @property
    def retired(self) -> Path:
        """Where the store's keys are that were replaced and not destroyed yet: no secrets."""
        return self.root / "retired-keys.json"

    @property
    def measurements(self) -> Path:
        """What this machine's TPM was told since its boot."""
        return self.root / "node" / "events.json"

    @property
    def machine(self) -> Path:
        """Key and certificate of a machine that runs another machine's deployments."""
        return self.root / "machine"

    @property
    def control_socket(self) -> Path:
        """Where control listens."""
        return self.run / "control.sock"

    @property
    def metrics_token(self) -> Path:
        """What a scraper shows, only where `metrics_listen` is set."""
        return self.root / "metrics.token"

    @property
    def desk(self) -> Path:
        """Sealed files and batches of tenants."""
        return self.root / "desk"

    @property
    def desk_socket(self) -> Path:
        """Where the desk listens."""
        return self.run / "desk.sock"

    @property
    def founded(self) -> bool:
        """True once `bastide init` has finished: the anchors are its last file."""
        return self.anchors.exists()


def find_home(given: str | None) -> Home:
    """The home directory: the option, BASTIDE_HOME, or the nearest `.bastide` upwards."""
    named = given or os.environ.get("BASTIDE_HOME")
    if named:
        return Home(Path(named).resolve())
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / ".bastide" / "config.toml").exists():
            return Home(folder / ".bastide")
    return Home(here / ".bastide")


def wants_motion() -> bool:
    """False if the user's terminal cannot redraw a line (TERM=dumb), or is a CI log."""
    return os.environ.get("TERM", "dumb") != "dumb" and "CI" not in os.environ


def child_environment() -> dict[str, str]:
    """The environment of our own services: only what Python needs, nothing inherited."""
    # With where PKCS#11 modules find their own settings: paths, never secrets.
    kept = ("PATH", "LANG", "LC_ALL", "TZ", "PYTHONPATH", "TMPDIR")
    kept += ("SOFTHSM2_CONF", "CKNFAST_LOADSHARING", "ChrystokiConfigurationPath")
    return {name: os.environ[name] for name in kept if name in os.environ}


def environment_credentials() -> dict[str, str]:
    """The access key that the environment holds, as Amazon's tools name it, in lower case."""
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    return {name.lower(): os.environ[name] for name in names if name in os.environ}


def node_name() -> str:
    """The name of this machine."""
    return platform.node() or "localhost"


def read_settings(home: Home) -> Settings:
    """Read config.toml. Raises NotFound before `bastide init`, Misconfigured for a bad file."""
    try:
        values = tomllib.loads(home.config.read_text())
    except FileNotFoundError as error:
        raise NotFound(
            f"there is no environment in {home.root}", fix="run `bastide init` or `bastide up`"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        twice = "Cannot overwrite a value" in str(error)  # so `tomllib` says it
        fix = "a setting stands there twice: change its line, and add none" if twice else ""
        raise Misconfigured(f"{home.config}: {error}", fix=fix) from error
    kinds = {field.name: field.type for field in fields(Settings)}
    for name, value in values.items():
        if name not in kinds:
            raise Misconfigured(f"{home.config}: unknown key {name!r}", fix=_nearest(name, kinds))
        if type(value) is not kinds[name]:
            raise Misconfigured(f"{home.config}: {name} is not of type {kinds[name]}")
    if "environment" not in values:
        raise Misconfigured(f"{home.config}: the key 'environment' is missing")
    return Settings(**values)


def write_settings(settings: Settings) -> str:
    """The text of config.toml."""
    lines = ["# Settings of this Bastide environment; docs/reference/settings.md explains each."]
    for name, text in SETTINGS_DOC.items():
        value = getattr(settings, name)
        shown = f'"{value}"' if isinstance(value, str) else str(value).lower()
        lines += ["", f"# {text}", f"{name} = {shown}"]
    return "\n".join(lines) + "\n"


def _nearest(name: str, known: Mapping[str, Any]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, known, 1)
    return f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(known)}"
