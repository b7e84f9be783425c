# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Every bound in the product, with its unit and its reason."""

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB
GIB: Final = 1024 * MIB

# Ledger. C2SP tlog-tiles writes an entry's length as uint16.
ENTRY_BYTES_MAX: Final = 65_535
LEDGER_BATCH_MAX: Final = 4_096  # entries per commit; 50,000 entries/s need few fsyncs

# age v1 (C2SP age.md): a header larger than this is hostile; ML-KEM stanzas are about 1.6 KiB.
AGE_HEADER_BYTES_MAX: Final = 256 * KIB
AGE_STANZAS_MAX: Final = 64
AGE_SCRYPT_LOG_N_MAX: Final = 20  # 1 GiB of memory; the reference CLI refuses above 22

# Admission. The largest GGUF header seen in the wild is about 20 MiB (262k-token vocabulary).
GGUF_HEADER_BYTES_MAX: Final = 64 * MIB
GGUF_METADATA_MAX: Final = 4_096  # key-value pairs
GGUF_TENSORS_MAX: Final = 100_000
GGUF_ARRAY_ITEMS_MAX: Final = 2_000_000
GGUF_STRING_BYTES_MAX: Final = 4 * MIB
GGUF_DIMENSIONS_MAX: Final = 4  # ggml's GGML_MAX_DIMS
SAFETENSORS_HEADER_BYTES_MAX: Final = 100_000_000  # the reference implementation's own cap
SAFETENSORS_TENSORS_MAX: Final = 100_000
TEMPLATE_BYTES_MAX: Final = 256 * KIB
MODEL_BYTES_MAX: Final = 4 * 1024 * GIB
VOCABULARY_MAX: Final = 1_000_000
CONTEXT_TOKENS_MAX: Final = 16_777_216
BLOCKS_MAX: Final = 1_024

# Gateway.
REQUEST_HEADER_BYTES_MAX: Final = 32 * KIB
REQUEST_BODY_BYTES_MAX: Final = 4 * MIB
REQUEST_MESSAGES_MAX: Final = 2_048
REQUEST_STOPS_MAX: Final = 4  # the OpenAI API allows four
REQUEST_READ_TIMEOUT_S: Final = 30.0  # a slow sender loses its connection
ANSWER_TOKENS_MAX: Final = 131_072
RECEIPT_TIMEOUT_S: Final = 5.0  # no receipt in this time: the answer ends with an error
SNAPSHOT_AGE_MAX_S: Final = 5.0  # an older snapshot may hide a revocation: refuse

# Links between our processes, over Unix sockets.
FRAME_BYTES_MAX: Final = 8 * MIB

# Runner.
ENGINE_START_TIMEOUT_S: Final = 120.0
ENGINE_BACKOFF_S: Final = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0)  # then the last one for ever
