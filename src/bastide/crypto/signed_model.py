# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Reading OpenSSF model-signing v1.0 bundles of others: which files their key signed.

The form is that of `model_signing sign key` (1.0 and 1.1): a Sigstore bundle v0.3 with a DSSE
envelope over an in-toto Statement. Stricter than the stock verifier: one signature, SHA-256 of
whole files, a key on P-256, P-384 or P-521, and none of the forms from before v1.0.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)

from bastide.core.artifact import Artifact
from bastide.core.errors import BastideError, Misconfigured, NotProven
from bastide.core.evidence import PAYLOAD_TYPE, STATEMENT_TYPE
from bastide.core.subject import Digest
from bastide.crypto.dsse import pae
from bastide.crypto.model_signing import BUNDLE_TYPE, PREDICATE_TYPE

__all__ = ["SignedModel", "read_signed_model"]

_HASHES: Final[Mapping[str, type[hashes.HashAlgorithm]]] = {
    "secp256r1": hashes.SHA256,
    "secp384r1": hashes.SHA384,
    "secp521r1": hashes.SHA512,
}
_ALONE: Final = "."  # how the stock tool names a model that is one file
_FIX: Final = "get model and signature again from their origin, and the key from its owner"


@dataclass(frozen=True, slots=True)
class SignedModel:
    """What a verified bundle says: the files, those it leaves out, and who says so.

    key: SHA-256 of the signer's public key in PEM, as the bundle hints at it. bundle: of the file.
    """

    files: Mapping[str, Digest]
    ignored: tuple[str, ...]
    key: Digest
    bundle: Digest

    def leaves_out(self, path: str) -> bool:
        """True if the signer ignored this path, or a folder above it."""
        return any(path == one or path.startswith(one.rstrip("/") + "/") for one in self.ignored)

    def faults(self, artifact: Artifact) -> tuple[str, ...]:
        """In what the files differ from those that were signed: none if they are the same."""
        have = {part.path: part.digest for part in artifact.parts}
        if len(have) == len(self.files) == 1 and _ALONE in self.files:
            have = dict.fromkeys([_ALONE], artifact.parts[0].digest)
        missing = [f"{path} is signed but missing" for path in self.files.keys() - have.keys()]
        extra = [f"{path} is not signed" for path in have.keys() - self.files.keys()]
        both = have.keys() & self.files.keys()
        changed = [path for path in both if have[path] != self.files[path]]
        other = [f"{path} is not the file that was signed" for path in changed]
        return tuple(f"signature: {fault}" for fault in sorted([*missing, *extra, *other]))

    def to_json(self) -> dict[str, str]:
        """What the admission states."""
        return {"bundle": str(self.bundle), "key": str(self.key)}


def read_signed_model(data: bytes, pem: bytes) -> SignedModel:
    """Verify a bundle with the signer's public key.

    1. The key is one that the standard allows, and the one that the bundle hints at.
    2. The signature over the payload's pre-authentication encoding holds.
    3. The payload states files by SHA-256, and its own digest over them is right.

    Raises NotProven, saying which step failed, and Misconfigured for a file that holds no key.
    """
    key = _key(pem)
    standard = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    try:
        bundle = json.loads(data)
        hint = bundle["verificationMaterial"]["publicKey"]["hint"]
        envelope = bundle["dsseEnvelope"]
        (row,) = envelope["signatures"]
        signature = base64.b64decode(row["sig"], validate=True)
        payload = base64.b64decode(envelope["payload"], validate=True)
        typed = (bundle["mediaType"], envelope["payloadType"]) == (BUNDLE_TYPE, PAYLOAD_TYPE)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise NotProven(f"not a model-signing bundle: {error!r:.200}", fix=_FIX) from error
    # 1.
    if not typed:
        raise NotProven("the bundle is no Sigstore bundle v0.3 over an in-toto statement", fix=_FIX)
    if hint != hashlib.sha256(standard).hexdigest():
        raise NotProven("the bundle was signed with another key than the one given", fix=_FIX)
    # 2.
    try:
        key.verify(signature, pae(PAYLOAD_TYPE, payload), ec.ECDSA(_HASHES[key.curve.name]()))
    except InvalidSignature as error:
        raise NotProven("the signature of the bundle does not hold", fix=_FIX) from error
    # 3.
    files, ignored = _files(payload)
    return SignedModel(files, ignored, Digest.of(standard), Digest.of(data))


def _key(pem: bytes) -> ec.EllipticCurvePublicKey:
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise Misconfigured("the signer's key is no public key in PEM") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in _HASHES:
        raise Misconfigured(
            "the signer's key is of another kind than model signing has",
            fix="give an EC public key on P-256, P-384 or P-521, in PEM",
        )
    return key


def _files(payload: bytes) -> tuple[dict[str, Digest], tuple[str, ...]]:
    try:
        statement: dict[str, Any] = json.loads(payload)
        kinds = (statement["_type"], statement["predicateType"])
        (subject,) = statement["subject"]
        how = statement["predicate"]["serialization"]
        rows = statement["predicate"]["resources"]
        files = {row["name"]: Digest.parse(f"sha256:{row['digest']}") for row in rows}
        ignored = tuple(str(path) for path in how.get("ignore_paths", ()))
        ways = {how["method"], how["hash_type"], *(row["algorithm"] for row in rows)}
        root = hashlib.sha256(b"".join(bytes.fromhex(row["digest"]) for row in rows)).hexdigest()
        same = root == subject["digest"]["sha256"]
    except (ValueError, LookupError, TypeError, AttributeError, BastideError) as error:
        raise NotProven(f"the bundle signs no list of files: {error!r:.200}", fix=_FIX) from error
    if kinds != (STATEMENT_TYPE, PREDICATE_TYPE) or ways != {"files", "sha256"}:
        raise NotProven(
            "the bundle signs something else than whole files by SHA-256",
            fix="ask the signer for a signature with the defaults of `model_signing sign key`",
        )
    if not same or len(files) != len(rows):
        raise NotProven("the bundle's digest is not that of the files it lists", fix=_FIX)
    return files, ignored
