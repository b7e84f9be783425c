# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Offline verification: an honest chain holds, every other one is refused with its place.

Both verifiers, ours and the independent `tools/verify_receipt.py`, meet every case.
"""

import copy
import importlib.util
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bastide.core.canonical import canonical
from bastide.core.errors import NotProven, Unavailable
from bastide.core.evidence import Evidence, Statement
from bastide.core.key import Purpose
from bastide.core.party import Party
from bastide.core.subject import Digest
from bastide.crypto import dsse
from bastide.crypto.dsse import Envelope
from bastide.ledger.bundle import export_bundle
from bastide.ledger.verify import verify_bundle, verify_content
from unit.chain_fixture import (
    ANSWER,
    API_KEY,
    PROMPT,
    ChainWorld,
    chain_policy,
    make_chain,
    make_receipt,
)

TOOL = Path(__file__).parents[2] / "tools" / "verify_receipt.py"


def _tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("verify_receipt", TOOL)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


tool = _tool()


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> ChainWorld:
    return make_chain(tmp_path_factory.mktemp("chain"))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> ChainWorld:
    """Another honest chain under the same keys: what is true there proves nothing here."""
    scores = {"exact": 0.75, "leakage": 1.0, "square": 0.5}
    return make_chain(tmp_path_factory.mktemp("other"), scores=scores, receipts=5)


def read_as_tool(bundle: Any, anchors: Any) -> tuple[Any, Any]:
    """The values as the tool reads them from files."""
    texts = (json.dumps(bundle), json.dumps(anchors))
    return tool.read_json(texts[0], "the bundle"), tool.read_json(texts[1], "keys.json")


def refuse(bundle: Any, anchors: Any, place: str = "") -> None:
    """Both verifiers refuse; ours names the place."""
    with pytest.raises(NotProven) as raised:
        verify_bundle(bundle, anchors)
    assert place in raised.value.message, raised.value.message
    refuse_by_tool(bundle, anchors)


def refuse_by_tool(bundle: Any, anchors: Any) -> None:
    with pytest.raises((tool.NotProvenError, ValueError, TypeError, LookupError, AttributeError)):
        tool.verify(*read_as_tool(bundle, anchors))


@pytest.mark.parametrize("number", range(7))
def test_every_receipt_of_an_honest_chain_verifies(chain: ChainWorld, number: int) -> None:
    proven = verify_bundle(chain.bundle(number), chain.anchors)
    assert proven.receipt == chain.receipts[number]
    assert proven.release == "demo-1"
    assert proven.parties == "separate"
    assert set(proven.approvals) == {"firm", "guardian"}
    assert set(proven.deployment_approvals) == {"operator"}
    assert proven.model_digest == str(chain.rows["admission"].subject.digest)
    assert proven.scores == {"exact": 0.5, "leakage": 1, "square": 0.25}
    assert (proven.batch, proven.ledger_size) == (chain.rows["batch"].entry, 14)
    assert [link.index for link in proven.links] == sorted(link.index for link in proven.links)
    assert len(proven.links) == 10
    told = tool.verify(*read_as_tool(chain.bundle(number), chain.anchors))
    assert told["model_digest"] == proven.model_digest
    assert told["release"] == proven.release
    assert told["ledger_size"] == proven.ledger_size
    assert told["approvals"] == {party: keys[0] for party, keys in proven.approvals.items()}


def test_a_bundle_survives_json_and_shows_as_json(chain: ChainWorld) -> None:
    bundle = json.loads(json.dumps(chain.bundle(), ensure_ascii=False))
    proven = verify_bundle(bundle, json.loads(json.dumps(chain.anchors)))
    shown = json.loads(json.dumps(proven.to_json()))
    assert shown["approvals"] == {party: list(keys) for party, keys in proven.approvals.items()}
    assert shown["links"][0]["signers"] == ["firm", "operator", "guardian", "evidence"]


def test_a_ledger_that_grew_gives_a_bundle_that_holds(tmp_path: Path) -> None:
    chain = make_chain(tmp_path, receipts=1)
    old = chain.bundle(0)
    world = chain.world
    now = world.clock.now_ms()
    more = make_receipt(
        40, chain.receipts[0].deployment, chain.receipts[0].release, chain.receipts[0].policy, now
    )
    chain.book.put([more])
    with pytest.raises(Unavailable, match="sealed within a second"):
        export_bundle(world.ledger, chain.book, more.ident)
    chain.book.seal_batch()
    for bundle in (old, chain.bundle(0), export_bundle(world.ledger, chain.book, more.ident)):
        verify_bundle(bundle, chain.anchors)
        tool.verify(*read_as_tool(bundle, chain.anchors))


# Chains that somebody with the services' keys could make


WICKED: dict[str, tuple[dict[str, Any], str]] = {
    "a score under its floor": (
        {"scores": {"exact": 0.29, "leakage": 1, "square": 1}},
        "entries.release: its gates refuse: eval-floor: exact scored 0.290",
    ),
    "a benchmark that was not run": (
        {"scores": {"exact": 0.9, "leakage": 1}},
        "eval-floor: square was not run",
    ),
    "a finding of the scan": ({"findings": ["evil.pkl"]}, "scan-clean: evil.pkl"),
    "no approval of the guardian": (
        {"approvers": [Party.FIRM]},
        "approvals: 0 of 1 approvals by the guardian",
    ),
    "the operator instead of the guardian": (
        {"approvers": [Party.FIRM, Party.OPERATOR]},
        "approvals: 0 of 1 approvals by the guardian",
    ),
    "one party twice": (
        {"approvers": [Party.FIRM, Party.FIRM]},
        "approvals: 0 of 1 approvals by the guardian",
    ),
    "no approval at all": ({"approvers": []}, "approvals: 0 of 1"),
    "no approval of the deployment": (
        {"operators": []},
        "entries.deployment: its gates refuse: approvals: 0 of 1 approvals by the operator",
    ),
    "approvals after the release": ({"late_approval": True}, "entries.release: its gates refuse"),
    "another policy": (
        {"release_changes": {"policy": "sha256:" + "1" * 64}},
        "proposed under another policy",
    ),
    "another chat template": ({"release_changes": {"template": None}}, "entries.release: template"),
    "another model": (
        {"release_changes": {"model": "sha256:" + "1" * 64}},
        "entries.release: model",
    ),
    "a policy without floors": (
        {
            "policy": chain_policy(
                rules={
                    **chain_policy()["rules"],
                    "release": {
                        "gates": {"approvals": {}},
                        "approvals": {"firm": 1, "guardian": 1},
                    },
                }
            )
        },
        "the policy does not name this gate",
    ),
    "a policy that asks nobody to deploy": (
        {
            "policy": chain_policy(
                rules={
                    **chain_policy()["rules"],
                    "deploy": {"gates": {"approvals": {}}, "approvals": {}},
                }
            ),
            "operators": [],
        },
        "entries.deployment: its gates refuse",
    ),
}


@pytest.mark.parametrize("name", WICKED)
def test_wicked_chains_are_refused(tmp_path: Path, name: str) -> None:
    changes, place = WICKED[name]
    chain = make_chain(tmp_path, **copy.deepcopy(changes))
    refuse(chain.bundle(), chain.anchors, place)


@pytest.mark.parametrize("name", ["admission", "evaluation"])
def test_a_release_that_names_other_evidence_is_refused(tmp_path: Path, name: str) -> None:
    """The ledger lacks what the release names; the bundle offers what is there instead."""
    missing = "sha256:" + "2" * 64
    chain = make_chain(tmp_path, release_changes={name: missing})
    ledger = chain.world.ledger
    original = ledger.by_digest

    def by_digest(digest: Digest) -> Evidence:
        return chain.rows[name] if str(digest) == missing else original(digest)

    ledger.by_digest = by_digest  # type: ignore[method-assign]
    refuse(chain.bundle(), chain.anchors, f"entries.release: {name}")


def test_the_author_alone_is_not_enough_under_separate(tmp_path: Path) -> None:
    rules = chain_policy()["rules"]
    rules["release"]["approvals"] = {"firm": 1}
    rules["deploy"]["approvals"] = {"operator": 1}
    changes: dict[str, Any] = {"approvers": [Party.FIRM], "policy": chain_policy(rules=rules)}
    chain = make_chain(tmp_path, **changes)
    refuse(chain.bundle(), chain.anchors, "entries.release: its gates refuse")


def test_solo_is_shown_as_solo(tmp_path: Path) -> None:
    chain = make_chain(tmp_path, policy=chain_policy(name="solo", separate=False), author=None)
    assert verify_bundle(chain.bundle(), chain.anchors).parties == "solo"
    assert tool.verify(*read_as_tool(chain.bundle(), chain.anchors))["parties"] == "solo"


# Bundles that were changed after their export


def _swap(name: str) -> Callable[[dict[str, Any], dict[str, Any]], None]:
    def swap(bundle: dict[str, Any], other: dict[str, Any]) -> None:
        bundle["entries"][name] = other["entries"][name]

    return swap


def _move(name: str) -> Callable[[dict[str, Any], dict[str, Any]], None]:
    def move(bundle: dict[str, Any], other: dict[str, Any]) -> None:
        bundle["entries"][name]["index"] += 1

    return move


NAMES = ("charter", "admission", "evaluation", "candidate", "release", "deployment", "batch")


@pytest.mark.parametrize("name", [name for name in NAMES if name != "charter"])
def test_entries_of_another_ledger_are_refused(
    chain: ChainWorld, other: ChainWorld, name: str
) -> None:
    bundle = chain.bundle()
    _swap(name)(bundle, other.bundle())
    if bundle == chain.bundle():
        return  # the admission is the same statement in both
    refuse(bundle, chain.anchors, f"entries.{name}")


@pytest.mark.parametrize("name", NAMES)
def test_entries_at_another_index_are_refused(chain: ChainWorld, name: str) -> None:
    bundle = chain.bundle()
    _move(name)(bundle, {})
    refuse(bundle, chain.anchors, f"entries.{name}")


def test_another_checkpoint_is_refused(chain: ChainWorld, other: ChainWorld) -> None:
    bundle = chain.bundle()
    bundle["checkpoint"] = other.bundle()["checkpoint"]
    refuse(bundle, chain.anchors, "entries.")
    bundle["checkpoint"] = chain.bundle()["checkpoint"].replace("\n14\n", "\n15\n")
    refuse(bundle, chain.anchors, "checkpoint: ")


def test_a_receipt_at_another_place_is_refused(chain: ChainWorld) -> None:
    for number in (0, 2, 4, 6):
        bundle = chain.bundle(3)
        bundle["inclusion"] = chain.bundle(number)["inclusion"]
        refuse(bundle, chain.anchors, "inclusion.proof")


@pytest.mark.parametrize("field", ["completion_tokens", "time_ms", "prompt_tokens"])
def test_a_changed_receipt_is_refused(chain: ChainWorld, field: str) -> None:
    bundle = chain.bundle()
    bundle["receipt"][field] += 1
    refuse(bundle, chain.anchors, "inclusion.proof")


def test_another_environment_s_anchors_are_refused(chain: ChainWorld, other: ChainWorld) -> None:
    refuse(chain.bundle(), {**chain.anchors, "charter": "sha256:" + "3" * 64}, "entries.charter")
    refuse(chain.bundle(), {**chain.anchors, "origin": "elsewhere"}, "keys.json: origin")
    refuse(chain.bundle(), {**chain.anchors, "environment": "e"}, "keys.json: environment")
    fewer = {**chain.anchors, "keys": chain.anchors["keys"][:-1]}
    refuse(chain.bundle(), fewer, "keys.json: keys")


def test_approvals_left_out_doubled_or_reordered_are_refused(chain: ChainWorld) -> None:
    for change in (lambda rows: rows[:1], lambda rows: rows + rows[:1], lambda rows: rows[::-1]):
        bundle = chain.bundle()
        bundle["entries"]["approvals"] = change(bundle["entries"]["approvals"])
        refuse(bundle, chain.anchors, "entries.approvals")


def _resigned(bundle: dict[str, Any], name: str, purpose: Purpose, chain: ChainWorld) -> None:
    """Sign the same statement again, with another of the environment's own keys."""
    entry = bundle["entries"][name]
    payload = Envelope.from_json(entry["envelope"]).payload
    entry["envelope"] = dsse.sign(payload, [chain.world.signers[purpose]]).to_json()


@pytest.mark.parametrize(
    ("name", "purpose"),
    [
        ("admission", Purpose.RELEASE),
        ("evaluation", Purpose.LEDGER),
        ("release", Purpose.EVIDENCE),
        ("deployment", Purpose.RELEASE),
        ("batch", Purpose.LEDGER),
    ],
)
def test_the_right_key_must_sign_each_kind(
    chain: ChainWorld, name: str, purpose: Purpose, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if a forged tree proved the entry, a key of another purpose does not count."""
    from bastide.crypto import merkle

    bundle = chain.bundle()
    _resigned(bundle, name, purpose, chain)
    refuse(bundle, chain.anchors, f"entries.{name}.proof")
    monkeypatch.setattr(merkle, "verify_inclusion", lambda *_: None)
    monkeypatch.setattr(tool, "check_inclusion", lambda *_: None)
    refuse(bundle, chain.anchors, f"entries.{name}: ")


def test_statements_in_each_other_s_places_are_refused(chain: ChainWorld) -> None:
    for first, second in (("admission", "evaluation"), ("candidate", "release")):
        bundle = chain.bundle()
        entries = bundle["entries"]
        entries[first], entries[second] = entries[second], entries[first]
        refuse(bundle, chain.anchors, f"entries.{first}")


def test_a_payload_that_is_not_canonical_is_refused(
    chain: ChainWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bastide.crypto import merkle

    bundle = chain.bundle()
    entry = bundle["entries"]["admission"]
    payload = Envelope.from_json(entry["envelope"]).payload + b" "
    entry["envelope"] = dsse.sign(payload, [chain.world.signers[Purpose.EVIDENCE]]).to_json()
    monkeypatch.setattr(merkle, "verify_inclusion", lambda *_: None)
    monkeypatch.setattr(tool, "check_inclusion", lambda *_: None)
    refuse(bundle, chain.anchors, "entries.admission: the admission/v1 is not canonical")


# Garbage


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(value, dict):
        for key, row in value.items():
            yield from _paths(row, (*path, key))
    elif isinstance(value, list):
        for key, row in enumerate(value):
            yield from _paths(row, (*path, key))


def _replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    value = copy.copy(value)
    value[path[0]] = _replaced(value[path[0]], path[1:], new)
    return value


def _removed(value: Any, path: tuple[Any, ...]) -> Any:
    value = copy.copy(value)
    if len(path) == 1:
        del value[path[0]]
    else:
        value[path[0]] = _removed(value[path[0]], path[1:])
    return value


def _at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
    ),
    max_leaves=6,
)
quiet = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


@quiet
@given(data=st.data())
def test_every_wrong_value_anywhere_is_refused(chain: ChainWorld, data: st.DataObject) -> None:
    bundle, anchors = chain.bundle(), chain.anchors
    into = data.draw(st.sampled_from(["bundle", "anchors"]))
    target = bundle if into == "bundle" else anchors
    path = data.draw(st.sampled_from(list(_paths(target))))
    new = data.draw(JSON)
    if canonical_or_none(new) == canonical_or_none(_at(target, path)):
        return
    changed = _replaced(target, path, new)
    if into == "bundle":
        refuse(changed, anchors)
    else:
        refuse(bundle, changed)


@quiet
@given(data=st.data())
def test_every_missing_or_unknown_key_is_refused(chain: ChainWorld, data: st.DataObject) -> None:
    bundle, anchors = chain.bundle(), chain.anchors
    into = data.draw(st.sampled_from(["bundle", "anchors"]))
    target = bundle if into == "bundle" else anchors
    paths = [path for path in _paths(target) if path]
    path = data.draw(st.sampled_from(paths))
    if data.draw(st.booleans()):
        changed = _removed(target, path)
    else:
        objects = [row for row in _paths(target) if isinstance(_at(target, row), dict)]
        path = data.draw(st.sampled_from(objects))
        changed = _replaced(target, path, {**_at(target, path), "more": 1})
    if into == "bundle":
        refuse(changed, anchors)
    else:
        refuse(bundle, changed)


def canonical_or_none(value: Any) -> bytes | None:
    try:
        return canonical(value)
    except Exception:
        return None


@quiet
@given(JSON, JSON)
def test_garbage_is_refused(chain: ChainWorld, bundle: Any, anchors: Any) -> None:
    refuse(bundle, chain.anchors)
    refuse(chain.bundle(), anchors)


@quiet
@given(data=st.data())
def test_signed_statements_of_wrong_shapes_are_refused(
    chain: ChainWorld, data: st.DataObject
) -> None:
    """An insider signs a damaged body, under a tree that proves it: refused, no traceback."""
    from bastide.crypto import merkle

    name = data.draw(st.sampled_from(["admission", "evaluation", "deployment", "batch"]))
    bundle = chain.bundle()
    entry = bundle["entries"][name]
    payload = json.loads(Envelope.from_json(entry["envelope"]).payload)
    paths = [path for path in _paths(payload) if path]
    path = data.draw(st.sampled_from(paths))
    new = data.draw(JSON)
    changed = canonical_or_none(_replaced(payload, path, new))
    if changed is None or changed == canonical(payload):
        return
    entry["envelope"] = dsse.sign(changed, [chain.world.signers[Purpose.EVIDENCE]]).to_json()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(merkle, "verify_inclusion", lambda *_: None)
        patch.setattr(tool, "check_inclusion", lambda *_: None)
        # The digest of the envelope has changed, so whatever names it no longer fits.
        if name not in ("batch", "deployment"):
            refuse(bundle, chain.anchors, "entries.")
            return
        try:
            verify_bundle(bundle, chain.anchors)
        except NotProven as error:
            assert (
                "entries." in error.message or "receipt" in error.message or "incl" in error.message
            )


# Contents


def test_contents_are_checked_with_the_api_key(chain: ChainWorld) -> None:
    receipt = chain.receipts[0]
    verify_content(receipt, API_KEY, PROMPT, ANSWER)
    tool.check_content(receipt.to_json(), API_KEY.encode(), PROMPT, ANSWER.encode())
    for key, prompt, answer, place in (
        (API_KEY, PROMPT + b" ", ANSWER, "receipt.prompt_commitment"),
        (API_KEY, PROMPT, ANSWER + ".", "receipt.answer_commitment"),
        (API_KEY[:-1], PROMPT, ANSWER, "receipt.prompt_commitment"),
        (API_KEY, ANSWER.encode(), ANSWER, "receipt.prompt_commitment"),
    ):
        with pytest.raises(NotProven, match=place):
            verify_content(receipt, key, prompt, answer)
        with pytest.raises(tool.NotProvenError, match=place):
            tool.check_content(receipt.to_json(), key.encode(), prompt, answer.encode())


def test_the_tool_stands_alone() -> None:
    source = TOOL.read_text()
    imports = [
        line.split()[1] for line in source.splitlines() if line.startswith(("import", "from"))
    ]
    own = {"argparse", "base64", "hashlib", "hmac", "itertools", "json", "pathlib", "re", "sys"}
    assert {name.partition(".")[0] for name in imports} <= own | {"cryptography"}
    assert "import bastide" not in source and "from bastide" not in source


@pytest.mark.parametrize("value", [0.3, 1e-7, 1.5e300, 0.1 + 0.2, 123456.75])
def test_the_tool_s_numbers_are_the_signed_ones(value: float) -> None:
    text = canonical({"b": value, "a": [1, "é\u2028", None, True]})
    assert tool.canonical(tool.read_json(text, "x")).encode() == text


def test_statements_are_what_they_were(chain: ChainWorld) -> None:
    """The fixture's chain is made of statements that the ledger itself accepted."""
    chain.world.ledger.audit()
    chain.book.audit()
    kinds = [evidence.kind for evidence in chain.world.ledger.entries()]
    assert kinds[0] == "charter/v1"
    assert isinstance(chain.rows["release"].statement, Statement)
