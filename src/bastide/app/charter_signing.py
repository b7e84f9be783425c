# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A charter whose parties sign it on machines of their own, while the founder waits.

The founder's machine never holds a party's key. It writes the charter into a folder, say on a
stick; each party reads it, signs a copy with `bastide sign` and puts the copy into the same folder.
When all have signed, founding goes on. Until then nothing is founded.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bastide.core.errors import BastideError, Misconfigured, NotProven, Unavailable
from bastide.core.key import PublicKey
from bastide.core.party import Party
from bastide.crypto import dsse
from bastide.crypto.dsse import Envelope
from bastide.ports import Clock

__all__ = ["CHARTER_FILE", "CharterRound", "collect_signatures"]

CHARTER_FILE: Final = "charter.json"
_POLL_S: Final = 0.2
_FILE_BYTES_MAX: Final = 1024 * 1024  # a charter has some 10 KiB
_FILES_MAX: Final = 100  # of a folder, of which three are needed


@dataclass(frozen=True, slots=True)
class CharterRound:
    """Where a charter is signed, by whom, and how long the founder waits.

    folder: for the charter and its signed copies. keys: every party's public key.
    tell: says to the person what is awaited, and what was wrong with a copy.
    """

    folder: Path
    keys: Mapping[Party, PublicKey]
    wait_s: float
    clock: Clock
    sleep: Callable[[float], None]
    tell: Callable[[str], None]


def collect_signatures(round_: CharterRound, payload: bytes) -> dict[Party, tuple[str, bytes]]:
    """Write the charter and wait until every party has signed a copy.

    What is wrong with a copy is said when the time is over: a stick may be slow, and a file is seen
    half copied. Raises Unavailable with all that is missing and the charter taken away again,
    Misconfigured if the folder has a charter already, or what writing raises.
    """
    place = round_.folder / CHARTER_FILE
    try:
        with place.open("x") as file:
            file.write(json.dumps(Envelope(payload, ()).to_json(), indent=2) + "\n")
    except FileExistsError as error:
        raise Misconfigured(
            f"{place} is there already", fix="choose an empty folder for the charter"
        ) from error
    round_.tell(
        f"The charter is {place}. Each party: read it, sign a copy with"
        " `bastide sign COPY.json --key FILE`, and put the copy beside it."
    )
    found: dict[Party, tuple[str, bytes]] = {}
    deadline_ms = round_.clock.now_ms() + 1000 * round_.wait_s
    try:
        while True:
            wrong = _look(round_, payload, found)
            missing = [party for party in Party if party not in found]
            if not missing:
                return found
            if round_.clock.now_ms() >= deadline_ms:
                raise Unavailable(
                    f"nothing was founded: the charter is not signed by {', '.join(missing)}",
                    reasons=wrong,
                    fix="run the same command again, with copies of the new charter",
                )
            round_.sleep(_POLL_S)
    except BaseException:
        place.unlink(missing_ok=True)
        raise


def _look(round_: CharterRound, payload: bytes, found: dict[Party, tuple[str, bytes]]) -> list[str]:
    """Take the signatures that came since; what is wrong with copies, by file."""
    idents = {key.ident: party for party, key in round_.keys.items()}
    wrong = []
    for path in sorted(round_.folder.glob("*.json"))[:_FILES_MAX]:
        try:
            signatures = _signatures(path, payload, round_.keys)
        except (OSError, ValueError, RecursionError, BastideError) as error:
            wrong.append(f"{path.name}: {error}")
            continue
        for ident, signature in signatures:
            if idents[ident] not in found:
                found[idents[ident]] = (ident, signature)
                round_.tell(f"  signed by the {idents[ident]}")
    return wrong


def _signatures(
    path: Path, payload: bytes, keys: Mapping[Party, PublicKey]
) -> list[tuple[str, bytes]]:
    """The signatures of a copy, each verified. Raises BastideError, OSError or ValueError."""
    with path.open("rb") as file:
        envelope = Envelope.from_json(json.loads(file.read(_FILE_BYTES_MAX)))
    if envelope.payload != payload:
        raise NotProven("it is another charter than the one to sign")
    if envelope.signatures:
        dsse.verify_envelope(envelope, {key.ident: key for key in keys.values()})
    return list(envelope.signatures)
