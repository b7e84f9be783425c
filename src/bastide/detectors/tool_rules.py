# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Whether a tool may be called: Cedar policies over the tenant, the tool and where arguments are
from.

What a tool has returned is untrusted: anybody may have written it. An argument whose text also
stands in a tool's result is listed in `context.untrusted`, and `context.tool_results` says that
there is any result at all, for an argument can be made of one without repeating it. With rules
set, what no rule permits is refused; so is what Cedar cannot judge.
"""

import json
import re
from typing import Any, Final

from bastide.core.chat import GenerateRequest, ToolCall
from bastide.core.erasure import normal
from bastide.core.errors import Misconfigured

__all__ = ["permits", "require_rules"]

# Names that need no quoting in Cedar; models' tools have such names.
_NAME: Final = re.compile(r"[0-9A-Za-z_.:/-]{1,128}")
_LEAST: Final = 3  # letters of an argument; shorter ones stand in every text


def permits(rules: str, tenant: str, call: ToolCall, request: GenerateRequest) -> bool:
    """Whether the rules permit one call that the answer to a request makes."""
    import cedarpy

    if not _NAME.fullmatch(call.name) or not _NAME.fullmatch(tenant):
        return False
    results = [message.content for message in request.messages if message.role == "tool"]
    try:
        arguments = json.loads(call.arguments or "{}")
    except (ValueError, RecursionError):
        return False
    asked = {
        "principal": f'Tenant::"{tenant}"',
        "action": 'Action::"call"',
        "resource": f'Tool::"{call.name}"',
        "context": {
            "tool_results": bool(results),
            "untrusted": _untrusted(arguments, normal("".join(results))),
        },
    }
    judged = cedarpy.is_authorized(asked, rules, [])
    return judged.allowed and not judged.diagnostics.errors


def require_rules(rules: str) -> None:
    """Raise Misconfigured if a text is no set of Cedar policies."""
    import cedarpy

    try:
        cedarpy.format_policies(rules)
    except ValueError as error:
        raise Misconfigured(
            "the rules for tool calls are no Cedar policies",
            place="tools.cedar",
            fix='such as: permit(principal, action, resource == Tool::"search");',
        ) from error


def _untrusted(arguments: Any, results: str) -> list[str]:
    named = arguments.items() if isinstance(arguments, dict) else [("", arguments)]
    return sorted(name for name, value in named if any(_said(text, results) for text in _in(value)))


def _said(text: str, results: str) -> bool:
    form = normal(text)
    return len(form) >= _LEAST and form in results


def _in(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for key, row in value.items() for text in (key, *_in(row))]
    if isinstance(value, list):
        return [text for row in value for text in _in(row)]
    return [value if isinstance(value, str) else json.dumps(value)]
