# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The key service `openbao`: a key of the Transit engine of OpenBao (or Vault), over HTTPS.

A file key is encrypted by the server, and its answer ``vault:v2:<base64>`` is the stanza

    -> bao.example/transit <key> v2

which stock age ignores; the owner's exit recipient beside it is age's own. A place is

    openbao:https://bao.example:8200/transit/<key>?token-source=file:/FILE&ca=/FILE&version=2

`version` is the oldest that still counts: a rotation makes the server rotate, and raises it. The
token is read from its file whenever the server does not know the one before.
"""

import base64
import binascii
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from typing import Any, ClassVar, Final, TypeVar
from urllib.parse import parse_qsl, quote, urlsplit

from bastide.adapters.keys.durable import read_small
from bastide.core.errors import Misconfigured, NotProven, Refused, Unavailable
from bastide.core.limits import KEY_SERVICE_S
from bastide.crypto import age

__all__ = ["BaoPlace", "OpenBaoKeys", "make_transit_key"]

T = TypeVar("T")
_SCHEME: Final = "openbao:"
_EXAMPLE: Final = "write openbao:https://HOST:8200/transit/KEY?token-source=file:/FILE"
_CIPHERTEXT = re.compile(r"vault:v([1-9][0-9]{0,8}):([A-Za-z0-9+/=]+)")
_SEALED_BYTES: Final = 12 + 16 + 16  # nonce, file key, tag of AES-256-GCM


@dataclass(frozen=True, slots=True)
class BaoPlace:
    """Which key of which server. `version` is the oldest of the key that still counts."""

    url: str
    mount: str
    key: str
    token: Path
    ca: str = ""
    version: int = 1

    @classmethod
    def parse(cls, text: str) -> "BaoPlace":
        """Read a place. Raises Misconfigured; plain HTTP is for loopback only."""
        parts = urlsplit(text.removeprefix(_SCHEME))
        fields = dict(parse_qsl(parts.query))
        path = parts.path.strip("/").split("/")
        source = fields.pop("token-source", "")
        ca, version = fields.pop("ca", ""), fields.pop("version", "1")
        safe = parts.scheme == "https" or parts.hostname in ("127.0.0.1", "::1", "localhost")
        if not (
            safe
            and text.startswith(_SCHEME)
            and parts.scheme in ("http", "https")
            and parts.hostname
            and "@" not in parts.netloc
            and len(path) == 2
            and all(re.fullmatch(r"[A-Za-z0-9_-]+", name) for name in path)
            and source.startswith("file:/")
            and version.isdigit()
            and not fields
        ):
            raise Misconfigured("not the place of an OpenBao key", fix=_EXAMPLE)
        url, (mount, key) = f"{parts.scheme}://{parts.netloc}", path
        return cls(url, mount, key, Path(source.removeprefix("file:")), ca, int(version))

    @property
    def kind(self) -> str:
        """The type of its stanzas: the server's name and the engine's mount."""
        return f"{urlsplit(self.url).hostname}/{self.mount}"

    def __str__(self) -> str:
        query = f"token-source=file:{quote(str(self.token))}"
        query += f"&ca={quote(self.ca)}" if self.ca else ""
        return f"{_SCHEME}{self.url}/{self.mount}/{self.key}?{query}&version={self.version}"


class OpenBaoKeys:
    """Opens with a key of Transit."""

    # What may stand beside it in a header. AES needs no post-quantum twin, but age's exits decide.
    family: ClassVar[str] = "classic"

    def __init__(self, place: BaoPlace, patience_s: int = ceil(KEY_SERVICE_S)) -> None:
        self.place = place
        self._patience_s = patience_s
        self._client: Any = None

    @property
    def name(self) -> str:
        """Where the key is."""
        return f"OpenBao Transit at {self.place.kind}, key {self.place.key}"

    def recipients(self) -> tuple[age.Recipient, ...]:
        """Itself: only the server can seal to a key of Transit."""
        return (self,)

    def wrap(self, file_key: bytes, entropy: Callable[[int], bytes]) -> age.Stanza:
        """Have the server encrypt a file key, under the newest version."""
        del entropy
        return self.wrapped(file_key)

    def wrapped(self, file_key: bytes, **how: Any) -> age.Stanza:
        """Have the server encrypt a file key; `how`: other arguments of `encrypt`."""
        body = {"plaintext": base64.b64encode(file_key).decode(), **how}
        answer = self.ask(lambda client: self._transit(client, "encrypt_data", **body))
        found = _CIPHERTEXT.fullmatch(str(answer.get("ciphertext")))
        if found is None:
            raise NotProven(f"{self.name} gave no ciphertext")
        sealed = base64.b64decode(found[2])
        return age.Stanza((self.place.kind, self.place.key, f"v{found[1]}"), sealed)

    def unwrap(self, stanzas: Sequence[age.Stanza], what: str) -> bytes | None:
        """The file key from the first stanza of this key and of a version that counts."""
        del what
        for stanza in stanzas:
            if stanza.arguments[:2] == (self.place.kind, self.place.key):
                if len(stanza.arguments) != 3 or len(stanza.body) != _SEALED_BYTES:
                    raise Misconfigured("not a valid age header: bad stanza of OpenBao")
                sealed = f"vault:{stanza.arguments[2]}:{base64.b64encode(stanza.body).decode()}"
                if (match := _CIPHERTEXT.fullmatch(sealed)) is None:
                    raise Misconfigured("not a valid age header: bad stanza of OpenBao")
                if int(match[1]) >= self.place.version:
                    return self._decrypt(sealed)
        return None

    def health(self) -> str:
        """Encrypt and decrypt once; says whether the server gives the key away, too."""
        probe = bytes(16)
        if self.unwrap([self.wrap(probe, bytes)], "") != probe:
            raise NotProven(f"{self.name} does not decrypt what it encrypted")
        return f"{self.name}; {self._copies()}"

    def _copies(self) -> str:
        # Both flags can be set later by whoever may configure the key. To open takes no right to
        # read them, so a token that has none is no fault.
        try:
            found = _doubts(self.ask(lambda client: self._transit(client, "read_key")))
        except Refused:
            return "this token may not read whether the server gives the key away"
        if not found:
            return "the server says that it made the key and gives it to nobody"
        return f"the server says that the key {'; that it '.join(found)}"

    def _decrypt(self, sealed: str) -> bytes | None:
        from hvac import exceptions

        try:
            answer = self.ask(
                lambda client: self._transit(client, "decrypt_data", ciphertext=sealed)
            )
            file_key = base64.b64decode(str(answer.get("plaintext")), validate=True)
        except exceptions.InvalidRequest:
            return None  # the tag does not hold, or the version is no longer allowed
        except binascii.Error as error:
            raise NotProven(f"{self.name} gave no file key") from error
        if len(file_key) != 16:
            raise NotProven(f"{self.name} gave no file key")
        return file_key

    def _transit(self, client: Any, deed: str, **body: Any) -> dict[str, Any]:
        transit = getattr(client.secrets.transit, deed)
        answer = transit(name=self.place.key, mount_point=self.place.mount, **body)
        data = answer.get("data") if isinstance(answer, dict) else None
        return data if isinstance(data, dict) else {}

    def ask(self, deed: Callable[[Any], T]) -> T:
        """Ask once, and once more with the token of now if it is not allowed.

        Raises hvac's InvalidRequest as it is, else Refused or Unavailable.
        """
        from hvac import exceptions
        from requests.exceptions import RequestException

        for left in (1, 0):
            try:
                self._client = self._client or _connect(self.place, self._patience_s)
                return deed(self._client)
            except (exceptions.Forbidden, exceptions.Unauthorized) as error:
                self._client = None
                if not left:
                    raise Refused(
                        f"{self.name} does not allow it",
                        fix=f"is the token in {self.place.token} good? Does its policy allow it?",
                    ) from error
            except exceptions.InvalidRequest:
                raise
            except (exceptions.VaultError, RequestException, ValueError) as error:
                raise Unavailable(
                    f"{self.name}: {type(error).__name__}",
                    fix="start it, or unseal it; nothing opens meanwhile",
                ) from error
        raise AssertionError("unreachable")


def make_transit_key(text: str) -> str:
    """Make the key that a place names, or a new version of it; return the place with the version.

    The server keeps old versions, for headers that are not rewritten yet. Raises Misconfigured if
    the server gives the key away to whoever may ask it.
    """
    place = BaoPlace.parse(text)
    keys = OpenBaoKeys(place)
    from hvac import exceptions

    def ensure(client: Any) -> int:
        transit = client.secrets.transit
        where = {"name": place.key, "mount_point": place.mount}
        try:
            _refuse_copies(place, transit.read_key(**where)["data"])
            made = transit.rotate_key(**where)
        except exceptions.InvalidPath:
            made = transit.create_key(key_type="aes256-gcm96", exportable=False, **where)
        about = transit.read_key(**where)["data"]
        _refuse_copies(place, about)
        # The version that was made here, not one that somebody brought in meanwhile. Old servers
        # answer nothing (204).
        said = made.get("data") if isinstance(made, dict) else None
        return int((said or about)["latest_version"])

    place = replace(place, version=keys.ask(ensure))
    OpenBaoKeys(place).health()
    return str(place)


def _refuse_copies(place: BaoPlace, about: dict[str, Any]) -> None:
    """Whoever could read the key before would need no server now, and could not be denied.

    None of it can be taken back from a key of Transit.
    """
    if said := _doubts(about):
        raise Misconfigured(
            f"the key {place.key} {said[0]}",
            reasons=said[1:],
            fix="name another key, and let it be made there",
        )


def _doubts(about: dict[str, Any]) -> list[str]:
    """Why a key may be somewhere else, too. A flag that the server does not say is one."""
    wanted = (
        ("exportable", "can be read from the server", None),
        ("allow_plaintext_backup", "can be backed up in clear", None),
        # Servers from before keys could be brought in do not know the word.
        ("imported_key", "was brought into the server: whoever made it may have a copy", False),
    )
    return [
        f"{said} ({flag})" for flag, said, unsaid in wanted if about.get(flag, unsaid) is not False
    ]


def _connect(place: BaoPlace, patience_s: int) -> Any:
    try:
        import hvac
    except ImportError:
        raise Misconfigured(
            "the package hvac is not installed", fix="pip install 'bastide[openbao]'"
        ) from None
    return hvac.Client(
        url=place.url,
        token=read_small(place.token).decode(errors="replace").strip(),
        verify=place.ca or True,
        timeout=patience_s,
        allow_redirects=False,
    )
