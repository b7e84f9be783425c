# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Debian packages: which there are, downloading them, and reading the files in them.

Nothing is installed and nothing is unpacked to disk: the files of a package are read from a pipe.
"""

import hashlib
import subprocess
import tarfile
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

__all__ = [
    "ArchiveError",
    "Member",
    "Package",
    "copyright_of",
    "download",
    "known",
    "members",
    "package_of",
]

FILE_BYTES_MAX = 16 * 2**20  # the largest handbook has 6 MiB; more is a picture or a trap
_BATCH = 25  # packages a call of apt-get, so that progress can be shown


class ArchiveError(Exception):
    """Something about a package, apt or dpkg; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Package:
    """A package as the signed lists of apt describe it."""

    name: str
    version: str
    source: str  # the source package it is built from
    architecture: str
    size: int  # bytes
    sha256: str

    @property
    def file(self) -> str:
        """The name that apt-get gives to the downloaded file."""
        return f"{self.name}_{self.version.replace(':', '%3a')}_{self.architecture}.deb"


@dataclass(frozen=True, slots=True)
class Member:
    """A file in a package: its path from the root, and how to read it."""

    path: str
    read: Callable[[], bytes]


def known(names: list[str]) -> list[Package]:
    """Give those of the named packages that apt knows, by name.

    Raises:
        ArchiveError: apt is not there, or knows none of them.
    """
    try:
        done = subprocess.run(
            ["apt-cache", "show", "--no-all-versions", *names],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    except FileNotFoundError:
        raise ArchiveError("apt-cache is not here: the sample is made on Debian or alike") from None
    found = {}
    for stanza in done.stdout.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in stanza.splitlines() if ": " in line)
        if "Package" in fields and fields["Package"] not in found:
            found[fields["Package"]] = package_of(fields)
    if not found:
        raise ArchiveError("apt knows none of the packages: run `apt-get update` first")
    return [found[name] for name in sorted(found)]


def package_of(fields: dict[str, str]) -> Package:
    """Give the package of one stanza of the lists."""
    return Package(
        fields["Package"],
        fields["Version"],
        fields.get("Source", fields["Package"]).split(" ")[0],
        fields["Architecture"],
        int(fields["Size"]),
        fields["SHA256"],
    )


def download(packages: list[Package], folder: Path, tell: Callable[[str], None]) -> None:
    """Download what is not there yet. What is there is hashed again, so a broken file is replaced.

    Raises:
        ArchiveError: apt-get failed, or a file is not the one that the signed lists name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    missing = [package for package in packages if not _is_whole(package, folder)]
    total = sum(package.size for package in missing)
    tell(f"{len(packages) - len(missing)} packages are here, {len(missing)} to download: "
         f"{total / 1e6:,.0f} MB")  # fmt: skip
    for start in range(0, len(missing), _BATCH):
        batch = missing[start : start + _BATCH]
        done = subprocess.run(
            ["apt-get", "download", "-qq", *(f"{one.name}={one.version}" for one in batch)],
            cwd=folder, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise ArchiveError(f"apt-get download: {done.stderr.strip()}; call again to go on")
        for package in batch:
            if not _is_whole(package, folder):
                raise ArchiveError(f"{package.file} is not what the lists of apt say")
        tell(f"downloaded {start + len(batch)} of {len(missing)} packages")


def members(deb: Path, wanted: Callable[[str], bool]) -> Iterator[Member]:
    """Give the wanted regular files of a package in the order of its archive.

    Links, devices and everything larger than FILE_BYTES_MAX are passed over. A member can be read
    until the next one is asked for.

    Raises:
        ArchiveError: The package is broken.
    """
    with _opened(deb) as archive:
        for entry in archive:
            path = "/" + entry.name.removeprefix("./").lstrip("/")
            if entry.isreg() and 0 < entry.size <= FILE_BYTES_MAX and wanted(path):
                stream = archive.extractfile(entry)
                if stream is not None:
                    yield Member(path, stream.read)


def copyright_of(deb: Path, name: str) -> tuple[str, str]:
    """Give the copyright file of a package, and the package whose it is if its folder is a link."""
    folder = f"/usr/share/doc/{name}"
    with _opened(deb, whole=False) as archive:
        for entry in archive:
            path = "/" + entry.name.removeprefix("./").lstrip("/")
            if path == folder and entry.issym():
                return "", Path(entry.linkname).name
            if path == folder + "/copyright" and entry.isreg() and entry.size <= FILE_BYTES_MAX:
                stream = archive.extractfile(entry)
                return (stream.read().decode(errors="replace") if stream else ""), ""
    return "", ""


@contextmanager
def _opened(deb: Path, *, whole: bool = True) -> Generator[tarfile.TarFile]:
    command = ["dpkg-deb", "--fsys-tarfile", str(deb)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as running:
        pipe: IO[bytes] = running.stdout  # type: ignore[assignment]
        try:
            with tarfile.open(fileobj=pipe, mode="r|") as archive:
                yield archive
            while whole and pipe.read(2**16):
                pass
        except tarfile.TarError as error:
            raise ArchiveError(f"{deb.name}: {error}") from None
        finally:
            pipe.close()
            if not whole:
                running.terminate()
    if whole and running.returncode:
        raise ArchiveError(f"{deb.name}: dpkg-deb ended with {running.returncode}")


def _is_whole(package: Package, folder: Path) -> bool:
    path = folder / package.file
    if not path.exists() or path.stat().st_size != package.size:
        return False
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() == package.sha256
