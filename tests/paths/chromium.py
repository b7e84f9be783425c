# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A real Chromium, driven by the DevTools protocol over two pipes, with its own authenticator.

The authenticator is the browser's (WebAuthn domain of the protocol): keys, counters and signatures
are made by Chromium, and the page cannot tell it from a device.
"""

import contextlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

PROGRAM = shutil.which("chromium")
_PATIENCE_S = 60.0


class Browser:
    """One page of a browser."""

    def __init__(self, orders: int, answers: int) -> None:
        self._orders, self._answers = orders, answers
        self._sent, self._rest = 0, b""
        self._session: str | None = None
        self.heard: list[dict[str, Any]] = []  # what the browser said by itself
        self.authenticators: list[str] = []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        attached = self.ask("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        self.ask("Page.enable")

    def ask(self, method: str, **params: Any) -> Any:
        """Give an order; its result. Raises AssertionError with what the browser says."""
        self._sent += 1
        order = {"id": self._sent, "method": method, "params": params}
        if self._session is not None:
            order["sessionId"] = self._session
        os.write(self._orders, json.dumps(order).encode() + b"\0")
        while True:
            told = json.loads(self._message())
            if told.get("id") == self._sent:
                assert "error" not in told, (method, told["error"])
                return told["result"]
            if "method" in told:
                self.heard.append(told)

    def evaluate(self, script: str) -> Any:
        """The value of an expression in the page, as if a person had just touched it."""
        done = self.ask(
            "Runtime.evaluate",
            expression=script,
            awaitPromise=True,
            returnByValue=True,
            userGesture=True,
        )
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def text(self, ident: str) -> str:
        """What an element shows."""
        return self.evaluate(f"document.getElementById({json.dumps(ident)})?.textContent ?? ''")

    def wait(self, script: str) -> Any:
        """The value of an expression as soon as it is true."""
        ends = time.monotonic() + _PATIENCE_S
        while time.monotonic() < ends:
            if value := self.evaluate(script):
                return value
            time.sleep(0.05)
        raise AssertionError(f"never true: {script}; the page says {self.text('said')!r}")

    def click(self, ident: str) -> None:
        """Scroll to an element, and press the left button of a mouse in its middle."""
        found = f"document.getElementById({json.dumps(ident)})"
        self.evaluate(f"{found}.scrollIntoView()")
        box = f"{found}.getBoundingClientRect()"
        place = self.evaluate(f"(b => ({{x: b.x + b.width / 2, y: b.y + b.height / 2}}))({box})")
        for kind in ("mousePressed", "mouseReleased"):
            self.ask("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **place)

    def plug_in(self) -> None:
        """Give the browser an authenticator, and a person who touches it and is verified."""
        self.ask("WebAuthn.enable")
        options = {
            "protocol": "ctap2",
            "transport": "internal",
            "hasUserVerification": True,
            "isUserVerified": True,
            "automaticPresenceSimulation": True,
        }
        made = self.ask("WebAuthn.addVirtualAuthenticator", options=options)
        self.authenticators.append(made["authenticatorId"])

    def _message(self) -> bytes:
        while b"\0" not in self._rest:
            piece = os.read(self._answers, 1 << 16)
            assert piece, "the browser has ended"
            self._rest += piece
        message, _, self._rest = self._rest.partition(b"\0")
        return message


@contextlib.contextmanager
def browser(profile: Path) -> Generator[Browser]:
    """Start Chromium without a window, with a profile of its own and no network of others."""
    assert PROGRAM is not None
    # It reads orders from descriptor 3 and writes answers to 4 (--remote-debugging-pipe).
    its_orders, orders = os.pipe()
    answers, its_answers = os.pipe()
    arguments = [
        PROGRAM, "--headless=new", "--remote-debugging-pipe", f"--user-data-dir={profile}",
        "--no-first-run", "--disable-gpu", "--disable-background-networking", "--disable-sync",
        "--disable-component-update", "--disable-dev-shm-usage",
    ]  # fmt: skip
    if os.geteuid() == 0:
        arguments.append("--no-sandbox")  # Chromium's own refuses root
    shell = f'exec "$@" 3<&{its_orders} 4>&{its_answers}'
    with subprocess.Popen(
        ["bash", "-c", shell, "chromium", *arguments],
        pass_fds=(its_orders, its_answers),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={"HOME": str(profile), "PATH": os.environ["PATH"]},
    ) as process:
        os.close(its_orders)
        os.close(its_answers)
        try:
            yield Browser(orders, answers)
        finally:
            os.close(orders)
            os.close(answers)
            process.terminate()
