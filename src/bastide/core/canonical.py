# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""RFC 8785 canonical JSON for the values that Bastide signs.

Rules:
* Objects have string keys, sorted by UTF-16 code units; no white space; strings escape only
  what RFC 8785 section 3.2.2.2 names.
* Integers beyond 2**53 - 1 are refused (they do not survive an ECMAScript reader), and so are
  NaN and infinities. Finite floats are written as ECMAScript's Number::toString writes them.
"""

import math
from json.encoder import encode_basestring as _quoted  # json.dumps without its set-up
from typing import Any

from bastide.core.errors import Misconfigured

SAFE_INTEGER = 2**53 - 1


def canonical(value: Any) -> bytes:
    """Encode JSON values (dict, list, tuple, str, int, float, bool, None) to their one form.

    Raises Misconfigured for anything that has no canonical form.
    """
    pieces: list[str] = []
    _write(value, pieces)
    try:
        return "".join(pieces).encode()
    except UnicodeEncodeError as error:
        raise Misconfigured("a string holds half a surrogate pair") from error


def _write(value: Any, out: list[str]) -> None:
    if value is None or value is True or value is False:
        out.append({None: "null", True: "true", False: "false"}[value])
    elif isinstance(value, str):
        out.append(_quoted(value))
    elif isinstance(value, int):
        if abs(value) > SAFE_INTEGER:
            raise Misconfigured(f"the integer {value} does not survive JSON", fix="use a string")
        out.append(str(value))
    elif isinstance(value, float):
        out.append(_number(value))
    elif isinstance(value, dict):
        _write_object(value, out)
    elif isinstance(value, (list, tuple)):
        out.append("[")
        for index, item in enumerate(value):
            if index:
                out.append(",")
            _write(item, out)
        out.append("]")
    else:
        raise Misconfigured(f"{type(value).__name__} has no JSON form")


def _write_object(value: dict[Any, Any], out: list[str]) -> None:
    if not all(isinstance(key, str) for key in value):
        raise Misconfigured("an object key is not a string")
    out.append("{")
    ordered = sorted(value, key=lambda key: key.encode("utf-16-be", "surrogatepass"))
    for index, key in enumerate(ordered):
        if index:
            out.append(",")
        out.append(_quoted(key))
        out.append(":")
        _write(value[key], out)
    out.append("}")


def _number(value: float) -> str:
    """ECMAScript Number::toString (ECMA-262, 6.1.6.1.20), from Python's shortest digits."""
    if not math.isfinite(value):
        raise Misconfigured("NaN and infinity have no JSON form")
    if value == 0:
        return "0"
    sign = "-" if value < 0 else ""
    digits, point = _shortest(abs(value))
    if len(digits) <= point <= 21:
        return sign + digits + "0" * (point - len(digits))
    if 0 < point <= 21:
        return sign + digits[:point] + "." + digits[point:]
    if -6 < point <= 0:
        return sign + "0." + "0" * -point + digits
    scale = point - 1
    tail = "." + digits[1:] if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{tail}e{'+' if scale >= 0 else '-'}{abs(scale)}"


def _shortest(value: float) -> tuple[str, int]:
    """The shortest digits that round-trip, and where the decimal point stands among them."""
    mantissa, _, exponent = repr(value).partition("e")
    whole, _, fraction = mantissa.partition(".")
    if fraction == "0":
        fraction = ""
    digits = (whole + fraction).lstrip("0")
    leading = len(whole + fraction) - len(digits)
    point = len(whole) - leading + int(exponent or 0)
    return digits.rstrip("0") or "0", point
