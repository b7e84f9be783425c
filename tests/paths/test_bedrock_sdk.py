# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""boto3's `bedrock-runtime` and `bedrock` clients, and `AnthropicBedrock`, before a gateway."""

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest
from botocore.exceptions import ClientError, EventStreamError

from bastide.core.billing import Biller
from bastide.core.errors import Busy, Misconfigured
from bastide.core.receipt import commit, salt_for
from bastide.core.snapshot import KeyGrant
from paths.bedrock_rig import (
    ASK,
    BODY,
    INVOKE,
    NARROW,
    TEXT,
    WIDE,
    client,
    raw,
    refused,
    signing_gateway,
)
from paths.gateway_rig import KEY, MODEL, Rig, request_bytes


@pytest.fixture
def rig() -> Iterator[Rig]:
    with signing_gateway() as made:
        yield made


# Answers


def test_converse(rig: Rig) -> None:
    answer = client(rig).converse(
        **ASK,
        system=[{"text": "Be brief."}],
        inferenceConfig={"maxTokens": 7, "temperature": 0.5, "stopSequences": ["x"]},
    )
    assert answer["output"]["message"] == {"role": "assistant", "content": [{"text": TEXT}]}
    assert answer["stopReason"] == "end_turn"
    usage = answer["usage"]
    assert (usage["inputTokens"], usage["cacheReadInputTokens"]) == (5, 4)
    assert (usage["outputTokens"], usage["totalTokens"]) == (4, 13)
    assert answer["metrics"]["latencyMs"] >= 0
    [request] = rig.engine.requests
    assert [(turn.role, turn.content) for turn in request.messages] == [
        ("system", "Be brief."),
        ("user", "Hi"),
    ]
    assert (request.sampling.max_tokens, request.sampling.temperature) == (7, 0.5)
    assert request.sampling.stop == ("x",)


def test_a_stop_sequence_that_was_met_is_said(rig: Rig) -> None:
    rig.engine.met = "END"
    ask = {**ASK, "inferenceConfig": {"stopSequences": ["END"]}}
    assert client(rig).converse(**ask)["stopReason"] == "stop_sequence"
    events = list(client(rig).converse_stream(**ask)["stream"])
    reasons = [row["messageStop"]["stopReason"] for row in events if "messageStop" in row]
    assert reasons == ["stop_sequence"]
    titan = {"inputText": "Hi", "textGenerationConfig": {"stopSequences": ["END"]}}
    answer = client(rig).invoke_model(modelId=MODEL, body=json.dumps(titan))
    [result] = json.loads(answer["body"].read())["results"]
    assert result["completionReason"] == "STOP_CRITERIA_MET"


def test_top_k_stands_among_the_additional_fields(rig: Rig) -> None:
    client(rig).converse(**ASK, additionalModelRequestFields={"top_k": 200})
    assert rig.engine.requests[0].sampling.top_k == 200


def test_the_receipt_opens_with_the_signing_secret(rig: Rig) -> None:
    sent: list[bytes] = []
    asking = client(rig)
    asking.meta.events.register(
        "before-send.bedrock-runtime.Converse", lambda request, **_: sent.append(request.body)
    )
    answer = asking.converse(**ASK)
    [receipt] = rig.control.receipts
    assert answer["ResponseMetadata"]["HTTPHeaders"]["x-bastide-receipt"] == receipt.ident
    assert (receipt.key, receipt.tenant, receipt.requested_model) == ("k_wide", "acme", MODEL)
    salt = salt_for(WIDE[1], receipt.ident)
    assert receipt.prompt_commitment == commit(salt, "prompt", bytes(sent[0]))
    assert receipt.answer_commitment == commit(salt, "answer", TEXT.encode())


def test_converse_stream(rig: Rig) -> None:
    answer = client(rig).converse_stream(**ASK)
    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    assert headers["content-type"] == "application/vnd.amazon.eventstream"
    events = list(answer["stream"])
    assert [next(iter(event)) for event in events] == [
        "messageStart",
        *["contentBlockDelta"] * 4,
        "contentBlockStop",
        "messageStop",
        "metadata",
    ]
    deltas = [event["contentBlockDelta"] for event in events[1:5]]
    assert "".join(row["delta"]["text"] for row in deltas) == TEXT
    assert events[-1]["metadata"]["usage"]["totalTokens"] == 13
    assert [row.ident for row in rig.control.receipts] == [headers["x-bastide-receipt"]]


def test_invoke_model(rig: Rig) -> None:
    answer = client(rig).invoke_model(modelId=MODEL, body=INVOKE)
    body = json.loads(answer["body"].read())
    assert body["content"][0]["text"] == TEXT
    assert rig.engine.requests[0].sampling.max_tokens == 9


def test_invoke_model_with_response_stream(rig: Rig) -> None:
    answer = client(rig).invoke_model_with_response_stream(modelId=MODEL, body=INVOKE)
    events = [json.loads(event["chunk"]["bytes"]) for event in answer["body"]]
    texts = [event["delta"]["text"] for event in events if event["type"] == "content_block_delta"]
    assert "".join(texts) == TEXT
    assert events[-1]["amazon-bedrock-invocationMetrics"]["outputTokenCount"] == 4


def test_anthropic_bedrock(rig: Rig) -> None:
    asking = anthropic.AnthropicBedrock(
        base_url=rig.url,
        aws_access_key=WIDE[0],
        aws_secret_key=WIDE[1],
        aws_region="eu-central-1",
        max_retries=0,
    )
    ask: dict[str, Any] = {
        "model": MODEL,
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "Hi"}],
    }
    answer = asking.messages.create(**ask)
    assert answer.content[0].text == TEXT  # type: ignore[union-attr]
    with asking.messages.stream(**ask) as stream:
        assert "".join(stream.text_stream) == TEXT


def test_models(rig: Rig) -> None:
    asking = client(rig, service="bedrock")
    names = [row["modelId"] for row in asking.list_foundation_models()["modelSummaries"]]
    assert names == ["other", MODEL]
    narrow = client(rig, NARROW, service="bedrock")
    rows = narrow.list_foundation_models(byOutputModality="TEXT")["modelSummaries"]
    assert [row["modelId"] for row in rows] == ["other"]
    details = asking.get_foundation_model(modelIdentifier=MODEL)["modelDetails"]
    assert details["responseStreamingSupported"] is True
    assert client(rig).converse(**{**ASK, "modelId": details["modelArn"]})["stopReason"]


def test_inference_profiles(rig: Rig) -> None:
    asking = client(rig, service="bedrock")
    rows = asking.list_inference_profiles(maxResults=1)
    assert [row["inferenceProfileId"] for row in rows["inferenceProfileSummaries"]] == ["other"]
    rows = asking.list_inference_profiles(nextToken=rows["nextToken"])
    [row] = rows["inferenceProfileSummaries"]
    assert row["createdAt"].timestamp() == 1_700_000_000
    arn = row["inferenceProfileArn"]
    assert asking.get_inference_profile(inferenceProfileIdentifier=arn)["status"] == "ACTIVE"
    assert client(rig).converse(**{**ASK, "modelId": arn})["stopReason"] == "end_turn"
    assert refused(asking.get_inference_profile, inferenceProfileIdentifier="nope")[0] == 404


def test_a_bearer_key(rig: Rig) -> None:
    # boto3 sends one only over https; the AWS SDK for JavaScript over http too.
    answer = raw(rig, request_bytes(BODY, path=f"/model/{MODEL}/converse"))
    assert answer.status == 200
    assert json.loads(answer.body)["output"]["message"]["content"] == [{"text": TEXT}]
    answer = raw(rig, request_bytes(BODY, path=f"/model/{MODEL}/converse", key=KEY[:-1] + "!"))
    assert answer.status == 403
    assert answer.headers["x-amzn-errortype"] == "UnrecognizedClientException"


# Refusals


def test_a_wrong_secret(rig: Rig) -> None:
    status, name, _ = refused(client(rig, (WIDE[0], "x" * 40)).converse, **ASK)
    assert (status, name) == (403, "InvalidSignatureException")
    other = client(rig, (WIDE[0], NARROW[1]), service="bedrock")
    assert refused(other.list_foundation_models)[1] == "InvalidSignatureException"
    assert rig.engine.requests == []


def test_an_unknown_key(rig: Rig) -> None:
    status, name, _ = refused(client(rig, ("BST000000000000", WIDE[1])).converse, **ASK)
    assert (status, name) == (403, "UnrecognizedClientException")


def test_a_session_token_is_of_another_place(rig: Rig) -> None:
    asking = client(rig, aws_session_token="token")
    assert refused(asking.converse, **ASK)[1] == "UnrecognizedClientException"


def test_a_revoked_key(rig: Rig) -> None:
    asking = client(rig)
    asking.converse(**ASK)
    keys = {"mac": KeyGrant("k_narrow", "acme", ("other",))}
    rig.publish(keys=keys)
    assert refused(asking.converse, **ASK)[1] == "UnrecognizedClientException"
    assert len(rig.engine.requests) == 1


def test_a_key_that_may_not(rig: Rig) -> None:
    status, name, _ = refused(client(rig, NARROW).converse, **ASK)
    assert (status, name) == (403, "AccessDeniedException")


def test_an_unknown_model(rig: Rig) -> None:
    asking = client(rig)
    status, name, text = refused(asking.converse, **{**ASK, "modelId": "eu.x/claude-v1:0"})
    assert (status, name) == (404, "ResourceNotFoundException")
    assert "eu.x/claude-v1:0" in text
    with pytest.raises(asking.exceptions.ResourceNotFoundException):
        asking.converse(**{**ASK, "modelId": "nobody"})


def test_what_is_not_supported_is_named(rig: Rig) -> None:
    asking = client(rig)
    for name, value in {
        "toolConfig.tools[0].systemTool": {"tools": [{"systemTool": {"name": "x"}}]},
        "guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "1"},
        "additionalModelRequestFields.thinking": {"thinking": {"type": "enabled"}},
    }.items():
        status, code, text = refused(asking.converse, **ASK, **{name.partition(".")[0]: value})
        assert (status, code) == (400, "ValidationException")
        assert name in text
    image = {"image": {"format": "png", "source": {"bytes": b"x"}}}
    ask = {**ASK, "messages": [{"role": "user", "content": [image]}]}
    assert "messages[0].content[0].image" in refused(asking.converse_stream, **ask)[2]
    operation = client(rig, service="bedrock").list_custom_models
    assert refused(operation)[1] == "ResourceNotFoundException"
    assert rig.engine.requests == []


def test_an_engine_that_is_away_is_tried_again(rig: Rig) -> None:
    rig.engine.fails_after = 0
    with pytest.raises(ClientError) as caught:
        client(rig).converse(**ASK)
    assert caught.value.response["Error"]["Code"] == "ServiceUnavailableException"
    assert caught.value.response["ResponseMetadata"]["RetryAttempts"] == 2
    # AWS's SDKs name the call and count its attempts: `amz-sdk-invocation-id`, `amz-sdk-request`.
    receipts = rig.control.receipts
    assert len({row.fingerprint for row in receipts}) == 1 and receipts[0].fingerprint
    assert [row.retry for row in receipts] == [False, True, True]
    with pytest.raises(ClientError):
        client(rig).converse(**ASK)
    assert len({row.fingerprint for row in rig.control.receipts}) == 2  # another call


def test_an_attempt_that_timed_out_is_billed_once_with_its_retry(rig: Rig) -> None:
    rig.engine.hangs_after = 2
    asking = client(rig, read_timeout=1)
    sent: list[object] = []

    def sending(request: object, **_: object) -> None:
        sent.append(request)
        if len(sent) == 2:
            rig.engine.hangs_after = None

    asking.meta.events.register("before-send.bedrock-runtime.Converse", sending)
    assert asking.converse(**ASK)["ResponseMetadata"]["RetryAttempts"] == 1
    rig.until(lambda: len(rig.control.receipts) == 2)
    biller = Biller()
    bills = [biller.take(row) for row in rig.control.receipts]
    assert [row.receipt.completion_tokens for row in bills] == [2, 4]
    # The retry takes the place of what had been read when the client gave up.
    assert (bills[0].counts, bills[1].credited) == (True, bills[0].receipt)


def test_how_long_to_wait_is_said_in_milliseconds(rig: Rig) -> None:
    rig.engine.fails_after, rig.engine.fault = 0, Busy("all is taken", retry_after_s=0.01)
    with pytest.raises(ClientError) as caught:
        client(rig).converse(**ASK)
    answer = caught.value.response
    assert answer["Error"]["Code"] == "ThrottlingException"
    assert answer["ResponseMetadata"]["HTTPHeaders"]["x-amz-retry-after"] == "10"
    assert answer["ResponseMetadata"]["RetryAttempts"] == 2


def test_a_prompt_that_is_too_long(rig: Rig) -> None:
    rig.engine.fails_after, rig.engine.fault = 0, Misconfigured("the prompt is too long")
    status, code, text = refused(client(rig).converse, **ASK)
    assert (status, code) == (400, "ValidationException")
    assert "too long" in text


@pytest.mark.parametrize("operation", ["converse_stream", "invoke_model_with_response_stream"])
def test_a_stream_that_fails_says_so(rig: Rig, operation: str) -> None:
    rig.engine.fails_after = 2
    ask = ASK if operation == "converse_stream" else {"modelId": MODEL, "body": INVOKE}
    answer = getattr(client(rig), operation)(**ask)
    with pytest.raises(EventStreamError, match="serviceUnavailableException"):
        list(answer["stream" if operation == "converse_stream" else "body"])
    rig.until(lambda: rig.control.receipts)
    assert rig.control.receipts[0].finish == "error"
