# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Writes the generated blocks of docs/reference, and its openapi.json, from the code itself.

    python docs/generate.py          # write them
    python docs/generate.py --check  # fail if one is stale; `make docs` and the tests run this

A block is the text between two cog comments of a page; what is outside a block is written by
hand. What a statement's fields mean stands in statements.toml, because no code knows it.
"""

import inspect
import io
import json
import sys
import tokenize
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import click
import openapi

from bastide.app.config import SETTINGS_DOC, Home, Settings
from bastide.app.founding import default_policy
from bastide.cli.root import bastide
from bastide.core import errors, limits
from bastide.core.act import ACTS, BY
from bastide.core.evidence import KINDS
from bastide.core.key import Purpose
from bastide.core.lifecycle import LIFECYCLE
from bastide.core.party import DUTIES, Duty, Party
from bastide.gates.panel import GATES
from bastide.ledger.shapes import SHAPES

DOCS = Path(__file__).parent
MEANINGS = tomllib.loads((DOCS / "statements.toml").read_text())


def main(arguments: Sequence[str]) -> int:
    """Write or check every page that has a block; the exit status."""
    from cogapp import Cog

    pages = [path for path in sorted((DOCS / "reference").glob("*.md")) if "[[[cog" in _text(path)]
    mode = ["--check", "--check-fail-msg=Run `python docs/generate.py`."]
    options = ["cog", "-I", str(DOCS), "-p", "import generate", "--verbosity=1"]
    options += mode if "--check" in arguments else ["-r"]
    stale = openapi.main(arguments)
    return max(stale, *(Cog().main([*options, str(page)]) or 0 for page in pages))


# The blocks, in the order of their pages' names


def commands() -> str:
    """Every command with its help, as `--help` prints it."""
    return "\n".join(_command(name, command) for name, command in walk(bastide)).rstrip()


def walk(group: click.Group, path: str = "") -> Iterator[tuple[str, click.Command]]:
    """The commands below a group, with their whole names."""
    with click.Context(group) as context:
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            whole = f"{path} {name}".strip()
            if isinstance(command, click.Group):
                yield from walk(command, whole)
            elif command is not None:
                yield whole, command


def duties() -> str:
    """Who holds which duty, and which stage asks for it."""
    rows = []
    for duty in Duty:
        stages = ", ".join(f"`{row.name}`" for row in LIFECYCLE if row.duty is duty) or "-"
        marks = ["yes" if party in DUTIES[duty] else "" for party in Party]
        rows.append([f"`{duty.value}`", *marks, stages])
    return _table(["duty", *(party.value for party in Party), "stage"], rows)


def error_tree() -> str:
    """The tree of errors, drawn."""
    lines = ["```text", errors.BastideError.__name__]
    for error, depth in _errors():
        lines.append(f"{'   ' * depth}+- {error.__name__}")
    return "\n".join([*lines, "```"])


def error_table() -> str:
    """Each error with its code, its statuses and its meaning."""
    rows = [
        [f"`{error.code}`", str(error.exit_status), str(error.http_status), _first_line(error)]
        for error, _ in _errors()
    ]
    return _table(["code", "exit", "HTTP", "meaning"], rows)


def exit_codes() -> str:
    """Each exit status of the command line."""
    by_status = sorted(
        ((error.exit_status, error) for error, _ in _errors()), key=lambda row: row[0]
    )
    rows = [["0", "`ok`", "It worked."]]
    rows += [[str(status), f"`{error.code}`", _first_line(error)] for status, error in by_status]
    return _table(["status", "code", "meaning"], [*rows, ["130", "`interrupted`", "Ctrl-C."]])


def diagram() -> str:
    """The lifecycle as a Mermaid flow chart: stages are boxes, kinds of evidence are rounded."""
    lines = ["```mermaid", "flowchart LR"]
    for row in LIFECYCLE:
        gates = "".join(f"<br/>{gate}" for gate in row.gates)
        lines.append(f'    {row.name}["<b>{row.name}</b>{gates}"]')
        lines.append(f"    {row.name} --> {_node(row.makes)}")
        lines += [f"    {_node(kind)} --> {row.name}" for kind in row.takes]
        lines += [
            f"    {party.value}{{{{{party.value}}}}} -.-> {row.name}" for party in row.approvers
        ]
    return "\n".join([*lines, "```"])


def lifecycle() -> str:
    """The table of stages."""
    rows = [
        [
            f"`{row.name}`",
            _list(row.takes),
            f"`{row.makes}`",
            _list(row.gates),
            ", ".join(party.value for party in row.approvers) or "-",
            f"`{row.duty.value}`",
        ]
        for row in LIFECYCLE
    ]
    return _table(["stage", "takes", "makes", "gates, in order", "approvals of", "duty"], rows)


def limit_tables() -> str:
    """Every bound with its value, unit and reason, as core/limits.py gives them."""
    parts = []
    for heading, rows in _limits():
        table = [[f"`{name}`", _amount(name, getattr(limits, name)), why] for name, why in rows]
        parts += [heading, "", _table(["limit", "value", "reason"], table), ""]
    return "\n".join(parts).rstrip()


def gates() -> str:
    """Every gate: its rule, what it reads, and the parameters that a policy may give it."""
    parts = []
    for ident, gate in GATES.items():
        module = sys.modules[gate.judge.__module__]
        stages = _list([row.name for row in LIFECYCLE if ident in row.gates])
        parts += [
            f"### {ident}",
            "",
            (inspect.getdoc(module) or "").strip(),
            "",
            f"Reads {_list(gate.reads)}. Parameters: {_list(sorted(gate.parameters))}."
            f" Stages: {stages}.",
            "",
        ]
    return "\n".join(parts).rstrip()


def policy(parties: str) -> str:
    """A built-in policy, as the charter holds it."""
    text = json.dumps(default_policy(parties).to_json(), indent=2, sort_keys=True)
    return f"```json\n{text}\n```"


def purposes() -> str:
    """What each key is for."""
    remarks = _remarks(Path(inspect.getfile(Purpose)).read_text())
    rows = [[f"`{row.value}`", remarks.get(row.name, "")] for row in Purpose]
    return _table(["purpose", "the key"], rows)


def settings() -> str:
    """Every key of config.toml."""
    rows = []
    for field in fields(Settings):
        default = "written by `bastide init`"
        if field.default is not MISSING:
            default = f"`{json.dumps(field.default)}`"
        kind = getattr(field.type, "__name__", field.type)
        rows.append([f"`{field.name}`", str(kind), default, SETTINGS_DOC[field.name]])
    return _table(["key", "type", "default", "meaning"], rows)


def home() -> str:
    """What lies where in the state directory."""
    place = Home(Path(".bastide"))
    rows = []
    for name, member in inspect.getmembers(Home, lambda value: isinstance(value, property)):
        value = getattr(place, name)
        if isinstance(value, Path):
            rows.append([f"`{value.relative_to(place.root)}`", _first_line(member)])
    return _table(["path", "what"], sorted(rows))


def statements() -> str:
    """Every kind of statement: what it says, about what, who signs it, and its fields."""
    if set(MEANINGS) != set(KINDS):
        raise SystemExit(f"statements.toml: unknown or missing: {set(MEANINGS) ^ set(KINDS)}")
    parts = []
    for kind in KINDS:
        about, shapes = MEANINGS[kind], dict(_flat(SHAPES[kind]))
        if shapes.keys() != about["fields"].keys():
            wrong = sorted(shapes.keys() ^ about["fields"].keys())
            raise SystemExit(f"statements.toml: {kind}: unknown or missing: {wrong}")
        told = {name for name, check in shapes.items() if _is_unknown(check)}
        if told != about.get("types", {}).keys():
            raise SystemExit(f"statements.toml: {kind}.types must be those of {sorted(told)}")
        types = {
            name: about["types"][name] if name in told else _type(shapes[name]) for name in shapes
        }
        rows = [[f"`{name}`", types[name], about["fields"][name]] for name in shapes]
        if kind in ACTS:
            rows.append([f"`{BY}`", "digest, if it is there", "Login of the person who did it."])
        parts += [f"## {kind}", "", about["about"], ""]
        parts += [f"Subject: {about['subject']}. Signed by {about['signed']}.", ""]
        parts += [_table(["field", "type", "meaning"], rows), ""]
    return "\n".join(parts).rstrip()


# Private functions


def _text(path: Path) -> str:
    return path.read_text()


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
    )


def _list(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "-"


def _first_line(thing: Any) -> str:
    return (inspect.getdoc(thing) or "").split("\n")[0]


def _node(kind: str) -> str:
    name = kind.partition("/")[0]
    return f"{name}_([{kind}])"


def _errors() -> Iterator[tuple[type[errors.BastideError], int]]:
    def below(error: type[errors.BastideError], depth: int) -> Iterator[Any]:
        for child in error.__subclasses__():
            if child.__module__ == errors.__name__:
                yield child, depth
                yield from below(child, depth + 1)

    return below(errors.BastideError, 0)


def _command(name: str, command: click.Command) -> str:
    shared = {"home", "as_json", "passphrase_file", "debug"}
    with click.Context(command) as context:
        help_text = inspect.cleandoc(command.help or "").replace("\b", "").strip()
        usage = " ".join([f"bastide {name}", *command.collect_usage_pieces(context)[1:]])
        rows = []
        for param in command.params:
            record = param.get_help_record(context)
            if isinstance(param, click.Option) and record and param.name not in shared:
                rows.append([f"`{record[0]}`", record[1].replace("  [", " [")])
    example = getattr(command, "example", "")
    text = f"## bastide {name}\n\n{help_text}\n\n```console\n{example}\n```\n"
    if "[" in usage or usage != f"bastide {name}":
        text += f"\nUsage: `{usage}`\n"
    return text + ("\n" + _table(["option", "meaning"], rows) + "\n" if rows else "")


def _limits() -> list[tuple[str, list[tuple[str, str]]]]:
    """The sections of core/limits.py: the comment above, and each name with its own comment."""
    sections: list[tuple[list[str], list[tuple[str, str]]]] = []
    source = inspect.getsource(limits)
    remarks = _remarks(source)
    for line in source.splitlines():
        if line.startswith("# ") and "SPDX-" not in line:
            if not sections or sections[-1][1]:
                sections.append(([], []))
            sections[-1][0].append(line[2:])
        elif ": Final" in line and sections:
            name = line.partition(":")[0]
            sections[-1][1].append((name, remarks.get(name, "")))
    return [(_heading(" ".join(lines)), rows) for lines, rows in sections if rows]


def _heading(text: str) -> str:
    title, _, rest = text.partition(". ")
    return f"## {title.rstrip('.')}" + (f"\n\n{rest}" if rest else "")


def _remarks(source: str) -> dict[str, str]:
    """The comment behind each assignment, by the name that is assigned."""
    found = {}
    name = ""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.NAME and token.line.lstrip().startswith(token.string):
            name = token.string
        elif token.type == tokenize.COMMENT and name and token.line.split("#")[0].strip():
            found[name] = token.string.lstrip("# ")
    return found


def _amount(name: str, value: Any) -> str:
    unit = " seconds" if name.endswith("_S") else ""
    if isinstance(value, tuple):
        return ", ".join(f"{row:g}" for row in value) + unit
    if "_BYTES_" in name:
        for size, word in ((limits.GIB, "GiB"), (limits.MIB, "MiB"), (limits.KIB, "KiB")):
            if value % size == 0:
                return f"{value // size:,} {word}"
        return f"{value:,} bytes"
    return (f"{value:,}" if isinstance(value, int) else f"{value:g}") + unit


def _flat(shape: Mapping[str, Callable[..., bool]], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The fields of a shape; those of an inner object get its name in front."""
    for name, check in shape.items():
        inner, brackets = check, ""
        while _maker(inner) in ("or_null", "list_of"):
            brackets += "[]" if _maker(inner) == "list_of" else ""
            inner = _parts(inner)["check"]
        yield prefix + name, check
        if _maker(inner) == "fields":
            yield from _flat(_parts(inner)["fields"], f"{prefix}{name}{brackets}.")


def _maker(check: Callable[..., bool]) -> str:
    return check.__qualname__.partition(".")[0]


def _parts(check: Callable[..., bool]) -> Mapping[str, Any]:
    return inspect.getclosurevars(check).nonlocals


def _is_unknown(check: Callable[..., bool]) -> bool:
    """True for a check that no name describes; statements.toml then says the type."""
    while _maker(check) in ("or_null", "list_of", "map_of"):
        check = _parts(check)["check"]
    return _maker(check) == "<lambda>"


_TYPES = {
    "long_text": "string",
    "text": "text",
    "digest": "digest",
    "hex64": "64 hex digits",
    "count": "whole number",
    "amount": "whole number below 2^53",
    "number": "number",
    "share": "number from 0 to 1",
    "base64url": "base64url",
    "beginning": "beginning of a name, or `*`",
    "fields": "object",
}


def _type(check: Callable[..., bool]) -> str:
    maker = _maker(check)
    if maker == "one_of":
        return " or ".join(f"`{word}`" for word in _parts(check)["allowed"])
    if maker == "or_null":
        return f"{_type(_parts(check)['check'])}, or null"
    if maker in ("list_of", "map_of"):
        word = "list of" if maker == "list_of" else "object of"
        return f"{word} {_type(_parts(check)['check'])}"
    return _TYPES[maker]


if __name__ == "__main__":
    with redirect_stdout(sys.stderr):
        status = main(sys.argv[1:])
    raise SystemExit(status)
