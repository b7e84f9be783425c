# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Chat templates, read as code: a syntax tree is checked against lists, nothing is rendered.

Rules:
1. Only the nodes, filters, tests, functions, methods and fields of chat_template_rules.py. No
   field, item or name begins with two underscores; nothing is included, imported or extended.
2. What is called is a known function, a macro of the template, or a known method by its name.
3. Work is bounded: no multiplication, no power, no name that doubles itself in a loop, small
   numbers as soon as `range` is used, loops at most five deep, no wide printf fields.
4. No hidden text: characters that are invisible or that turn the reading direction.
What is allowed but worth knowing (branches on the text of a message, web addresses) is a note.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from jinja2 import Environment, TemplateError, nodes
from jinja2.ext import Extension
from jinja2.parser import Parser

from bastide.core import limits
from bastide.core.subject import Digest
from bastide.formats import chat_template_rules as rules
from bastide.formats.faults import Faults

__all__ = ["Report", "inspect"]

_HIDDEN: Final = re.compile(
    "[\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\U000e0000-\U000e007f]"
)
_ADDRESS: Final = re.compile(r"(?:https?|ftp|wss?|data|javascript):[^\s\"'<>]{3,120}", re.I)
_WIDE: Final = re.compile(r"%[-+ #0]*(?:\d{4,}|\*)|%[-+ #0]*\d*\.(?:\d{4,}|\*)")
_INDENT_MAX: Final = 64
_LOOKS: Final = frozenset({"startswith", "endswith", "find", "rfind", "count", "split", "replace"})


@dataclass(frozen=True, slots=True)
class Report:
    """What was found in one template. `faults` close a gate, `notes` are for the approver."""

    digest: Digest
    faults: tuple[str, ...]
    notes: tuple[str, ...]


def inspect(text: str) -> Report:
    """Read a template. Never raises, whatever the text is."""
    raw = text.encode("utf-8", "surrogatepass")
    faults, notes = Faults("a chat template"), Faults("a chat template")
    tree = _parsed(text, raw, faults)
    if tree is not None:
        _Reading(tree, faults, notes).check()
    return Report(Digest.of(raw), faults.reasons, notes.reasons)


class _Generation(Extension):
    """The ``{% generation %}`` block that marks a model's own words for training."""

    tags = {"generation"}  # noqa: RUF012 (declared so by the library)

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body).set_lineno(line)


def _parsed(text: str, raw: bytes, faults: Faults) -> nodes.Template | None:
    if len(raw) > limits.TEMPLATE_BYTES_MAX:
        faults.add(f"the template is over {limits.TEMPLATE_BYTES_MAX} bytes")
        return None
    if re.search("[\ud800-\udfff]", text):
        faults.add("the template has half a surrogate pair")
        return None
    grammar = Environment(extensions=["jinja2.ext.loopcontrols", _Generation])  # noqa: S701
    try:
        for count, _ in enumerate(grammar.lexer.tokeniter(text, None)):
            if count > limits.TEMPLATE_TOKENS_MAX:
                faults.add(f"the template has more than {limits.TEMPLATE_TOKENS_MAX} tokens")
                return None
        return Parser(grammar, text).parse()
    except TemplateError as error:
        line = getattr(error, "lineno", 0)
        faults.add(f"line {line}: not a Jinja template: {error.message}")
    except RecursionError:
        faults.add("the template is nested too deeply")
    except (ValueError, OverflowError, AssertionError) as error:
        faults.add(f"not a Jinja template: {error}")
    return None


@dataclass(frozen=True, slots=True)
class _Place:
    """A node, how deep it is in the tree, and in how many loops."""

    node: nodes.Node
    depth: int
    loops: int


class _Reading:
    """One pass over a template's tree."""

    def __init__(self, tree: nodes.Template, faults: Faults, notes: Faults) -> None:
        self._tree = tree
        self._faults = faults
        self._notes = notes
        self._macros: set[str] = set()
        self._own: set[str] = set()  # fields of the template's own namespaces
        self._ranged = False

    def check(self) -> None:
        """Walk the tree twice: to learn its names, then to judge every node."""
        places = list(self._walk())
        if self._faults:
            return
        for place in places:
            self._learn(place.node)
        for place in places:
            self._judge(place)

    def _walk(self) -> Iterator[_Place]:
        waiting, count = [_Place(self._tree, 0, 0)], 0
        while waiting:
            place = waiting.pop()
            count += 1
            if count > limits.TEMPLATE_NODES_MAX:
                self._fault(place.node, f"more than {limits.TEMPLATE_NODES_MAX} nodes")
                return
            if place.depth > limits.TEMPLATE_DEPTH_MAX:
                self._fault(place.node, f"nested deeper than {limits.TEMPLATE_DEPTH_MAX}")
                return
            yield place
            loops = place.loops + isinstance(place.node, nodes.For)
            below = [_Place(c, place.depth + 1, loops) for c in place.node.iter_child_nodes()]
            waiting += reversed(below)

    def _learn(self, node: nodes.Node) -> None:
        if isinstance(node, nodes.Macro):
            self._macros.add(node.name)
        elif isinstance(node, nodes.NSRef):
            self._own.add(node.attr)
        elif isinstance(node, nodes.Call) and isinstance(node.node, nodes.Name):
            if node.node.name in ("namespace", "dict"):
                self._own.update(keyword.key for keyword in node.kwargs)
            self._ranged |= node.node.name == "range"

    def _fault(self, node: nodes.Node, reason: str) -> None:
        self._faults.add(f"line {node.lineno}: {reason}")

    def _note(self, node: nodes.Node, text: str) -> None:
        self._notes.add(f"line {node.lineno}: {text}")

    def _judge(self, place: _Place) -> None:
        node = place.node
        if type(node) not in rules.NODES:
            self._fault(node, f"{type(node).__name__} is not allowed")
            return
        if isinstance(node, nodes.Const):
            self._judge_constant(node)
        elif isinstance(node, nodes.TemplateData):
            self._judge_text(node, node.data)
        elif isinstance(node, nodes.Name):
            self._judge_name(node)
        elif isinstance(node, (nodes.Getattr, nodes.NSRef)):
            self._judge_field(node, node.attr)
        elif isinstance(node, nodes.Getitem):
            self._judge_item(node)
        elif isinstance(node, nodes.Call):
            self._judge_call(node)
        elif isinstance(node, (nodes.Filter, nodes.Test)):
            self._judge_filter(node)
        elif isinstance(node, nodes.For):
            self._judge_loop(place)
        elif isinstance(node, (nodes.Assign, nodes.AssignBlock)) and place.loops:
            self._judge_growth(node)
        elif isinstance(node, nodes.Mod):
            self._judge_remainder(node)
        elif isinstance(node, nodes.Compare):
            self._judge_compare(node)

    def _judge_constant(self, node: nodes.Const) -> None:
        value = node.value
        if isinstance(value, str):
            if value.startswith("__"):
                self._fault(node, f"the text {value[:40]!r} begins with two underscores")
            self._judge_text(node, value)
        elif isinstance(value, (int, float)):
            largest = limits.TEMPLATE_RANGE_MAX if self._ranged else limits.TEMPLATE_NUMBER_MAX
            if not abs(value) <= largest:
                self._fault(node, f"a number is above {largest}")

    def _judge_text(self, node: nodes.Node, text: str) -> None:
        hidden = _HIDDEN.search(text)
        if hidden:
            self._fault(node, f"a hidden character, U+{ord(hidden[0]):04X}")
        if _WIDE.search(text):
            self._fault(node, "a printf field wider than 999")
        for address in _ADDRESS.findall(text):
            self._note(node, f"the web address {address!r}")

    def _judge_name(self, node: nodes.Name) -> None:
        if node.name.startswith("__") or node.name in rules.FOREIGN:
            self._fault(node, f"the name {node.name} is not allowed")

    def _judge_field(self, node: nodes.Node, name: str) -> None:
        if name.startswith("_") and (name.startswith("__") or name not in self._own):
            self._fault(node, f"the field {name} begins with an underscore")
        elif name not in rules.ATTRIBUTES and name not in self._own:
            self._fault(node, f"the field {name} is not in the list")

    def _judge_item(self, node: nodes.Getitem) -> None:
        # Jinja falls back from an item to a field, so a name that is put together is a way round
        # the list of fields. Called it cannot be: only methods that are named are called.
        if isinstance(node.arg, nodes.Const):
            if isinstance(node.arg.value, str) and node.arg.value.startswith("_"):
                self._fault(node, f"the item {node.arg.value[:40]!r} begins with an underscore")
        elif any(_makes_text(part) for part in _parts(node.arg)):
            self._fault(node, "the name of an item is put together")

    def _judge_call(self, node: nodes.Call) -> None:
        if node.dyn_args is not None or node.dyn_kwargs is not None:
            self._fault(node, "a call with unpacked arguments")
        called = node.node
        if isinstance(called, nodes.Name):
            if called.name not in rules.CALLS | self._macros:
                self._fault(node, f"a call of {called.name}")
        elif isinstance(called, nodes.Getattr):
            if called.attr not in rules.METHODS:
                self._fault(node, f"a call of the method {called.attr}")
            elif called.attr in _LOOKS and _is_content(called.node):
                self._note_branch(node, node.args)
        else:
            self._fault(node, f"a call of a {type(called).__name__}")

    def _judge_filter(self, node: nodes.Filter | nodes.Test) -> None:
        what = "filter" if isinstance(node, nodes.Filter) else "test"
        allowed = rules.FILTERS if isinstance(node, nodes.Filter) else rules.TESTS
        if node.name not in allowed:
            self._fault(node, f"the {what} {node.name} is not in the list")
        if node.dyn_args is not None or node.dyn_kwargs is not None:
            self._fault(node, f"the {what} {node.name} with unpacked arguments")
        named: list[tuple[str, nodes.Expr]] = [("", argument) for argument in node.args]
        named += [(str(pair.key), pair.value) for pair in node.kwargs]
        for place, (key, argument) in enumerate(named):
            self._judge_argument(node, place, key, argument)

    def _judge_argument(
        self, node: nodes.Filter | nodes.Test, place: int, key: str, argument: nodes.Expr
    ) -> None:
        """Arguments that name a field, a filter or a test are held to the same lists."""
        value = argument.value if isinstance(argument, nodes.Const) else None
        if key == "attribute" or (node.name in ("selectattr", "rejectattr") and place == 0):
            if not isinstance(value, str):
                self._fault(node, f"the filter {node.name} takes a field that is not named")
            else:
                for part in value.split("."):
                    self._judge_field(node, part)
        elif node.name in ("map", "select", "reject", "selectattr", "rejectattr") and not key:
            names = rules.FILTERS if node.name == "map" else rules.TESTS
            first = 1 if node.name.endswith("attr") else 0
            if place == first and value not in names:
                self._fault(node, f"the filter {node.name} uses {value!r}")
        elif node.name == "indent" and isinstance(value, (int, float)) and value > _INDENT_MAX:
            self._fault(node, f"an indent of {value}")

    def _judge_loop(self, place: _Place) -> None:
        node = place.node
        if isinstance(node, nodes.For) and node.recursive:
            self._fault(node, "a recursive loop")
        if place.loops >= limits.TEMPLATE_LOOPS_MAX:
            self._fault(node, f"loops nested deeper than {limits.TEMPLATE_LOOPS_MAX}")

    def _judge_growth(self, node: nodes.Assign | nodes.AssignBlock) -> None:
        """In a loop, a name that is made of itself twice doubles with every round."""
        targets = {_spelling(part) for part in _parts(node.target)} - {""}
        made_of = node.body if isinstance(node, nodes.AssignBlock) else [node.node]
        spelled = [_spelling(part) for root in made_of for part in _parts(root)]
        for target in sorted(targets):
            if spelled.count(target) > 1 and not _chooses(made_of):
                self._fault(node, f"{target} doubles itself in a loop")

    def _judge_remainder(self, node: nodes.Mod) -> None:
        if not (isinstance(node.right, nodes.Const) and type(node.right.value) is int):
            self._fault(node, "% with anything but a number is text formatting")

    def _judge_compare(self, node: nodes.Compare) -> None:
        sides = [node.expr, *(operand.expr for operand in node.ops)]
        if any(_is_content(part) for side in sides for part in _parts(side)):
            self._note_branch(node, sides)

    def _note_branch(self, node: nodes.Node, sides: list[nodes.Expr]) -> None:
        for side in sides:
            if isinstance(side, nodes.Const) and isinstance(side.value, str) and side.value.strip():
                self._note(node, f"looks for {side.value[:60]!r} in the text of a message")


def _parts(root: nodes.Node) -> Iterator[nodes.Node]:
    """The nodes of an expression, without what is inside the brackets of its items."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += [node.node] if isinstance(node, nodes.Getitem) else node.iter_child_nodes()


def _makes_text(node: nodes.Node) -> bool:
    if isinstance(node, nodes.Const):
        return isinstance(node.value, str)
    if isinstance(node, nodes.Filter):
        return node.name not in ("length", "count", "int")
    return isinstance(node, (nodes.Concat, nodes.Call))


def _is_content(node: nodes.Node) -> bool:
    """True for what holds the words of a message."""
    if isinstance(node, nodes.Getattr):
        return node.attr == "content"
    if isinstance(node, nodes.Getitem):
        return isinstance(node.arg, nodes.Const) and node.arg.value == "content"
    return isinstance(node, nodes.Name) and node.name == "content"


def _spelling(node: nodes.Node) -> str:
    """A name, or a namespace's field, as one word."""
    if isinstance(node, nodes.NSRef):
        return f"{node.name}.{node.attr}"
    if isinstance(node, nodes.Getattr) and isinstance(node.node, nodes.Name):
        return f"{node.node.name}.{node.attr}"
    return node.name if isinstance(node, nodes.Name) else ""


def _chooses(roots: list[nodes.Node]) -> bool:
    """True if the value is picked, not put together: it has no sum, no list and no output."""
    grows = (nodes.Add, nodes.Concat, nodes.List, nodes.Tuple, nodes.Dict, nodes.Output, nodes.Call)
    return not any(isinstance(part, grows) for root in roots for part in _parts(root))
