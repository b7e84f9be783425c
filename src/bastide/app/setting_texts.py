# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""SETTINGS_DOC: what each setting is, for config.toml and docs/reference/settings.md."""

from collections.abc import Mapping

__all__ = ["SETTINGS_DOC"]

SETTINGS_DOC: Mapping[str, str] = {
    "environment": "Identifier of this environment; also the origin of its ledger.",
    "parties": "`solo` (one person holds all three parties' keys) or `separate`: the charter's.",
    "listen": "Address and port of the gateway, for instance `127.0.0.1:8471`.",
    "tls_listen": "Address and port of the gateway's HTTPS; empty for none. May be any address.",
    "tls_names": "More names and addresses of the gateway for its certificate, by commas.",
    "client_ca": "PEM file or folder of DOMAIN.pem: HTTPS clients show certificates of these.",
    "gateway_workers": "Processes of the gateway, which share its ports.",
    "control_listen": "Address and port where control waits for other machines; empty for none.",
    "control": "Of a machine that joined: address and port of its environment's control.",
    "runner_listen": "Of a machine that joined: where its runners answer gateways, an address and "
    "a range of ports: `10.0.0.2:8490-8499`.",
    "node": "Name of this machine in receipts.",
    "attestation": "`tpm2`: runners prove what they are before they get weights; empty for not.",
    "tpm": "The TPM, as tpm2-tools name it: `device:/dev/tpmrm0`, `swtpm:path=SOCKET`.",
    "tpm_issuers": "PEM file: who issued the TPM's certificate, up to its maker's root; or empty.",
    "tpm_register": "Register for our own measurements, 8 to 15; the boot must leave it empty.",
    "sandbox": "`auto`, `bubblewrap` or `landlock`; never none.",
    "engine": "`llamacpp`, or `openvino` or `vllm` if installed: what new deployments answer with.",
    "vllm_python": 'Python of the environment that has vLLM, for `engine = "vllm"`.',
    "slots": "Answers that a deployment computes at the same time.",
    "context_tokens": "Tokens of context per slot.",
    "threads": "Threads of an engine; 0 means one less than the machine has cores, divided among "
    "the replicas of a deployment. "
    "With 0, an evaluation takes all cores while nothing is deployed.",
    "share_prompt_weight": "What a prompt token costs of a share; cached ones cost nothing.",
    "share_output_weight": "What an output token costs of a share.",
    "receipts": "`durable`: an answer ends once its receipt is on disk; or `promised`: at once, "
    "with a signed promise.",
    "witnesses": "Where each party's witness listens, by commas: `firm=http://127.0.0.1:8481`.",
    "metrics_listen": "Loopback address and port of the operator's metrics; empty for none.",
    "compute": "Who builds datasets: `processes` of this machine, `ray:local` or a cluster's "
    "`ray://host:port`.",
    "compute_keys": "Folder with `token`, `ca.pem`, `cert.pem` and `key.pem` of a Ray cluster.",
    "file_days": "Days that tenants' files and ended batches are kept.",
    "file_mb": "MiB of files that one tenant may keep, results of batches included.",
    "store": "Where sealed objects are: empty for the folder `store` of the home, `local:/FOLDER`, "
    "or `s3://BUCKET/PREFIX`; `bastide store move` changes it.",
    "s3_endpoint": "URL of the object store; empty for Amazon's, if `s3_region` is set.",
    "s3_region": "Region of the object store; empty for `us-east-1`.",
    "s3_credentials": "Its access key: `environment` (not for services) or `file:PATH#PROFILE`.",
    "s3_ca": "PEM file of the authority of its certificate, besides those of the system.",
    "s3_allow_http": "Whether its URL may be `http://`; what is stored is sealed.",
    "s3_retries": "How often a request to it is tried again.",
    "s3_wait_s": "Seconds that one request may take, and that it is tried again.",
}
