# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Attestation of nodes: check the quote in a `node/v1`, and say what it proves.

Everything that the statement claims about the machine follows from its evidence, so whoever holds
the statement checks it again, without trusting who wrote it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from bastide.core.errors import BastideError, NotProven
from bastide.core.reference import Reference
from bastide.crypto import age, snp, tdx, tpm_evidence
from bastide.crypto.base64url import unb64url
from bastide.crypto.hardware_chain import read_certificate
from bastide.crypto.node_quote import binding, opened
from bastide.crypto.tpm_evidence import BOOT

__all__ = ["Proven", "Said", "judge_node", "prove", "said_of", "verify_evidence"]


@dataclass(frozen=True, slots=True)
class Proven:
    """What evidence proves: the hardware, the key that signed, and what it measured."""

    identity: str
    key: str
    measured: Mapping[str, list[str]]


@dataclass(frozen=True, slots=True)
class Said:
    """What an attestation is, what was checked, and what was not, in words for people."""

    what: str
    checked: tuple[str, ...]
    unchecked: tuple[str, ...]


def verify_evidence(body: Mapping[str, Any]) -> None:
    """Check that the quote in the body of a `node/v1` holds and says what the body says.

    Raises NotProven, naming what does not hold.
    """
    stated, proven = body["attestation"], prove(body)
    for name in ("identity", "key", "measured"):
        if stated[name] != getattr(proven, name):
            raise NotProven(f"attestation.{name}: not what the evidence says")


def judge_node(body: Mapping[str, Any], reference: Mapping[str, Any]) -> list[str]:
    """Check a node's quote, and give every reason of reference values against it.

    `body` is that of a `node/v1`, `reference` that of a `node-reference/v1`. Raises NotProven.
    """
    verify_evidence(body)
    return Reference.from_json(reference).judge(body)


def _verify_keys(keys: Mapping[str, str]) -> None:
    try:
        if len(unb64url(keys["hpke"])) != 32:
            raise ValueError("it has not 32 bytes")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NotProven(f"keys.hpke: not an X25519 public key: {error}") from error
    try:
        age.parse_recipient(keys["age"])
    except (BastideError, KeyError, TypeError, AttributeError) as error:
        raise NotProven(f"keys.age: not a recipient: {error}") from error


def prove(body: Mapping[str, Any]) -> Proven:
    """What the evidence in the body of a `node/v1` proves, whatever else the body says.

    Raises NotProven if the quote does not hold.
    """
    kind = body["attestation"]["kind"]
    if (one := _PROVERS.get(kind)) is None:
        raise NotProven(f"attestation.kind: {kind!r} is unknown")
    _verify_keys(body["keys"])
    return one(body)


def _prove_tpm(body: Mapping[str, Any]) -> Proven:
    found = tpm_evidence.read_evidence(body)
    return Proven(str(found.endorsing.digest), str(found.attesting.spki), found.measured)


def _prove_snp(body: Mapping[str, Any]) -> Proven:
    raw, *certificates = opened(body, "report", "vcek", "ask", "ark")
    report = snp.read_report(raw)
    names = ("vcek", "ask", "ark")
    chain = [read_certificate(*row) for row in zip(certificates, names, strict=True)]
    snp.verify_report(report, chain, body["time_ms"])
    _verify_bound(body, report.report_data)
    return Proven(snp.identity(report), snp.key_digest(chain), snp.measured(report, chain))


def _prove_tdx(body: Mapping[str, Any]) -> Proven:
    (raw,) = opened(body, "quote")
    quote = tdx.read_quote(raw)
    tdx.verify_quote(quote, body["time_ms"])
    _verify_bound(body, quote.report_data)
    return Proven(tdx.identity(quote), tdx.key_digest(quote), tdx.measured(quote))


def _verify_bound(body: Mapping[str, Any], report_data: bytes) -> None:
    if report_data != binding(body) + bytes(32):
        raise NotProven("report data: it is about other keys, another node or another nonce")


_PROVERS: Final[Mapping[str, Callable[[Mapping[str, Any]], Proven]]] = {
    "tpm2": _prove_tpm,
    "sev-snp": _prove_snp,
    "tdx": _prove_tdx,
}


def said_of(reference: Reference) -> Said:
    """What an attestation under reference values proves, and what it does not."""
    return _SAID[reference.kind](reference)


def _said_tpm(reference: Reference) -> Said:
    named = [f"pcr{n}" for n in BOOT if f"pcr{n}" in reference.measured]
    boot = [f"the boot's registers {', '.join(named)}"] if named else []
    left = [f"pcr{n}" for n in BOOT if f"pcr{n}" not in reference.measured]
    made = "root" in reference.measured
    maker = ("who made the TPM: its operator may have made it in software and may say anything",)
    return Said(
        "TPM 2.0 of a maker whom the guardian named"
        if made
        else "software TPM, or one whose maker nobody checked",
        (
            *(["the chain from the TPM's own key to its maker's root"] if made else []),
            "the quote's signature by a key that is fixed to a TPM the guardian listed",
            "the node's keys and control's nonce in the quote",
            "the measurements of software, engine and sandbox since the machine's boot",
            *boot,
        ),
        (
            *(() if made else maker),
            "who measured: the software measured itself",
            "which program asked: whoever may use the machine's TPM can have other keys quoted",
            *([f"the boot's registers {', '.join(left)}"] if left else []),
            "the machine's memory: whoever is root there, or holds the machine, can read it",
        ),
    )


_BOUND: Final = "the node's keys and control's nonce in the report"
_UNFETCHED: Final = "what the maker revoked or calls out of date since: nothing is fetched"
_WITHIN: Final = "what the guest does after its launch, and attacks on the processor itself"


def _said_snp(reference: Reference) -> Said:
    return Said(
        "AMD SEV-SNP guest",
        (
            "the chain from the chip's key to a root that the guardian named",
            "the report's signature, and that chip and firmware version are the certificate's",
            "that the guest can be neither debugged nor moved by its host",
            f"its {', '.join(sorted({*reference.measured, *reference.minimum}))}",
            _BOUND,
        ),
        (_UNFETCHED, _WITHIN),
    )


def _said_tdx(reference: Reference) -> Said:
    return Said(
        "Intel TDX trust domain",
        (
            "the chain from the platform's key to a root that the guardian named",
            "that the platform vouches for the quoting enclave, and the enclave for the quote",
            "that neither the domain nor the quoting enclave can be debugged",
            f"its {', '.join(sorted({*reference.measured, *reference.minimum}))}",
            _BOUND,
        ),
        (_UNFETCHED, _WITHIN),
    )


_SAID: Final[Mapping[str, Callable[[Reference], Said]]] = {
    "tpm2": _said_tpm,
    "sev-snp": _said_snp,
    "tdx": _said_tdx,
}
