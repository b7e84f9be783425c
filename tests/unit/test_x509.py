# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Our own authority: OpenSSL believes its certificates for the allowed names, and for no others."""

import subprocess
from pathlib import Path

import pytest
from cryptography import x509 as x
from hypothesis import given
from hypothesis import strategies as st

from bastide.core.errors import Misconfigured
from bastide.core.limits import TLS_CA_DAYS, TLS_SERVER_DAYS
from bastide.crypto.x509 import authority_pem, covers, issue_server, read_names

NOW_MS = 1_795_640_000_000
DAY_MS = 86_400_000
SECRET, OTHER, SERVER = b"\x01" * 32, b"\x02" * 32, b"\x03" * 32
SERIAL = bytes(range(200, 216))
NAMES = ("gateway.example.org", "10.0.0.5", "2001:db8::7")


def verified(folder: Path, authority: bytes, certificate: bytes, *more: str, at_ms: int) -> str:
    """Empty if OpenSSL believes it, else why not."""
    (folder / "ca.pem").write_bytes(authority)
    (folder / "server.pem").write_bytes(certificate)
    done = subprocess.run(
        [
            *("openssl", "verify", "-x509_strict", "-purpose", "sslserver"),
            *("-attime", str(at_ms // 1000), "-CAfile", folder / "ca.pem", *more),
            folder / "server.pem",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    return "" if done.returncode == 0 else done.stderr


@pytest.mark.parametrize(
    "option",
    [
        ("-verify_hostname", "localhost"),
        ("-verify_ip", "127.0.0.1"),
        ("-verify_ip", "::1"),
        ("-verify_hostname", "gateway.example.org"),
        ("-verify_ip", "10.0.0.5"),
        ("-verify_ip", "2001:db8::7"),
    ],
    ids=str,
)
def test_openssl_believes_a_server_of_ours(tmp_path: Path, option: tuple[str, str]) -> None:
    authority = authority_pem(SECRET, "test", NAMES, SERIAL, NOW_MS)
    made = issue_server(SECRET, "test", NAMES, SERVER, SERIAL, NOW_MS)
    assert verified(tmp_path, authority, made.certificate, *option, at_ms=NOW_MS) == ""


@pytest.mark.attacks("C76")
def test_the_authority_is_believed_for_its_own_names_only(tmp_path: Path) -> None:
    """A stolen key makes no certificate for another site."""
    authority = authority_pem(SECRET, "test", NAMES, SERIAL, NOW_MS)
    for name in ("bank.example.com", "10.0.0.6"):
        forged = issue_server(SECRET, "test", (name,), SERVER, SERIAL, NOW_MS)
        why = verified(tmp_path, authority, forged.certificate, at_ms=NOW_MS)
        assert "permitted subtree violation" in why


def test_another_key_is_not_believed(tmp_path: Path) -> None:
    authority = authority_pem(SECRET, "test", (), SERIAL, NOW_MS)
    forged = issue_server(OTHER, "test", (), SERVER, SERIAL, NOW_MS)
    assert verified(tmp_path, authority, forged.certificate, at_ms=NOW_MS) != ""


@pytest.mark.attacks("C78")
def test_a_server_certificate_signs_nothing_and_ends_soon(tmp_path: Path) -> None:
    authority = authority_pem(SECRET, "test", (), SERIAL, NOW_MS)
    made = issue_server(SECRET, "test", (), SERVER, SERIAL, NOW_MS)
    read = x.load_pem_x509_certificate(made.certificate)
    assert read.extensions.get_extension_for_class(x.BasicConstraints).value.ca is False
    assert made.ends_ms == int(read.not_valid_after_utc.timestamp() * 1000)
    assert made.ends_ms <= NOW_MS + TLS_SERVER_DAYS * DAY_MS
    late_ms = NOW_MS + (TLS_SERVER_DAYS + 1) * DAY_MS
    assert "expired" in verified(tmp_path, authority, made.certificate, at_ms=late_ms)


def test_an_authority_is_kept_while_it_is_good() -> None:
    authority = authority_pem(SECRET, "test", NAMES, SERIAL, NOW_MS)
    assert covers(authority, SECRET, (), NOW_MS)
    assert covers(authority, SECRET, NAMES, NOW_MS)
    assert not covers(authority, SECRET, ("other.example.org",), NOW_MS)
    assert not covers(authority, OTHER, (), NOW_MS)
    assert not covers(authority, SECRET, (), NOW_MS + TLS_CA_DAYS * DAY_MS)
    assert not covers(b"no certificate", SECRET, (), NOW_MS)


@given(st.binary(min_size=16, max_size=16))
def test_a_serial_number_is_positive_and_short(serial: bytes) -> None:
    made = x.load_pem_x509_certificate(authority_pem(SECRET, "test", (), serial, NOW_MS))
    assert 0 < made.serial_number < 1 << 159


def test_names_of_a_setting() -> None:
    assert read_names(" a.example, 10.0.0.1,,a.example ") == ("a.example", "10.0.0.1")
    assert read_names("") == ()


@pytest.mark.parametrize(
    "text", ["org", "*.example.org", "a..b", "bücher.example", "a.example:80", "x" * 64 + ".org"]
)
def test_what_is_no_name(text: str) -> None:
    with pytest.raises(Misconfigured):
        read_names(text)
