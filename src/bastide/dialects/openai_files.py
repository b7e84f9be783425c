# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""OpenAI files and batches: ``/v1/files`` and ``/v1/batches``.

The desk does them; what it answers are a KeptFile, a Batch, or a page of them. Anthropic's and
Google's clients know other files on the same path: they are not ours.
"""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qs, unquote

import msgspec

from bastide.core.batch import Batch, Fault, KeptFile, Status
from bastide.core.errors import Misconfigured
from bastide.core.limits import (
    BATCH_METADATA_MAX,
    BATCHES_PAGE_MAX,
    FILE_SECONDS_MAX,
    FILE_SECONDS_MIN,
    FILES_PAGE_MAX,
)
from bastide.dialects.batch_lines import endpoint_of
from bastide.dialects.multipart import Part, read_form
from bastide.dialects.surface import Deed, Headers, Keep, Order, Route

__all__ = ["PURPOSES", "route"]

_FILES: Final = "/v1/files"
_BATCHES: Final = "/v1/batches"
PURPOSES: Final = ("batch", "user_data")
_NAME_MAX: Final = 255  # characters
_METADATA_CHARS_MAX: Final = 512
_STRANGERS: Final = (b"anthropic-version", b"x-goog-api-key", b"x-goog-api-client")
_encode = msgspec.json.Encoder().encode
_STAMPS: Final = ("in_progress", "finalizing", "completed", "failed", "expired", "cancelling")


_EXPIRES: Final = "expires_after"
_EXPIRY_FIELDS: Final = (f"{_EXPIRES}[anchor]", f"{_EXPIRES}[seconds]")


class _Expires(msgspec.Struct, forbid_unknown_fields=True):
    anchor: str
    seconds: int


class _Asked(msgspec.Struct, forbid_unknown_fields=True):
    input_file_id: str
    endpoint: str
    completion_window: str
    output_expires_after: _Expires | None = None
    metadata: dict[str, str] | None = None


def route(path: str, query: str, headers: Headers) -> Route | None:
    """Find a route."""
    for root, routes in ((_FILES, _files), (_BATCHES, _batches)):
        if path == root or path.startswith(root + "/"):
            if any(name in headers for name in _STRANGERS):
                return None
            keep = routes(unquote(path[len(root) + 1 :]), query)
            return None if keep is None else Route(tuple(keep.deeds), keep)
    return None


def _files(rest: str, query: str) -> Keep | None:
    ident, _, below = rest.partition("/")
    if not ident:
        deeds = {
            "GET": Deed(lambda body, headers: _page("list_files", query), _write_files),
            "POST": Deed(_read_upload, _write_file),
        }
        return None if below else Keep(deeds, uploads=True)
    if below == "content":
        return Keep({"GET": _one("get_file", ident, None)})
    if below:
        return None
    return Keep(
        {
            "GET": _one("file", ident, _write_file),
            "DELETE": _one("delete_file", ident, _write_deleted),
        }
    )


def _batches(rest: str, query: str) -> Keep | None:
    ident, _, below = rest.partition("/")
    if not ident:
        deeds = {
            "GET": Deed(lambda body, headers: _page("list_batches", query), _write_batches),
            "POST": Deed(_read_batch, _write_batch),
        }
        return None if below else Keep(deeds)
    if below == "cancel":
        return Keep({"POST": _one("cancel_batch", ident, _write_batch)})
    return None if below else Keep({"GET": _one("batch", ident, _write_batch)})


def _one(deed: str, ident: str, write: Any) -> Deed:
    return Deed(lambda body, headers: Order(deed, {"ident": ident}), write)


def _page(deed: str, query: str) -> Order:
    most = FILES_PAGE_MAX if deed == "list_files" else BATCHES_PAGE_MAX
    try:
        given = {name: rows[-1] for name, rows in parse_qs(query, max_num_fields=16).items()}
    except ValueError as error:
        raise Misconfigured("The query has too many parameters.") from error
    limit = given.get("limit", str(FILES_PAGE_MAX if deed == "list_files" else 20))
    if not (limit.isascii() and limit.isdigit() and 1 <= int(limit[:9]) <= most):
        raise Misconfigured(f"limit is not between 1 and {most}.", place="limit")
    order = given.get("order", "desc")
    if order not in ("asc", "desc"):
        raise Misconfigured("order is neither asc nor desc.", place="order")
    fields = {"after": given.get("after", ""), "limit": int(limit), "newest_first": order == "desc"}
    return Order(deed, {**fields, "purpose": given.get("purpose", "")})


def _read_upload(body: bytes, headers: Headers) -> Order:
    form = read_form(headers.get(b"content-type", b""), body)
    file, purpose = form.get("file"), form.get("purpose")
    if file is None or file.filename is None:
        raise Misconfigured("The form has no file.", place="file")
    wanted = "" if purpose is None else bytes(purpose.content[:32]).decode("latin-1")
    if wanted not in PURPOSES:
        shown = " or ".join(PURPOSES)
        raise Misconfigured(f"The purpose of a file is {shown}.", place="purpose")
    seconds = _read_expiry(form)
    unknown = sorted(set(form) - {"file", "purpose", *_EXPIRY_FIELDS})
    if unknown:
        name = unknown[0][:64]
        raise Misconfigured(f"'{name}' is not supported here.", place=name, reasons=[name])
    name = file.filename[:_NAME_MAX]
    return Order("put_file", {"name": name, "purpose": wanted, "seconds": seconds}, file.content)


def _read_expiry(form: Mapping[str, Part]) -> int:
    """The seconds of ``expires_after``, or 0; both its fields are there or none is."""
    given = [form.get(name) for name in _EXPIRY_FIELDS]
    if given == [None, None]:
        return 0
    anchor, seconds = (b"" if row is None else bytes(row.content[:16]) for row in given)
    if not seconds.isdigit():
        raise _no_expiry(_EXPIRES)
    return _seconds(anchor.decode("latin-1"), int(seconds), _EXPIRES)


def _seconds(anchor: str, seconds: int, place: str) -> int:
    if anchor != "created_at" or not FILE_SECONDS_MIN <= seconds <= FILE_SECONDS_MAX:
        raise _no_expiry(place)
    return seconds


def _no_expiry(place: str) -> Misconfigured:
    span = f"{FILE_SECONDS_MIN} to {FILE_SECONDS_MAX}"
    return Misconfigured(f"{place} has the anchor created_at and {span} seconds.", place=place)


def _read_batch(body: bytes, headers: Headers) -> Order:
    try:
        asked = msgspec.json.decode(body, type=_Asked)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Misconfigured(f"The body is not that of a batch: {error}.") from error
    if asked.completion_window != "24h":
        raise Misconfigured("The completion window is 24h.", place="completion_window")
    metadata = asked.metadata or {}
    long = any(max(len(k), len(v)) > _METADATA_CHARS_MAX for k, v in metadata.items())
    if long or len(metadata) > BATCH_METADATA_MAX:
        raise Misconfigured("The metadata is too large.", place="metadata")
    expiry, place = asked.output_expires_after, "output_expires_after"
    fields = {
        "input_file": asked.input_file_id,
        "output_seconds": 0 if expiry is None else _seconds(expiry.anchor, expiry.seconds, place),
        "endpoint": endpoint_of(asked.endpoint),
        "metadata": metadata,
    }
    return Order("create_batch", fields)


def _write_file(told: Any) -> bytes:
    return _encode(_file(msgspec.convert(told, KeptFile)))


def _write_deleted(told: Any) -> bytes:
    return _encode({"id": told, "object": "file", "deleted": True})


def _write_batch(told: Any) -> bytes:
    return _encode(_batch(msgspec.convert(told, Batch)))


def _write_files(told: Any) -> bytes:
    return _list([_file(row) for row in msgspec.convert(told[0], list[KeptFile])], told[1])


def _write_batches(told: Any) -> bytes:
    return _list([_batch(row) for row in msgspec.convert(told[0], list[Batch])], told[1])


def _list(rows: list[dict[str, Any]], more: bool) -> bytes:
    first, last = (rows[0]["id"], rows[-1]["id"]) if rows else (None, None)
    return _encode(
        {"object": "list", "data": rows, "first_id": first, "last_id": last, "has_more": more}
    )


def _file(row: KeptFile) -> dict[str, Any]:
    return {
        "id": row.ident,
        "object": "file",
        "bytes": row.size,
        "created_at": row.created_s,
        "expires_at": row.expires_s,
        "filename": row.name,
        "purpose": row.purpose,
        "status": "processed",
    }


def _batch(row: Batch) -> dict[str, Any]:
    written = row.status in (Status.COMPLETED, Status.CANCELLED, Status.EXPIRED, Status.FAILED)
    asked = row.completed + row.failed
    return {
        "id": row.ident,
        "object": "batch",
        "endpoint": row.endpoint,
        "errors": _faults(row.faults),
        "input_file_id": row.input_file,
        "completion_window": row.window,
        "status": str(row.status),
        "output_file_id": row.output_file if written and row.completed else None,
        "error_file_id": row.error_file if written and row.total > row.completed else None,
        "created_at": row.created_s,
        **_stamps(row.times),
        "expires_at": row.expires_s,
        "request_counts": {
            "total": row.total,
            "completed": row.completed,
            "failed": min(asked, row.total) - row.completed,
        },
        "metadata": row.metadata or None,
    }


def _stamps(times: Mapping[str, int]) -> dict[str, int | None]:
    return {f"{name}_at": times.get(name) for name in (*_STAMPS, "cancelled")}


def _faults(faults: tuple[Fault, ...]) -> dict[str, Any] | None:
    rows = [
        {
            "code": row.code,
            "message": row.message,
            "line": row.line or None,
            "param": row.param or None,
        }
        for row in faults
    ]
    return {"object": "list", "data": rows} if rows else None
