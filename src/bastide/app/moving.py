# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Use case `env`: the variables with which an application moves here without a changed line.

Each vendor's SDK reads where to call and with which key from its own variables. SDKs put some
other variables before these; they are in UNSET, and with one of them left set an application
would go on to call with the old vendor's credential.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bastide.app.duties import require
from bastide.app.environment import Environment
from bastide.app.keys import KeyTerms, new_key
from bastide.app.services import gateway_url, tls_url
from bastide.core.errors import Misconfigured

__all__ = ["UNSET", "Move", "move_application", "trusting", "variables"]

UNSET = (
    "AWS_BEARER_TOKEN_BEDROCK",
    "AWS_SESSION_TOKEN",
    "AZURE_OPENAI_AD_TOKEN",
    "GOOGLE_API_KEY",
)

# What the SDKs demand and we do not look at.
_AZURE_API_VERSION = "2024-10-21"
_AWS_REGION = "eu-central-1"


@dataclass(frozen=True, slots=True, repr=False)
class Move:
    """A new key's id, and the variables that hold the key. Without a repr: they are secret."""

    key: str
    tenant: str
    variables: dict[str, str]

    @property
    def unset(self) -> tuple[str, ...]:
        """What must not be left set beside them."""
        return tuple(name for name in UNSET if name not in self.variables)


def move_application(
    env: Environment, tenant: str, scopes: Sequence[str], url: str | None, tls: bool = False
) -> Move:
    """Make an API key for an application. It is shown once, then gone. Raises NotFound.

    url: where the application reaches the gateway, if not where it listens.
    tls: over HTTPS, with what makes SDKs trust this environment's authority.
    """
    require(env, "application-move")
    base = url or (tls_url(env.settings) if tls else gateway_url(env.settings.listen))
    if base is None:
        raise Misconfigured("the gateway has no HTTPS", fix='tls_listen = "127.0.0.1:8472"')
    if not base.startswith("https://" if tls else ("http://", "https://")):
        raise Misconfigured(f"{base!r} is no base URL", fix="http://HOST:PORT or https://HOST")
    made = new_key(env, tenant, KeyTerms(models=scopes))
    pair = made["access_key_id"], made["secret_access_key"]
    found = variables(base.rstrip("/"), made["key"], pair)
    if tls:
        found |= trusting(str(env.home.authority)) | {"AWS_BEARER_TOKEN_BEDROCK": made["key"]}
    return Move(made["id"], tenant, found)


def trusting(authority: str) -> dict[str, str]:
    """The variables that make SDKs trust the certificates of an authority (a PEM file).

    The first two replace what the application trusted before; Node's adds to it.
    """
    return {
        "SSL_CERT_FILE": authority,
        "AWS_CA_BUNDLE": authority,
        "NODE_EXTRA_CA_CERTS": authority,
    }


def variables(url: str, key: str, pair: tuple[str, str]) -> dict[str, str]:
    """The variables for a gateway, an API key, and the AWS pair that stands for that key."""
    access, secret = pair
    return {
        "OPENAI_BASE_URL": f"{url}/v1",
        "OPENAI_API_KEY": key,
        "AZURE_OPENAI_ENDPOINT": url,
        "AZURE_OPENAI_API_KEY": key,
        "OPENAI_API_VERSION": _AZURE_API_VERSION,
        "ANTHROPIC_BASE_URL": url,
        "ANTHROPIC_API_KEY": key,
        "GOOGLE_GEMINI_BASE_URL": url,
        "GOOGLE_VERTEX_BASE_URL": url,
        "GEMINI_API_KEY": key,
        "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": url,
        "AWS_ENDPOINT_URL_BEDROCK": url,
        "AWS_ACCESS_KEY_ID": access,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_DEFAULT_REGION": _AWS_REGION,
        "ANTHROPIC_BEDROCK_BASE_URL": url,
        "OLLAMA_HOST": url,
        "OLLAMA_API_KEY": key,
    }
