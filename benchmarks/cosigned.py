# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What verifying costs: a tlog-proof, a receipt under a cosigned head, and the chain behind it.

* proof: a C2SP tlog-proof of the batch: head, two witnesses with two algorithms each, inclusion;
* receipt: the same, the batch's own signature and the receipt's place in it: that this receipt is
  in a log that two parties have seen;
* chain: `bastide verify`: back to the model, with every statement, approval and gate.

And what a witness costs: `cosign` is one round of a witness, its memory on this disk.

CPU milliseconds of one core; the best and the median of `--rounds`.

    python benchmarks/cosigned.py [--rounds 15]
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

from bastide.adapters.clock.fixed import FixedClock  # noqa: E402
from bastide.adapters.witness.sqlite import WitnessMemory  # noqa: E402
from bastide.app.witness import Witness  # noqa: E402
from bastide.core.canonical import canonical  # noqa: E402
from bastide.core.key import Purpose  # noqa: E402
from bastide.core.party import Party  # noqa: E402
from bastide.crypto import dsse, merkle, note  # noqa: E402
from bastide.crypto.cosignature import cosigned_by  # noqa: E402
from bastide.crypto.dsse import Envelope  # noqa: E402
from bastide.crypto.submission import write_submission  # noqa: E402
from bastide.crypto.tlog_proof import read_proof, write_proof  # noqa: E402
from bastide.ledger.verify import trace_bundle  # noqa: E402
from unit.chain_fixture import make_chain  # noqa: E402
from unit.test_verify_cosigned import KEYS, cosigned, enrol  # noqa: E402

ONCE = 50


def timed(rounds: int, work: Callable[[], object]) -> dict[str, float]:
    work()
    spent = []
    for _ in range(rounds):
        began = time.process_time()
        for _ in range(ONCE):
            work()
        spent.append((time.process_time() - began) / ONCE * 1_000)
    return {"best": round(min(spent), 3), "median": round(statistics.median(spent), 3)}


def run(rounds: int, folder: Path) -> dict[str, dict[str, float]]:
    chain = make_chain(folder)
    for party in Party:
        enrol(chain, party)
    bundle = cosigned(chain, Party.FIRM, Party.GUARDIAN)
    ledger = chain.world.ledger
    origin, key = chain.anchors["origin"], chain.world.signers[Purpose.LEDGER].public
    evidence = chain.world.signers[Purpose.EVIDENCE].public
    batch, receipt = bundle["entries"]["batch"], canonical(bundle["receipt"])
    size = int(bundle["checkpoint"].splitlines()[1])
    text = write_proof(
        batch["index"], ledger.prove_inclusion(batch["index"], size), bundle["checkpoint"]
    )
    sealed = json.dumps(batch["envelope"])
    inside = bundle["inclusion"]
    path = [bytes.fromhex(row) for row in inside["proof"]]

    def proof() -> Envelope:
        given = read_proof(text)
        head = note.open_checkpoint(given.checkpoint, origin, key)
        for party in (Party.FIRM, Party.GUARDIAN):
            assert cosigned_by(given.checkpoint, KEYS[party].public) is not None
        envelope = Envelope.from_json(json.loads(sealed))
        leaf = merkle.leaf_hash(envelope.encode())
        merkle.verify_inclusion(leaf, given.index, head.size, given.proof, head.root)
        return envelope

    def whole_receipt() -> None:
        envelope = proof()
        dsse.verify_envelope(envelope, {evidence.ident: evidence})
        root = bytes.fromhex(json.loads(envelope.payload)["predicate"]["root"])
        leaf = merkle.leaf_hash(receipt)
        merkle.verify_inclusion(leaf, inside["index"], inside["size"], path, root)

    memory = WitnessMemory(folder / "witness.db")
    memory.watch(origin, [note.verifier_key(origin, key)])
    witness = Witness(KEYS[Party.FIRM], memory, FixedClock(1_700_000_000_000))
    body = write_submission(0, [], bundle["checkpoint"]).encode()
    witness.answer("POST", "/add-checkpoint", body)
    again = write_submission(size, [], bundle["checkpoint"]).encode()
    return {
        "proof": timed(rounds, proof),
        "receipt": timed(rounds, whole_receipt),
        "chain": timed(rounds, lambda: trace_bundle(bundle, chain.anchors)),
        "cosign": timed(rounds, lambda: witness.answer("POST", "/add-checkpoint", again)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15)
    with tempfile.TemporaryDirectory() as folder:
        result = run(parser.parse_args().rounds, Path(folder))
    for name, row in result.items():
        print(f"{name:8} best {row['best']:7.3f} ms   median {row['median']:7.3f} ms")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
