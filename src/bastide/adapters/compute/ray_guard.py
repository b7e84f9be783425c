# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Whether a server of Ray lets in only who has the certificate and the token: it is tried."""

from typing import Final

from bastide.core.limits import COMPUTE_START_S

__all__ = ["CLIENTS", "CONTROL", "refuse_open"]

# A call that each of the two servers answers to whoever is let in.
CLIENTS: Final = "/ray.rpc.RayletDriver/ClusterInfo"
CONTROL: Final = "/ray.rpc.NodeInfoGcsService/GetClusterId"


def refuse_open(address: str, call: str) -> None:
    """Raises ConnectionError if a server lets in who has no token, or speaks without TLS."""
    import grpc
    from ray._common.tls_utils import load_certs_from_env

    chain, key, authority = load_certs_from_env()
    proof = grpc.ssl_channel_credentials(
        root_certificates=authority, private_key=key, certificate_chain=chain
    )
    with grpc.secure_channel(address, proof) as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=COMPUTE_START_S / 4)
        except grpc.FutureTimeoutError:
            raise ConnectionError("nobody answers there with TLS under this authority") from None
        try:
            channel.unary_unary(call)(b"", timeout=COMPUTE_START_S / 4)
        except grpc.RpcError as error:
            if error.code() == grpc.StatusCode.UNAUTHENTICATED:  # type: ignore[attr-defined]
                return
            raise ConnectionError("it does not say whether it asks for a token") from error
    raise ConnectionError("it lets in who shows no token: begin it with RAY_AUTH_MODE=token")
