# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Ledger: the one door through which the state of an environment changes.

An append verifies every statement (`statements.read_signed`), then entries, tree, checkpoint and
projections become durable in one transaction (`commit`). Nothing is ever changed or removed.
"""

import dataclasses
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect

from bastide.core.act import name_actor
from bastide.core.errors import (
    Misconfigured,
    NotAllowed,
    NotFound,
    NotProven,
    Refused,
    Unavailable,
)
from bastide.core.evidence import Evidence, Statement
from bastide.core.key import PublicKey
from bastide.core.policy import Policy
from bastide.core.register import Register
from bastide.core.revocation import Revocations
from bastide.core.subject import Digest
from bastide.crypto import dsse, note
from bastide.crypto.dsse import Envelope, Signer
from bastide.crypto.note import Checkpoint
from bastide.ledger import audit, export, proofs, queries, schema, statements
from bastide.ledger.commit import Batch, Committer
from bastide.ledger.decided import Decisions
from bastide.ledger.denials import DenialLog, Denials
from bastide.ledger.door import ALONE, State, learn, refusal
from bastide.ledger.once import first_said
from bastide.ledger.projections import drop_rows, project, project_batches
from bastide.ledger.tree import head
from bastide.ports import Clock

__all__ = ["Ledger"]

_NO_POLICY = Policy("", False, {})


class Ledger:
    """The ledger in a database.

    signer: a LEDGER key, which signs checkpoints; without one the ledger is read-only.
    Threads may share a ledger, and processes a database.
    """

    def __init__(self, records: Engine, signer: Signer | None, clock: Clock) -> None:
        self._records = records
        self._signers = {} if signer is None else {signer.public.ident: signer}
        self._clock = clock
        self.login: Digest | None = None  # of the person for whom this process acts
        self._charter: Evidence | None = None
        self._register = Register({})
        self._decisions, self._denials = Decisions(_NO_POLICY), DenialLog()
        self._learned = 0  # up to which entry the register has followed the ledger
        self._learning = threading.Lock()
        self._committer = Committer(records, self._seal, self._admit, project_batches)
        self._prepare()

    # Append

    def hold(self, signer: Signer) -> None:
        """Sign checkpoints with this key, too, while it is the one in force."""
        self._signers = {**self._signers, signer.public.ident: signer}

    def append(
        self,
        envelopes: Sequence[Envelope],
        also: Callable[[Connection, range], None] | None = None,
    ) -> range:
        """Append signed statements, all or none; durable on return. Gives their indexes.

        `also` is called with the connection in the same transaction, to write what must become
        durable with the entries. Raises NotProven for a signature or signer that is not right,
        Misconfigured for a statement of another shape, Refused for one that is in the ledger
        already, NotAllowed if the ledger is read-only, Unavailable if the database cannot commit.
        """
        if not self._signers:
            raise NotAllowed("the ledger was opened read-only")
        if self._charter is None and self.size:
            self.charter()
        if self._register.lives or not envelopes:
            try:
                return self._append(envelopes, self._signing(), also)
            except NotProven:
                learned = self._learned
                if self._current() and self._learned == learned:
                    raise
                return self._append(envelopes, self._signing(), also)  # another process enrolled
        charter = statements.read_charter(envelopes[0])
        try:
            return self._append(envelopes, statements.keys_of(charter.body), also)
        except BaseException:
            self._forget()  # what was not written enrols nobody
            raise

    def append_statement(self, statement: Statement, signers: Sequence[Signer]) -> Evidence:
        """Sign a statement with every signer and append it. Raises what `append` raises."""
        statement = name_actor(statement, self.login)
        envelope = dsse.sign(statement.payload(), signers)
        (index,) = self.append([envelope])
        idents = tuple(signer.public.ident for signer in signers)
        return Evidence(statement, idents, envelope.digest, index)

    # Read

    @property
    def size(self) -> int:
        """How many entries there are now."""
        with schema.reading(self._records) as connection:
            return head(connection)[0]

    def envelope(self, index: int) -> Envelope:
        """The signed statement at an index. Raises NotFound."""
        with schema.reading(self._records) as connection:
            return queries.entry(connection, index)[0]

    def entries(self, start: int = 0, end: int | None = None) -> Iterator[Evidence]:
        """The entries from `start` up to `end` (or to the newest when asked), oldest first."""
        stop = self.size if end is None else min(end, self.size)
        for _, _, evidence in queries.scan(self._records, start, stop):
            yield evidence

    def index_of(self, digest: Digest) -> int:
        """The index of the envelope with a digest. Raises NotFound."""
        with schema.reading(self._records) as connection:
            return queries.index_of(connection, digest)

    def by_digest(self, digest: Digest) -> Evidence:
        """The evidence whose envelope has a digest. Raises NotFound."""
        with schema.reading(self._records) as connection:
            return queries.entry(connection, queries.index_of(connection, digest))[1]

    def find(
        self, kind: str, subject: Digest | None = None, name: str | None = None, since: int = 0
    ) -> list[Evidence]:
        """Evidence of a kind, oldest first, from entry `since` on; about `subject`, `name`."""
        with schema.reading(self._records) as connection:
            return queries.find(connection, kind, subject, name, since)

    def charter(self) -> Evidence:
        """Entry 0. Raises NotFound before there is one."""
        if self._charter is None:
            with schema.reading(self._records) as connection:
                envelope, _ = queries.entry(connection, 0)
            charter = statements.read_charter(envelope)
            self._found(charter, 1)
            self._charter = dataclasses.replace(charter, entry=0)
        return self._charter

    def policy(self) -> Policy:
        """The policy of the charter."""
        return Policy.from_json(self.charter().body["policy"])

    def register(self) -> Register:
        """All keys that were ever enrolled, with what became of them. Raises NotFound."""
        self.charter()
        return self._current()

    def decided_before(self, kind: str, name: str) -> str | None:
        """The digest of the newest decision of a kind about a name, which the next one names."""
        self.register()
        return self._decisions.before(kind, name)

    def denials(self) -> Denials:
        """What parties let nobody open, by what became of the keys since. Raises NotFound."""
        self.register()
        with self._learning:
            return self._denials.now(self._register)

    def known_keys(self) -> dict[str, PublicKey]:
        """Every key that was ever enrolled, by id: what a gate looks signers up in."""
        return self.register().known()

    def keys(self) -> dict[str, PublicKey]:
        """The keys that may sign the next entry, by id."""
        self.register()
        return self._signing()

    def api_keys(self, active: bool = True) -> list[Evidence]:
        """The API keys, oldest first; revoked ones too unless `active`. Revocation is final."""
        kinds = ("api-key/v1", "api-key/v2")
        with schema.reading(self._records) as connection:
            return queries.standing(connection, kinds, "api-key-revocation/v1", active, final=True)

    def newest_of(self, *kinds: str) -> int:
        """The index of the newest entry of some kinds, or -1: a cheap sign that there is news."""
        with schema.reading(self._records) as connection:
            return queries.newest_of(connection, kinds)

    def key_expiries(self) -> list[Evidence]:
        """All that was said later about when keys end; the earliest time counts."""
        return self.find("api-key-expiry/v1")

    def prices(self) -> list[Evidence]:
        """The newest price of each model; oldest first."""
        with schema.reading(self._records) as connection:
            return queries.newest(connection, "price/v1")

    def budgets(self) -> list[Evidence]:
        """The newest statement about each budget, also that one is over; oldest first."""
        with schema.reading(self._records) as connection:
            return queries.newest(connection, "budget/v1")

    def deployments(self, active: bool = True) -> list[Evidence]:
        """The deployments, oldest first; ended ones too unless `active`."""
        with schema.reading(self._records) as connection:
            kinds = ("deployment/v1",)
            return queries.standing(connection, kinds, "deployment-end/v1", active, final=False)

    def aliases(self) -> list[Evidence]:
        """The newest statement about each alias, also that one is over; oldest first."""
        with schema.reading(self._records) as connection:
            return queries.newest(connection, "alias/v1")

    def guards(self) -> list[Evidence]:
        """The newest guard policy of each tenant, also that there is none; oldest first."""
        with schema.reading(self._records) as connection:
            return queries.newest(connection, "guard/v1")

    def shares(self) -> list[Evidence]:
        """The newest share of each tenant of each deployment; oldest first."""
        with schema.reading(self._records) as connection:
            return queries.newest(connection, "share/v1")

    def approvals(self, subject: Digest) -> list[Evidence]:
        """The approvals of a subject that count: by keys that count, not revoked, and given since
        its deployment was last ended.

        Else who holds the services' keys could undo a stop by an approval from before it.
        """
        ends = self.find("deployment-end/v1", subject)
        since = ends[-1].entry if ends else None
        given = first_said(self.find("approval/v1", subject))
        register, revoked = self.register(), self.revocations()
        counting = (row for row in given if register.counts(row) and not revoked.ended(row))
        return [row for row in counting if since is None or (row.entry or 0) > since]

    def revocations(self) -> Revocations:
        """All that was revoked by keys whose signatures count."""
        register = self.register()
        return Revocations.of(row for row in self.find("revocation/v1") if register.counts(row))

    # Prove

    def checkpoint(self) -> str:
        """The newest signed checkpoint. Raises NotFound while the ledger is empty."""
        with schema.reading(self._records) as connection:
            return queries.newest_note(connection)

    def prove_inclusion(self, index: int, size: int) -> list[bytes]:
        """Prove that an entry is in the tree of `size`. Raises Misconfigured."""
        with schema.reading(self._records) as connection:
            self._check_size(connection, size)
            return proofs.prove_inclusion(connection, index, size)

    def prove_consistency(self, old: int, new: int) -> list[bytes]:
        """Prove that the tree of `old` is a prefix of that of `new`. Raises Misconfigured."""
        with schema.reading(self._records) as connection:
            self._check_size(connection, new)
            return proofs.prove_consistency(connection, old, new)

    # Maintain

    def rebuild(self) -> None:
        """Drop all projections and replay them from the entries, in one transaction."""
        with schema.writing(self._records) as connection:
            drop_rows(connection)
            for chunk in queries.chunks(connection, 0, head(connection)[0]):
                project(connection, [evidence for _, _, evidence in chunk])

    def audit(self) -> None:
        """Recompute every hash, signature, checkpoint and projected row.

        Raises NotProven, naming the first entry (or checkpoint) that does not hold.
        """
        audit.audit(self._records)

    def export(self, folder: Path) -> None:
        """Write the log as C2SP tlog-tiles into a new folder. Raises Misconfigured."""
        export.export(self._records, folder)

    # Private

    def _append(
        self,
        envelopes: Sequence[Envelope],
        keys: Mapping[str, PublicKey],
        also: Callable[[Connection, range], None] | None,
    ) -> range:
        items = [statements.read_signed(envelope, keys) for envelope in envelopes]
        if any(item.evidence.kind in ALONE for item in items):
            if len(items) != 1:
                raise Refused("a statement about a key, or of what a party decided, goes alone")
            also = also or (lambda _connection, _indexes: None)  # so it has a commit of its own
        return self._committer.append(Batch([item.data for item in items], items, also))

    def _prepare(self) -> None:
        with schema.reading(self._records) as connection:
            known = set(inspect(connection).get_table_names())
        ready = schema.subject.name in known
        if ready and (not self._signers or schema.cosigned.name in known):
            return
        if not self._signers:
            raise NotFound("the database holds no ledger", fix="run `bastide init`")
        with schema.writing(self._records) as connection:
            schema.create_tables(connection)

    def _current(self) -> Register:
        """The register as of the newest entry: other processes append, too."""
        if self._charter is None and self.size:
            self.charter()
        if self._charter is not None:
            with schema.reading(self._records) as connection:
                self._follow(connection, head(connection)[0])
        return self._register

    def _signing(self) -> dict[str, PublicKey]:
        """The keys that may sign the next entry, by what was learned so far."""
        return self._register.signing(max(self._learned, 1))

    def _follow(self, connection: Connection, size: int) -> None:
        """Learn the key statements between what was learned and a size."""
        with self._learning:
            if size <= self._learned:
                return
            followed = (self._register, self._decisions, self._denials)
            self._register = learn(connection, *followed, self._learned, size)
            self._learned = size

    def _state(self, signing: Mapping[str, PublicKey], size: int) -> State:
        return self._register, self._decisions, self._denials, signing, size, self._clock.now_ms()

    def _forget(self) -> None:
        self._charter, self._register, self._learned = None, Register({}), 0
        self._decisions, self._denials = Decisions(_NO_POLICY), DenialLog()

    def _found(self, charter: Evidence, learned: int) -> None:
        """Begin with what a charter says; what follows it is learned entry by entry."""
        self._register, self._learned = statements.read_register(charter), learned
        self._decisions = Decisions(Policy.from_json(charter.body["policy"]))
        self._denials = DenialLog()

    def _seal(self, size: int, root: bytes) -> str:
        """Sign a checkpoint; called under the write lock, when the charter is known."""
        if (signer := self._signers.get(ident := self._register.ledger_key(size).ident)) is None:
            raise Unavailable(
                f"the ledger key in force, {ident}, is not held by this process",
                fix="it was replaced, or is another environment's: start the service again",
            )
        return note.sign_checkpoint(Checkpoint(self.charter().body["origin"], size, root), signer)

    def _admit(self, connection: Connection, size: int, batches: Sequence[Batch]) -> None:
        """Refuse what is in the ledger already, and a charter anywhere but at its beginning."""
        fresh = size == 0
        if not fresh:
            self.charter()
            self._follow(connection, size)
        signing = self._register.signing(size)
        known = queries.known_digests(
            connection, [item.evidence.digest.raw for batch in batches for item in batch.items]
        )
        for batch in batches:
            digests = [item.evidence.digest.raw for item in batch.items]
            charters = [
                position
                for position, item in enumerate(batch.items)
                if item.evidence.kind == "charter/v1"
            ]
            if not known.isdisjoint(digests) or len(set(digests)) != len(digests):
                batch.error = Refused(
                    "the statement is in the ledger already",
                    reasons=[f"sha256:{digest.hex()}" for digest in digests if digest in known],
                )
            elif charters != ([0] if fresh else []) and batch.items:
                batch.error = Refused("a charter is the first entry, and only the first")
            elif not fresh and (error := refusal(connection, batch, self._state(signing, size))):
                batch.error = error
            else:
                known.update(digests)
                if fresh and batch.items:
                    charter = dataclasses.replace(batch.items[0].evidence, entry=0)
                    self._found(charter, len(batch.items))
                    self._charter, signing = charter, self._register.signing(1)
                    fresh = False

    def _check_size(self, connection: Connection, size: int) -> None:
        newest = head(connection)[0]
        if size > newest:
            raise Misconfigured(f"there is no tree of {size}: the ledger has {newest} entries")
