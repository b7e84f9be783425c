# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A token behind PKCS#11: where it is, one session to it, and how that session heals.

A place is a PKCS#11 URI (RFC 7512):

    pkcs11:token=acme;object=store?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/p

The PIN is read from the file at each login; ``file:/dev/fd/3`` is an open descriptor. It is never
kept, and never in the environment. `x-recipient` is ours: the public key that was sealed to.

All calls are made by one thread: a session does one thing at a time, and a call that does not
return cannot be ended, only waited for no longer.
"""

import queue
import stat
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import quote, unquote

from bastide.adapters.keys.durable import read_small
from bastide.core.errors import BastideError, Misconfigured, NotAllowed, Unavailable
from bastide.core.limits import KEY_SERVICE_S

__all__ = ["Place", "Token"]

T = TypeVar("T")
_MODULES: Final = threading.Lock()  # C_Finalize must not meet a call of another thread
_SCHEME: Final = "pkcs11:"
_EXAMPLE: Final = "write pkcs11:token=NAME;object=NAME?module-path=/FILE.so&pin-source=file:/FILE"


@dataclass(frozen=True, slots=True)
class Place:
    """Which key of which token, through which module. `recipient` is empty until it is pinned."""

    token: str
    key: str
    module: Path
    pin: Path
    recipient: str = ""

    @classmethod
    def parse(cls, text: str) -> "Place":
        """Read a PKCS#11 URI. Raises Misconfigured, also for an attribute we do not know."""
        path, _, query = text.removeprefix(_SCHEME).partition("?")
        fields: dict[str, str] = {}
        for pair in [*path.split(";"), *filter(None, query.split("&"))]:
            name, mark, value = pair.partition("=")
            if not mark or name in fields:
                raise Misconfigured(f"the attribute {name!r} of a PKCS#11 URI", fix=_EXAMPLE)
            fields[name] = unquote(value)
        wanted = {"token", "object", "module-path", "pin-source"}
        if not text.startswith(_SCHEME) or set(fields) - {"x-recipient"} != wanted:
            raise Misconfigured(
                "a PKCS#11 URI needs token, object, module-path and pin-source, and no more",
                fix=_EXAMPLE,
            )
        source = fields["pin-source"]
        pin = Path(source.removeprefix("file:").removeprefix("//"))
        module = Path(fields["module-path"])
        if not (module.is_absolute() and source.startswith("file:") and pin.is_absolute()):
            raise Misconfigured("module-path and pin-source are absolute paths", fix=_EXAMPLE)
        return cls(fields["token"], fields["object"], module, pin, fields.get("x-recipient", ""))

    def pinned(self, recipient: str) -> "Place":
        """The same place with its public key."""
        return replace(self, recipient=recipient)

    def __str__(self) -> str:
        pin = quote(str(self.pin))
        query = f"module-path={quote(str(self.module))}&pin-source=file:{pin}"
        if self.recipient:
            query += f"&x-recipient={self.recipient}"
        return f"{_SCHEME}token={quote(self.token)};object={quote(self.key)}?{query}"


class Token:
    """One session to a token. It logs in at the first call, and again after it was lost."""

    def __init__(self, place: Place, patience_s: float = KEY_SERVICE_S) -> None:
        self.place = place
        self._patience_s = patience_s
        self._library: Any = None
        self._session: Any = None
        self._keys: dict[Any, Any] = {}
        self._wrong_pin = b""
        self._model = ""
        self._asked: queue.SimpleQueue[tuple[Callable[[], Any], queue.SimpleQueue[Any]]]
        self._asked = queue.SimpleQueue()
        self._begun = threading.Lock()
        self._worker: threading.Thread | None = None

    @property
    def name(self) -> str:
        """What the token says it is; a software token is called one."""
        about = self._model or "a token not seen yet"
        if "softhsm" in about.lower():
            about += " (software twin: no hardware protects the key)"
        return f"{about}, token {self.place.token}, key {self.place.key}"

    def key(self, kind: str) -> Any:
        """The object of the place's name: `PRIVATE_KEY` or `PUBLIC_KEY`. Only within `ask`."""
        import pkcs11

        if kind not in self._keys:
            try:
                self._keys[kind] = self._session.get_key(
                    object_class=pkcs11.ObjectClass[kind], label=self.place.key
                )
            except pkcs11.NoSuchKey:
                raise Misconfigured(
                    f"the token {self.place.token} holds no key {self.place.key}",
                    fix="check `object`; is it the right token?",
                ) from None
            except pkcs11.MultipleObjectsReturned:
                raise Misconfigured(
                    f"the token {self.place.token} holds several keys {self.place.key}",
                    fix="give each a name of its own",
                ) from None
        return self._keys[kind]

    def ask(self, deed: Callable[[Any], T]) -> T:
        """Do something with the session, which MUST be safe to do twice.

        Raises Unavailable if the token is away or does not answer in time; NotAllowed for a PIN
        that does not open it; Misconfigured for a place that is none.
        """
        with self._begun:
            if self._worker is None:
                self._worker = threading.Thread(target=self._work, name="pkcs11", daemon=True)
                self._worker.start()
        answer: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._asked.put((lambda: self._with_session(deed), answer))
        try:
            found = answer.get(timeout=self._patience_s)
        except queue.Empty:
            raise self._away(f"it did not answer within {self._patience_s:g} s") from None
        if isinstance(found, BaseException):
            raise found
        return found

    def forget(self) -> None:
        """Drop the session: the next call logs in again."""
        self._session = None
        self._keys = {}

    def _work(self) -> None:
        while True:
            deed, answer = self._asked.get()
            try:
                with _MODULES:
                    answer.put(deed())
            except BaseException as error:
                answer.put(error)

    def _with_session(self, deed: Callable[[Any], T]) -> T:
        import pkcs11

        for left in (1, 0):
            try:
                if self._session is None:
                    self._login()
                return deed(self._session)
            except BastideError:
                raise
            except pkcs11.PKCS11Error as error:
                # A session may be lost at any time: the token was pulled, the server restarted.
                self.forget()
                again = (
                    pkcs11.NoSuchToken, pkcs11.GeneralError, pkcs11.DeviceError,
                    pkcs11.DeviceRemoved, pkcs11.TokenNotPresent,
                )  # fmt: skip
                if isinstance(error, again) and self._library.initialized:
                    # Modules list their tokens when they start, so it must start again to look.
                    self._library.finalize()
                if not left:
                    said = f"{type(error).__name__} {error}".strip()
                    raise self._away(said) from error
        raise AssertionError("unreachable")

    def _login(self) -> None:
        import pkcs11

        if self._library is None:
            self._library = _load(self.place.module)
        elif not self._library.initialized:
            self._library.initialize()
        token = self._library.get_token(token_label=self.place.token)
        self._model = f"{token.slot.manufacturer_id} {token.model}".strip()
        if token.model and token.model in token.slot.manufacturer_id:
            self._model = token.slot.manufacturer_id
        flags = token.flags
        if flags & (pkcs11.TokenFlag.USER_PIN_FINAL_TRY | pkcs11.TokenFlag.USER_PIN_LOCKED):
            raise NotAllowed(
                f"the token {self.place.token} has one try of its PIN left, or none",
                fix="log in by hand with the vendor's tool; a program does not risk the last try",
            )
        try:
            self._session = token.open(user_pin=self._pin())
        except pkcs11.UserAlreadyLoggedIn:  # by another session of this process
            self._session = token.open()
        except (pkcs11.PinIncorrect, pkcs11.PinInvalid, pkcs11.PinLenRange) as error:
            self._wrong_pin = read_small(self.place.pin)
            raise self._wrong() from error
        except pkcs11.PinLocked as error:
            raise NotAllowed(
                f"the token {self.place.token} is locked", fix="unlock it with its vendor's tool"
            ) from error

    def _pin(self) -> str:
        data = read_small(self.place.pin)
        if data and data == self._wrong_pin:
            raise self._wrong()  # tried once: tokens lock themselves after a few wrong tries
        return data.decode(errors="replace").strip()

    def _wrong(self) -> NotAllowed:
        return NotAllowed(
            f"the PIN in {self.place.pin} does not open the token {self.place.token}",
            fix="put the right PIN there; it is not tried again before the file changes",
        )

    def _away(self, reason: str) -> Unavailable:
        return Unavailable(
            f"the key service {_SCHEME}{self.place.token}: {reason}",
            fix="start it, or put the token in; nothing opens meanwhile",
        )


def _load(module: Path) -> Any:
    """Load a PKCS#11 module: it runs in this process, so nobody else may write it."""
    try:
        import pkcs11
    except ImportError:
        raise Misconfigured(
            "the package python-pkcs11 is not installed", fix="pip install 'bastide[hsm]'"
        ) from None
    try:
        mode = module.stat().st_mode
    except OSError as error:
        raise Misconfigured(
            f"there is no PKCS#11 module {module}", fix="check `module-path`"
        ) from error
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise Misconfigured(f"{module} can be written by others", fix=f"chmod go-w {module}")
    try:
        return pkcs11.lib(str(module))
    except (pkcs11.PKCS11Error, RuntimeError) as error:
        raise Unavailable(
            f"the PKCS#11 module {module} does not start: {error}",
            fix="try it with its vendor's tool",
        ) from error
