# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What the operating system refused, as an error of the tree: what, where and the remedy."""

import errno

from bastide.core.errors import Unavailable

__all__ = ["outside"]

_REMEDIES = {
    errno.ENOSPC: "free disk space, then again",
    errno.EDQUOT: "free disk space or raise the quota, then again",
    errno.EACCES: "give this user the right to it, or choose another place",
    errno.EPERM: "give this user the right to it, or choose another place",
    errno.EROFS: "the file system is read-only: mount it writable, or choose another place",
    errno.ENOENT: "make the folder first, or check the path",
    errno.ENOTDIR: "a part of the path is no folder: check the path",
    errno.EISDIR: "this is a folder: name a file",
    errno.EEXIST: "there is something of that name already: choose another place",
    errno.ENAMETOOLONG: "choose a shorter path",
    errno.EMFILE: "raise the limit of open files: ulimit -n 1024",
    errno.ENOMEM: "free memory, then again",
}


def outside(error: OSError, what: str = "") -> Unavailable:
    """Translate an error of the operating system. `what` says what could not be done."""
    place = what or (str(error.filename) if error.filename else "")
    told = error.strerror or str(error)
    fix = _REMEDIES.get(error.errno or 0, "--debug shows where")
    return Unavailable(f"{place}: {told}" if place else told, fix=fix)
