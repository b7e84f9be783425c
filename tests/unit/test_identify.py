# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Files are known by their bytes: real pickles, archives and programs under any name."""

import bz2
import gzip
import io
import json
import lzma
import os
import pickle
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bastide.core.errors import Refused
from bastide.formats import gguf
from bastide.formats.identify import forbidden_name, identify, suspicions
from unit.model_files import MemorySource, make_gguf, make_safetensors, tensor_row


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("exit 1",)


def zipped(**files: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def tarred() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        info = tarfile.TarInfo("model.gguf")
        info.size = 4
        archive.addfile(info, io.BytesIO(b"GGUF"))
    return out.getvalue()


def torch_like() -> bytes:
    """What torch.save writes: an uncompressed zip archive around a pickle."""
    files = {"archive/data.pkl": pickle.dumps(Evil(), 2), "archive/version": b"3\n"}
    return zipped(**files, **{"archive/data/0": bytes(16)})


KINDS: dict[str, tuple[bytes, str]] = {
    **{f"pickle {n}": (pickle.dumps(Evil(), n), "pickle") for n in range(6)},
    **{f"pickled dict {n}": (pickle.dumps({"a": [1]}, n), "pickle") for n in range(6)},
    "torch": (torch_like(), "torch-zip"),
    "zip": (zipped(**{"model.gguf": b"GGUF"}), "zip"),
    "empty zip": (zipped(), "zip"),
    "tar": (tarred(), "tar"),
    "gzip": (gzip.compress(b"GGUF"), "gzip"),
    "bzip2": (bz2.compress(b"GGUF"), "bzip2"),
    "xz": (lzma.compress(b"GGUF"), "xz"),
    "7z": (b"7z\xbc\xaf\x27\x1c\x00\x04", "7z"),
    "zstd": (b"\x28\xb5\x2f\xfd\x00", "zstd"),
    "hdf5": (b"\x89HDF\r\n\x1a\n", "hdf5"),
    "npy": (b"\x93NUMPY\x01\x00", "npy"),
    "onnx": (b"\x08\x07\x12\x07pytorch", "onnx"),
    "program": (Path(sys.executable).read_bytes()[:4096], "elf"),
    "script": (b"#!/bin/sh\n", "script"),
    "Python": (b"# a model\nimport os\nos.system('id')\n", "python"),
    "old GGML": (b"tjgg\x01\x00\x00\x00", "ggjt"),
    "big-endian GGUF": (b"FUGG" + bytes(20), "gguf-big-endian"),
    "nothing": (b"", "unknown"),
    "noise": (bytes(range(128, 256)), "unknown"),
}
PLAIN: dict[str, tuple[bytes, str]] = {
    "gguf": (make_gguf().encode(), "gguf"),
    "safetensors": (
        make_safetensors({"a": tensor_row("U8", [4], 0, 4)}, bytes(4)),
        "safetensors",
    ),
    "json": (json.dumps({"a": 1}).encode(), "json"),
    "text": ("Où est la bastide ?\n".encode(), "text"),
}


@pytest.mark.parametrize("name", KINDS | PLAIN)
def test_a_file_is_known_by_its_bytes(name: str) -> None:
    data, kind = (KINDS | PLAIN)[name]
    assert identify(MemorySource(data)).name == kind


@pytest.mark.attacks("C32")
@pytest.mark.parametrize("name", KINDS)
def test_a_forbidden_file_is_refused_under_the_name_of_a_model(name: str) -> None:
    data, _ = KINDS[name]
    found = identify(MemorySource(data))
    assert found.against
    assert suspicions("model.gguf", MemorySource(data)) == [
        f"model.gguf: it is {found.title}: {found.against}"
    ]
    with pytest.raises(Refused) as caught:
        gguf.inspect(MemorySource(data))
    assert caught.value.reasons == (f"it is {found.title}, not GGUF",)


@pytest.mark.parametrize("name", PLAIN)
def test_a_plain_file_has_no_suspicion(name: str) -> None:
    assert suspicions("model.dat", MemorySource(PLAIN[name][0])) == []


@pytest.mark.attacks("C32")
@pytest.mark.parametrize(
    "path", ["a.py", "A.PY", "x.pkl", "m.pt", "m.pth", "m.bin", "m.zip", "m.tar.gz", "m.npy"]
)
def test_some_names_are_never_admitted(path: str) -> None:
    assert forbidden_name(path)
    assert suspicions(path, MemorySource(make_gguf().encode()))


def test_a_head_that_ends_inside_a_character_is_still_text() -> None:
    assert identify(MemorySource(b"a" * 65_535 + "é".encode() * 10)).name == "text"


@settings(max_examples=300, derandomize=True)
@given(st.binary(max_size=300))
def test_any_bytes_are_of_some_kind(data: bytes) -> None:
    source = MemorySource(data)
    assert identify(source).name
    assert source.reads == 1
