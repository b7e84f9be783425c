# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A sealed release goes to a real OCI registry and comes back into another environment."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import oras.client
import pytest

from bastide.app.first_run import embedded_model
from bastide.core.subject import Digest
from contracts.registry_server import LOGIN, RegistryServer, needs_registry, registry_server
from paths.demo import Demo
from paths.furnished import MODEL, served_copy

pytestmark = [needs_registry, pytest.mark.slow]
REPOSITORY = "models/smollm2"


@dataclass(frozen=True)
class World:
    """An environment that pushes, one that pulls, and the registry between them."""

    sender: Demo
    receiver: Demo
    server: RegistryServer
    folder: Path

    @property
    def where(self) -> str:
        return f"{self.server.host}/{REPOSITORY}"

    @property
    def reach(self) -> tuple[str, ...]:
        return ("--ca", str(self.server.ca), "--login", str(self.folder / "login"))

    @property
    def signer(self) -> tuple[str, ...]:
        return ("--signer", str(self.sender.home / "public" / "model-signing.pem"))

    def recipient(self) -> str:
        return str(self.receiver.json("store", "where")["recipients"][0])

    def push(self, tag: str) -> dict[str, str]:
        to = ("--to", self.recipient())
        return self.sender.json("release", "push", MODEL, f"{self.where}:{tag}", *to, *self.reach)

    def blob(self, digest: str) -> Path:
        """Where the registry keeps a blob on its disk."""
        named = digest.removeprefix("sha256:")
        return next(self.server.folder.glob(f"data/**/sha256/{named[:2]}/{named}/data"))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("oci")
    sender, _ = served_copy(tmp_path_factory, folder / "sender")
    receiver = Demo(folder / "receiver")
    receiver.json("init")
    (folder / "login").write_text(LOGIN + "\n")
    (folder / "registry").mkdir()
    with registry_server(folder / "registry") as server:
        yield World(sender, receiver, server, folder)


@pytest.fixture(scope="module")
def pushed(world: World) -> dict[str, str]:
    return world.push("1")


def manifest_of(world: World, digest: str) -> dict:
    return json.loads(world.blob(digest).read_bytes())


def test_it_comes_back_as_it_was_admitted(world: World, pushed: dict[str, str]) -> None:
    row = world.receiver.json("model", "pull", f"{world.where}:1", *world.signer, *world.reach)
    sent = world.sender.json("model", "show", MODEL)
    got = world.receiver.json("model", "show", MODEL)
    assert row["origin"] == f"oci://{world.where}@{pushed['digest']}"
    for same in ("digest", "licence", "artifact", "template"):
        assert got[same] == sent[same], same
    assert got["signature"] is not None
    assert not list((world.receiver.home / "pulls").iterdir()), "nothing is left behind"
    assert not list((world.sender.home / "pushes").iterdir())
    again = world.receiver.json("model", "pull", f"{world.where}:1", *world.signer, *world.reach)
    assert again["entry"] == row["entry"], "pulling twice is one admission"


@pytest.mark.attacks("C127")
def test_what_a_pull_opens_is_recorded_and_can_be_denied(
    world: World, pushed: dict[str, str]
) -> None:
    """It opens with the store's key, as the objects that the files become."""
    receiver = world.receiver
    asked = ("model", "pull", f"{world.where}:1", *world.signer, *world.reach)
    receiver.json(*asked)
    files = (receiver.home / "store" / "models").iterdir()
    became = {f"models/{file.name.partition('.')[0]}" for file in files}
    record = receiver.home / "log" / "openings.jsonl"
    record.unlink()
    receiver.json(*asked)
    opened = {row["object"] for row in receiver.json("store", "openings")}
    assert opened == became
    receiver.json("store", "deny", "models/")
    try:
        row = receiver.json(*asked, status=3)
        assert "the owner denies the opening of models/" in row["message"]
    finally:
        receiver.json("store", "allow", "models/")


@pytest.mark.attacks("C139")
def test_the_registry_never_sees_the_weights(world: World, pushed: dict[str, str]) -> None:
    with embedded_model().open("rb") as file:
        file.seek(40 * 1024 * 1024)
        canary = file.read(64)
    for path in (world.server.folder / "data").rglob("data"):
        assert canary not in path.read_bytes()


def test_any_client_and_age_open_it(world: World, pushed: dict[str, str], tmp_path: Path) -> None:
    if shutil.which("age") is None:
        pytest.skip("age is not installed")
    made = subprocess.run(["age-keygen"], capture_output=True, text=True, check=True)
    identity = tmp_path / "identity.txt"
    identity.write_text(made.stdout)
    recipient = made.stdout.split("public key: ")[1].split()[0]
    to = ("--to", recipient)
    world.sender.json("release", "push", MODEL, f"{world.where}:age", *to, *world.reach)
    user, _, password = LOGIN.partition(":")
    client = oras.client.OrasClient(
        hostname=world.server.host, tls_verify=str(world.server.ca), auth_backend="basic"
    )
    client.login(username=user, password=password, hostname=world.server.host)
    manifest = client.get_manifest(f"{world.where}:age")
    assert manifest["artifactType"] == "application/vnd.cncf.model.manifest.v1+json"
    (weights,) = [row for row in manifest["layers"] if "weight" in row["mediaType"]]
    sealed = tmp_path / weights["annotations"]["org.cncf.model.filepath"]
    client.download_blob(f"{world.where}:age", weights["digest"], str(sealed))
    opened = tmp_path / "opened.gguf"
    subprocess.run(["age", "-d", "-i", identity, "-o", opened, sealed], check=True)
    with opened.open("rb") as one, embedded_model().open("rb") as other:
        assert Digest.of(one.read()) == Digest.of(other.read())
    # The store's keys do not open it, and the error says to whom it must be pushed.
    refused = world.receiver.json(
        "model", "pull", f"{world.where}:age", *world.signer, *world.reach, status=4
    )
    assert "store where" in refused["fix"]
    row = world.receiver.json(
        "model", "pull", f"{world.where}:age", "--identity", str(identity), "--name", "other",
        *world.signer, *world.reach,
    )  # fmt: skip
    assert row["model"] == "other"


def test_what_another_key_signed_is_refused(world: World, pushed: dict[str, str]) -> None:
    stranger = ("--signer", str(world.receiver.home / "public" / "model-signing.pem"))
    row = world.receiver.json(
        "model", "pull", f"{world.where}:1", "--name", "third", *stranger, *world.reach, status=6
    )
    assert row["error"] == "not-proven"


@pytest.mark.attacks("C139")
def test_another_manifest_than_the_one_that_was_asked_for(
    world: World, pushed: dict[str, str]
) -> None:
    """The registry's own disk is changed: the manifest of the digest is another one."""
    path = world.blob(pushed["digest"])
    whole = path.read_bytes()
    try:
        path.write_bytes(whole.replace(b"model.sig", b"modex.sig"))
        pinned = f"{world.where}:1@{pushed['digest']}"
        row = world.receiver.json("model", "pull", pinned, *world.signer, *world.reach, status=None)
        assert row["error"] in ("not-proven", "unavailable")
        assert "manifest" in row["message"]
    finally:
        path.write_bytes(whole)


@pytest.mark.attacks("C139")
def test_a_changed_layer_is_not_admitted(world: World, pushed: dict[str, str]) -> None:
    shutil.rmtree(world.receiver.home / "pulls", ignore_errors=True)  # what other tests kept
    layers = manifest_of(world, pushed["digest"])["layers"]
    (weights,) = [row for row in layers if "weight" in row["mediaType"]]
    path = world.blob(weights["digest"])
    at = weights["size"] // 2
    with path.open("r+b") as file:
        file.seek(at)
        old = file.read(1)
        file.seek(at)
        file.write(bytes([old[0] ^ 1]))
    try:
        row = world.receiver.json(
            "model", "pull", f"{world.where}:1", "--name", "fourth",
            *world.signer, *world.reach, status=6,
        )  # fmt: skip
        assert "is not what the manifest says" in row["message"]
        names = {model["model"] for model in world.receiver.json("model", "ls")}
        assert "fourth" not in names
    finally:
        with path.open("r+b") as file:
            file.seek(at)
            file.write(old)


def test_killed_in_the_middle_it_goes_on(world: World, pushed: dict[str, str]) -> None:
    pulls = world.receiver.home / "pulls"
    asked = ("model", "pull", f"{world.where}:1", "--name", "fifth", *world.signer, *world.reach)
    process = world.receiver.popen(*asked)
    deadline = time.monotonic() + 60
    while not any(file.stat().st_size for file in pulls.glob("*/*.partial")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)
    left = list(pulls.glob("*/*"))
    assert left, "what was pulled is kept"
    assert all(b"GGUF" not in file.read_bytes()[:64] for file in left), "and it is sealed"
    world.receiver.json(*asked)
    assert not list(pulls.iterdir())


def test_a_push_that_was_killed_sends_only_what_is_missing(world: World) -> None:
    to = ("--to", world.recipient())
    asked = ("release", "push", MODEL, f"{world.server.host}/models/again:1", *to, *world.reach)
    uploads = world.server.folder / "data/docker/registry/v2/repositories/models/again"
    process = world.sender.popen(*asked)
    deadline = time.monotonic() + 60
    while not list(uploads.glob("_layers/sha256/*")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)
    first = {path.name for path in uploads.glob("_layers/sha256/*")}
    done = world.sender.json(*asked)
    layers = manifest_of(world, done["digest"])["layers"]
    assert first <= {row["digest"].removeprefix("sha256:") for row in layers}, "none was made anew"


def test_a_registry_that_dies_in_the_middle(world: World, pushed: dict[str, str]) -> None:
    asked = ("model", "pull", f"{world.where}:1", "--name", "sixth", *world.signer, *world.reach)
    process = world.receiver.popen(*asked)
    pulls = world.receiver.home / "pulls"
    deadline = time.monotonic() + 60
    while not any(file.stat().st_size for file in pulls.glob("*/*.partial")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.005)
    world.server.kill()
    world.server.start()
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
