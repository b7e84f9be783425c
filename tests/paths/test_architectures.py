# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The table of architectures against llama.cpp itself: what we call whole, it loads.

For every row a tiny model with exactly the tensors that the row demands must pass our validator
and must load in the engine; with one tensor less it must pass neither.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bastide.core.errors import Refused
from bastide.formats import gguf
from bastide.formats.gguf_architectures import ARCHITECTURES
from unit.model_files import ARRAY, F32, I32, STRING, U32, Gguf, as_encoder, make_gguf

LENGTHS = {"embd": 64, "vocab": 300, "ff": 128, "ff2": 256, "q": 64, "k": 32, "v": 32, "vq": 64}
LENGTHS |= {"qkv": 128, "head": 16, "rot": 8, "ctx": 128, "types": 2}
SEPARATE = {"attn_q.weight", "attn_k.weight", "attn_v.weight"}

# The engine's destructors may hang after a load, so the child leaves without them.
LOAD = """
import os, sys, xllamacpp
wanted = xllamacpp.CommonParams()
wanted.model.path = sys.argv[1]
wanted.n_ctx, wanted.n_parallel, wanted.warmup = 64, 1, False
wanted.cpuparams.n_threads = 1
try:
    held = xllamacpp.Server(wanted)
except RuntimeError:
    os._exit(3)
os._exit(0)
"""


def byte_tokens() -> list[str]:
    """The 256 byte tokens of GPT-2 (its bytes_to_unicode) and some control tokens."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [256 + place for place in range(256 - len(plain))]
    return [chr(code) for code in plain + others] + [f"<s{n}>" for n in range(44)]


def tiny(architecture: str) -> Gguf:
    """A model with all that the row demands and nothing else."""
    made, prefix, row = (
        make_gguf(architecture=architecture),
        architecture + ".",
        ARCHITECTURES[architecture],
    )
    made.set(prefix + "embedding_length", U32, 64).set(prefix + "feed_forward_length", U32, 128)
    made.set(prefix + "attention.head_count", U32, 4)
    made.set(prefix + "attention.head_count_kv", U32, 2)
    made.set("tokenizer.ggml.pre", STRING, "gpt-2")
    made.set("tokenizer.ggml.tokens", ARRAY, (STRING, byte_tokens()))
    made.set("tokenizer.ggml.token_type", ARRAY, (I32, [1] * 256 + [3] * 44))
    made.set("tokenizer.ggml.merges", ARRAY, (STRING, ["t h", "t e"]))
    made.set("tokenizer.ggml.bos_token_id", U32, 256).set("tokenizer.ggml.eos_token_id", U32, 257)
    if architecture in ("gemma2", "gemma3"):
        made.set(prefix + "attention.sliding_window", U32, 64)
    for key in row.floats:
        made.set(prefix + key, F32, 1.0)
    if architecture == "apertus":
        for key in ("alpha_n", "alpha_p", "beta", "eps"):
            made.set(f"xielu.{key}", F32, 1.0)
    if row.encoder:
        as_encoder(made, architecture)
        made.set(prefix + "attention.head_count_kv", U32, 4)
    shapes = {f"blk.0.{name}": shape for name, shape in row.block.items()}
    if architecture == "phi3":  # its real models have one tensor for all three
        shapes = {n: s for n, s in shapes.items() if n.removeprefix("blk.0.") not in SEPARATE}
        shapes["blk.0.attn_qkv.weight"] = ("embd", "qkv")
    lengths = LENGTHS | ({"k": 64, "v": 64, "qkv": 192} if row.encoder else {})
    made.tensors = [
        (name, tuple(lengths[length] for length in shape), 0)
        for name, shape in {**row.outer, **shapes}.items()
    ]
    return made


def loads(made: Gguf, folder: Path) -> bool:
    path = folder / "tiny.gguf"
    path.write_bytes(made.encode())
    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(path)],
        capture_output=True,
        env={"PATH": os.environ["PATH"]},
        timeout=60,
        check=False,
    )
    assert done.returncode in (0, 3), done.stderr[-2_000:]
    return done.returncode == 0


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_whole_model_passes_here_and_loads_there(architecture: str, tmp_path: Path) -> None:
    made = tiny(architecture)
    assert gguf.inspect(made.source()).architecture == architecture
    assert loads(made, tmp_path)


@pytest.mark.parametrize("architecture", ["llama", "olmo2", "apertus", "bert"])
def test_a_model_that_lacks_a_tensor_passes_nowhere(architecture: str, tmp_path: Path) -> None:
    made = tiny(architecture)
    missing = made.tensors.pop()[0]
    with pytest.raises(Refused) as caught:
        gguf.inspect(made.source())
    assert caught.value.reasons == (f"the tensor {missing} is missing",)
    assert not loads(made, tmp_path)
