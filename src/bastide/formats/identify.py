# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What a file is, by its bytes. Its name only ever adds a suspicion, it never removes one."""

import re
from dataclasses import dataclass
from typing import Final

from bastide.core import limits
from bastide.formats.summary import Source

__all__ = ["Kind", "forbidden_name", "identify", "suspicions"]

_HEAD_BYTES: Final = 64 * limits.KIB


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of file: its short name, how to call it in a sentence, why it is not admitted."""

    name: str
    title: str
    against: str = ""


_CODE: Final = "loading it can run code"
_PACKED: Final = "an archive can hold anything; give the files in it"
_PICKLE: Final = Kind("pickle", "a Python pickle", _CODE)

_MAGIC: Final = (
    (b"GGUF", Kind("gguf", "a GGUF file")),
    (b"FUGG", Kind("gguf-big-endian", "a big-endian GGUF file", "only little-endian is read")),
    (b"lmgg", Kind("ggml", "a GGML file from before GGUF", "its format is not checked here")),
    (b"tjgg", Kind("ggjt", "a GGJT file from before GGUF", "its format is not checked here")),
    (b"7z\xbc\xaf\x27\x1c", Kind("7z", "a 7z archive", _PACKED)),
    (b"Rar!\x1a\x07", Kind("rar", "a RAR archive", _PACKED)),
    (b"\x1f\x8b", Kind("gzip", "gzip data", _PACKED)),
    (b"BZh", Kind("bzip2", "bzip2 data", _PACKED)),
    (b"\xfd7zXZ\x00", Kind("xz", "xz data", _PACKED)),
    (b"\x28\xb5\x2f\xfd", Kind("zstd", "Zstandard data", _PACKED)),
    (b"\x04\x22\x4d\x18", Kind("lz4", "LZ4 data", _PACKED)),
    (b"\x89HDF\r\n\x1a\n", Kind("hdf5", "an HDF5 (Keras) file", _CODE)),
    (b"\x93NUMPY", Kind("npy", "a NumPy file", "it may hold pickled objects")),
    (b"\x7fELF", Kind("elf", "a Linux program", "it is code")),
    (b"MZ", Kind("exe", "a Windows program", "it is code")),
    (b"\xcf\xfa\xed\xfe", Kind("macho", "a macOS program", "it is code")),
    (b"\xca\xfe\xba\xbe", Kind("macho-fat", "a macOS program or Java class", "it is code")),
    (b"#!", Kind("script", "a script", "it is code")),
    (b"SQLite format 3\x00", Kind("sqlite", "an SQLite database", "it is not a model")),
    (b"%PDF-", Kind("pdf", "a PDF document", "it is not a model")),
    (b"\x00asm", Kind("wasm", "a WebAssembly program", "it is code")),
    (b"age-encryption.org/v1", Kind("age", "an age-encrypted file", "give the decrypted file")),
)
_UNKNOWN: Final = Kind("unknown", "of no known kind", "only known kinds are admitted")
_TEXT: Final = Kind("text", "a text file")
_JSON: Final = Kind("json", "a JSON file")
_SAFETENSORS: Final = Kind("safetensors", "a safetensors file")

# Names that some loader runs or unpickles, whatever the bytes are.
_SUFFIXES: Final = {
    ".py .pyc .pyo .pyd .pyx .so .dll .dylib .exe .sh .bat .ps1 .js .ipynb": "it is code",
    ".pkl .pickle .pt .pth .ckpt .bin .joblib .dill .npy .npz .mar .nemo": _CODE,
    ".h5 .hdf5 .keras .onnx .pb .tflite .mlmodel .mlpackage .torchscript .ptl .pte": _CODE,
    ".zip .tar .gz .tgz .bz2 .xz .7z .rar .zst .lz4 .whl .jar .egg": _PACKED,
}
_PYTHON: Final = re.compile(
    rb"^(?:from [\w.]+ import |import [\w.]+|def \w+\(|class \w+[(:]|async def |@\w+)", re.M
)


def identify(source: Source) -> Kind:
    """Read the first bytes and say what they are. Never raises."""
    head = source.read_at(0, min(source.size, _HEAD_BYTES))
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    for probe in (_probe_zip, _probe_pickle, _probe_tar, _probe_safetensors, _probe_onnx):
        found = probe(head, source.size)
        if found is not None:
            return found
    return _probe_text(head)


def forbidden_name(path: str) -> str:
    """Why a file of this name is never admitted, or an empty string."""
    lower = path.lower()
    for suffixes, against in _SUFFIXES.items():
        for suffix in suffixes.split():
            if lower.endswith(suffix):
                return f"a {suffix} file is not admitted: {against}"
    return ""


def suspicions(path: str, source: Source) -> list[str]:
    """Everything against a file that its name or its first bytes show."""
    kind = identify(source)
    found = [forbidden_name(path)]
    if kind.against:
        found.append(f"it is {kind.title}: {kind.against}")
    return [f"{path[:200]}: {reason}" for reason in found if reason]


def _probe_zip(head: bytes, size: int) -> Kind | None:
    if head[:4] not in (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08"):
        return None
    if b"data.pkl" in head or b"/version" in head:
        return Kind("torch-zip", "a PyTorch file (a zip archive around a pickle)", _CODE)
    return Kind("zip", "a zip archive", _PACKED)


def _probe_pickle(head: bytes, size: int) -> Kind | None:
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return _PICKLE
    # Protocols 0 and 1 have no magic. They begin with an opcode that makes or fetches an object.
    plain = re.match(rb"(?:c[\w.]+\n[\w.]+\n|\(lp?\d|\(dp?\d|\(i[\w.]+\n|[(\]}]q\x00|\(c)", head)
    return _PICKLE if plain else None


def _probe_tar(head: bytes, size: int) -> Kind | None:
    if head[257:262] == b"ustar":
        return Kind("tar", "a tar archive", _PACKED)
    return None


def _probe_safetensors(head: bytes, size: int) -> Kind | None:
    if len(head) < 10 or head[8:9] != b"{":
        return None
    length = int.from_bytes(head[:8], "little")
    return _SAFETENSORS if 2 <= length <= size - 8 else None


def _probe_onnx(head: bytes, size: int) -> Kind | None:
    """An ONNX ModelProto: field 1 (a small version number), then field 2 or 7."""
    if head[:1] == b"\x08" and head[1:2] and head[1] < 32 and head[2:3] in (b"\x12", b"\x3a"):
        return Kind("onnx", "an ONNX file", "it can name files outside itself")
    return None


def _probe_text(head: bytes) -> Kind:
    text = _decoded(head)
    if text is None or "\0" in text:
        return _UNKNOWN
    if text.lstrip()[:1] in ("{", "["):
        return _JSON
    if _PYTHON.search(head):
        return Kind("python", "Python source", "it is code")
    return _TEXT if text else _UNKNOWN


def _decoded(head: bytes) -> str | None:
    for cut in range(4):  # the head may end inside a character
        try:
            return head[: len(head) - cut].decode("utf-8")
        except UnicodeDecodeError:
            continue
    return None
