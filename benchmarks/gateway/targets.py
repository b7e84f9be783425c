# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The gateways that are compared: how each is started, and what it costs while it runs.

Every one checks a key where it can, and relays to the same upstream. A peer that is not installed
is named as absent; `peers.sh` installs them.
"""

import contextlib
import dataclasses
import json
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import psutil
from upstream import FULL, OTHER_KEY, ROOT

from paths.certificates import Site
from paths.gateway_rig import KEY, MODEL, PEPPER

HERE = Path(__file__).resolve().parent
START_TIMEOUT_S = 90.0
# Portkey 1.15.2 and 1.9.8 answer each stream with 500 ("TypeError: immutable"): they append headers
# to a response of `fetch`, and the Response that their server (@hono/node-server, any version that
# they accept) puts in place of Node's keeps the immutable headers. A copy of each response has
# headers of its own.
PORTKEY_PRELOAD = (
    "const R=Response,f=fetch;globalThis.fetch=async(...a)=>{const r=await f(...a);"
    "return r.body?new R(r.body,r):r}"
)
PACKAGES = sysconfig.get_path("purelib")  # what Bastide needs, for a Python that is not of here


@dataclasses.dataclass
class Target:
    """One running gateway."""

    name: str
    port: int
    key: str
    process: subprocess.Popen[bytes]
    model: str = MODEL
    headers: str = ""  # lines that it needs beside the key
    h2c: int = 0  # port of HTTP/2 in the clear, if it has one
    tls: int = 0  # port of TLS with HTTP/1.1 and HTTP/2
    authority: str = ""  # PEM of who signed its certificate
    more_keys: tuple[str, ...] = ()
    direct: int = 0  # port of the upstream, to ask it without a gateway
    runner: subprocess.Popen[bytes] | None = None  # a real one, whose cost is told apart

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys of different tenants, where it has them."""
        return (self.key, *self.more_keys)

    def cpu_s(self) -> float:
        """CPU seconds of all threads of the gateway's process and its children."""
        return _cpu_s(self._family())

    def runner_cpu_s(self) -> float:
        """The same of its runner; 0 without one."""
        return 0.0 if self.runner is None else _cpu_s([psutil.Process(self.runner.pid)])

    def memory_mb(self) -> float:
        """Proportional set size of the process and its children."""
        return sum(row.memory_full_info().pss for row in self._family()) / 2**20

    def stop(self) -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            for row in reversed(self._family()):
                row.kill()
        self.process.wait()
        if self.runner is not None:
            self.runner.kill()
            self.runner.wait()

    def _family(self) -> list[psutil.Process]:
        root = psutil.Process(self.process.pid)
        return [root, *root.children(recursive=True)]


def _cpu_s(processes: list[psutil.Process]) -> float:
    # From the scheduler's own sums, in nanoseconds: `cpu_times` counts ticks of 10 ms.
    spent_ns = 0
    for row in processes:
        for thread in Path(f"/proc/{row.pid}/task").iterdir():
            with contextlib.suppress(OSError):  # it has just ended
                spent_ns += int((thread / "schedstat").read_text().split()[0])
    return spent_ns / 1e9


@dataclasses.dataclass(frozen=True)
class Place:
    """What a gateway needs to know: a folder of its own, the upstream's port, the peers' folder."""

    folder: Path
    upstream: int
    peers: Path
    python: str = sys.executable  # that runs Bastide
    site: Site = dataclasses.field(default_factory=Site.make)  # signs all certificates

    def pem(self) -> Path:
        """A file with a certificate and its key."""
        path = self.folder / "server.pem"
        if not path.exists():
            issued = self.site.issue()
            path.write_bytes(issued.certificate + issued.key)
        return path


def nothing(place: Place) -> Target | None:
    """The upstream itself: what everything else is measured from."""
    sleeping = subprocess.Popen(["sleep", "1000000"])
    return Target("direct", place.upstream, KEY, sleeping)


def bastide(
    place: Place,
    name: str = "bastide",
    control: str = "control.sock",
    shared: socket.socket | None = None,
) -> Target:
    """The gateway process as `bastide up` starts it, with keys and receipts and nothing else set.

    shared: where it listens together with other workers.
    The key's scope is every model; there is no guard policy, no budget, no price and no share. What
    answers is a runner's frames in the upstream, which cost nothing here.
    """
    port = shared.getsockname()[1] if shared else free_port()
    tls = free_port()
    issued = place.site.issue()
    orders = {
        "home": str(place.folder),
        "parent": os.getpid(),
        **({"listen_fd": shared.fileno()} if shared else {"listen": f"127.0.0.1:{port}"}),
        "control_socket": str(place.folder / control),
        "pepper": PEPPER.hex(),
        "tls_listen": f"127.0.0.1:{tls}",
        "tls": {"certificate": issued.certificate.decode(), "key": issued.key.decode()},
    }
    process = subprocess.Popen(
        [place.python, "-P", "-m", "bastide.gateway"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        pass_fds=(shared.fileno(),) if shared else (),
        stderr=(place.folder / f"{name}.log").open("wb"),
        env={"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT / 'src'}:{PACKAGES}"},
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(orders).encode() + b"\n")
    process.stdin.close()
    return Target(name, port, KEY, process, h2c=port, tls=tls, more_keys=(OTHER_KEY,))


def bastide_full(place: Place, name: str = "full") -> Target:
    """The same with everything on, before a real runner on the same core; see full.py."""
    target = bastide(place, f"bastide-{name}", f"{name}.sock")
    command = [place.python, str(HERE / "full.py"), str(place.folder / f"{name}-runner.sock")]
    target.runner = _start(command, place, f"{name}-runner", PYTHONPATH=PACKAGES)
    return target


def nginx(place: Place) -> Target | None:
    if (program := shutil.which("nginx")) is None:
        return None
    port, h2c, tls = free_port(), free_port(), free_port()
    config = place.folder / "nginx.conf"
    config.write_text(f"""
daemon off; worker_processes 1; pid {place.folder}/nginx.pid; error_log stderr error;
events {{ worker_connections 16384; }}
http {{
  access_log off; client_body_buffer_size 1m; keepalive_requests 10000000;
  client_body_temp_path {place.folder}/nginx-body;
  proxy_temp_path {place.folder}/nginx-proxy;
  map_hash_bucket_size 256;
  map $http_authorization $known {{ default 0; "Bearer {KEY}" 1; }}
  upstream engine {{ server 127.0.0.1:{place.upstream}; keepalive 256; }}
  server {{
    listen 127.0.0.1:{port};
    listen 127.0.0.1:{h2c} http2;
    listen 127.0.0.1:{tls} ssl http2;
    ssl_certificate {place.pem()}; ssl_certificate_key {place.pem()}; ssl_protocols TLSv1.3;
    location / {{
      if ($known = 0) {{ return 401; }}
      proxy_pass http://engine; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_buffering off;
    }}
  }}
}}""")
    command = [program, "-e", "stderr", "-p", str(place.folder), "-c", str(config)]
    return Target("nginx", port, KEY, _start(command, place, "nginx"), h2c=h2c, tls=tls)


def haproxy(place: Place) -> Target | None:
    if (program := shutil.which("haproxy")) is None:
        return None
    port = free_port()
    config = place.folder / "haproxy.cfg"
    config.write_text(f"""
global
  nbthread 1
  maxconn 4096
defaults
  mode http
  option http-no-delay
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend f
  bind 127.0.0.1:{port}
  http-request deny deny_status 401 unless {{ req.hdr(authorization) -m str "Bearer {KEY}" }}
  default_backend b
backend b
  http-reuse always
  server s 127.0.0.1:{place.upstream}
""")
    command = [program, "-db", "-f", str(config)]
    return Target("haproxy", port, KEY, _start(command, place, "haproxy"))


def litellm(place: Place) -> Target | None:
    program = place.peers / "litellm" / "bin" / "litellm"
    if not program.exists():
        return None
    port = free_port()
    config = place.folder / "litellm.yaml"
    config.write_text(f"""
model_list:
  - model_name: {MODEL}
    litellm_params:
      model: openai/{MODEL}
      api_base: http://127.0.0.1:{place.upstream}/v1
      api_key: none
general_settings:
  master_key: sk-{KEY}
litellm_settings:
  telemetry: false
""")
    command = [str(program), "--config", str(config), "--port", str(port), "--host", "127.0.0.1"]
    process = _start(command, place, "litellm", LITELLM_LOG="ERROR", LITELLM_TELEMETRY="False",
                     LITELLM_LOCAL_MODEL_COST_MAP="True")  # fmt: skip
    return Target("litellm", port, f"sk-{KEY}", process)


def portkey(place: Place) -> Target | None:
    script = place.peers / "portkey/node_modules/@portkey-ai/gateway/build/start-server.js"
    node = str(ROOT / ".sdks/node/bin/node")
    if not script.exists() or not Path(node).exists():
        return None
    port = free_port()
    command = [node, "--import", f"data:text/javascript,{PORTKEY_PRELOAD}"]
    command += [str(script), f"--port={port}", "--headless"]
    process = _start(
        command, place, "portkey", NODE_ENV="production", TRUSTED_CUSTOM_HOSTS="127.0.0.1"
    )
    headers = (
        "x-portkey-provider: openai\r\n"
        f"x-portkey-custom-host: http://127.0.0.1:{place.upstream}/v1\r\n"
    )
    return Target("portkey", port, KEY, process, headers=headers)


TARGETS: dict[str, Callable[[Place], Target | None]] = {
    "direct": nothing,
    "nginx": nginx,
    "haproxy": haproxy,
    "bastide": bastide,
    # The same before a control that writes each group of receipts to the disk: an answer waits for
    # that, or it is promised.
    "bastide-durable": partial(bastide, name="bastide-durable", control="durable.sock"),
    "bastide-promised": partial(bastide, name="bastide-promised", control="promised.sock"),
    # Guard, budgets, prices, narrow scopes and shares, before a real runner.
    **{f"bastide-{name}": partial(bastide_full, name=name) for name in FULL},
    "portkey": portkey,
    "litellm": litellm,
}


def wait_for(target: Target, place: Place) -> None:
    """Return when a gateway accepts connections. Raises RuntimeError if it never does."""
    end = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < end and target.process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", target.port)) == 0:
                return
        time.sleep(0.1)
    log = place.folder / f"{target.name}.log"
    said = log.read_text(errors="replace")[-1_000:] if log.exists() else ""
    raise RuntimeError(f"{target.name} does not listen on port {target.port}: {said}")


def _start(command: list[str], place: Place, name: str, **variables: str) -> Any:
    log = (place.folder / f"{name}.log").open("wb")
    environment = {"PATH": os.environ["PATH"], "HOME": str(place.folder), **variables}
    return subprocess.Popen(command, stdout=log, stderr=log, env=environment)


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]
