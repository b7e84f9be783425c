# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Every error a user can meet, as one small tree.

* BastideError
  x Refused          exit 3, HTTP 403   a gate or a policy said no; carries every reason
    + NotAllowed     exit 4, HTTP 403   no such right, or the key is unknown
    + Waiting        exit 5, HTTP 409   approvals are still missing
    + Filtered       exit 3, HTTP 400   the guard does not let a prompt through
    + Exhausted      exit 3, HTTP 429   a budget is used up; says until when
    + Full           exit 3, HTTP 400   a tenant keeps as much as it may: something must go first
  x NotProven        exit 6, HTTP 422   a signature, digest or proof does not hold; says where
  x NotFound         exit 1, HTTP 404   no object of that name
  x Misconfigured    exit 2, HTTP 400   the input or a setting is wrong; names the place
    + TooLong        exit 2, HTTP 400   a prompt has more tokens than the model can hold
  x Unavailable      exit 7, HTTP 503   something outside is down, full or too slow
    + Busy           exit 7, HTTP 429   more is asked than there is now; says when to come back
    + Down           exit 7, HTTP 503   nobody is there to begin what was asked: another may be

Each carries a stable `code`, an exit status and an HTTP status, so no face needs a mapping of
its own. `fix` says what the person should do next, `place` names the field that is wrong.
"""

from collections.abc import Sequence
from typing import ClassVar

_REASONS_SAID = 8


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

    @property
    def whole(self) -> str:
        """The message with its first reasons, for where only a text goes on."""
        said = "; ".join(self.reasons[:_REASONS_SAID])
        return f"{self.message}: {said}" if said else self.message


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


class Filtered(Refused):
    """The guard policy refuses what a prompt holds. Says which detector, never what it found."""

    code = "content_filter"  # the word of OpenAI and Azure, which their clients look for
    http_status = 400
    title = "Filtered"


class Exhausted(Refused):
    """A budget is used up. `retry_after_s`: when its day or month ends."""

    code = "insufficient_quota"  # the word of OpenAI, which its clients look for
    http_status = 429
    title = "Budget used up"

    def __init__(self, message: str, *, retry_after_s: float, fix: str = "") -> None:
        super().__init__(message, fix=fix)
        self.retry_after_s = retry_after_s


class Revoked(Refused):
    """What an answer rests on was revoked while it ran."""

    code = "revoked"
    title = "Revoked"


class Full(Refused):
    """A tenant keeps as much as it may. Trying again helps only once something was deleted."""

    code = "storage_full"
    http_status = 400  # clients do not send it again, as they would a 429
    title = "No room left"


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


class TooLong(Misconfigured):
    """A prompt has more tokens than the context of its deployment. The message says how many."""

    code = "too-long"
    title = "Too long"


class TooSmall(Misconfigured):
    """A whole number is below the least that its field takes. The message says which that is."""

    code = "too-small"
    title = "Too small"


class Unavailable(BastideError):
    """Something outside is down, full or too slow. Trying again may help."""

    code = "unavailable"
    exit_status = 7
    http_status = 503
    title = "Unavailable"


class Busy(Unavailable):
    """More is asked for than can be given now. `retry_after_s`: when it can, as far as we know."""

    code = "busy"
    http_status = 429
    title = "Busy"

    def __init__(self, message: str, *, retry_after_s: float = 1.0, fix: str = "") -> None:
        super().__init__(message, fix=fix)
        self.retry_after_s = retry_after_s


class Down(Unavailable):
    """A runner or its engine is not there, so nothing was begun: another replica may be asked."""

    code = "down"
    title = "Down"


def of_code(
    code: str, message: str, reasons: Sequence[str] = (), retry_after_s: float = 0.0
) -> BastideError:
    """The error that another of our processes raised. One that we do not know is Unavailable."""
    kind = _BY_CODE.get(code, Unavailable)
    if kind is Busy:
        return Busy(message, retry_after_s=retry_after_s)
    return kind(message, reasons=reasons)


# What may come over a link. Exhausted and Filtered are raised where they are answered.
_BY_CODE: dict[str, type[BastideError]] = {
    kind.code: kind
    for kind in (
        Refused,
        NotAllowed,
        Waiting,
        Full,
        NotProven,
        NotFound,
        Misconfigured,
        TooLong,
        Unavailable,
        Busy,
        Down,
    )
}
