# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""safetensors (github.com/huggingface/safetensors, README "Format"): the header is checked.

A file is 8 bytes of header length, the header as JSON, and the data. What passes:
1. The header is sound JSON within bounds, no tensor twice, `__metadata__` maps text to text.
2. Every tensor has a known number format, and its shape takes exactly the bytes of its offsets.
3. The tensors cover the data from its first byte to the last byte of the file, without holes,
   without overlap, and with nothing behind them.
"""

import math
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from bastide.core import limits
from bastide.formats import identify
from bastide.formats.faults import Faults
from bastide.formats.strict_json import read_json
from bastide.formats.summary import Source, Summary

__all__ = ["DTYPES", "Tensor", "inspect", "read_tensors"]

# Bits of one number. F4 and F6 are packed, so a tensor of them must fill whole bytes.
DTYPES: Final[Mapping[str, int]] = {
    "BOOL": 8,
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "U8": 8,
    "I8": 8,
    "F8_E4M3": 8,
    "F8_E5M2": 8,
    "F8_E8M0": 8,
    "I16": 16,
    "U16": 16,
    "F16": 16,
    "BF16": 16,
    "I32": 32,
    "U32": 32,
    "F32": 32,
    "C64": 64,
    "F64": 64,
    "I64": 64,
    "U64": 64,
}
_METADATA: Final = "__metadata__"
_NAME_CHARS_MAX: Final = 512
_FIELDS: Final = {"dtype", "shape", "data_offsets"}
_ITEMS_MAX: Final = limits.SAFETENSORS_TENSORS_MAX * 8  # brackets and commas of 100,000 tensors


class Tensor(NamedTuple):
    """One tensor as the header describes it; `start` and `end` count from the start of the data."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


def inspect(source: Source) -> Summary:
    """Check one safetensors file. Raises Refused with every reason.

    One file alone does not say which architecture it is; `checkpoint.inspect` does.
    """
    faults = Faults("a safetensors file")
    tensors = read_tensors(source, faults)
    if faults:
        raise faults.refusal()
    parameters = sum(math.prod(tensor.shape) for tensor in tensors)
    return Summary("safetensors", "", parameters, context_tokens=0, vocabulary=0)


def read_tensors(source: Source, faults: Faults) -> list[Tensor]:
    """The tensors of a file in the order of their data, empty if the header is not sound."""
    found = identify.identify(source)
    if found.name != "safetensors":
        faults.add(f"it is {found.title}, not safetensors")
        return []
    length = int.from_bytes(source.read_at(0, 8), "little")
    if length > limits.SAFETENSORS_HEADER_BYTES_MAX:
        faults.add(f"the header is over {limits.SAFETENSORS_HEADER_BYTES_MAX} bytes")
        return []
    header = read_json(source.read_at(8, length), "the header", faults, _ITEMS_MAX)
    if not isinstance(header, dict):
        faults.add("the header is not a JSON object")
        return []
    _check_metadata(header.pop(_METADATA, {}), faults)
    if not 0 < len(header) <= limits.SAFETENSORS_TENSORS_MAX:
        faults.add(f"{len(header)} tensors are not in 1..{limits.SAFETENSORS_TENSORS_MAX}")
        return []
    tensors = [_tensor(name, row, faults) for name, row in header.items()]
    whole = sorted((t for t in tensors if t is not None), key=lambda t: (t.start, t.end))
    if len(whole) == len(tensors):  # with one missing, holes would only repeat the fault
        _check_layout(whole, source.size - 8 - length, faults)
    return whole


def _check_metadata(metadata: Any, faults: Faults) -> None:
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        faults.add(f"{_METADATA} does not map text to text")


def _tensor(name: str, row: Any, faults: Faults) -> Tensor | None:
    shown = name[:80]
    if not 0 < len(name) <= _NAME_CHARS_MAX or not name.isascii() or not name.isprintable():
        faults.add(f"the tensor name {shown!r} is empty, too long or not plain ASCII")
        return None
    if not isinstance(row, dict) or set(row) != _FIELDS:
        faults.add(f"the tensor {shown} has other fields than {', '.join(sorted(_FIELDS))}")
        return None
    dtype, shape, offsets = row["dtype"], row["shape"], row["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        faults.add(f"the tensor {shown} has the unknown number format {str(dtype)[:40]!r}")
    elif not _counts(shape) or len(shape) > limits.SAFETENSORS_DIMENSIONS_MAX:
        faults.add(f"the tensor {shown} has no sound shape")
    elif not _counts(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        faults.add(f"the tensor {shown} has no sound data_offsets")
    elif math.prod(shape) * DTYPES[dtype] != 8 * (offsets[1] - offsets[0]):
        bits = math.prod(shape) * DTYPES[dtype]
        faults.add(f"the tensor {shown} of {bits} bits spans {offsets[1] - offsets[0]} bytes")
    else:
        return Tensor(name, dtype, tuple(shape), *offsets)
    return None


def _counts(value: Any) -> bool:
    """True for a list of whole numbers from 0 to 2**63 - 1; `true` is none."""
    return isinstance(value, list) and all(type(n) is int and 0 <= n < 2**63 for n in value)


def _check_layout(tensors: list[Tensor], size: int, faults: Faults) -> None:
    end = 0
    for tensor in tensors:
        if tensor.start != end:
            what = "overlaps the one before" if tensor.start < end else "leaves a hole"
            faults.add(f"the tensor {tensor.name} {what}: it starts at {tensor.start}, not {end}")
        end = max(end, tensor.end)
    if end != size:
        what = "the file ends" if end > size else "there is data"
        faults.add(f"the tensors end at {end}, {what} at {size}")
