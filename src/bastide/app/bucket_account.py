# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""From settings to a bucket that can be asked: endpoint, authority, and an access key.

The access key is never in the settings: `s3_credentials` says where it is. It is read when a
bucket is first used, never before.
"""

import configparser
import stat
from pathlib import Path
from typing import Final

from bastide.app.config import Settings, environment_credentials
from bastide.core.bucket import FROM_ENVIRONMENT, FROM_FILE, Bucket, split_url
from bastide.core.errors import Misconfigured

__all__ = ["open_account"]

_FIELDS: Final = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
_PEM_BYTES_MAX: Final = 1 << 20


def open_account(settings: Settings, url: str) -> Bucket:
    """A bucket of the environment's object store. Raises Misconfigured."""
    name, prefix = split_url(url)
    if not settings.s3_endpoint and not settings.s3_region:
        raise Misconfigured(
            f"{url} is in an object store that no setting names",
            fix='set s3_endpoint = "https://..." in config.toml, or s3_region for Amazon\'s',
            place="s3_endpoint",
        )
    found = _credentials(settings.s3_credentials)
    return Bucket(
        name,
        prefix,
        settings.s3_endpoint.rstrip("/"),
        settings.s3_region,
        found[0],
        found[1],
        found[2],
        authority=_authority(settings.s3_ca),
        allow_http=settings.s3_allow_http,
        retries=settings.s3_retries,
        wait_s=float(settings.s3_wait_s),
    )


def _credentials(where: str) -> tuple[str, str, str]:
    """Access key, secret key, session token or "". No other place is ever looked at."""
    if where == FROM_ENVIRONMENT:
        found, place = environment_credentials(), "the environment"
        fix = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or s3_credentials"
    else:
        name, _, profile = where.removeprefix(FROM_FILE).partition("#")
        path, profile = Path(name).expanduser(), profile or "default"
        found, place = _profile(path, profile), f"profile {profile} of {path}"
        fix = "write aws_access_key_id and aws_secret_access_key there"
    key, secret, token = (found.get(field, "").strip() for field in _FIELDS)
    if not key or not secret:
        raise Misconfigured(f"{place} has no access key", fix=fix, place="s3_credentials")
    return key, secret, token


def _profile(path: Path, profile: str) -> dict[str, str]:
    """The fields of a profile in a file as Amazon's tools have it. Only its owner may read it."""
    try:
        mode = path.stat().st_mode
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(
            f"{path} cannot be read", fix="correct s3_credentials", place="s3_credentials"
        ) from error
    if stat.S_IMODE(mode) & 0o077:
        raise Misconfigured(
            f"others may read {path}", fix=f"chmod 600 {path}", place="s3_credentials"
        )
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(text)
        return dict(parser[profile])
    except (configparser.Error, KeyError):
        # The error of the parser would show the line, which may be the secret.
        raise Misconfigured(
            f"{path} has no profile {profile}", fix="correct s3_credentials", place="s3_credentials"
        ) from None


def _authority(path: str) -> str:
    if not path:
        return ""
    try:
        with Path(path).expanduser().open() as file:
            text = file.read(_PEM_BYTES_MAX)
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"{path} cannot be read", fix="correct s3_ca", place="s3_ca") from error
    if "BEGIN CERTIFICATE" not in text:
        raise Misconfigured(
            f"{path} holds no certificate in PEM", fix="correct s3_ca", place="s3_ca"
        )
    return text
