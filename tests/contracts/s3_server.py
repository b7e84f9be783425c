# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A real S3 server, SeaweedFS, with signatures checked: started, killed and started again.

It comes from `.ci/sdks` as a wheel that holds the program. Every test asks for a bucket of its own
name below one server per process of pytest.
"""

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from bastide.core.bucket import Bucket

WEED = Path(__file__).parents[2] / ".sdks" / "s3" / "bin" / "weed"
REGION = "eu-test-1"
_STARTS_S = 60.0


def free_ports(count: int) -> list[int]:
    """Ports that nobody has now, with the ones 10,000 above, where weed's gRPC listens."""
    with contextlib.ExitStack() as stack:
        found: list[int] = []
        while len(found) < count:
            low = stack.enter_context(socket.socket())
            high = stack.enter_context(socket.socket())
            low.bind(("127.0.0.1", 0))
            port = low.getsockname()[1]
            with contextlib.suppress(OSError, OverflowError):
                high.bind(("127.0.0.1", port + 10_000))
                found.append(port)
        return found


class S3Server:
    """One server with one access key. `tls`: certificate and key files for an HTTPS port."""

    def __init__(self, folder: Path, tls: tuple[Path, Path] | None = None) -> None:
        self.folder = folder
        self.access_key = "AKIA" + secrets.token_hex(8).upper()
        self.secret_key = secrets.token_urlsafe(30)
        self.tls = tls
        self.ports = free_ports(6)
        self.process: subprocess.Popen[bytes] | None = None
        config = {
            "identities": [
                {
                    "name": "test",
                    "credentials": [{"accessKey": self.access_key, "secretKey": self.secret_key}],
                    "actions": ["Admin", "Read", "Write", "List", "Tagging"],
                }
            ]
        }
        (folder / "identities.json").write_text(json.dumps(config))
        (folder / "data").mkdir()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.ports[3]}"

    @property
    def metrics_port(self) -> int:
        """Where it tells how many requests it answered."""
        return self.ports[5]

    def start(self) -> None:
        master, volume, filer, s3 = self.ports[:4]
        argv = [
            str(WEED), "-logtostderr=true", "server", f"-dir={self.folder / 'data'}",
            "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-master.port={master}",
            f"-volume.port={volume}", "-volume.max=300", "-filer", f"-filer.port={filer}",
            f"-filer.localSocket={self.folder / 'filer.sock'}",
            "-s3", f"-s3.port={s3}", f"-s3.localSocket={self.folder / 's3.sock'}",
            "-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.autoCreateBucket=false",
            f"-s3.config={self.folder / 'identities.json'}", "-master.telemetry=false",
            "-master.volumeSizeLimitMB=64", "-master.electionTimeout=1s",
            f"-metricsPort={self.metrics_port}", "-metricsIp=127.0.0.1",
        ]  # fmt: skip
        if self.tls is not None:
            certificate, key = self.tls
            argv += [f"-s3.port.https={self.ports[4]}", f"-s3.cert.file={certificate}"]
            argv += [f"-s3.key.file={key}"]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                argv, stdout=log, stderr=log, env={"PATH": os.environ["PATH"]}
            )
        self._wait()

    def _wait(self) -> None:
        end = time.monotonic() + _STARTS_S
        while True:
            assert self.process is not None
            assert self.process.poll() is None, (self.folder / "log").read_text()[-2000:]
            try:
                self.client().list_buckets()
                self.make_bucket("started")
                self.client().put_object(Bucket="started", Key="x", Body=b"1")
                return
            except (ClientError, BotoCoreError):
                assert time.monotonic() < end, (self.folder / "log").read_text()[-2000:]
                time.sleep(0.1)

    def kill(self) -> None:
        """As a power cut would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def pause(self) -> None:
        """It keeps its connections and answers nothing."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def make_bucket(self, name: str) -> str:
        with contextlib.suppress(self.client().exceptions.BucketAlreadyOwnedByYou):
            self.client().create_bucket(Bucket=name)
        return name

    def new_bucket(self) -> str:
        return self.make_bucket(f"test-{secrets.token_hex(6)}")

    def client(self) -> Any:
        """A public client that is not ours: boto3."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name=REGION,
            config=Config(retries={"max_attempts": 1}, connect_timeout=2, read_timeout=30),
        )

    def place(self, bucket: str, prefix: str = "bastide", **changes: Any) -> Bucket:
        values: dict[str, Any] = {
            "endpoint": self.endpoint,
            "region": REGION,
            "access_key": self.access_key,
            "secret_key": self.secret_key,
            "allow_http": True,
            "retries": 2,
            "wait_s": 20.0,
        }
        return Bucket(bucket, prefix, **{**values, **changes})

    def keys(self, bucket: str) -> list[str]:
        pages = self.client().get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return sorted(row["Key"] for page in pages for row in page.get("Contents", []))

    def credentials_file(self, path: Path) -> Path:
        """As Amazon's tools write it."""
        path.write_text(
            "[default]\naws_access_key_id = none\naws_secret_access_key = none\n\n[bastide]\n"
            f"aws_access_key_id = {self.access_key}\naws_secret_access_key = {self.secret_key}\n"
        )
        path.chmod(0o600)
        return path


@contextlib.contextmanager
def running_server(tls: tuple[Path, Path] | None = None) -> Generator[S3Server]:
    """A server in a short folder of its own, for Unix sockets have short names."""
    if not WEED.exists():
        pytest.skip("no S3 server: .ci/sdks installs one (make test does)")
    folder = Path(tempfile.mkdtemp(prefix="s3-"))
    server = S3Server(folder, tls)
    try:
        server.start()
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder)


_shared: list[S3Server] = []
_sharing = contextlib.ExitStack()


def shared_server() -> S3Server:
    """The server of this process of pytest; tests that stop one take `running_server`."""
    if not _shared:
        _shared.append(_sharing.enter_context(running_server()))
    return _shared[0]


def end_sharing() -> None:
    """Stop the shared server. Not with atexit: workers of pytest leave without it."""
    _sharing.close()


def shared_place(prefix: str = "", **changes: Any) -> Bucket:
    """A place of nobody else's in a bucket of the shared server."""
    server = shared_server()
    server.make_bucket("shared")
    return server.place("shared", prefix or f"p-{secrets.token_hex(8)}", **changes)
