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
RECEIPT_DISORDER_MS: Final = 86_400_000  # by which the book's order may differ from time's
RECEIPT_BATCH_MAX: Final = 65_536  # receipts under one entry; a proof then has 16 hashes

# age v1 (C2SP age.md): a header larger than this is hostile; ML-KEM stanzas are about 1.6 KiB.
AGE_HEADER_BYTES_MAX: Final = 256 * KIB
AGE_STANZAS_MAX: Final = 64
AGE_SCRYPT_LOG_N_MAX: Final = 20  # 1 GiB of memory; the reference CLI refuses above 22

# Core dumps. Less than any file of one has, and the one limit that a program, to which the kernel
# may pipe dumps, is not given any under (fs/coredump.c: "1 as a special value").
CORE_BYTES_MAX: Final = 1

# Emergencies.
BREAK_GLASS_MINUTES_MAX: Final = 60  # an emergency that takes longer is opened again, by a person

# Orders and proposals that several parties sign.
ORDER_DAYS_MAX: Final = 30  # who signed long ago may have forgotten, or left; ask again
ORDER_DAYS: Final = 7  # unless an order says another number
ORDER_AHEAD_MS: Final = 86_400_000  # by which the clock of who drafted may be ahead of ours
SEEN_ENTRIES: Final = 256  # so far back entries say how late it is, if a clock was set back

# Approvals. An end of their own; the policy's gate may ask for a shorter life (`days`).
APPROVAL_DAYS: Final = 30  # unless the party says another number: it may have changed its mind
APPROVAL_DAYS_MAX: Final = 366  # a longer life is none that somebody thought about

# Certificates of clients.
CERTIFICATES_CHECK_S: Final = 0.25  # with control's 0.1 s, a revocation ends connections in time

# Logins.
LOGIN_MINUTES_MAX: Final = 720  # a working day; who works on logs in again

# Key services.
KEY_SERVICE_S: Final = (
    5.0  # until one that does not answer counts as down; a hand on a token needs 3
)
KEY_EVENTS_BYTES_MAX: Final = 64 * MIB  # of the record of openings, until it is put aside

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
BODIES_BYTES_MAX: Final = 256 * MIB  # of all that have begun to come to one process
BODY_BYTES_FREE: Final = 64 * KIB  # of one, which comes in also when that much is there
REQUEST_MESSAGES_MAX: Final = 2_048
REQUEST_STOPS_MAX: Final = 16  # OpenAI allows four, Gemini five, Bedrock up to 2,500
TOP_K_MAX: Final = 1_000_000  # of tokens to draw from: more than any vocabulary has
REQUEST_TOOLS_MAX: Final = 128  # as the OpenAI API
SCHEMA_BYTES_MAX: Final = 64 * KIB  # of one schema; an engine makes a grammar of it
SCHEMA_DEPTH_MAX: Final = 32
SCHEMA_REPEATS_MAX: Final = 2_000  # llama.cpp refuses a grammar that repeats more often
REQUEST_READ_TIMEOUT_S: Final = 30.0  # a slow sender loses its connection
ANSWER_TOKENS_MAX: Final = 131_072
EMBED_TEXTS_MAX: Final = 2_048  # in one request, as the OpenAI API
EMBED_NUMBERS_MAX: Final = 900_000  # of all vectors of one request: they must fit one frame
RECEIPT_TIMEOUT_S: Final = 5.0  # no receipt in this time: the answer ends with an error
PROMISE_MERGE_MS: Final = 1_000  # a promised receipt is in the ledger by then
PROMISE_CONFIRM_S: Final = 0.5  # control has confirmed it by then, or nothing more is promised
PROMISE_RETRY_S: Final = 0.25  # an unconfirmed one is handed over again after this time
PROMISE_KEEP_S: Final = 300.0  # and given up after this
PROMISES_MAX: Final = 4_096  # unconfirmed in one gateway, about 4 MB; the next answer waits
PROMISE_KEY_S: Final = 86_400.0  # a gateway's key is delegated for a day
SIGNATURE_SKEW_MAX_S: Final = 300.0  # as AWS
SIGNATURE_REPEAT_S: Final = 5.0  # equal calls and retries of one second have one signature
SIGNATURES_SEEN_MAX: Final = 1_048_576  # in ten minutes, of all workers; then more are refused
SNAPSHOT_AGE_MAX_S: Final = 5.0  # an older snapshot may hide a revocation: refuse
KEEP_ALIVE_TIMEOUT_S: Final = 75.0  # an idle connection, as nginx does by default
WRITE_STALL_TIMEOUT_S: Final = 30.0  # a client that does not read loses its connection
LINGER_S: Final = 2.0  # so that a client still sending reads why it was refused
CONNECTIONS_MAX: Final = 16_384  # of one process; a stream that waits takes 15 KiB
DESCRIPTORS_KEPT: Final = 256  # for runners, control and scrapers; half of all, if they are few
PIPELINE_BYTES_MAX: Final = 64 * KIB  # read ahead while an answer runs
WINDOW_REQUESTS_MAX: Final = 16_384  # on their way to one engine; half of it for one tenant
WINDOW_BYTES_MAX: Final = 64 * MIB  # of prompts, the same
STOP_GRACE_S: Final = 6.0  # running answers may finish; the supervisor kills after 10 s
WORKERS_MAX: Final = 64  # gateway processes; more than the cores of a machine bring nothing

# HTTP/2 (gateway/h2_*.py).
H2_STREAMS_MAX: Final = 128  # at once on a connection; clients take 100 before they are told
H2_BODIES_BYTES_MAX: Final = 16 * MIB  # unfinished bodies of one connection; more are refused
H2_HEADER_BLOCK_BYTES_MAX: Final = 64 * KIB  # coded, with all CONTINUATIONs: then the line is cut
H2_CLOSED_STREAMS_MAX: Final = 1_024  # remembered, for frames that were under way
H2_WINDOW_BYTES: Final = MIB  # what a client may send before it hears from us
H2_FRAME_BYTES: Final = 16 * KIB  # of an answer in one frame, so that streams take turns
H2_TOLL_MAX: Final = 1_000.0  # frames that bring no request forward, in a burst
H2_TOLL_PER_S: Final = 200.0  # and for ever
H2_RESET_TOLL: Final = 5.0  # a reset costs a request: 200 in a burst, 40 a second (CVE-2023-44487)
H2_SMALL_DATA_BYTES: Final = 512  # a smaller DATA frame that ends nothing pays toll

# TLS.
TLS_HANDSHAKE_TIMEOUT_S: Final = 10.0
TLS_CA_DAYS: Final = 3_650  # `public/ca.pem` is copied to clients by hand
TLS_SERVER_DAYS: Final = 7  # a stolen server key is worth this much
TLS_RENEW_BEFORE_DAYS: Final = 5  # so it is renewed every two days, and may fail for five
TLS_BACKDATE_S: Final = 300  # clocks of clients differ
TLS_NAMES_MAX: Final = 32  # names and addresses of one server certificate

# Guard (detectors/, docs/adr/0015-guard.md). What a stream holds back is at most one match.
GUARD_PEM_CHARS_MAX: Final = 16 * KIB  # an RSA key of 16,384 bits has 12.7 KiB
GUARD_JWT_CHARS_MAX: Final = 8 * KIB  # servers take headers of this size
GUARD_LINK_CHARS_MAX: Final = 2_048  # browsers and servers cut longer ones
GUARD_HOSTS_MAX: Final = 1_024  # allow-listed hosts of one policy
GUARD_POLICY_BYTES_MAX: Final = 32 * KIB  # it must fit an entry of the ledger
GUARD_CALL_CHARS_MAX: Final = 64 * KIB  # arguments of one tool call, held until it is whole
GUARD_STEP_CHARS: Final = 4 * KIB  # of a prompt between two turns of others; 20 ms at worst
GUARD_CEDAR_BYTES_MAX: Final = 16 * KIB  # rules for tool calls; read at every call
GUARD_DECISIONS_MAX: Final = 64  # different lines in one receipt
ERASURE_LETTERS_MIN: Final = 6  # of a whole name; shorter ones are words of other sentences
ERASURE_LETTERS_MAX: Final = 64
ERASURE_NAMES_MAX: Final = 50_000  # hashes of one list, about 4 to a name; they fit a frame
ERASURE_SUBJECT_TEXTS_MAX: Final = 1_000  # in one field of a file that names a person
ERASURE_GAP_MAX: Final = 16  # characters between two words of a name
GUARD_HEAD_LETTERS: Final = 4  # letters behind the hash by which a stream knows what to hold
LEAK_WORDS: Final = 8  # words of the system message in a row; fewer are common phrases

# Files and batches (docs/adr/0019-batches.md).
UPLOAD_BYTES_MAX: Final = 64 * MIB  # a form with one file; 50,000 lines of 1.3 KiB
UPLOADS_MAX: Final = 4  # in one gateway at once, each held in memory; two for one tenant
FILE_DAYS_MAX: Final = 3_650  # a file is kept at most
FILE_SECONDS_MIN: Final = 3_600  # that a client may ask a file to be kept, as the OpenAI API
FILE_SECONDS_MAX: Final = 2_592_000  # the same
FILES_MB_MAX: Final = 1_000_000  # of one tenant, in MiB: what an operator can allow
FILES_MAX: Final = 500  # of one tenant; each has a retention
FORM_PARTS_MAX: Final = 16
FORM_HEADER_BYTES_MAX: Final = 4 * KIB  # of one part
BATCH_LINES_MAX: Final = 50_000  # as the OpenAI API
BATCH_FAULTS_MAX: Final = 100  # of one input file; more help nobody
BATCH_WAITING_MAX: Final = 32  # batches of one tenant that have not ended
BATCHES_RUNNING_MAX: Final = 4  # at once, one of them for one tenant
BATCH_INFLIGHT_MAX: Final = 4  # lines of one batch; as many may be asked again after a kill
BATCH_ATTEMPTS_MAX: Final = 6  # of one line while the engine is away; 31 s of waiting
BATCH_RETRY_S_MAX: Final = 30.0  # between two attempts
BATCH_WINDOW_S: Final = 86_400  # a batch that has not ended by then expires
BATCH_METADATA_MAX: Final = 16  # pairs, as the OpenAI API
DESK_PIECE_BYTES: Final = MIB  # of a file in one frame
DESK_CALLS_MAX: Final = 64  # at once
FILES_PAGE_MAX: Final = 10_000  # files in one list, as the OpenAI API
BATCHES_PAGE_MAX: Final = 100  # batches in one list, the same
FILES_SWEEP_S: Final = 600.0  # how often what has expired is deleted

# Metrics (core/metrics.py, docs/adr/0022-metrics.md).
METRIC_SERIES_MAX: Final = 4_096  # of one metric in one process; what comes later counts as one
METRICS_TIMEOUT_S: Final = 2.0  # a process that does not tell its metrics in this time is down
METRICS_BYTES_MAX: Final = 32 * MIB  # of one process
METRICS_SCRAPES_MAX: Final = 8  # at once
SMALL_HTTP_HEAD_BYTES_MAX: Final = 8 * KIB  # of a request for metrics, or to a witness
SMALL_HTTP_CONNECTIONS_MAX: Final = 256  # open at once

# Links between our processes, over Unix sockets.
FRAME_BYTES_MAX: Final = 8 * MIB
CONTROL_TIMEOUT_S: Final = 30.0  # any answer of control but a receipt's
CONTROL_BACKOFF_S: Final = (0.02, 0.05, 0.1, 0.25, 0.5, 1.0)  # then the last one for ever
UNSETTLED_S: Final = 60.0  # so long a runner knows what it handed over, should a gateway die
UNSETTLED_MAX: Final = 4_096  # ended answers of one link; those that run are known anyway
HANDED_JOURNAL_S: Final = 0.5  # what is handed in so long may go unbilled, should both die
CUTS_MAX: Final = 32_768  # answers of dead gateways that wait for control
CUT_ROWS_MAX: Final = 512  # of them in one report
CUT_REPORT_S: Final = 120.0  # a gateway that lives for so long states its answers itself

# Runner.
ENGINE_START_TIMEOUT_S: Final = 120.0
ENGINE_BACKOFF_S: Final = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0)  # then the last one for ever
ENGINE_READY_TIMEOUT_S: Final = 10.0  # an engine that is not healthy after this never will be
ENGINE_SILENCE_MAX_S: Final = 300.0  # an engine that says nothing for so long has lost the answer
ENGINE_REPLY_BYTES_MAX: Final = 4 * MIB  # no engine is trusted: one reply, one answer's text
WHOLE_FLUSH_S: Final = 0.1  # an answer that is read as a whole goes out in pieces this far apart
REPLICAS_MAX: Final = 256  # engines of one deployment
REPLICA_TRIES: Final = 3  # of them are asked before a client is told that all are busy
REPLICA_PAUSE_S: Final = 0.5  # so long a replica that was down is not asked
RUNNER_STREAMS_MAX: Final = 32_768  # open requests per connection: a gateway's window, twice
REPLACED_DRAIN_S: Final = 600.0  # how long answers of a deployment that was replaced may go on
RUNNER_DRAIN_S: Final = 5.0  # how long answers may go on when the runner is told to stop

# Shares (core/fair_queue.py, docs/adr/0013-shares.md).
SHARE_BURST_S: Final = 5.0  # seconds of a promise that may be taken at once
SHARE_BURST_S_MAX: Final = 60.0
SHARE_GUARD_FRACTION: Final = 0.05  # of the slots is never lent; see guard_slots for small numbers
SHARE_GUARD_IDLE_S: Final = 60.0  # after so long without use of a promise, few slots lend it too
SHARE_GUARD_LENT_BELOW: Final = 16  # slots: with more, the guard costs less than 5 %
SHARE_ROOM_FACTOR: Final = 2.0  # slots not lent: the mean of promised answers, and so many roots
SHARE_ROOM_DIVISOR: Final = 4  # and beyond the guard at most a quarter of all slots
SHARE_ROOM_S: Final = 5.0  # the time constant of that mean
SHARE_READING_TOKENS: Final = 1_024  # no prompt is lent a slot while so much of others' is read
SHARE_QUEUE_S_MAX: Final = 30.0  # work that may wait for one tenant; more gets 429
SHARE_WAIT_S_MAX: Final = 60.0  # a request that was not begun in this time gets 429
SHARE_WAITING_MAX: Final = 1_024  # requests of one tenant, while nobody knows how fast we are
SHARE_TENANTS_MAX: Final = 4_096  # remembered by one queue
PROMPT_BYTES_PER_TOKEN: Final = 4  # of a usual tokenizer; the engine's count settles it
SHARE_LEASE_S: Final = 0.25  # of a promise, that a replica may give before others hear of it
TAKEN_KEPT_S: Final = 60.0  # what a silent replica took is forgotten by control
TAKEN_LIVES_MAX: Final = 8  # of one replica, remembered: who begins anew more often waits
TAKEN_FORGOTTEN: Final = 1_000  # reports without a word of another replica: then it is forgotten
SHARE_PERIOD_S: Final = 60.0  # how often a runner states what tenants got
SHARE_PERIODS_KEPT: Final = 1_440  # a day of them, while control is away
SHARE_ROWS_MAX: Final = 200  # tenants in one statement: 40 KiB of an entry's 64
SHARE_RETRY_S_MAX: Final = 3_600.0  # what a retry-after says at most
SHARE_WEIGHT_MAX: Final = 1_000.0
SHARE_COST_MAX: Final = 100.0  # units that one token may cost
SHARE_TOKENS_PER_S_MAX: Final = 10_000_000.0

# Prompts that begin alike (core/prefix.py, docs/adr/0023-prefix-cache.md).
PREFIX_BLOCK_CHARS: Final = 64  # about 16 tokens
PREFIX_BLOCKS_MAX: Final = 1_024  # remembered of one prompt: 64 Ki characters
AFFINITY_CHARS: Final = 1_024  # of each text with which a conversation begins
AFFINITY_PROMPT_CHARS: Final = 256  # of a plain prompt, which grows: fewer stay the same for longer

# Tenants, budgets and usage (core/billing.py, docs/adr/0016-budgets.md).
PRICE_MICROEUR_MAX: Final = 250_000_000  # a million tokens; an answer's cost stays below 2^53
BUDGET_LIMIT_MAX: Final = 1_000_000_000_000  # tokens or micro-euros: a million EUR
BUDGET_ANSWER_TOKENS: Final = 1_024  # held back for an answer whose caller set no limit
BUDGET_SETTLE_MS: Final = 2_000  # so long an ended call is counted here too; control may be slow
BUDGETS_MAX: Final = 4_096  # in force; all stand in every snapshot
RETRY_MS: Final = 600_000  # a retry may replace an attempt that ended so long before
RETRIES_REMEMBERED_MAX: Final = 65_536  # failed attempts that a retry may yet replace
KEY_NETWORKS_MAX: Final = 32  # address ranges of one key
KEY_DAYS_MAX: Final = 3_650  # of a key, or of an overlap
USAGE_ROWS_MAX: Final = 100_000  # one table; narrow it by --from and --to

# Corpora (readers/, filters/). A file from strangers never decides how much memory it takes.
CORPUS_LINE_BYTES_MAX: Final = 64 * MIB  # of JSON Lines; the longest HPLT record is far below
CORPUS_TEXT_CHARS_MAX: Final = 32 * MIB  # of one document
CORPUS_ID_CHARS_MAX: Final = 512  # a record's own name
CORPUS_EXPANDED_BYTES_FREE: Final = 64 * MIB  # a compressed file may have without question
CORPUS_EXPANSION_MAX: Final = 200  # times its size beyond that; text has 3 to 20
CORPUS_ZSTD_WINDOW_BYTES_MAX: Final = 128 * MIB  # what `zstd --long` writes
CORPUS_ROW_GROUP_BYTES_MAX: Final = 2 * GIB  # of Parquet, as its footer says
CORPUS_PARQUET_FOOTER_BYTES_MAX: Final = 64 * MIB
CORPUS_PARQUET_COLUMNS_MAX: Final = 1_000_000  # columns times row groups
CORPUS_METADATA_BYTES_MAX: Final = 4 * MIB  # of a collection's metadata, counts, tables and mixes
CORPUS_ANNOTATION_ROWS_MAX: Final = 4_000_000  # of one file; a worker holds 300 bytes for each
CORPUS_SOURCES_MAX: Final = 64  # of one recipe: their licences must fit an entry of the ledger
CORPUS_STEPS_MAX: Final = 32  # of one recipe
CORPUS_FIELD_CHARS_MAX: Final = 300  # a text in a recipe
CORPUS_SHARD_BYTES_MAX: Final = 4 * GIB  # text in one shard
CORPUS_WORKERS_MAX: Final = 256  # processes of one build
COMPUTE_AHEAD: Final = 2  # jobs that a worker has, the one that it does included
COMPUTE_TRIES: Final = 3  # of a job whose worker is lost
COMPUTE_START_S: Final = 120.0  # for a cluster to answer, or to begin a worker
CORPUS_PARTS_MAX: Final = 65_536  # of one build; larger parts hold more
CORPUS_PART_DOCUMENTS_MAX: Final = 1 << 31  # documents that one part may hold
CORPUS_STEP_FILE_BYTES_MAX: Final = 512 * MIB  # one file that a step needs; every worker holds it
FINDER_ANSWER_S: Final = 120.0  # that a finder of names may take for one text, its start included
FINDER_ANSWER_BYTES_MAX: Final = 64 * MIB  # of what it says to one text
FINDER_ASKED_TWICE: Final = 512  # one text of so many is asked twice, and must be answered alike
TRAINING_ROWS_MAX: Final = 1_024  # datasets, and records of runs, that a training names
CORPUS_NGRAMS_MAX: Final = 1_000_000  # of all suites; a worker holds about 400 bytes for each
CORPUS_ROBOTS_BYTES_MAX: Final = 500 * KIB  # of a robots.txt that are read (RFC 9309, section 2.5)
CORPUS_EXAMPLES: Final = 3  # texts that are kept for each reason of a removal
CORPUS_EXAMPLE_CHARS: Final = 300  # of such a text
CORPUS_MEMORY_MIB: Final = 256  # for what one process of a build sorts
CORPUS_MEMORY_MIB_MIN: Final = 8  # of that, and of one segment of a search index
CORPUS_MEMORY_MIB_MAX: Final = 8_192  # so that a place in a segment's text fits 31 bits

# Attested nodes (crypto/attestation.py, docs/adr/0044-attested-nodes.md).
NODE_LIFE_S_MIN: Final = 600  # for which one quote counts; answers end well within half of it
NODE_LIFE_S_MAX: Final = 30 * 86_400  # for which one quote counts, at most
NODE_REFERENCE_VALUES_MAX: Final = 512  # in one statement of reference values
NODE_EVENTS_MAX: Final = 256  # measurements between two boots
NODE_CHALLENGE_S: Final = 60.0  # a nonce that is not quoted in this time is forgotten
NODE_CHALLENGES_MAX: Final = 1_024  # nonces that wait

# Sealed mode (docs/guides/sealed.md).
COSIGN_AGAIN_S: Final = 300.0  # a head that stays the newest is cosigned again, so that it is fresh
SEALED_HEAD_AGE_S: Final = 1_800  # clients take no head that was cosigned longer ago
SEALED_SKEW_S: Final = 120.0  # by which a request's time may be wrong; replays are known for twice
SEALED_SEEN_MAX: Final = 200_000  # requests in that time; more are refused, for none is forgotten
SEALED_HEADERS_MAX: Final = 64  # of the request inside
SEALED_NODES_MAX: Final = 1_024  # in one answer about nodes

# OCI registries. The distribution specification asks registries to take manifests of 4 MiB.
OCI_MANIFEST_BYTES_MAX: Final = 4 * MIB
OCI_SMALL_BLOB_BYTES_MAX: Final = 16 * MIB  # of a config, a signature or a document, read whole
OCI_CHUNK_BYTES: Final = 8 * MIB  # that one request of an upload carries

# Packing (core/packing.py). What a window holds is packed together: memory is bounded by it.
PACK_LENGTH_MIN: Final = 16  # tokens in a sequence
PACK_LENGTH_MAX: Final = 1 << 20
PACK_WINDOW_TOKENS: Final = 1 << 22  # at 4,096 a sequence, what room is left over is below 0.1 %

# Machines: services on other machines than control's.
SERVICE_CERTIFICATE_DAYS: Final = 7  # a machine may be switched off for so long
SERVICE_RENEW_S: Final = 86_400.0  # older certificates are replaced: a stolen key's time
SERVICE_HANDSHAKE_S: Final = 5.0  # of two of our own services
SERVICE_HANDSHAKES_MAX: Final = 256  # at once at a door for other machines; each is a descriptor
SERVICE_SILENT_S: Final = 5.0  # the network of a peer that acknowledges nothing is cut
INVITATION_S: Final = 3_600  # an invitation that nobody took is over
MACHINES_MAX: Final = 256
MACHINE_CONNECTIONS_MAX: Final = 272  # to control: a runner's for each replica, and the agent's
MACHINE_ASKS_MAX: Final = 32  # requests of one machine that control has read and not answered
MACHINE_THREADS_MAX: Final = 2  # of them in work at once
MACHINES_THREADS_MAX: Final = 8  # of all machines
MACHINE_FRAME_BYTES_MAX: Final = 1 * MIB  # of one request; the largest is a runner's report
MACHINE_UNREAD_BYTES_MAX: Final = 16 * MIB  # of what control said to a machine that does not read
MACHINE_NAME_MAX: Final = 63
FOLLOW_ENTRIES: Final = LEDGER_BATCH_MAX  # in one answer of control; bytes are bounded, too
FOLLOW_BYTES: Final = 4 * MIB
OBJECT_PIECE_BYTES: Final = 1 * MIB  # of a sealed object that a machine gets
OBJECT_PIECES_AT_ONCE: Final = 4
REQUEST_BYTES_MAX: Final = 4 * KIB  # of a certificate's request
