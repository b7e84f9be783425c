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
from bastide.app.services import gateway_url
from bastide.app.tenants import new_key
from bastide.core.errors import Misconfigured
from bastide.core.party import Duty

__all__ = ["UNSET", "Move", "move_application", "variables"]

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


def move_application(env: Environment, tenant: str, scopes: Sequence[str], url: str | None) -> Move:
    """Make an API key for an application. It is shown once, then gone. Raises NotFound.

    url: where the application reaches the gateway, if not where it listens.
    """
    require(env.principal, Duty.MANAGE_TENANTS)
    base = (url or gateway_url(env.settings.listen)).rstrip("/")
    if not base.startswith(("http://", "https://")):
        raise Misconfigured(f"{base!r} is no base URL", fix="http://HOST:PORT or https://HOST")
    made = new_key(env, tenant, scopes)
    pair = made["access_key_id"], made["secret_access_key"]
    return Move(made["id"], tenant, variables(base, made["key"], pair))


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
