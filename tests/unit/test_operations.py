# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The table of operations says what the families answer: no more, and no less."""

import re

import pytest
from openapi_bodies import BODIES, ERRORS
from openapi_operations import OPERATIONS, Operation, statuses

from bastide.dialects import ollama, openai
from bastide.dialects.families import FAMILIES, find_route
from bastide.dialects.surface import BYTES, Deny, Headers, Keep, Listing, Nodes, Single

CLIENTS: dict[str, Headers] = {
    "anthropic": {b"anthropic-version": b"2023-06-01"},
    "google": {b"x-goog-api-client": b"x"},
}
READS = (Listing, Nodes, Single)


def filled(path: str) -> str:
    return re.sub(r"\{\w+\}", "x", path)


@pytest.mark.parametrize("row", OPERATIONS, ids=lambda row: f"{row.method} {row.path}")
def test_an_operation_is_answered_by_its_families(row: Operation) -> None:
    for name in row.families:
        shared = len(row.families) > 1
        family, route = find_route(filled(row.path), "", CLIENTS.get(name, {}) if shared else {})
        assert family.name == name
        assert route is not None and row.method in route.methods
        assert isinstance(route.action, Deny) is row.only_refused
        if row.method == "GET" and not row.only_refused:
            assert row.body is None
            assert isinstance(route.action, Keep if row.desk else READS)
        assert isinstance(route.action, Keep) is row.desk
        if isinstance(route.action, Keep):
            assert route.action.uploads is (row.media == "multipart/form-data") or row.body is None
            assert (route.action.deeds[row.method].write is None) is (row.answer == BYTES)
        if row.stream is not None:
            assert route.stream_type.partition(";")[0] in (row.stream, "application/json")


def test_every_family_and_body_is_there() -> None:
    assert len({(row.method, row.path) for row in OPERATIONS}) == len(OPERATIONS)
    names = {family.name for family in FAMILIES}
    assert {name for row in OPERATIONS for name in row.families} == names == set(ERRORS)
    assert {row.body for row in OPERATIONS} == {*BODIES, None}
    for row in OPERATIONS:
        assert all(codes for codes in statuses(row).values())


@pytest.mark.parametrize("table", [openai._ROUTES, ollama._ROUTES], ids=["openai", "ollama"])
def test_no_route_of_a_table_is_missing(table: dict[str, object]) -> None:
    paths = {row.path for row in OPERATIONS}
    assert set(table) <= paths


@pytest.mark.parametrize("root", ["/v1", "/openai", "/openai/v1"])
@pytest.mark.parametrize("below", ["files", "files/x", "files/x/content", "batches", "batches/x"])
def test_no_method_of_the_desk_is_missing(root: str, below: str) -> None:
    path = f"{root}/{below}"
    route = find_route(path, "", {})[1]
    assert route is not None
    stated = {row.method for row in OPERATIONS if row.desk and filled(row.path) == path}
    assert set(route.methods) - {"HEAD"} == stated
