# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""`bastide ledger keys` says which keys may sign, from the charter and the statements behind it.

To see it fail I once broke the code: with `list_signing_keys` ignoring `ended`, it failed.
"""

from pathlib import Path

from bastide.app.config import Home
from bastide.app.environment import open_environment, read_passphrase
from bastide.core.party import Party
from paths.demo import Demo
from unit.test_register import change


def test_a_stopped_key_is_listed_only_if_asked(tmp_path: Path) -> None:
    demo = Demo(tmp_path / "home")
    demo.json("init")
    founded = demo.json("ledger", "keys")
    home = Home(demo.home)
    with open_environment(home, read_passphrase(home)) as env:
        charter = env.ledger.charter().body["keys"]
        firm = env.party_signers()[Party.FIRM]
        statement = change(firm.public.ident, "compromised", 1)
        entry = env.ledger.append_statement(statement, [firm]).entry
    assert [row["id"] for row in founded] == [row["id"] for row in charter]
    assert {(row["state"], row["since"]) for row in founded} == {("active", 0)}
    left = demo.json("ledger", "keys")
    assert left == [row for row in founded if row["id"] != firm.public.ident]
    gone = [row for row in demo.json("ledger", "keys", "--all") if row not in left]
    assert [(row["id"], row["party"], row["state"], row["since"]) for row in gone] == [
        (firm.public.ident, "firm", "compromised", entry)
    ]
    demo.run("ledger", "audit")
