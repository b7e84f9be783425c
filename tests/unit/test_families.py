# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The catalogue of families: a short way to a route never leads elsewhere than the long one."""

import pytest

from bastide.dialects import families

HEADERS = (
    {},
    {b"authorization": b"Bearer x"},
    {b"anthropic-version": b"2023-06-01"},
    {b"x-goog-api-key": b"x"},
    {b"user-agent": b"mistral-client-python/1"},
    {b"authorization": b"AWS4-HMAC-SHA256 Credential=x/20260101/eu/bedrock/aws4_request"},
)


@pytest.mark.parametrize("path", sorted(families._COMMON))
@pytest.mark.parametrize("headers", HEADERS)
def test_no_other_family_wants_a_common_path(path, headers):
    common = families.find_route(path, "", headers)
    asked = [(family, family.route(path, "", headers)) for family in families.FAMILIES]
    assert [row for row in asked if row[1] is not None] == [common]
