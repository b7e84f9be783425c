# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Files and batches as the OpenAI SDKs see them, with the desk as a process of its own."""

import asyncio
import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import openai
import pytest

from bastide.app.receipts import open_lines
from bastide.core.batch import batch_secret
from bastide.core.errors import NotProven
from bastide.core.limits import UPLOADS_MAX
from bastide.core.receipt import commit, salt_for
from paths.desk_rig import OTHER_KEY, DeskRig, desk, lines
from paths.gateway_rig import KEY, NARROW_KEY, read_response, request_bytes

CHAT = "/v1/chat/completions"
ENDED = ("completed", "failed", "expired", "cancelled")


@pytest.fixture(scope="module")
def shared() -> Iterator[DeskRig]:
    with desk() as made:
        yield made


@pytest.fixture
def rig() -> Iterator[DeskRig]:
    with desk() as made:
        yield made


def client(rig: DeskRig, key: str = KEY) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{rig.url}/v1", api_key=key, timeout=20)


def upload(asking: openai.OpenAI, data: bytes) -> str:
    return asking.files.create(file=("in.jsonl", data), purpose="batch").id


def create(asking: openai.OpenAI, data: bytes) -> Any:
    ident = upload(asking, data)
    return asking.batches.create(
        input_file_id=ident, endpoint=CHAT, completion_window="24h", metadata={"a": "b"}
    )


def finished(rig: DeskRig, asking: openai.OpenAI, ident: str) -> Any:
    rig.until(lambda: asking.batches.retrieve(ident).status in ENDED)
    return asking.batches.retrieve(ident)


def rows(asking: openai.OpenAI, ident: str | None) -> list[dict[str, Any]]:
    if ident is None:
        return []
    return [json.loads(line) for line in asking.files.content(ident).text.splitlines()]


def test_a_file_is_kept_as_it_was(shared: DeskRig) -> None:
    asking = client(shared)
    for data in (b"", b"x", bytes(range(256)) * 20_000, b"\r\n--\r\n" * 1_000):
        made = asking.files.create(file=("some.bin", data), purpose="user_data")
        assert (made.bytes, made.filename, made.purpose) == (len(data), "some.bin", "user_data")
        assert asking.files.content(made.id).content == data
        assert asking.files.retrieve(made.id).bytes == len(data)
        assert asking.files.delete(made.id).deleted
        with pytest.raises(openai.NotFoundError):
            asking.files.content(made.id)


def test_a_batch_is_answered(shared: DeskRig) -> None:
    asking, before = client(shared), len(shared.receipts)
    data = lines(30)
    made = create(asking, data)
    done = finished(shared, asking, made.id)
    assert done.status == "completed"
    assert done.request_counts.to_dict() == {"total": 30, "completed": 30, "failed": 0}
    assert done.metadata == {"a": "b"} and done.error_file_id is None
    got = rows(asking, done.output_file_id)
    assert sorted(row["custom_id"] for row in got) == sorted(f"line-{n}" for n in range(30))
    receipts = {receipt.ident: receipt for receipt in shared.receipts[before:]}
    assert len(receipts) == 30
    asked = [json.loads(line) for line in data.splitlines()]
    bodies = {row["custom_id"]: json.dumps(row["body"]).encode() for row in asked}
    secret = batch_secret(KEY, made.id)
    for row in got:
        answer = row["response"]
        assert answer["status_code"] == 200
        text = answer["body"]["choices"][0]["message"]["content"]
        assert text == "Hello wörld!"
        # Whoever has the API key can open the receipt of each line.
        receipt = receipts[answer["receipt"]]
        salt = salt_for(secret, receipt.ident)
        assert receipt.prompt_commitment == commit(salt, "prompt", bodies[row["custom_id"]])
        assert receipt.answer_commitment == commit(salt, "answer", text.encode())
        assert (receipt.tenant, receipt.key) == ("acme", "k_wide")


@pytest.mark.parametrize("endpoint", [CHAT, "/v1/completions", "/v1/responses"])
def test_the_receipts_of_all_lines_open_with_the_api_key(shared: DeskRig, endpoint: str) -> None:
    asking, rows_in = client(shared), [json.loads(row) for row in lines(5).splitlines()]
    for row in rows_in:
        row["url"], body = endpoint, row["body"]
        if endpoint != CHAT:
            messages = body.pop("messages")
            name = "prompt" if endpoint == "/v1/completions" else "input"
            body[name] = messages[0]["content"]
    # Spaces as no encoder of ours would make them: the very bytes count.
    data = b"".join(
        json.dumps(row, separators=(" , ", ":  ")).encode() + b"\r\n" for row in rows_in
    )
    file = upload(asking, data)
    made = asking.batches.create(
        input_file_id=file,
        endpoint=endpoint,  # type: ignore[arg-type]
        completion_window="24h",
    )
    done = finished(shared, asking, made.id)
    assert done.output_file_id is not None, rows(asking, done.error_file_id)
    output = asking.files.content(done.output_file_id).content
    known = {receipt.ident: receipt for receipt in shared.receipts}
    assert open_lines(known.__getitem__, KEY, made.id, data, output) == 5
    first, *others = output.splitlines(keepends=True)
    for wrong in (
        (OTHER_KEY, made.id, data, output),
        (KEY, "batch_" + "0" * 26, data, output),
        (KEY, made.id, data.replace(b"Hi 3", b"Hi 4"), output),
        (KEY, made.id, data, output.replace("wörld".encode(), b"world")),
        (KEY, made.id, data, first + first.replace(b"line-", b"line-")),
        (KEY, made.id, data, first.replace(b"line-", b"other-") + b"".join(others)),
        (KEY, made.id, data, b""),
    ):
        with pytest.raises(NotProven):
            open_lines(known.__getitem__, *wrong)


def test_the_async_client(shared: DeskRig) -> None:
    async def run() -> str:
        async with openai.AsyncOpenAI(base_url=f"{shared.url}/v1", api_key=KEY) as asking:
            file = await asking.files.create(file=("in.jsonl", lines(3)), purpose="batch")
            made = await asking.batches.create(
                input_file_id=file.id, endpoint=CHAT, completion_window="24h"
            )
            while (row := await asking.batches.retrieve(made.id)).status not in ENDED:
                await asyncio.sleep(0.02)
            assert row.output_file_id is not None
            return (await asking.files.content(row.output_file_id)).text

    assert len(asyncio.run(run()).splitlines()) == 3


@pytest.mark.parametrize("v1", [True, False])
def test_azure(shared: DeskRig, v1: bool) -> None:
    asking = (
        openai.OpenAI(base_url=f"{shared.url}/openai/v1/", api_key=KEY)
        if v1
        else openai.AzureOpenAI(
            azure_endpoint=shared.url, api_version="2024-10-21", api_key=KEY, timeout=20
        )
    )
    file = asking.files.create(file=("in.jsonl", lines(2)), purpose="batch")
    made = asking.batches.create(
        input_file_id=file.id,
        endpoint="/chat/completions",
        completion_window="24h",  # type: ignore[arg-type]
    )
    assert finished(shared, asking, made.id).request_counts.completed == 2


def test_pages_end(shared: DeskRig) -> None:
    asking = client(shared)
    made = [upload(asking, b"%d" % n) for n in range(5)]
    assert [row.id for row in asking.files.list(limit=2)][:5] == made[::-1]
    page = asking.files.list(after=made[1], limit=1)
    assert [row.id for row in page.data] == [made[0]]
    last = list(asking.files.list())[-1].id
    assert asking.files.list(after=last).data == []
    batches = list(asking.batches.list(limit=1))
    assert len({row.id for row in batches}) == len(batches) > 0


def test_other_tenants_find_nothing(shared: DeskRig) -> None:
    asking, other = client(shared), client(shared, OTHER_KEY)
    made = create(asking, lines(1))
    for deed in (
        lambda: other.files.retrieve(made.input_file_id),
        lambda: other.files.content(made.input_file_id),
        lambda: other.files.delete(made.input_file_id),
        lambda: other.batches.retrieve(made.id),
        lambda: other.batches.cancel(made.id),
        lambda: other.batches.create(
            input_file_id=made.input_file_id, endpoint=CHAT, completion_window="24h"
        ),
    ):
        with pytest.raises(openai.NotFoundError):
            deed()
    assert made.input_file_id not in [row.id for row in other.files.list()]
    assert other.batches.list().data == []


@pytest.mark.parametrize(
    ("data", "codes"),
    [
        (b"", ["empty_file"]),
        (b"no json\n" + lines(1), ["invalid_json_line"]),
        (lines(1) + lines(1), ["duplicate_custom_id"]),
        (lines(1).replace(b"chat/completions", b"embeddings"), ["mismatched_endpoint"]),
        (lines(1).replace(b"POST", b"GET"), ["invalid_method"]),
        (lines(1) + lines(2, model="other").splitlines()[1], ["mismatched_model"]),
    ],
)
def test_what_is_wrong_with_an_input(shared: DeskRig, data: bytes, codes: list[str]) -> None:
    asking = client(shared)
    done = finished(shared, asking, create(asking, data).id)
    assert done.status == "failed"
    assert [row.code for row in done.errors.data] == codes
    assert done.output_file_id is None and done.request_counts.total == 0


def test_lines_that_are_refused_stand_in_the_error_file(shared: DeskRig) -> None:
    asking = client(shared)
    done = finished(shared, asking, create(asking, lines(2, model="nowhere")).id)
    assert (done.status, done.request_counts.failed) == ("completed", 2)
    assert done.output_file_id is None
    for row in rows(asking, done.error_file_id):
        assert row["response"]["status_code"] == 404
        assert row["response"]["body"]["error"]["code"] == "model_not_found"


def test_a_cancelled_batch_has_what_was_answered(rig: DeskRig) -> None:
    rig.engine.pace_s = 0.05
    asking = client(rig)
    made = create(asking, lines(200))
    rig.until(lambda: asking.batches.retrieve(made.id).request_counts.completed > 3)
    assert asking.batches.cancel(made.id).status == "cancelling"
    done = finished(rig, asking, made.id)
    assert done.status == "cancelled"
    answered, rest = rows(asking, done.output_file_id), rows(asking, done.error_file_id)
    assert len(answered) == done.request_counts.completed == len(rig.receipts)
    assert len(answered) + len(rest) == 200
    assert {row["error"]["code"] for row in rest} == {"batch_cancelled"}


def test_a_revoked_key_stops_its_batches(rig: DeskRig) -> None:
    rig.engine.pace_s = 0.05
    asking = client(rig)
    made = create(asking, lines(200))
    rig.until(lambda: asking.batches.retrieve(made.id).request_counts.completed > 3)
    rig.keys = {mac: grant for mac, grant in rig.keys.items() if grant.key != "k_wide"}
    done = finished(rig, client(rig, NARROW_KEY), made.id)
    assert (done.status, done.errors.data[0].code) == ("failed", "key_revoked")
    assert 3 < done.request_counts.completed < 200


def test_a_kill_at_any_moment_loses_no_line_and_asks_none_twice(rig: DeskRig) -> None:
    rig.engine.pace_s = 0.01
    asking = client(rig)
    canary = "the canary sings of zebras"
    made = create(asking, lines(60, canary))
    for more in (0, 5, 20, 40):
        rig.until(lambda more=more: len(rig.receipts) >= more)
        rig.kill_desk()
    done = finished(rig, asking, made.id)
    assert done.status == "completed"
    got = rows(asking, done.output_file_id)
    assert sorted(row["custom_id"] for row in got) == sorted(f"line-{n}" for n in range(60))
    known = {receipt.ident for receipt in rig.receipts}
    assert {row["response"]["receipt"] for row in got} <= known
    # Asked again is at most what was on its way at each kill.
    assert 60 <= len(rig.receipts) <= 60 + 4 * 8
    for path in rig.home.root.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert canary.encode() not in data and b"line-1" not in data, path
            assert batch_secret(KEY, made.id).encode() not in data


def test_forms_that_are_no_upload(shared: DeskRig) -> None:
    head = {"authorization": f"Bearer {KEY}"}
    for kind, body, status in (
        ("application/json", b"{}", 415),
        ("multipart/form-data", b"x", 400),
        ("multipart/form-data; boundary=b", b"--b\r\n", 400),
    ):
        headers = {**head, "content-type": kind}
        sent = httpx.post(f"{shared.url}/v1/files", headers=headers, content=body)
        assert sent.status_code == status, sent.text
    with socket.create_connection(("127.0.0.1", shared.port), timeout=10) as talking:
        talking.sendall(head_of_upload(99_999_999))
        assert read_response(talking).status == 413


def head_of_upload(size: int) -> bytes:
    return request_bytes(b"", path="/v1/files", headers="Expect: 100-continue\r\n").replace(
        b"Content-Type: application/json\r\nContent-Length: 0",
        b"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: %d" % size,
    )


def test_a_file_larger_than_any_other_body_is_taken_and_uploads_are_few(shared: DeskRig) -> None:
    asking = client(shared).with_options(max_retries=0)
    large = bytes(9_000_000)
    assert asking.files.create(file=("large", large), purpose="user_data").bytes == len(large)

    def taken() -> bool:
        try:
            asking.files.create(file=("small", b"x"), purpose="user_data")
        except openai.RateLimitError:
            return False
        return True

    with ExitStack() as stack:
        for _ in range(UPLOADS_MAX // 2):
            talking = stack.enter_context(socket.create_connection(("127.0.0.1", shared.port)))
            talking.sendall(head_of_upload(9_000_000))
            assert read_response(talking).status == 100  # its head was seen
        assert not taken()
        # Another tenant still comes through.
        client(shared, OTHER_KEY).files.create(file=("small", b"x"), purpose="user_data")
    shared.until(taken)
