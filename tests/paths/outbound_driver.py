# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Runs commands in a network namespace that has loopback and nothing else, and counts attempts.

`outbound_driver.py` reads a JSON list of commands from standard input; standard output is JSON:
exit status and output of each, and how often the kernel found no route for what they sent. Every
attempt to reach another machine, a name server too, is such a case here.
"""

import fcntl
import json
import socket
import struct
import subprocess
import sys
from pathlib import Path

SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1


def raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        request = struct.pack("16sh14x", b"lo", 0)
        _, flags = struct.unpack("16sh14x", fcntl.ioctl(probe, SIOCGIFFLAGS, request))
        fcntl.ioctl(probe, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))


def unroutable() -> int:
    """How often this namespace has found no route, IPv4 and IPv6 together."""
    names, values = (line.split() for line in Path("/proc/net/snmp").read_text().splitlines()[:2])
    count = int(values[names.index("OutNoRoutes")])
    six = Path("/proc/net/snmp6")
    if six.exists():
        rows = dict(line.split() for line in six.read_text().splitlines())
        count += int(rows.get("Ip6OutNoRoutes", 0))
    return count


def main() -> None:
    raise_loopback()
    results = []
    for command in json.load(sys.stdin):
        before = unroutable()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        results.append(
            {
                "status": done.returncode,
                "output": done.stdout + done.stderr,
                "unroutable": unroutable() - before,
            }
        )
    print(json.dumps(results))


if __name__ == "__main__":
    main()
