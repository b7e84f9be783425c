# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Reports of AMD SEV-SNP and Intel TDX: real ones hold, each attack is refused by its reason."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from bastide.core.errors import Misconfigured, NotProven
from bastide.core.reference import Reference
from bastide.crypto import snp, tdx
from bastide.crypto.attestation import judge_node, prove, said_of, verify_evidence
from bastide.crypto.base64url import b64url
from bastide.crypto.hardware_chain import read_certificate, verify_chain
from bastide.crypto.node_quote import binding
from unit.node_fixture import NODE_TIME_MS, Twin, node_body
from unit.tee_fixture import (
    ec_key,
    snp_chain,
    snp_evidence,
    snp_report,
    tdx_chain,
    tdx_quote,
)

VECTORS = Path(__file__).parents[1] / "vectors"
V4_BYTES = 4_935  # the file has a remark behind the quote
AT_MS = 1_790_000_000_000
AMD_MILAN = "sha256:69d063b45344d26a2e94e1f4210de49ef555308287d4c174445c95639a540bcd"
INTEL = "sha256:44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3"


def amd(vcek: str) -> tuple[x509.Certificate, ...]:
    pem = (VECTORS / "snp" / "ask_ark_milan.pem").read_bytes()
    ask, ark = x509.load_pem_x509_certificates(pem)
    return (read_certificate((VECTORS / "snp" / vcek).read_bytes(), "vcek"), ask, ark)


def intel(name: str) -> bytes:
    data = (VECTORS / "tdx" / f"{name}.bin").read_bytes()
    return data[:V4_BYTES] if name == "quote_v4" else data


# Real processors


def test_the_report_of_a_real_amd_processor_holds() -> None:
    report = snp.read_report((VECTORS / "snp" / "report_milan.bin").read_bytes())
    chain = amd("vcek_milan.der")
    snp.verify_report(report, chain, AT_MS)
    found = snp.measured(report, chain)
    assert found["root"] == [AMD_MILAN]
    assert found["tcb_snp"] == ["8"]
    assert found["measurement"][0].startswith("7a1e5c266c0108db")
    assert snp.identity(report).startswith("sha256:9a852ed8")


@pytest.mark.attacks("C158")
def test_the_report_of_a_real_guest_that_may_be_debugged_is_refused() -> None:
    with pytest.raises(NotProven, match="may be debugged"):
        snp.read_report((VECTORS / "snp" / "report_debug.bin").read_bytes())


@pytest.mark.parametrize(("name", "platform"), [("quote_v4", "1a85adde"), ("quote_v5", "b0a75cc5")])
def test_the_quote_of_a_real_intel_platform_holds(name: str, platform: str) -> None:
    quote = tdx.read_quote(intel(name))
    tdx.verify_quote(quote, AT_MS)
    found = tdx.measured(quote)
    assert found["root"] == [INTEL]
    # Intel's own quoting enclave, by its signer.
    assert found["qe_mrsigner"][0].startswith("dc9e2a7c6f948f17474e34a7fc43ed03")
    assert tdx.identity(quote).startswith(f"sha256:{platform}")


@pytest.mark.parametrize("at", [0x90, 0x50, 0x180, 0x1A0, 0x2A0, 0x2E8])
def test_a_changed_real_report_is_refused(at: int) -> None:
    data = bytearray((VECTORS / "snp" / "report_milan.bin").read_bytes())
    data[at] ^= 1
    with pytest.raises(NotProven):
        snp.verify_report(snp.read_report(bytes(data)), amd("vcek_milan.der"), AT_MS)


def test_another_chips_certificate_is_refused() -> None:
    report = snp.read_report((VECTORS / "snp" / "report_milan.bin").read_bytes())
    with pytest.raises(NotProven, match="signature is not by the VCEK"):
        snp.verify_report(report, amd("vcek_debug.der"), AT_MS)


@pytest.mark.attacks("C160")
@pytest.mark.parametrize("name", ["quote_v4", "quote_v5"])
@pytest.mark.parametrize("part", ["body", "signature", "attesting", "enclave", "certificate"])
def test_a_changed_real_quote_is_refused(name: str, part: str) -> None:
    data = bytearray(intel(name))
    read = tdx.read_quote(bytes(data))
    at = {
        "body": len(read.signed) - 1,
        "signature": len(read.signed) + 4,
        "attesting": len(read.signed) + 4 + 64,
        "enclave": len(read.signed) + 4 + 128 + 6 + 128,
        "certificate": data.index(b"-----BEGIN") + 200,
    }[part]
    data[at] = data[at] ^ 1 if part != "certificate" else ord("A") + (data[at] == ord("A"))
    with pytest.raises(NotProven):
        tdx.verify_quote(tdx.read_quote(bytes(data)), AT_MS)


def test_certificates_that_have_ended_are_refused() -> None:
    report = snp.read_report((VECTORS / "snp" / "report_milan.bin").read_bytes())
    far = AT_MS + 20 * 365 * 86_400_000
    with pytest.raises(NotProven, match="was not valid then"):
        snp.verify_report(report, amd("vcek_milan.der"), far)
    with pytest.raises(NotProven, match="was not valid then"):
        tdx.verify_quote(tdx.read_quote(intel("quote_v4")), far)


@pytest.mark.parametrize("name", ["quote_v4", "quote_v5"])
def test_a_quote_that_is_cut_or_has_more_is_refused(name: str) -> None:
    whole = intel(name)
    for length in range(0, len(whole), 37):
        with pytest.raises(NotProven):
            tdx.read_quote(whole[:length])
    with pytest.raises(NotProven, match="bytes after its end"):
        tdx.read_quote(whole + b"x")
    assert tdx.read_quote(whole + bytes(100)).body == tdx.read_quote(whole).body


@given(st.binary(max_size=6_000), st.integers(0, 700))
def test_no_bytes_raise_anything_else(noise: bytes, keep: int) -> None:
    for read, whole in (
        (snp.read_report, (VECTORS / "snp" / "report_milan.bin").read_bytes()),
        (tdx.read_quote, intel("quote_v4")),
    ):
        try:
            read(whole[:keep] + noise)
        except NotProven:
            continue


# Nodes that are such guests: under roots of our own, because a real report is about others' keys


def body_of(kind: str, **changes: Any) -> dict[str, Any]:
    """The body of a `node/v1` of a twin, complete."""
    twin = Twin()
    twin.measure()
    body = node_body(twin)
    stated: dict[str, Any] = {"kind": kind, "nonce": "07" * 32, "reference": "sha256:" + "e" * 64}
    body = {**body, "attestation": stated}
    if kind == "sev-snp":
        stated["evidence"] = snp_evidence(body, **changes)
    else:
        stated["evidence"] = {"quote": b64url(tdx_quote(binding(body) + bytes(32), **changes))}
    proven = prove(body)
    proof = {"identity": proven.identity, "key": proven.key, "measured": proven.measured}
    return {**body, "attestation": {**stated, **proof}}


def reference_of(body: dict[str, Any], *names: str, **changes: Any) -> dict[str, Any]:
    """Reference values that allow exactly this guest."""
    stated = body["attestation"]
    return {
        "name": "guests",
        "kind": stated["kind"],
        "identities": [],
        "measured": {name: stated["measured"][name] for name in names},
        "minimum": {},
        "valid_s": 3_600,
        "time_ms": NODE_TIME_MS,
        **changes,
    }


SNP = ("measurement", "root")
TDX = ("mrseam", "mrtd", "rtmr1", "rtmr2", "qe_mrsigner", "root")


@pytest.mark.parametrize(
    ("kind", "changes", "names"),
    [("sev-snp", {}, SNP), ("tdx", {}, TDX), ("tdx", {"version": 5}, TDX)],
)
def test_a_guest_that_the_guardian_allowed_is_a_node(
    kind: str, changes: dict[str, Any], names: tuple[str, ...]
) -> None:
    body = body_of(kind, **changes)
    verify_evidence(body)
    reference = reference_of(body, *names)
    assert judge_node(body, reference) == []
    said = said_of(Reference.from_json(reference))
    assert "confidential" not in " ".join((said.what, *said.checked, *said.unchecked)).lower()
    assert any("nothing is fetched" in row for row in said.unchecked)


@pytest.mark.parametrize("kind", ["sev-snp", "tdx"])
@pytest.mark.parametrize("what", ["nonce", "key", "node"])
def test_a_report_about_something_else_is_refused(kind: str, what: str) -> None:
    body = body_of(kind)
    if what == "nonce":  # replayed
        body["attestation"]["nonce"] = "08" * 32
    elif what == "key":  # swapped
        body["keys"] = {**body["keys"], "hpke": b64url(bytes(32))}
    else:
        body["node"] = "node-2"
    with pytest.raises(NotProven, match="about other keys, another node or another nonce"):
        verify_evidence(body)


@pytest.mark.attacks("C159")
@pytest.mark.parametrize(
    ("kind", "changes", "why"),
    [
        ("sev-snp", {"x08": (0b1011 << 16).to_bytes(8, "little")}, "the guest may be debugged"),
        ("sev-snp", {"x08": (0b111 << 16).to_bytes(8, "little")}, "moved by a migration agent"),
        ("sev-snp", {"x08": (0b01 << 16).to_bytes(8, "little")}, "policy is malformed"),
        ("sev-snp", {"x00": b"\x09"}, "version 9"),
        ("sev-snp", {"x34": b"\2"}, "not signed by ECDSA"),
        ("sev-snp", {"x48": b"\4"}, "not signed by the key of one chip"),
        ("sev-snp", {"x1A0": bytes(64)}, "chip's id is masked"),
        ("sev-snp", {"x1A0": b"\xff" * 64}, "of another chip than the VCEK"),
        ("sev-snp", {"x180": bytes(8)}, "of another version than the VCEK"),
        ("tdx", {"attributes": b"\1" + bytes(7)}, "the domain may be debugged"),
        ("tdx", {"enclave_attributes": b"\x13" + bytes(15)}, "is a debug enclave"),
        ("tdx", {"vouched": bytes(64)}, "vouches for another key"),
        ("tdx", {"version": 3}, "version 3"),
    ],
)
def test_a_guest_that_its_host_can_open_is_refused(
    kind: str, changes: dict[str, Any], why: str
) -> None:
    with pytest.raises(NotProven, match=why):
        body_of(kind, **changes)


@pytest.mark.parametrize(("kind", "names"), [("sev-snp", SNP), ("tdx", TDX)])
def test_another_launch_or_another_root_is_refused(kind: str, names: tuple[str, ...]) -> None:
    body = body_of(kind)
    for name in names:
        reference = reference_of(body, *names)
        reference["measured"][name] = ["00"]
        assert [reason.partition(":")[0] for reason in judge_node(body, reference)] == [name]


def test_a_version_below_the_least_is_refused() -> None:
    body = body_of("sev-snp")
    assert judge_node(body, reference_of(body, *SNP, minimum={"tcb_snp": 8})) == []
    assert judge_node(body, reference_of(body, *SNP, minimum={"tcb_snp": 9})) == [
        "tcb_snp: 8, below 9"
    ]


def test_reference_values_that_name_no_root_let_nobody_in() -> None:
    body = body_of("sev-snp")
    with pytest.raises(Misconfigured, match="no value for root"):
        judge_node(body, reference_of(body, "measurement"))


@pytest.mark.parametrize(
    ("chain", "why"),
    [
        (lambda: snp_chain()[:2], "a chain of 2"),
        (lambda: (snp_chain()[0], snp_chain()[2], snp_chain()[2]), "was not issued by the next"),
        (lambda: snp_chain(ask_ca=False), "is no authority"),
        (lambda: (tdx_chain()[0], *snp_chain()[1:]), "was not issued by the next"),
        (lambda: (*snp_chain()[:2], tdx_chain()[2]), "was not issued by the next"),
        (lambda: snp_chain(days=1), "was not valid then"),
    ],
)
def test_a_chain_that_does_not_hold_is_refused(
    chain: Callable[[], tuple[x509.Certificate, ...]], why: str
) -> None:
    with pytest.raises(NotProven, match=why):
        verify_chain(chain(), NODE_TIME_MS + 3_600_000)


def test_what_is_no_certificate_is_refused() -> None:
    for data in (b"", b"\x30\x00", bytes(9_000)):
        with pytest.raises(NotProven):
            read_certificate(data, "vcek")


def test_the_twins_sign_what_the_verifiers_read() -> None:
    data = snp_report(bytes(range(64)))
    report = snp.read_report(data)
    snp.verify_report(report, snp_chain(), NODE_TIME_MS)
    assert report.report_data == bytes(range(64))
    quote = tdx.read_quote(tdx_quote(bytes(range(64))))
    tdx.verify_quote(quote, NODE_TIME_MS)
    key = ec_key("attesting", ec.SECP256R1()).public_key()
    assert quote.attesting == key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)[1:]
