# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Every error a user can meet, as one small tree.

* BastideError
  x Refused          exit 3, HTTP 403   a gate or a policy said no; carries every reason
    + NotAllowed     exit 4, HTTP 403   no such right, or the key is unknown
    + Waiting        exit 5, HTTP 409   approvals are still missing
  x NotProven        exit 6, HTTP 422   a signature, digest or proof does not hold; says where
  x NotFound         exit 1, HTTP 404   no object of that name
  x Misconfigured    exit 2, HTTP 400   the input or a setting is wrong; names the place
  x Unavailable      exit 7, HTTP 503   something outside is down, full or too slow

Each carries a stable `code`, an exit status and an HTTP status, so no face needs a mapping of
its own. `fix` says what the person should do next, `place` names the field that is wrong.
"""

from collections.abc import Sequence
from typing import ClassVar


class BastideError(Exception):
    """The root. Never raised itself."""

    code: ClassVar[str] = "error"
    exit_status: ClassVar[int] = 1
    http_status: ClassVar[int] = 500
    title: ClassVar[str] = "Error"

    def __init__(
        self, message: str, *, reasons: Sequence[str] = (), fix: str = "", place: str = ""
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reasons = tuple(reasons)
        self.fix = fix
        self.place = place


class Refused(BastideError):
    """A gate or a policy said no. `reasons` lists every one, not the first."""

    code = "refused"
    exit_status = 3
    http_status = 403
    title = "Refused"


class NotAllowed(Refused):
    """The caller has no such right, or is not known."""

    code = "not-allowed"
    exit_status = 4
    title = "Not allowed"


class Waiting(Refused):
    """The deed waits for approvals that `reasons` names."""

    code = "waiting"
    exit_status = 5
    http_status = 409
    title = "Waiting for approval"


class NotProven(BastideError):
    """A signature, a digest or a proof does not hold. The message says which and where."""

    code = "not-proven"
    exit_status = 6
    http_status = 422
    title = "Not proven"


class NotFound(BastideError):
    """No object of that name."""

    code = "not-found"
    exit_status = 1
    http_status = 404
    title = "Not found"


class Misconfigured(BastideError):
    """The input, a file or a setting is wrong. The message names it, `fix` the remedy."""

    code = "misconfigured"
    exit_status = 2
    http_status = 400
    title = "Bad input"


class Unavailable(BastideError):
    """Something outside is down, full or too slow. Trying again may help."""

    code = "unavailable"
    exit_status = 7
    http_status = 503
    title = "Unavailable"
