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
RECEIPT_BATCH_MAX: Final = 65_536  # receipts under one entry; a proof then has 16 hashes

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
GGUF_TEXT_BYTES_MAX: Final = 16 * MIB  # all texts together, arrays not counted
GGUF_DIMENSIONS_MAX: Final = 4  # ggml's GGML_MAX_DIMS
GGUF_NAME_BYTES_MAX: Final = 63  # ggml's GGML_MAX_NAME without its zero byte
GGUF_KEY_BYTES_MAX: Final = 255
GGUF_ALIGNMENT_MAX: Final = 4_096  # a page; the default is 32
SAFETENSORS_HEADER_BYTES_MAX: Final = 16 * MIB  # 100,000 tensors of 160 bytes
SAFETENSORS_TENSORS_MAX: Final = 100_000
SAFETENSORS_DIMENSIONS_MAX: Final = 8
FAULTS_MAX: Final = 32  # reasons against one file; then only their number
CHECKPOINT_FILES_MAX: Final = 64  # an admission must fit an entry of the ledger
CHECKPOINT_JSON_BYTES_MAX: Final = 32 * MIB  # tokenizer.json of a 262k-token vocabulary
CHECKPOINT_TEXT_BYTES_MAX: Final = 16 * MIB  # merges.txt
JSON_ITEMS_MAX: Final = 2_000_000  # values in one JSON file
TEMPLATES_MAX: Final = 8  # chat templates of one model
TEMPLATE_TOKENS_MAX: Final = 40_000  # the longest known template has 3,770
TEMPLATE_NODES_MAX: Final = 20_000
TEMPLATE_DEPTH_MAX: Final = 64
TEMPLATE_LOOPS_MAX: Final = 5  # loops within loops
TEMPLATE_RANGE_MAX: Final = 1_000
TEMPLATE_NUMBER_MAX: Final = 1_000_000
TEMPLATE_BYTES_MAX: Final = 256 * KIB
MODEL_BYTES_MAX: Final = 4 * 1024 * GIB
VOCABULARY_MAX: Final = 1_000_000
CONTEXT_TOKENS_MAX: Final = 16_777_216
BLOCKS_MAX: Final = 512  # llama.cpp's LLAMA_MAX_LAYERS

# Gateway.
REQUEST_HEADER_BYTES_MAX: Final = 32 * KIB
REQUEST_BODY_BYTES_MAX: Final = 4 * MIB
REQUEST_MESSAGES_MAX: Final = 2_048
REQUEST_STOPS_MAX: Final = 4  # the OpenAI API allows four
REQUEST_READ_TIMEOUT_S: Final = 30.0  # a slow sender loses its connection
ANSWER_TOKENS_MAX: Final = 131_072
RECEIPT_TIMEOUT_S: Final = 5.0  # no receipt in this time: the answer ends with an error
SIGNATURE_SKEW_MAX_S: Final = 300.0  # as AWS; within it a signed request can be replayed
SNAPSHOT_AGE_MAX_S: Final = 5.0  # an older snapshot may hide a revocation: refuse
KEEP_ALIVE_TIMEOUT_S: Final = 75.0  # an idle connection, as nginx does by default
WRITE_STALL_TIMEOUT_S: Final = 30.0  # a client that does not read loses its connection
LINGER_S: Final = 2.0  # so that a client still sending reads why it was refused
CONNECTIONS_MAX: Final = 4_096
PIPELINE_BYTES_MAX: Final = 64 * KIB  # read ahead while an answer runs
QUEUE_PER_SLOT: Final = 4  # requests that may wait for each slot; more get 429
STOP_GRACE_S: Final = 6.0  # running answers may finish; the supervisor kills after 10 s

# Links between our processes, over Unix sockets.
FRAME_BYTES_MAX: Final = 8 * MIB
CONTROL_TIMEOUT_S: Final = 30.0  # any answer of control but a receipt's
CONTROL_BACKOFF_S: Final = (0.02, 0.05, 0.1, 0.25, 0.5, 1.0)  # then the last one for ever

# Runner.
ENGINE_START_TIMEOUT_S: Final = 120.0
ENGINE_BACKOFF_S: Final = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0)  # then the last one for ever
ENGINE_READY_TIMEOUT_S: Final = 10.0  # an engine that is not healthy after this never will be
ENGINE_SILENCE_MAX_S: Final = 300.0  # an engine that says nothing for so long has lost the answer
ENGINE_REPLY_BYTES_MAX: Final = 4 * MIB  # no engine is trusted: one reply, one answer's text
RUNNER_STREAMS_MAX: Final = 256  # open requests per connection
RUNNER_DRAIN_S: Final = 5.0  # how long answers may go on when the runner is told to stop
