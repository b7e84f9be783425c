# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""How long files and batches are kept, and how much of them: with the desk as its own process."""

import dataclasses
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import pytest

from bastide.app.shelf import Shelf
from bastide.core.limits import MIB
from paths.desk_rig import OTHER_KEY, DeskRig, desk, lines
from paths.gateway_rig import KEY

CHAT = "/v1/chat/completions"
PART = bytes(700 * 1_024)  # two of them are more than the MiB that a tenant has here


@pytest.fixture
def rig() -> Iterator[DeskRig]:
    with desk(file_mb=1) as made:
        yield made


def client(rig: DeskRig, key: str = KEY) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{rig.url}/v1", api_key=key, timeout=20, max_retries=0)


def upload(asking: openai.OpenAI, data: bytes, **more: Any) -> Any:
    return asking.files.create(file=("in.jsonl", data), purpose="batch", **more)


def create(asking: openai.OpenAI, data: bytes, **more: Any) -> Any:
    file = upload(asking, data)
    return asking.batches.create(
        input_file_id=file.id, endpoint=CHAT, completion_window="24h", **more
    )


def full(asking: openai.OpenAI, data: bytes) -> bool:
    try:
        upload(asking, data)
    except openai.BadRequestError as error:
        assert error.code == "storage_full" and "delete some" in error.message
        return True
    return False


def test_a_tenant_keeps_so_many_bytes_and_not_one_more(rig: DeskRig) -> None:
    asking = client(rig)
    kept = upload(asking, PART)
    assert full(asking, PART)
    assert [row.id for row in asking.files.list()] == [kept.id]
    upload(asking, bytes(MIB - len(PART)))  # to the last byte
    assert full(asking, b"x") and not full(client(rig, OTHER_KEY), PART)
    # Nothing is begun whose results would have no place, and a restart forgets nothing.
    with pytest.raises(openai.BadRequestError) as refused:
        asking.batches.create(input_file_id=kept.id, endpoint=CHAT, completion_window="24h")
    assert refused.value.code == "storage_full"
    rig.kill_desk()
    assert full(asking, b"x")
    asking.files.delete(kept.id)
    assert not full(asking, PART)


def test_uploads_at_the_same_moment_share_the_room(rig: DeskRig) -> None:
    asking = client(rig)
    with ThreadPoolExecutor(2) as pool:
        for _ in range(5):
            assert sorted(pool.map(lambda data: full(asking, data), (PART, PART))) == [False, True]
            (kept,) = asking.files.list()
            assert asking.files.content(kept.id).content == PART
            asking.files.delete(kept.id)
    bodies = [path for path in rig.home.desk.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in bodies) < len(PART)  # nothing half-written


def test_results_of_a_batch_count_but_are_never_refused(rig: DeskRig) -> None:
    asking = client(rig)
    data = lines(20)
    made = create(asking, data)
    upload(asking, bytes(MIB - len(data) - 1))
    rig.until(lambda: asking.batches.retrieve(made.id).status == "completed")
    ident = asking.batches.retrieve(made.id).output_file_id
    assert ident is not None and len(asking.files.content(ident).text.splitlines()) == 20
    assert full(asking, b"")


def expires_in(seconds: int) -> dict[str, Any]:
    return {"anchor": "created_at", "seconds": seconds}


def test_a_file_is_kept_as_long_as_was_asked(rig: DeskRig) -> None:
    asking = client(rig)
    made = upload(asking, b"x", expires_after=expires_in(7_200))
    assert made.expires_at - made.created_at == 7_200
    plain = upload(asking, b"x")
    assert plain.expires_at - plain.created_at == 30 * 86_400
    for seconds in (0, 3_599, 2_592_001):
        with pytest.raises(openai.BadRequestError, match="3600 to 2592000"):
            upload(asking, b"x", expires_after=expires_in(seconds))

    def age(shelf: Shelf) -> None:
        row = dataclasses.replace(shelf.file("acme", made.id), expires_s=int(time.time()))
        (name,) = [name for name in shelf._store.names("files") if name.endswith(f"{made.id}/row")]
        shelf._write(name, row)

    rig.kill_desk(age)
    with pytest.raises(openai.NotFoundError):
        asking.files.content(made.id)
    assert [row.id for row in asking.files.list()] == [plain.id]

    def gone() -> bool:
        names = " ".join(str(path) for path in rig.home.desk.rglob("*") if path.is_file())
        assert plain.id in names
        return made.id not in names

    rig.until(gone)


def test_results_are_kept_as_long_as_was_asked(rig: DeskRig) -> None:
    asking = client(rig)
    expires = expires_in(3_600)
    made = create(asking, lines(2), extra_body={"output_expires_after": expires})
    rig.until(lambda: asking.batches.retrieve(made.id).status == "completed")
    ident = asking.batches.retrieve(made.id).output_file_id
    assert ident is not None
    output = asking.files.retrieve(ident)
    assert output.expires_at is not None and output.expires_at - output.created_at == 3_600


def test_a_batch_that_has_not_ended_in_its_window_expires(rig: DeskRig) -> None:
    rig.engine.pace_s = 0.05
    asking = client(rig)
    made = create(asking, lines(200))
    waiting = create(asking, lines(3))  # behind the other one, so it expires unbegun
    assert made.expires_at - made.created_at == 86_400
    rig.until(lambda: asking.batches.retrieve(made.id).request_counts.completed > 3)

    def age(shelf: Shelf) -> None:
        for ident in (made.id, waiting.id):
            batch = shelf.batch("acme", ident)
            shelf.put_batch(dataclasses.replace(batch, expires_s=int(time.time()) + 2))

    rig.kill_desk(age)
    rig.until(lambda: asking.batches.retrieve(waiting.id).status == "expired")
    done = asking.batches.retrieve(made.id)
    assert done.status == "expired" and done.expired_at is not None
    assert done.output_file_id is not None and done.error_file_id is not None
    answered = asking.files.content(done.output_file_id).text.splitlines()
    rest = [json.loads(row) for row in asking.files.content(done.error_file_id).text.splitlines()]
    assert 3 < len(answered) < 200 and len(answered) + len(rest) == 200
    assert {row["error"]["code"] for row in rest} == {"batch_expired"}
    other = asking.batches.retrieve(waiting.id)
    assert other.output_file_id is None and other.request_counts.completed == 0
