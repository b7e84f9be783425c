# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Catalogue of model formats: bounded, pure validators.

`gguf.inspect` and `checkpoint.inspect` are the ways in; summary.py states what each promises.
"""

__all__ = [
    "chat_template",
    "checkpoint",
    "faults",
    "gguf",
    "identify",
    "safetensors",
    "strict_json",
    "summary",
]
