# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Where the tensors of a GGUF file lie: one after the other, and nothing else beside them."""

from typing import Final, NamedTuple

from bastide.core import limits
from bastide.formats.faults import Faults
from bastide.formats.gguf_header import UINT32, Header, TensorInfo
from bastide.formats.summary import Source

__all__ = ["TENSOR_TYPES", "TensorType", "check_layout"]

_ALIGNMENT_DEFAULT: Final = 32


class TensorType(NamedTuple):
    """A ggml number format: `items` numbers take `size` bytes; `weights`: models may use it."""

    name: str
    items: int
    size: int
    weights: bool = True


# ggml's type traits (ggml.c); the numbers that are missing were removed from ggml.
TENSOR_TYPES: Final = {
    0: TensorType("F32", 1, 4),
    1: TensorType("F16", 1, 2),
    2: TensorType("Q4_0", 32, 18),
    3: TensorType("Q4_1", 32, 20),
    6: TensorType("Q5_0", 32, 22),
    7: TensorType("Q5_1", 32, 24),
    8: TensorType("Q8_0", 32, 34),
    9: TensorType("Q8_1", 32, 36, weights=False),  # only ever an intermediate result
    10: TensorType("Q2_K", 256, 84),
    11: TensorType("Q3_K", 256, 110),
    12: TensorType("Q4_K", 256, 144),
    13: TensorType("Q5_K", 256, 176),
    14: TensorType("Q6_K", 256, 210),
    15: TensorType("Q8_K", 256, 292, weights=False),  # only ever an intermediate result
    16: TensorType("IQ2_XXS", 256, 66),
    17: TensorType("IQ2_XS", 256, 74),
    18: TensorType("IQ3_XXS", 256, 98),
    19: TensorType("IQ1_S", 256, 50),
    20: TensorType("IQ4_NL", 32, 18),
    21: TensorType("IQ3_S", 256, 110),
    22: TensorType("IQ2_S", 256, 82),
    23: TensorType("IQ4_XS", 256, 136),
    24: TensorType("I8", 1, 1, weights=False),
    25: TensorType("I16", 1, 2, weights=False),
    26: TensorType("I32", 1, 4, weights=False),
    27: TensorType("I64", 1, 8, weights=False),
    28: TensorType("F64", 1, 8, weights=False),
    29: TensorType("IQ1_M", 256, 56),
    30: TensorType("BF16", 1, 2),
    34: TensorType("TQ1_0", 256, 54),
    35: TensorType("TQ2_0", 256, 66),
    39: TensorType("MXFP4", 32, 17),
    40: TensorType("NVFP4", 64, 36),
    41: TensorType("Q1_0", 128, 18),
    42: TensorType("Q2_0", 64, 18),
}


def check_layout(header: Header, source: Source, faults: Faults) -> None:
    """Compare offsets and sizes with each other and with the file."""
    alignment = _alignment(header, faults)
    start = _padded(header.end, alignment)
    end, last = 0, 0
    for tensor in header.tensors:
        size = _size(tensor, faults)
        if size is None:
            return  # where the next tensor starts is not known
        if tensor.offset != end:
            faults.add(f"the tensor {tensor.name} is at {tensor.offset}, expected at {end}")
        last = end + size
        end = _padded(last, alignment)
        if end > limits.MODEL_BYTES_MAX:
            faults.add(f"the tensors up to {tensor.name} claim over {limits.MODEL_BYTES_MAX} bytes")
            return
    if source.size < start + last:
        faults.add(f"the file has {source.size} bytes, the tensors end at {start + last}")
    elif source.size > start + end:
        faults.add(f"{source.size - start - end} bytes follow the last tensor")
    elif any(source.read_at(start + last, source.size - start - last)):
        faults.add("the padding after the last tensor is not zero")
    if any(source.read_at(header.end, min(start, source.size) - header.end)):
        faults.add("the padding after the header is not zero")


def _alignment(header: Header, faults: Faults) -> int:
    entry = header.metadata.get("general.alignment")
    if entry is None:
        return _ALIGNMENT_DEFAULT
    value = entry.value
    if entry.kind == UINT32 and 8 <= value <= limits.GGUF_ALIGNMENT_MAX and not value & (value - 1):
        return value
    faults.add(f"general.alignment is no power of two from 8 to {limits.GGUF_ALIGNMENT_MAX}")
    return _ALIGNMENT_DEFAULT


def _padded(position: int, alignment: int) -> int:
    return -(-position // alignment) * alignment


def _size(tensor: TensorInfo, faults: Faults) -> int | None:
    """Bytes of a tensor, or None if its type or shape is no good."""
    kind = TENSOR_TYPES.get(tensor.kind)
    if kind is None or not kind.weights:
        faults.add(f"the tensor {tensor.name} has the type {tensor.kind}, which is not for weights")
        return None
    if not all(tensor.shape) or tensor.items >= 2**63:
        faults.add(f"the tensor {tensor.name} has the shape {tensor.shape}")
        return None
    if tensor.shape[0] % kind.items:
        faults.add(f"a row of {tensor.name} ({tensor.shape[0]}) is no multiple of {kind.items}")
        return None
    return tensor.items // kind.items * kind.size
