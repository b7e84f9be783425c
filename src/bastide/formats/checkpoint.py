# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A checkpoint in the layout of Hugging Face transformers: safetensors, config and tokenizer.

Rules:
* Only the files of the lists below, in one folder. A Python file, a pickle, anything unknown is
  refused, and so is any setting that asks for code (`auto_map` and its like, at any depth).
* The architecture is one of ARCHITECTURES; sizes, token numbers and shapes agree.
* With several weight files, the index names every tensor of every one of them, once.
"""

import math
import re
from collections.abc import Mapping
from typing import Any, Final

from bastide.core import limits
from bastide.formats import identify
from bastide.formats.faults import Faults
from bastide.formats.safetensors import Tensor, read_tensors
from bastide.formats.strict_json import read_json
from bastide.formats.summary import TEMPLATE_NAME, Source, Summary

__all__ = ["ARCHITECTURES", "inspect"]

# transformers' class names, and how we call the architecture.
ARCHITECTURES: Final[Mapping[str, str]] = {
    "ApertusForCausalLM": "apertus",
    "Gemma2ForCausalLM": "gemma2",
    "Gemma3ForCausalLM": "gemma3",
    "GemmaForCausalLM": "gemma",
    "GraniteForCausalLM": "granite",
    "LlamaForCausalLM": "llama",
    "MistralForCausalLM": "mistral",
    "Olmo2ForCausalLM": "olmo2",
    "Phi3ForCausalLM": "phi3",
    "Qwen2ForCausalLM": "qwen2",
    "Qwen3ForCausalLM": "qwen3",
    "SmolLM3ForCausalLM": "smollm3",
}
_CONFIG: Final = "config.json"
_INDEX: Final = "model.safetensors.index.json"
_TEMPLATE: Final = "chat_template.jinja"
_JSON_FILES: Final = frozenset(
    {
        _CONFIG,
        _INDEX,
        "added_tokens.json",
        "generation_config.json",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "vocab.json",
    }
)
_TEXT_FILES: Final = frozenset(
    {_TEMPLATE, "merges.txt", "LICENSE", "LICENSE.txt", "LICENSE.md", "NOTICE", "README.md"}
)
_WEIGHTS: Final = re.compile(r"model(?:-\d{5}-of-\d{5})?\.safetensors")
_CODE_KEYS: Final = frozenset(
    {"auto_map", "trust_remote_code", "custom_pipelines", "custom_generate", "code_revision"}
)
_BLOCK: Final = re.compile(r"model\.layers\.(\d{1,6})\..+")


def inspect(files: Mapping[str, Source]) -> Summary:
    """Check the files of a checkpoint, by path. Raises Refused with every reason."""
    faults = Faults("a checkpoint")
    if len(files) > limits.CHECKPOINT_FILES_MAX:
        raise faults.fatal(f"{len(files)} files are over {limits.CHECKPOINT_FILES_MAX}")
    _check_names(files, faults)
    documents = {
        name: document
        for name in sorted(_JSON_FILES & set(files))
        if (document := _document(name, files[name], faults)) is not None
    }
    texts = {name: _text(name, files[name], faults) for name in sorted(_TEXT_FILES & set(files))}
    tensors = _weights(files, documents.get(_INDEX), faults)
    architecture, context, vocabulary = _check_config(documents, tensors, faults)
    template, further = _templates(documents, texts.get(_TEMPLATE), faults)
    if faults:
        raise faults.refusal()
    return Summary(
        format="safetensors",
        architecture=architecture,
        parameters=sum(math.prod(tensor.shape) for tensor in tensors.values()),
        context_tokens=context,
        vocabulary=vocabulary,
        template=template,
        further_templates=further,
    )


def _check_names(files: Mapping[str, Source], faults: Faults) -> None:
    for name in sorted(files):
        known = name in _JSON_FILES or name in _TEXT_FILES or _WEIGHTS.fullmatch(name)
        against = identify.forbidden_name(name)
        if against:
            faults.add(f"{name[:120]}: {against}")
        elif not known:
            faults.add(f"{name[:120]} is not a file of a checkpoint")
    for name in (_CONFIG, "tokenizer.json"):
        if name not in files:
            faults.add(f"{name} is missing")


def _text(name: str, source: Source, faults: Faults) -> str:
    if source.size > limits.CHECKPOINT_TEXT_BYTES_MAX:
        faults.add(f"{name} is over {limits.CHECKPOINT_TEXT_BYTES_MAX} bytes")
        return ""
    try:
        return source.read_at(0, source.size).decode("utf-8")
    except UnicodeDecodeError:
        faults.add(f"{name} is not UTF-8 text")
        return ""


def _document(name: str, source: Source, faults: Faults) -> dict[str, Any] | None:
    """A JSON file as an object; None, and a fault, if it is none."""
    if source.size > limits.CHECKPOINT_JSON_BYTES_MAX:
        faults.add(f"{name} is over {limits.CHECKPOINT_JSON_BYTES_MAX} bytes")
        return None
    document = read_json(source.read_at(0, source.size), name, faults)
    if not isinstance(document, dict):
        if document is not None:
            faults.add(f"{name} is not a JSON object")
        return None
    waiting: list[Any] = [document]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            for key in sorted(_CODE_KEYS & set(value)):
                faults.add(f"{name}: {key} asks for code from the model")
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
    return document


def _weights(
    files: Mapping[str, Source], index: dict[str, Any] | None, faults: Faults
) -> dict[str, Tensor]:
    """All tensors of all weight files, by name."""
    places: dict[str, str] = {}
    tensors: dict[str, Tensor] = {}
    names = sorted(name for name in files if _WEIGHTS.fullmatch(name))
    if not names:
        faults.add("there is no model.safetensors")
    for name in names:
        own = Faults("a safetensors file")
        for tensor in read_tensors(files[name], own):
            if tensor.name in tensors:
                faults.add(f"the tensor {tensor.name} is in {places[tensor.name]} and in {name}")
            places[tensor.name], tensors[tensor.name] = name, tensor
        for reason in own.reasons:
            faults.add(f"{name}: {reason}")
    if index is not None and not faults and index.get("weight_map") != places:
        faults.add(f"{_INDEX} does not name exactly the tensors of the weight files")
    if index is None and len(names) > 1:
        faults.add(f"{_INDEX} is missing")
    return tensors


def _check_config(
    documents: Mapping[str, dict[str, Any]], tensors: Mapping[str, Tensor], faults: Faults
) -> tuple[str, int, int]:
    """Architecture, context and vocabulary, and whether the tensors fit them."""
    config = documents.get(_CONFIG, {})
    stated = config.get("architectures")
    first = stated[0] if isinstance(stated, list) and len(stated) == 1 else None
    architecture = ARCHITECTURES.get(first, "") if isinstance(first, str) else ""
    if not architecture:
        faults.add(f"the architecture {repr(stated)[:80]} is not one of {', '.join(ARCHITECTURES)}")
    vocabulary = _number(config, "vocab_size", limits.VOCABULARY_MAX, faults)
    width = _number(config, "hidden_size", 1 << 20, faults)
    blocks = _number(config, "num_hidden_layers", limits.BLOCKS_MAX, faults)
    context = _number(config, "max_position_embeddings", limits.CONTEXT_TOKENS_MAX, faults)
    heads = _number(config, "num_attention_heads", 4_096, faults)
    heads_kv = config.get("num_key_value_heads", heads)
    if type(heads_kv) is not int or not 1 <= heads_kv <= heads or heads % heads_kv:
        faults.add("config.json: num_attention_heads is no multiple of num_key_value_heads")
    if "head_dim" not in config and width % heads:
        faults.add("config.json: hidden_size is no multiple of num_attention_heads")
    for name in (_CONFIG, "generation_config.json"):
        _check_special(name, documents.get(name, {}), vocabulary, faults)
    if not faults:
        _check_shapes(tensors, vocabulary, width, blocks, faults)
    return architecture, context, vocabulary


def _number(config: Mapping[str, Any], key: str, largest: int, faults: Faults) -> int:
    value = config.get(key)
    if type(value) is int and 1 <= value <= largest:
        return value
    faults.add(f"config.json: {key} is not a whole number in 1..{largest}")
    return 1


def _check_special(name: str, config: Mapping[str, Any], vocabulary: int, faults: Faults) -> None:
    for key, value in config.items():
        if not key.endswith("_token_id") or value is None:
            continue
        idents = value if isinstance(value, list) else [value]
        if not all(type(ident) is int and 0 <= ident < vocabulary for ident in idents):
            faults.add(f"{name}: {key[:80]!r} is beyond the vocabulary of {vocabulary}")


def _check_shapes(
    tensors: Mapping[str, Tensor], vocabulary: int, width: int, blocks: int, faults: Faults
) -> None:
    known = {
        "model.embed_tokens.weight": (vocabulary, width),
        "model.norm.weight": (width,),
        "lm_head.weight": (vocabulary, width),
    }
    found = set()
    for name, tensor in tensors.items():
        match = _BLOCK.fullmatch(name)
        if match:
            found.add(int(match[1]))
        elif name not in known:
            faults.add(f"the tensor {name} does not belong to the architecture")
        elif tensor.shape != known[name]:
            faults.add(f"the tensor {name} has the shape {tensor.shape}, expected {known[name]}")
    for name in ("model.embed_tokens.weight", "model.norm.weight"):
        if name not in tensors:
            faults.add(f"the tensor {name} is missing")
    if found != set(range(blocks)):
        faults.add(f"the tensors are of {len(found)} blocks, config.json says {blocks}")


def _templates(
    documents: Mapping[str, dict[str, Any]], file: str | None, faults: Faults
) -> tuple[str | None, tuple[tuple[str, str], ...]]:
    """The chat template, from its own file or else from the tokenizer's settings; and others."""
    stated = documents.get("tokenizer_config.json", {}).get("chat_template")
    rows = stated if isinstance(stated, list) else [{"name": "default", "template": stated}]
    named: dict[str, str] = {}
    for row in rows if stated is not None else []:
        name, text = (row.get("name"), row.get("template")) if isinstance(row, dict) else (0, 0)
        if not isinstance(name, str) or not isinstance(text, str) or name in named:
            faults.add("tokenizer_config.json: chat_template is neither a text nor named texts")
        elif not TEMPLATE_NAME.fullmatch(name):
            faults.add(f"tokenizer_config.json: {name[:40]!r} is not a name for a chat template")
        else:
            named[name] = text
    main = named.pop("default", None) if file is None else file
    if len(named) >= limits.TEMPLATES_MAX:
        faults.add(f"there are more than {limits.TEMPLATES_MAX} chat templates")
    return main, tuple(sorted(named.items()))
