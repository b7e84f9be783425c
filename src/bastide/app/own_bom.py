# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The bill of materials of Bastide itself: CycloneDX 1.6 JSON over what is installed here.

Bastide and every installed package that it asks for, also through others. Versions and licences
are what the packages' own metadata say. Hashes are those of a file of locked requirements, if one
is given; a package that it locks at another version than the installed one is refused.
"""

import platform
import re
import uuid
from collections.abc import Iterable, Mapping
from importlib import metadata
from typing import Any, Final

from bastide.core.canonical import canonical
from bastide.core.errors import Misconfigured, NotProven
from bastide.core.subject import Digest

__all__ = ["closure", "own_bom", "read_locked"]

_OWN: Final = "bastide"
_NAME: Final = re.compile(r"[A-Za-z0-9._-]+")
_LOCKED: Final = re.compile(r"([A-Za-z0-9._-]+)==([^\s;\\]+)")
_HASH: Final = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_LICENCE_CHARS_MAX: Final = 100  # some packages put the whole text into the field

Locked = Mapping[str, tuple[str, tuple[str, ...]]]  # a name's version, and its files' SHA-256


def own_bom(locked: Locked | None = None) -> bytes:
    """The bill as canonical JSON. Raises NotProven where an installed version is not the locked."""
    found = closure()
    if locked is not None:
        _check(found, locked)
    components = [_component(one, locked or {}) for _, one in sorted(found.items())]
    (own,) = [row for row in components if row["name"] == _OWN]
    rest = [row for row in components if row is not own]
    bill: dict[str, Any] = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {**own, "type": "application"},
            "tools": {"components": [{"type": "application", "name": _OWN}]},
        },
        "components": [*rest, _python()],
        "dependencies": [
            {
                "ref": _ref(one),
                "dependsOn": sorted(_ref(found[need]) for need in _needs(one, found)),
            }
            for _, one in sorted(found.items())
        ],
    }
    digest = Digest.of(canonical(bill))
    return canonical({**bill, "serialNumber": uuid.uuid5(uuid.NAMESPACE_URL, f"urn:{digest}").urn})


def read_locked(text: str) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Read requirements with hashes, as pip and uv write them. Raises Misconfigured."""
    locked: dict[str, tuple[str, tuple[str, ...]]] = {}
    for line in text.replace("\\\n", " ").splitlines():
        if not line.strip() or line.lstrip().startswith(("#", "--")):
            continue
        pinned = _LOCKED.match(line)
        hashes = tuple(_HASH.findall(line))
        if pinned is None or not hashes:
            raise Misconfigured(
                f"not a locked requirement: {line.strip()[:80]!r}",
                fix="give requirements with == and --hash, such as requirements/runtime.txt",
            )
        locked[_normal(pinned[1])] = (pinned[2], hashes)
    return locked


def closure(*, extras: bool = True) -> dict[str, metadata.Distribution]:
    """What is installed of all that Bastide asks for, by normal name; `extras` of it too.

    Raises Misconfigured if Bastide is not installed as a package.
    """
    installed = {_normal(one.metadata["Name"]): one for one in metadata.distributions()}
    if _OWN not in installed:
        raise Misconfigured("Bastide is not installed as a package", fix="pip install bastide")
    found: dict[str, metadata.Distribution] = {}
    waiting = [_OWN]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = installed[name]
            waiting += _needs(installed[name], installed, extras=extras)
    return found


def _needs(one: metadata.Distribution, among: Iterable[str], *, extras: bool = True) -> set[str]:
    """The installed packages that one asks for.

    Our own extras may count, for who installed them uses them; those of others are not followed.
    """
    own = extras and _normal(one.metadata["Name"]) == _OWN
    wanted = [row for row in one.requires or () if own or "extra ==" not in row]
    names = {_normal(match[0]) for row in wanted if (match := _NAME.match(row))}
    return names & set(among)


def _component(one: metadata.Distribution, locked: Locked) -> dict[str, Any]:
    name = _normal(one.metadata["Name"])
    row: dict[str, Any] = {
        "type": "library",
        "bom-ref": _ref(one),
        "name": name,
        "version": one.version,
        "purl": _ref(one),
        "licenses": _licences(one),
    }
    if name in locked:
        # One hash for each file of the version; which of them was installed is not known here.
        hashes = [{"alg": "SHA-256", "content": content} for content in sorted(locked[name][1])]
        row["externalReferences"] = [{"type": "distribution", "url": _ref(one), "hashes": hashes}]
    return row


def _licences(one: metadata.Distribution) -> list[dict[str, Any]]:
    """The package's SPDX expression, or else what its older fields call the licence."""
    fields = one.metadata
    if "License-Expression" in fields:
        return [{"expression": fields["License-Expression"]}]
    named = [row.rsplit(" :: ", 1)[-1] for row in fields.get_all("Classifier") or () if _is(row)]
    stated = fields["License"].strip() if "License" in fields else ""
    if not named and stated and len(stated) <= _LICENCE_CHARS_MAX:
        named = [" ".join(stated.split())]
    return [{"license": {"name": name}} for name in named or ["not stated"]]


def _is(classifier: str) -> bool:
    return classifier.startswith("License :: ") and classifier.count(" :: ") > 1


def _python() -> dict[str, Any]:
    version = platform.python_version()
    return {
        "type": "platform",
        "bom-ref": f"python@{version}",
        "name": platform.python_implementation(),
        "version": version,
        "licenses": [{"license": {"id": "PSF-2.0"}}],
    }


def _check(found: Mapping[str, metadata.Distribution], locked: Locked) -> None:
    other = [
        f"{name} {one.version} is installed, {locked[name][0]} is locked"
        for name, one in sorted(found.items())
        if name in locked and locked[name][0] != one.version
    ]
    if other:
        raise NotProven(
            "what is installed is not what is locked",
            reasons=other,
            fix="install with --require-hashes, or give the requirements of this version",
        )


def _ref(one: metadata.Distribution) -> str:
    return f"pkg:pypi/{_normal(one.metadata['Name'])}@{one.version}"


def _normal(name: str) -> str:
    """The normal form of a package's name (PyPA specifications, name normalization)."""
    return re.sub(r"[-_.]+", "-", name).lower()
