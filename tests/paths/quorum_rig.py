# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""An environment whose keyring three custodians hold, and what they hold."""

from pathlib import Path

from bastide.crypto import age
from paths.demo import Demo
from paths.test_passkeys import free_port

PARTIES = ("firm", "operator", "guardian")


def identity(number: int) -> age.X25519Identity:
    """The key of a custodian: 1 to 3 are those of the founding, in the order of PARTIES."""
    return age.X25519Identity(bytes([number]) * 32)


def found_quorum(folder: Path) -> tuple[Demo, Path]:
    """The environment, and the folder of the custodians' own keys and shares."""
    people, demo = folder / "people", Demo(folder / "home")
    people.mkdir()
    quorum = []
    for number, party in enumerate(PARTIES, start=1):
        (people / f"{party}.txt").write_text(f"# a custodian\n{identity(number).secret()}\n")
        quorum += ["--quorum", f"{party}={identity(number).recipient()}"]
    made = demo.json(
        "init", "--parties", "separate", "--listen", f"127.0.0.1:{free_port()}",
        "--exit-recipient", str(identity(9).recipient()), *quorum,
    )  # fmt: skip
    assert made["unlock"] is None
    assert made["exit_identity"] is None
    for file in map(Path, (*made["shares"], *made["key_files"])):
        file.rename(people / file.name)
    return demo, people


def share_of(people: Path, party: str) -> tuple[str, ...]:
    """The options with which a custodian brings a share."""
    share, key = people / f"{party}.share.age", people / f"{party}.txt"
    return ("--share", str(share), "--identity", str(key))
