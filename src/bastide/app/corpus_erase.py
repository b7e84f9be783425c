# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Erase a person from every dataset. It never learns who it is from the disk, nor writes it there.

1. The person comes onto the standing list, and the ledger says so: from now on no build takes a
   document about them, and a build that runs meanwhile is refused at its end.
2. Folders of builds that became no dataset are deleted: their build begins again, by the list.
3. Every dataset is searched, shard by shard. What concerns the person goes (corpus_successor): a
   successor is made in a folder of its own, judged by the gates, and appended; then the statement
   that links both roots. Where no document goes, records beside the texts are scrubbed in place.
4. What no dataset needs any more is deleted.

A kill before a statement leaves the dataset as it was, and what was done is found again; a kill
after it leaves deletions, which the next run does. One erasure runs at a time.
"""

import contextlib
import hmac
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from bastide.app.alone import alone
from bastide.app.corpora import manifest_of
from bastide.app.corpus_build import Progress, folder_of
from bastide.app.corpus_erase_work import (
    ScrubJob,
    ShardJob,
    ShardReport,
    Wanted,
    erase_shard,
    scrub_report,
)
from bastide.app.corpus_part import bench_of
from bastide.app.corpus_pool import Pool
from bastide.app.corpus_pseudonyms import pseudonyms_of
from bastide.app.corpus_search import delete_index
from bastide.app.corpus_standing import LISTS, list_object, put_list, read_standing
from bastide.app.corpus_successor import make_successor, positions_of, successor_build
from bastide.app.corpus_tidy import tidy
from bastide.app.denials import SignedDenials
from bastide.app.duties import require
from bastide.app.environment import Environment
from bastide.core.dataset import Manifest
from bastide.core.erasure import ErasureList
from bastide.core.erasure_subject import ErasureSubject
from bastide.core.errors import Misconfigured, Refused
from bastide.core.evidence import Evidence
from bastide.core.key import Purpose
from bastide.core.limits import CORPUS_WORKERS_MAX
from bastide.core.subject import Digest
from bastide.core.utc import utc_day
from bastide.ledger.erased import live_datasets, successors
from bastide.ledger.lineage import RESTING, resting_on
from bastide.stages import corpus, erasure

__all__ = ["Erased", "erase_subject"]

_SALT_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class Erased:
    """What an erasure did, or would do: `account` is for whoever asked. listed: the standing list,
    None in a dry run."""

    account: dict[str, Any]
    listed: ErasureList | None


def erase_subject(
    env: Environment,
    subject: ErasureSubject,
    workers: int,
    progress: Progress | None = None,
    dry_run: bool = False,
) -> Erased:
    """Erase a person from all datasets, or say what would be done; again, go on with it.

    Raises Misconfigured, NotProven for a dataset that is damaged, Refused with every reason.
    """
    require(env, "dataset-erase")
    if not 1 <= workers <= CORPUS_WORKERS_MAX:
        raise Misconfigured(f"--workers is not between 1 and {CORPUS_WORKERS_MAX}")
    tell = progress or (lambda what, done, total: None)
    with contextlib.ExitStack() as stack:
        if not dry_run:
            (env.home.store / LISTS).mkdir(exist_ok=True)
            waiting = partial(tell, "waiting for another erasure", 0, 0)
            stack.enter_context(alone(env.home.store / LISTS, waiting))
        standing = read_standing(env)
        day = utc_day(env.clock.now_ms())
        salt = standing.salt if standing is not None else env.entropy.token(_SALT_BYTES)
        own = ErasureList.make(subject.forms(), day, salt)
        lost = partial(tell, "a worker was lost: what it had is done again", 0, 0)
        pool = stack.enter_context(
            Pool(env.settings, workers, bench_of(env), SignedDenials(env.ledger), lost)
        )
        return _Erasure(env, subject, own, standing, pool, tell, dry_run).run()


@dataclass
class _Erasure:
    """One erasure, from the list to the last deletion."""

    env: Environment
    subject: ErasureSubject
    own: ErasureList
    standing: ErasureList | None
    pool: Pool
    tell: Progress
    dry_run: bool

    def run(self) -> Erased:
        env, listed, entry = self.env, None, None
        if not self.dry_run:
            listed, entry = self._list()
        unfinished = self._sweep_builds()
        rows = live_datasets(env.ledger)
        earlier = [] if self.dry_run else self._earlier()
        concerned, refused = [], list[str]()
        for number, row in enumerate(rows, 1):
            try:
                account = self._dataset(row, f"dataset {number} of {len(rows)}", listed)
            except Refused as error:  # the others must not wait for this one
                why = "; ".join(error.reasons) or error.message
                refused.append(f"{row.subject.name} {row.subject.digest}: {why}")
                continue
            if account:
                concerned.append((row, account))
        resting = resting_on(env.ledger, [row for row, _ in concerned])
        for row, told in concerned:
            told.update(_resting(resting[str(row.subject.digest)]))
        if not self.dry_run:
            self._sweep_followed(rows)
            self._forget_lists()
        if refused:
            raise Refused(
                f"the person is still in {len(refused)} of {len(rows)} datasets; others are done",
                reasons=refused,
                fix="remove what stands against their successors, then erase again",
            )
        account = {
            "dry_run": self.dry_run,
            "subject": self._name.hex() if listed is not None else None,
            "list": str(Digest.of(listed.dump())) if listed is not None else None,
            "entries": len(self.own.entries),
            "entry": entry,
            "searched": len(rows),
            "unfinished_builds": unfinished,
            "datasets": [account for _, account in concerned],
            "earlier": earlier,
        }
        return Erased(account, listed)

    def _earlier(self) -> list[dict[str, Any]]:
        """What earlier runs made anew without the person, by the ledger."""
        subject = Digest.parse(f"sha256:{self._name.hex()}")
        rows = self.env.ledger.find("dataset-erasure/v1", subject=subject)
        return [dict(made) for row in rows for made in row.body["datasets"]]

    @property
    def _name(self) -> bytes:
        """The subject's name in the ledger: nobody can test a guess on it without the keyring."""
        secret = self.env.keyring.secret(Purpose.PEPPER)
        return hmac.digest(secret, b"erasure\0" + b"".join(sorted(self.own.entries)), "sha256")

    def _list(self) -> tuple[ErasureList, int | None]:
        """Put the subject onto the standing list, unless it is there; the list, and the entry."""
        env, before = self.env, self.standing
        if before is not None and self.own.entries <= before.entries:
            known = env.ledger.find("dataset-erasure/v1", name="subject")
            return before, known[-1].entry
        listed = self.own if before is None else before.merged(self.own)
        return listed, self._record(put_list(env, listed), len(listed.entries), []).entry

    def _record(self, digest: Digest, entries: int, made: Sequence[dict[str, Any]]) -> Evidence:
        env = self.env
        signer = env.signer(Purpose.EVIDENCE)
        return erasure.record(env.ledger, self._name, digest, entries, made, signer, env.clock)

    def _dataset(
        self, row: Evidence, which: str, listed: ErasureList | None
    ) -> dict[str, Any] | None:
        """Erase the subject from one dataset; what was done, or None if it is not about them."""
        env, folder = self.env, folder_of(row.body["build"])
        if not env.store.names(folder):
            return None  # whoever deleted the folder left nothing to erase
        with self._alone(folder):
            manifest = manifest_of(env, row)
            pseudonyms, key = pseudonyms_of(env, row, self.subject.values)
            wanted = Wanted(self.own.dump(), pseudonyms)
            build = "" if self.dry_run else successor_build(row, self._name)
            found = self._searched(manifest, wanted, f"searching {which}", build)
            gone = sum(len(report.removed) for report in found.values())
            gone_at = positions_of(env.store, folder, found.values())
            jobs = _scrub_jobs(env, folder, wanted, "" if self.dry_run else folder, gone_at)
            if gone and listed is not None:
                successor, made, scrubbed = make_successor(
                    env, row, manifest, build, found, self.pool, jobs, self.tell
                )
                self._append(row, successor, made, listed)
            else:
                scrubbed = sum(count for _, count in self.pool.each(scrub_report, jobs))
                if not self.dry_run:
                    tidy(env.store, folder)
                made = {"new": None, "new_root": None}
        if not gone and not scrubbed:
            return None
        numbers = [at for at, shard in enumerate(manifest.shards) if found[shard.object].removed]
        return {
            "dataset": row.subject.name,
            "digest": str(row.subject.digest),
            "entry": row.entry,
            "root": row.body["root"],
            "documents": gone,
            "of_documents": manifest.documents,
            "shards": numbers,
            "of_shards": len(manifest.shards),
            "records": scrubbed,
            "pseudonym_key": key,
            "successor": made["new"],
            "new_root": made["new_root"],
        }

    def _searched(
        self, manifest: Manifest, wanted: Wanted, what: str, build: str
    ) -> dict[str, ShardReport]:
        """What was found in each shard, by its object; with a build, also what is left of it."""
        target = folder_of(build) if build else ""
        jobs = [ShardJob(shard, wanted, target) for shard in manifest.shards]
        found: dict[str, ShardReport] = {}
        total, done = sum(shard.bytes for shard in manifest.shards), 0
        self.tell(what, 0, total)
        for job, report in self.pool.each(erase_shard, jobs):
            found[job.shard.object] = report
            done += job.shard.bytes
            self.tell(what, done, total)
        return found

    def _append(
        self, row: Evidence, successor: Manifest, made: dict[str, Any], listed: ErasureList
    ) -> None:
        """Append the successor, then what links it to the dataset that it follows."""
        env = self.env
        self.tell("recording the successor", 0, 1)
        corpus.record_successor(env.ledger, row, successor, env.signer(Purpose.EVIDENCE), env.clock)
        self._record(Digest.of(listed.dump()), len(listed.entries), [made])
        self.tell("recording the successor", 1, 1)

    def _sweep_builds(self) -> int:
        """Delete builds that became no dataset, and what an earlier erasure left; not what this one
        may go on with. Returns how many builds there were; in a dry run, how many there are.
        """
        env, rows = self.env, live_datasets(self.env.ledger)
        kept = {folder_of(successor_build(row, self._name)) for row in rows}
        folders = {"/".join(name.split("/", 2)[:2]) for name in env.store.names("corpora")}
        known = {folder_of(row.body["build"]) for row in env.ledger.find("dataset/v1")}
        if not self.dry_run:
            self._delete(folders - kept)
        return len(folders - kept - known)

    def _sweep_followed(self, rows: Sequence[Evidence]) -> None:
        """Delete the datasets that were made anew, and what the search of the others left."""
        builds = {row.body["build"] for row in rows}
        builds |= {successor_build(row, self._name) for row in rows}
        self._delete(set(map(folder_of, builds)))

    def _delete(self, folders: set[str]) -> None:
        """Delete folders, but for datasets, for shards that datasets have there, and for proofs."""
        env, rows = self.env, live_datasets(self.env.ledger)
        needed = {
            shard.object
            for row in rows
            if env.store.names(folder_of(row.body["build"]))
            for shard in manifest_of(env, row).shards
        }
        live = {folder_of(row.body["build"]) for row in rows}
        for number, folder in enumerate(sorted(folders - live)):
            self.tell("deleting what no dataset needs", number, len(folders))
            if env.store.names(folder):
                with self._alone(folder):
                    self._empty(folder, needed)

    def _empty(self, folder: str, needed: set[str]) -> None:
        env, rows = self.env, self.env.ledger.find("dataset/v1")
        gone = successors(env.ledger)
        here = [row for row in rows if folder_of(row.body["build"]) == folder]
        if any(str(row.subject.digest) not in gone for row in here):
            return  # the build that we waited for is a dataset now
        delete_index(env.store, folder)
        for name in env.store.names(folder):
            if name not in needed and not (here and name.startswith(f"{folder}/tombstones-")):
                env.store.delete(name)
        env.store.sweep(folder)

    def _forget_lists(self) -> None:
        """Delete the lists that are in force no more."""
        current = read_standing(self.env)
        if current is not None:
            kept = list_object(str(Digest.of(current.dump())))
            for name in self.env.store.names(LISTS):
                if name != kept:
                    self.env.store.delete(name)

    @contextlib.contextmanager
    def _alone(self, folder: str) -> Generator[None]:
        if self.dry_run:  # which leaves nothing behind, and so may see half of what another writes
            yield
            return
        waiting = partial(self.tell, "waiting for another build", 0, 0)
        with alone(self.env.home.store / folder, waiting):
            yield


def _scrub_jobs(
    env: Environment, folder: str, wanted: Wanted, target: str, gone: Mapping[int, frozenset[int]]
) -> list[ScrubJob]:
    jobs = []
    for kind in ("parts", "batches"):
        for name in env.store.names(f"{folder}/{kind}"):
            if name.endswith("/report"):
                report = name.removeprefix(f"{folder}/")
                number = int(report.split("/")[1])
                here = gone.get(number, frozenset[int]()) if kind == "parts" else frozenset[int]()
                jobs.append(ScrubJob(folder, report, wanted, here, target))
    return jobs


def _resting(rows: Sequence[Evidence]) -> dict[str, list[dict[str, Any]]]:
    """What rests on a dataset, by what it is."""
    found: dict[str, list[dict[str, Any]]] = {what: [] for what in RESTING.values()}
    for row in rows:
        subject = {"name": row.subject.name, "digest": str(row.subject.digest)}
        for shown in row.body["runs"] if row.kind == "training/v1" else [subject]:
            found[RESTING[row.kind]].append({**shown, "kind": row.kind, "entry": row.entry})
    return found
