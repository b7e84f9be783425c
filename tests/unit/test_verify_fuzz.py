# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Whatever is wrong, anywhere: both verifiers refuse, and ours never with a traceback."""

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bastide.core.canonical import canonical
from bastide.core.errors import NotProven
from bastide.core.key import Purpose
from bastide.crypto import dsse
from bastide.crypto.dsse import Envelope
from bastide.ledger.verify import trace_bundle
from unit.chain_fixture import ChainWorld, make_chain
from unit.two_verifiers import refuse, tool


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> ChainWorld:
    made = make_chain(tmp_path_factory.mktemp("chain"))
    text = json.dumps(made.bundle())
    made.bundle = lambda number=3: json.loads(text)  # type: ignore[method-assign]
    return made


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
quiet = settings(max_examples=100, suppress_health_check=list(HealthCheck))


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
            trace_bundle(bundle, chain.anchors)
        except NotProven as error:
            assert (
                "entries." in error.message or "receipt" in error.message or "incl" in error.message
            )
