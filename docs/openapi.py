# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Writes docs/reference/openapi.json from the table of operations in openapi_operations.py.

python docs/openapi.py          # write it
python docs/openapi.py --check  # fail if it is stale; docs/generate.py does this, too
"""

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from openapi_bodies import BODIES, ERRORS
from openapi_operations import OPERATIONS, Operation, statuses

from bastide.core.limits import BATCHES_PAGE_MAX, FILES_PAGE_MAX

PAGE = Path(__file__).parent / "reference" / "openapi.json"
_NAMES = re.compile(r"\{(\w+)\}")
_INFO = {
    "title": "Bastide gateway",
    "version": "1",
    "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
    "description": (
        "Everything the gateway answers, at one origin. Each operation speaks the wire format of"
        " the family that its tag names; the pages of docs/reference/dialects say what of it is"
        " understood. GET can be HEAD everywhere. A request that is not HTTP, or whose head is too"
        " large, is refused in the words of the family that its path belongs to, or of OpenAI."
    ),
}
_SECURITY = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "Every family takes it."},
    "apiKey": {"type": "apiKey", "in": "header", "name": "api-key", "description": "Azure"},
    "xApiKey": {"type": "apiKey", "in": "header", "name": "x-api-key", "description": "Anthropic"},
    "googleKey": {
        "type": "apiKey",
        "in": "header",
        "name": "x-goog-api-key",
        "description": "Google",
    },
    "signature": {
        "type": "apiKey",
        "in": "header",
        "name": "authorization",
        "description": "Bedrock: AWS Signature Version 4 for the service `bedrock`",
    },
}
_SCHEMES = {"azure": "apiKey", "anthropic": "xApiKey", "google": "googleKey"}
_CHOOSES = {"anthropic": "anthropic-version", "google": "x-goog-api-client"}
_VALUES: dict[str, list[str]] = {
    "alt": ["json", "sse"],
    "order": ["asc", "desc"],
    "anthropic-version": ["2023-06-01", "2026-10-21"],
}


def document() -> dict[str, Any]:
    """The OpenAPI document."""
    paths: dict[str, dict[str, Any]] = {"/healthz": {"get": _health()}}
    for row in OPERATIONS:
        paths.setdefault(row.path, {})[row.method.lower()] = _operation(row)
    schemas = {**BODIES, **{f"{family}Error": schema for family, schema in ERRORS.items()}}
    refused = {
        family: {"description": "Refused", "content": _json(_shape(family))} for family in ERRORS
    }
    return {
        "openapi": "3.1.0",
        "info": _INFO,
        "paths": paths,
        "components": {"schemas": schemas, "responses": refused, "securitySchemes": _SECURITY},
    }


def main(arguments: Sequence[str]) -> int:
    """Write or check the document; the exit status."""
    fresh = json.dumps(document(), indent=1, ensure_ascii=False) + "\n"
    if "--check" not in arguments:
        PAGE.write_text(fresh)
        return 0
    if PAGE.exists() and PAGE.read_text() == fresh:
        return 0
    sys.stderr.write(f"{PAGE} is stale. Run `python docs/generate.py`.\n")
    return 1


def _health() -> dict[str, Any]:
    answer = {"content": _json({"type": "object"})}
    return {
        "operationId": "get /healthz",
        "summary": "Tell if the gateway may answer",
        "security": [],
        "responses": {
            "200": {"description": "It may.", **answer},
            "503": {"description": "It has no fresh word from control.", **answer},
        },
    }


def _operation(row: Operation) -> dict[str, Any]:
    refusals: dict[str, list[str]] = {}
    for family, codes in statuses(row).items():
        for code in codes:
            refusals.setdefault(str(code), []).append(family)
    responses: dict[str, Any] = {} if row.only_refused else {"200": _answer(row)}
    for code, families in sorted(refusals.items()):
        responses[code] = {"$ref": f"#/components/responses/{families[0]}"}
        if len(families) > 1:
            schema = {"anyOf": [_shape(family) for family in families]}
            responses[code] = {"description": "Refused", "content": _json(schema)}
    schemes = ["bearer", *(_SCHEMES[name] for name in row.families if name in _SCHEMES)]
    schemes += ["signature"] if "bedrock" in row.families else []
    made: dict[str, Any] = {
        "operationId": f"{row.method.lower()} {row.path}",
        "tags": list(row.families),
        "summary": row.summary,
        "security": [{name: []} for name in schemes],
        "parameters": _parameters(row),
    }
    if row.body is not None:
        schema = {"$ref": f"#/components/schemas/{row.body}"}
        made["requestBody"] = {"required": True, "content": {row.media: {"schema": schema}}}
    return made | {"responses": responses}


def _answer(row: Operation) -> dict[str, Any]:
    if row.answer != "application/json":
        return {"description": "Answered", "content": {row.answer: {}}}
    # A stream of Google's can be an array.
    content = _json({"type": ["object", "array"] if "alt" in row.query else "object"})
    if row.stream is not None:
        content[row.stream] = {}
    return {"description": "Answered", "content": content}


def _parameters(row: Operation) -> list[dict[str, Any]]:
    named = {"type": "string", "minLength": 1, "maxLength": 256}
    made: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": named}
        for name in _NAMES.findall(row.path)
    ]
    headers = [name for family, name in _CHOOSES.items() if family in row.families]
    headers = headers if len(row.families) > 1 or row.families == ("anthropic",) else []
    for place, names in (("query", row.query), ("header", headers)):
        for name in names:
            schema: dict[str, Any] = {"type": "string"}
            if name in _VALUES:
                schema["enum"] = _VALUES[name]
            elif name == "pageSize":
                schema = {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}
            elif name == "limit":
                most = FILES_PAGE_MAX if row.path.endswith("/files") else BATCHES_PAGE_MAX
                schema = {"type": "integer", "minimum": 1, "maximum": most}
            made.append({"name": name, "in": place, "schema": schema})
    return made


def _shape(family: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{family}Error"}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
