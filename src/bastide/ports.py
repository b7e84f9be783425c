# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What we ask of the world. Each port is written from its caller's side.

`tests/contracts/` runs one suite per port over every adapter. MUST is meant as in RFC 2119.
Time, chance, disk and network reach the program only through these ports.
"""

from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from bastide.core.chat import Delta, Embedded, EmbedRequest, GenerateRequest, TokenChoice
from bastide.core.key import Purpose
from bastide.core.party import Party
from bastide.core.receipt import Receipt
from bastide.core.subject import Digest
from bastide.core.witnessing import Seen, Watched
from bastide.crypto import age
from bastide.crypto.dsse import Signer


class Dial(Protocol):
    """Connects to one service of ours that is known beforehand."""

    async def __call__(self, make: Callable[[], Any]) -> Any:
        """Connect, and give the protocol that `make` made, an `asyncio.Protocol`.

        It MUST NOT get a byte from anybody but that service. Raises Unavailable or NotProven.
        """


class Clock(Protocol):
    """Time."""

    def now_ms(self) -> int:
        """Milliseconds since 1970 (UTC)."""

    def monotonic(self) -> float:
        """Seconds from any fixed point; MUST never go back."""


class Entropy(Protocol):
    """Chance."""

    def token(self, count: int) -> bytes:
        """`count` bytes from the operating system's generator."""


class Reader(Protocol):
    """Random access to one stored object."""

    @property
    def size(self) -> int:
        """Bytes in the object."""

    def read_at(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes from `offset`; fewer only at the end of the object."""

    def close(self) -> None:
        """Free what the reader holds. MUST be safe to call twice."""


class Store(Protocol):
    """Objects by name. A name is `/`-separated, of ``[a-z0-9._-]`` segments.

    An object is written once: `put` over an existing name MUST replace it as a whole or not at
    all, and after `put` returns the object MUST survive a power cut.
    """

    def put(self, name: str, chunks: Iterable[bytes | memoryview]) -> int:
        """Write one object and return its size. Nothing is visible before all is durable."""

    def open(self, name: str) -> AbstractContextManager[Reader]:
        """Open an object. Raises NotFound."""

    def delete(self, name: str) -> None:
        """Remove an object. MUST NOT fail if there is none."""

    def names(self, prefix: str = "") -> list[str]:
        """All names below a prefix, sorted."""


class SealingStore(Store, Protocol):
    """A store whose objects are age files with a detached header (docs/adr/0003)."""

    def header(self, name: str) -> bytes:
        """The age header of an object. Raises NotFound."""

    def digests(self, name: str) -> tuple[Digest, Digest]:
        """The digests of an object's header and of its body, as stored."""

    def export(self, name: str) -> Iterator[bytes]:
        """Header, then body: together a standard age file."""

    def rewrap(self, name: str) -> None:
        """Give an object a header for the present keys. Its body MUST stay as it is."""

    def header_for(self, name: str, recipient: str) -> bytes:
        """A header of an object for one age recipient alone. Nothing stored MUST change."""

    def sealed_file(self, name: str, header: bytes) -> AbstractContextManager[Reader]:
        """The age file that such a header and the object's body are. Raises NotFound, NotProven."""

    def sweep(self, prefix: str = "") -> list[str]:
        """Delete what killed writers left below a prefix. Nobody may be writing there."""


class Attester(Protocol):
    """The hardware of a machine, which says what it is and what it measured. It may be slow."""

    @property
    def kind(self) -> str:
        """A kind of `core.reference`."""

    def identify(self) -> Mapping[str, bytes]:
        """The public parts that control needs to ask."""

    def answer(self, challenge: Mapping[str, bytes]) -> bytes:
        """What only the hardware that `identify` named can answer."""

    def measure(self, event: Mapping[str, str]) -> None:
        """Measure what is about to run; MUST NOT be undone but by a boot. Raises Refused."""

    def quote(self, qualifying: bytes) -> Mapping[str, bytes]:
        """Evidence over all that was measured, bound to 32 bytes."""

    def close(self) -> None:
        """Free what it holds."""


class Registry(Protocol):
    """One repository of an OCI registry: blobs by digest, manifests by digest or tag.

    What it returns is not believed: whoever asks compares digests.
    """

    @property
    def name(self) -> str:
        """Host and repository, as people write them."""

    def has_blob(self, digest: Digest) -> bool:
        """Whether the blob is there already."""

    def put_blob(
        self, digest: Digest, content: Reader, progress: Callable[[int], None] | None = None
    ) -> None:
        """Upload a blob. It MUST go on after a broken connection, and hold a bounded part of it.

        progress: is told the bytes that are there.
        """

    def put_manifest(self, reference: str, media_type: str, data: bytes) -> None:
        """Upload a manifest under a tag or its digest. Its blobs MUST be there."""

    def manifest(self, reference: str) -> bytes:
        """The manifest under a tag or digest, bounded. Raises NotFound."""

    def blob(self, digest: Digest, offset: int = 0) -> Iterator[bytes]:
        """The bytes of a blob from `offset` on; they may end early. Raises NotFound."""


class Keyring(Protocol):
    """Private keys, by purpose. Nothing here is ever written to a log or an environment."""

    def signer(self, purpose: Purpose, party: Party | None = None) -> Signer:
        """The newest signing key of a purpose (and party). Raises NotFound if none is held here."""

    def signers(self, purpose: Purpose, party: Party | None = None) -> Sequence[Signer]:
        """All signing keys of a purpose (and party), oldest first.

        Which of them signs is for the ledger's register to say: a successor is held before it is
        enrolled, and the key before it until it is destroyed.
        """

    def with_new(self, purpose: Purpose, entropy: Entropy) -> "Keyring":
        """The same keyring with one more signing key of a service; nothing is written."""

    def without(self, ident: str) -> "Keyring":
        """The same keyring without the signing key of an id; nothing is written."""

    def secret(self, purpose: Purpose) -> bytes:
        """The 32 secret bytes of `DATABASE`, `PEPPER` or `TLS_CA`. Raises NotFound."""

    def portion(self, purposes: Sequence[Purpose]) -> str:
        """The keys of some purposes as text, for the standard input of a child process."""

    def identities(self) -> tuple[str, ...]:
        """What opens sealed objects, newest first: age identities (``AGE-SECRET-KEY-...``), or
        where a key service holds the key (``pkcs11:...``, ``openbao:...``).
        """


class KeyService(Protocol):
    """Whoever holds the key that opens sealed objects: this process, an HSM, a key server.

    It gives out one file key at a time, never its own key, and keeps none of either. Every
    method raises Unavailable if the service is down or does not answer in time, and MUST work
    again by itself once the service does.
    """

    @property
    def name(self) -> str:
        """What holds the key, for people. It MUST NOT call hardware what is software."""

    def recipients(self) -> tuple[age.Recipient, ...]:
        """What is sealed to, newest first. Naming them MUST NOT need the service."""

    def unwrap(self, stanzas: Sequence[age.Stanza], what: str) -> bytes | None:
        """The file key (16 bytes) from the stanzas of one header; None if none is for this key.

        `what` is the object, for the record of openings. Whether the header's MAC holds is the
        caller's to check. Raises Misconfigured for a malformed stanza, Refused if the owner
        denies it, NotProven if the service holds another key than the one that was sealed to.
        """

    def health(self) -> str:
        """What answers, tried with a key of its own. Raises Unavailable, NotAllowed, NotProven."""


class DenyList(Protocol):
    """What the owner lets nobody open: names of objects, beginnings of names, or ``*``."""

    def read(self) -> tuple[str, ...]:
        """The list; empty if there is none. Raises Unavailable if it cannot be read."""

    def write(self, names: Sequence[str]) -> None:
        """Put another in its place; it holds for the next opening in every process."""


class Engine(Protocol):
    """A loaded model. Calls may overlap; the engine batches them.

    Every method raises Unavailable when the engine is gone. Closing an answer's iterator early
    MUST free its slot within 0.5 s.
    """

    def generate(self, request: GenerateRequest) -> AsyncIterator[Delta]:
        """Answer a request piece by piece. The last delta, and only it, has a finish.

        An answer MUST follow the request's schema, and call tools as its `choice` says. Every
        delta SHOULD have the usage so far, so that an answer that is cut off is still counted.
        Raises Misconfigured for what the model cannot take, Busy if too much is asked now.
        """

    async def count(self, request: GenerateRequest) -> int:
        """How many tokens the prompt of a request has, with the model's template."""

    async def embed(self, request: EmbedRequest) -> Embedded:
        """One vector for each text. Raises Misconfigured if the model makes none."""

    async def next_tokens(self, prompt: str, count: int) -> Sequence[TokenChoice]:
        """The `count` likeliest next tokens after `prompt`, likeliest first.

        Empty if the likeliest one is no whole character.
        """

    async def health(self) -> None:
        """Return if the engine can answer. Raises Unavailable."""

    async def close(self) -> None:
        """Stop. MUST be safe to call twice."""


class LiveEngine(Engine, Protocol):
    """An engine whose process we own."""

    @property
    def version(self) -> str:
        """What answers, for instance ``llama.cpp b1234``."""

    async def wait(self) -> int:
        """Wait until its process has ended; the exit status."""


@dataclass(frozen=True, slots=True)
class Jail:
    """What one sandboxed process may see.

    argv: program and arguments; readable: host paths it may read (mounted at the same place);
    writable: one directory for its socket; inherit: file descriptors it keeps open (their numbers
    stay the same); environment: its whole environment; devices: device files it may use.

    With `processes` it may start processes of its own. They see each other, a loopback of their
    own, and a /tmp and a /dev/shm that are only memory; the rest of the world stays as closed.
    """

    argv: tuple[str, ...]
    readable: tuple[str, ...]
    writable: str
    inherit: tuple[int, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    devices: tuple[str, ...] = ()
    processes: bool = False


class Process(Protocol):
    """A running child."""

    @property
    def pid(self) -> int:
        """Process id of the outermost process."""

    async def wait(self) -> int:
        """Wait for the end; the exit status, negative for a signal."""

    def kill(self) -> None:
        """Kill it and everything in it. MUST be safe to call twice."""


class Sandbox(Protocol):
    """Runs a program without network, capabilities or write access beyond its socket's folder."""

    @property
    def name(self) -> str:
        """What isolates, for `doctor` and for receipts: ``bubblewrap``, ``landlock`` ..."""

    async def start(self, jail: Jail) -> Process:
        """Start a process. Raises Unavailable if the isolation cannot be set up: never weaker."""


class ReceiptSink(Protocol):
    """Where the gateway puts receipts."""

    def put(self, receipt: Receipt) -> Awaitable[None]:
        """Hand over a receipt, at once; what is returned ends when the receipt is durable.

        It raises Unavailable if that is not known within RECEIPT_TIMEOUT_S. Who stops waiting
        MUST NOT stop the receipt.
        """


class Compute(Protocol):
    """Workers that hold one bench and do jobs with it. For one thread."""

    def each(
        self, task: Callable[[Any, Any], Any], jobs: Iterable[Any]
    ) -> Iterator[tuple[Any, Any]]:
        """Do a task, a module's function of bench and job; yield job and result as each ends.

        Jobs are drawn as there is room. A task MUST NOT raise, and done twice MUST do the same:
        what a lost worker had MUST run again, COMPUTE_TRIES times at most: then Unavailable.
        """
        ...

    def close(self, cancel: bool = False) -> None:
        """End the workers; with `cancel` at once. MUST be safe to call twice."""
        ...


class SpanFinder(Protocol):
    """Finds names and addresses of persons in texts: a model, or what stands in for one.

    Nobody trusts it: its caller judges every answer, and refuses what is no answer. It MUST find
    the same spans in the same text each time, alone or among others.
    """

    def find(self, texts: Sequence[str]) -> Sequence[Sequence[tuple[int, int, str]]]:
        """For each text its spans: the first character, the one after the last, and the kind.

        MUST be in order, none inside another. Raises Refused or Unavailable, never quoting a text.
        """

    def close(self) -> None:
        """End what it holds. MUST be safe to call twice."""


class WitnessMemory(Protocol):
    """What a witness knows of the logs that it watches. Several threads and processes may ask."""

    def watch(self, origin: str, vkeys: list[str]) -> None:
        """Cosign a log with these keys from now on; what was seen of it stays."""

    def logs(self) -> list[Watched]:
        """Every log that is watched, by its origin."""

    def log(self, origin: str) -> Watched:
        """One log. Raises NotFound."""

    def advance(self, origin: str, judge: Callable[[Watched], Seen]) -> Seen:
        """Judge what is known of a log and remember what comes of it.

        MUST be one step for all who ask, and durable on return; what `judge` raises MUST leave the
        memory as it was. Raises NotFound.
        """

    def refuse(self, time_ms: int, origin: str, reason: str, note: str) -> None:
        """Keep a signed head that may prove that a log misbehaved. MAY forget the oldest."""

    def refusals(self) -> list[dict[str, object]]:
        """What was refused, the newest first: time_ms, origin, reason, note."""
