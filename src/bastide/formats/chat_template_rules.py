# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What a chat template may use. Everything that is not in these lists is a fault.

The lists hold what the chat templates of open models use to lay out messages and tools. None of
it reaches a file, a network, the clock (but for the date) or the inside of a Python object.
"""

from typing import Final

from jinja2 import nodes

__all__ = ["ATTRIBUTES", "CALLS", "FILTERS", "FOREIGN", "METHODS", "NODES", "TESTS"]

NODES: Final = frozenset(
    {
        *(nodes.Template, nodes.Output, nodes.TemplateData, nodes.Scope),
        *(nodes.If, nodes.For, nodes.Break, nodes.Continue),
        *(nodes.Macro, nodes.Assign, nodes.AssignBlock, nodes.FilterBlock),
        *(nodes.Const, nodes.List, nodes.Tuple, nodes.Dict, nodes.Pair, nodes.Keyword),
        *(nodes.Name, nodes.NSRef, nodes.Getattr, nodes.Getitem, nodes.Slice),
        *(nodes.Call, nodes.Filter, nodes.Test, nodes.CondExpr),
        *(nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not),
        *(nodes.Add, nodes.Sub, nodes.Div, nodes.FloorDiv, nodes.Mod, nodes.Concat),
        *(nodes.Neg, nodes.Pos),
    }
)

# Functions that the engine gives to a template.
CALLS: Final = frozenset({"dict", "namespace", "raise_exception", "range", "strftime_now"})

# Names that Jinja or a host gives to every template and that open doors.
FOREIGN: Final = frozenset(
    """
    self caller varargs kwargs cycler joiner lipsum config request session g url_for
    get_flashed_messages environ os sys builtins globals locals vars eval exec open getattr
    setattr import_module context
    """.split()  # noqa: SIM905
)

METHODS: Final = frozenset(
    """
    append capitalize count endswith find get items join keys lower lstrip pop removeprefix
    removesuffix replace rfind rsplit rstrip split splitlines startswith strip title upper values
    """.split()  # noqa: SIM905
)

FILTERS: Final = frozenset(
    """
    abs capitalize count d default dictsort e escape first float from_json indent int items join
    last length list lower map max min reject rejectattr replace reverse round safe select
    selectattr sort string sum title tojson trim unique upper wordcount
    """.split()  # noqa: SIM905
)

TESTS: Final = frozenset(
    """
    boolean defined divisibleby eq equalto even false float ge greaterthan gt in integer iterable
    le lessthan lower lt mapping ne none number odd sameas sequence string true undefined upper
    """.split()  # noqa: SIM905
)

# Fields of messages, tools, JSON schemas and loops. A template may add fields of its own
# namespace.
ATTRIBUTES: Final = METHODS | frozenset(
    """
    additionalProperties annotations anyOf arguments audio author blocks browser call_id calls
    channel chosen citations const content content_type current_date current_location data date
    default definitions depth depth0
    description doc_id document documents enum examples exclusiveMaximum exclusiveMinimum file
    first format function function_call functions grounding id ids image image_url index index0
    input_audio instructions interval items json_schema last length maxItems maxLength maximum
    message messages metadata minItems minLength minimum multipleOf name nextitem nullable oneOf
    options output outputs parameter_definitions parameters parts pattern path plan prefix
    previtem properties python query reasoning reasoning_content recipient recipients required
    response response_format response_schema result results return returns revindex revindex0
    role schema schemas snippet source status strict system_prompt text thinking thought title
    tool tool_call tool_call_id tool_calls tool_plan tool_responses tool_results tools type
    uniqueItems url value video
    """.split()  # noqa: SIM905
)
