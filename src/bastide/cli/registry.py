# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""How `bastide release push` and `bastide model pull` are told to reach a registry."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from bastide.cli.command import read_text

if TYPE_CHECKING:
    from bastide.formats.modelpack import Reference
    from bastide.ports import Registry

__all__ = ["REGISTRY", "open_registry"]

REGISTRY: Final = (
    click.option("--login", metavar="FILE", help="File with NAME:PASSWORD; - reads stdin."),
    click.option(
        "--ca",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="Whom TLS trusts, in PEM.  [default: the system's]",
    ),
    click.option("--plain-http", is_flag=True, help="Without TLS; digests still hold."),
    click.option(
        "--token-host",
        metavar="HOST[:PORT]",
        help="Where else the login may go, if the registry's token service is elsewhere.",
    ),
)


def open_registry(
    where: str, login: str | None, ca: Path | None, plain_http: bool, token_host: str | None
) -> "tuple[Reference, Registry]":
    """The artifact that is meant, and its registry. Raises Misconfigured."""
    from bastide.app import wiring
    from bastide.formats.modelpack import Reference

    reference = Reference.parse(where)
    secret = None if login is None else read_text(login)
    return reference, wiring.open_registry(
        reference.host, reference.repository, plain_http, ca, secret, token_host
    )
