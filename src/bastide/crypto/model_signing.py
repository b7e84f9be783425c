# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""OpenSSF model-signing v1.0: the parts of an artifact in a Sigstore bundle (v0.3).

Anyone checks it with the public tool and the environment's model-signing key::

    model_signing verify key --signature model.sig --public_key model-signing.pem FOLDER

Rules (model_signing 1.1, `signing.py` and `sign_ec_key.py`):
* The payload is an in-toto Statement v1 of the type ``https://model_signing/signature/v1.0``; its
  one subject is the model's name with the SHA-256 of the parts' digests, in order of their paths.
* No path is ignored and no symbolic link followed: an extra file fails, too.
* The key is EC (the tool reads no other), named by the SHA-256 of its PEM form.
"""

import base64
import hashlib
import json
from typing import Any

from bastide.core.artifact import Artifact
from bastide.core.canonical import canonical
from bastide.core.errors import BastideError, NotProven
from bastide.core.evidence import PAYLOAD_TYPE, STATEMENT_TYPE
from bastide.core.key import PublicKey
from bastide.crypto import p256
from bastide.crypto.dsse import Signer, pae

__all__ = ["BUNDLE_TYPE", "PREDICATE_TYPE", "model_signing_bundle", "verify_model_signing"]

BUNDLE_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PREDICATE_TYPE = "https://model_signing/signature/v1.0"


def model_signing_bundle(artifact: Artifact, name: str, signer: Signer) -> bytes:
    """Sign the parts of a model with a P-256 key. The same input gives the same bytes."""
    payload = _payload(artifact, name)
    return canonical(_bundle(payload, signer.sign(pae(PAYLOAD_TYPE, payload)), signer.public))


def verify_model_signing(data: bytes, artifact: Artifact, name: str, key: PublicKey) -> None:
    """Check that a bundle is signed by `key` and names exactly this model's parts.

    1. The bundle is JSON with one signature, and one form: what `model_signing_bundle` writes.
    2. The payload is the one this artifact and name give.
    3. The signature holds.

    Raises NotProven, saying which step failed.
    """
    # 1.
    try:
        envelope = json.loads(data)["dsseEnvelope"]
        signature = base64.b64decode(envelope["signatures"][0]["sig"], validate=True)
        signed = base64.b64decode(envelope["payload"], validate=True)
        same = canonical(_bundle(signed, signature, key)) == data
    except (ValueError, LookupError, TypeError, RecursionError, BastideError) as error:
        raise NotProven(f"not a model-signing bundle: {error!r}") from error
    if not same:
        raise NotProven("the model-signing bundle has another key or another form than ours")
    # 2.
    if signed != _payload(artifact, name):
        raise NotProven(f"the model-signing bundle names other parts than the model {name}")
    # 3.
    p256.verify_signature(key, pae(PAYLOAD_TYPE, signed), signature)


def _payload(artifact: Artifact, name: str) -> bytes:
    root = hashlib.sha256(b"".join(part.digest.raw for part in artifact.parts)).hexdigest()
    return canonical(
        {
            "_type": STATEMENT_TYPE,
            "subject": [{"name": name, "digest": {"sha256": root}}],
            "predicateType": PREDICATE_TYPE,
            "predicate": {
                "serialization": {
                    "method": "files",
                    "hash_type": "sha256",
                    "allow_symlinks": False,
                    "ignore_paths": [],
                },
                "resources": [
                    {"name": part.path, "algorithm": "sha256", "digest": part.digest.hex}
                    for part in artifact.parts
                ],
            },
        }
    )


def _bundle(payload: bytes, signature: bytes, key: PublicKey) -> dict[str, Any]:
    return {
        "mediaType": BUNDLE_TYPE,
        "verificationMaterial": {
            "publicKey": {"hint": hashlib.sha256(p256.public_pem(key)).hexdigest()},
            "tlogEntries": [],
        },
        "dsseEnvelope": {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [{"sig": base64.b64encode(signature).decode(), "keyid": ""}],
        },
    }
