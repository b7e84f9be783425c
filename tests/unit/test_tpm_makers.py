# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Who made a TPM: the guardian may name makers' roots, and then only their TPMs are nodes.

Both verifiers follow the chain. tests/contracts/test_attester.py follows that of a real emulator.
"""

from typing import Any

import pytest
import verify_node
from cryptography.hazmat.primitives.asymmetric import ec

from bastide.core.errors import NotProven
from bastide.core.reference import Reference
from bastide.crypto.attestation import judge_node, said_of, verify_evidence
from bastide.crypto.base64url import b64url
from bastide.crypto.hardware_chain import read_chain, root_digest
from unit.node_fixture import Twin, endorsement, node_body, reference_body
from unit.tee_fixture import certificate, der, ec_key, rsa_key
from unit.two_verifiers import tool


def chain_of(
    maker: str = "maker", seed: int = 1, days: int = 30, ca: bool = True, issuer: str = ""
) -> bytes:
    """The chain of a TPM: its own certificate, its maker's, the root."""
    root, middle = rsa_key(maker + "/root"), rsa_key(issuer or maker)
    made = (
        certificate("TPM", endorsement(seed), "middle", rsa_key(maker), False, days=days),
        certificate("middle", middle, "root", root, ca),
        certificate("root", root, "root", root, True),
    )
    return b"".join(map(der, made))


def body_of(chain: bytes) -> dict[str, Any]:
    """A node that shows a chain, and states what an honest reader would find."""
    twin = Twin()
    twin.measure()
    body = node_body(twin)
    stated = body["attestation"]
    stated["evidence"]["ek_chain"] = b64url(chain)
    try:
        stated["measured"]["root"] = [root_digest(read_chain(chain, "ek_chain"))]
    except NotProven:
        stated["measured"]["root"] = ["none"]
    return body


def test_a_tpm_of_a_maker_that_the_guardian_named_is_a_node() -> None:
    body = body_of(chain_of())
    verify_evidence(body)
    verify_node.check_quote(body, "here")
    values = reference_body(Twin(), identities=[])
    values["measured"]["root"] = body["attestation"]["measured"]["root"]
    assert judge_node(body, values) == []
    verify_node.check_allowed(body, values, "here")
    said = said_of(Reference.from_json(values))
    assert said.what == "TPM 2.0 of a maker whom the guardian named"
    assert not any("who made the TPM" in row for row in said.unchecked)
    assert any("which program asked" in row for row in said.unchecked)
    assert "not checked: who measured" in verify_node.say("node-1", values)


@pytest.mark.attacks("C171")
def test_a_tpm_of_another_maker_is_refused() -> None:
    values = reference_body(Twin(), identities=[])
    values["measured"]["root"] = body_of(chain_of())["attestation"]["measured"]["root"]
    other = body_of(chain_of(maker="another"))
    verify_evidence(other)
    (reason,) = judge_node(other, values)
    assert reason.startswith("root: sha256:")
    with pytest.raises(tool.NotProvenError, match=r"root: .* was not allowed"):
        verify_node.check_allowed(other, values, "here")


def test_a_tpm_that_shows_no_chain_is_refused_where_a_root_is_named() -> None:
    twin = Twin()
    twin.measure()
    values = reference_body(twin)
    values["measured"]["root"] = ["sha256:" + "0" * 64]
    assert judge_node(node_body(twin), values) == ["root: not measured, and machines asks for it"]
    with pytest.raises(tool.NotProvenError, match="root: None was not allowed"):
        verify_node.check_allowed(node_body(twin), values, "here")


@pytest.mark.parametrize(
    ("chain", "why"),
    [
        (lambda: chain_of(seed=2), "of another TPM"),
        (lambda: chain_of(days=1), "was not valid then"),
        (lambda: chain_of(ca=False), "is no authority"),
        (lambda: chain_of(issuer="thief"), "was not issued by the next"),
        (lambda: chain_of()[:-5], "not a chain"),
        (lambda: chain_of() + b"x", "not a chain"),
        (lambda: chain_of() * 2, "not a chain"),
        (lambda: b"", "not a chain"),
        (lambda: der(certificate("x", *SELF, True)), "a chain of 1"),
        (lambda: der(certificate("x", *SELF, True)) * 2, "not of an RSA key"),
    ],
)
def test_a_chain_that_does_not_hold_is_refused_by_both(chain: Any, why: str) -> None:
    body = body_of(chain())
    with pytest.raises(NotProven, match=why):
        verify_evidence(body)
    with pytest.raises((tool.NotProvenError, ValueError, LookupError, AttributeError)):
        verify_node.check_quote(body, "here")


SELF = (ec_key("self", ec.SECP384R1()), "x", ec_key("self", ec.SECP384R1()))
