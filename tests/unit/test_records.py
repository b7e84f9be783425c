# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The sealed database file: its key, its settings, and what it shows to others."""

import os
import stat

import pytest
from sqlalchemy import text

from bastide.adapters.records.sql import open_records
from bastide.core.errors import Misconfigured, NotFound, NotProven, Unavailable

KEY = bytes(range(32))


def _pragma(engine, name: str):
    with engine.connect() as connection:
        return connection.execute(text(f"PRAGMA {name}")).scalar()


@pytest.fixture
def engine(tmp_path):
    engine = open_records(tmp_path / "a.db", KEY)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE t (value TEXT)"))
        connection.execute(text("INSERT INTO t VALUES ('canary-canary')"))
    yield engine
    engine.dispose()


def test_the_settings_that_durability_rests_on(engine):
    assert _pragma(engine, "journal_mode") == "wal"
    assert _pragma(engine, "synchronous") == 2
    assert _pragma(engine, "foreign_keys") == 1
    assert _pragma(engine, "temp_store") == 2


@pytest.mark.attacks("C26")
def test_nothing_is_readable_without_the_key(engine, tmp_path):
    files = [path.read_bytes() for path in tmp_path.iterdir()]
    assert len(files) == 3  # file, write-ahead log, and its index
    assert not any(b"canary" in data or b"SQLite format" in data for data in files)
    assert stat.S_IMODE((tmp_path / "a.db").stat().st_mode) == 0o600


def test_a_wrong_key_is_said_to_be_wrong(engine, tmp_path, capfd):
    engine.dispose()
    with pytest.raises(NotProven, match=r"a\.db does not open"):
        open_records(tmp_path / "a.db", KEY[::-1])
    (tmp_path / "text.db").write_text("hello " * 1000)
    with pytest.raises(NotProven, match=r"text\.db does not open"):
        open_records(tmp_path / "text.db", KEY)
    assert capfd.readouterr() == ("", "")


def test_a_key_has_32_bytes(tmp_path):
    with pytest.raises(Misconfigured):
        open_records(tmp_path / "a.db", b"short")
    assert not (tmp_path / "a.db").exists()


def test_read_only(engine, tmp_path):
    reader = open_records(tmp_path / "a.db", KEY, readonly=True)
    with reader.connect() as connection:
        assert connection.execute(text("SELECT value FROM t")).scalar() == "canary-canary"
    with pytest.raises(Exception, match="readonly"), reader.begin() as connection:
        connection.execute(text("DELETE FROM t"))
    reader.dispose()
    with pytest.raises(NotFound):
        open_records(tmp_path / "missing.db", KEY, readonly=True)


def test_a_folder_that_is_not_there_is_unavailable(tmp_path):
    with pytest.raises(Unavailable):
        open_records(tmp_path / "none" / "a.db", KEY)


def test_a_path_may_hold_any_character(tmp_path):
    path = tmp_path / "a b?c#d%20é.db"
    open_records(path, KEY).dispose()
    assert os.listdir(tmp_path) == [path.name]  # noqa: PTH208


@pytest.mark.parametrize("immediate", [False, True])
def test_a_transaction_is_undone_by_an_error(engine, immediate):
    with (
        pytest.raises(RuntimeError),
        engine.execution_options(immediate=immediate).begin() as connection,
    ):
        connection.execute(text("CREATE TABLE u (x)"))
        connection.execute(text("DELETE FROM t"))
        raise RuntimeError
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM t")).scalar() == 1
        tables = connection.execute(text("SELECT count(*) FROM sqlite_master")).scalar()
    assert tables == 1


def test_an_immediate_transaction_holds_the_write_lock_from_its_start(engine, tmp_path):
    other = open_records(tmp_path / "a.db", KEY)
    with engine.execution_options(immediate=True).begin(), other.connect() as connection:
        connection.execute(text("PRAGMA busy_timeout = 10"))
        with pytest.raises(Exception, match="locked"):
            connection.execute(text("INSERT INTO t VALUES ('x')"))
    other.dispose()
