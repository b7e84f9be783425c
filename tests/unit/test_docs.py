# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Nothing is undocumented, and nothing that a document names is missing."""

import ast
import dataclasses
import re
import shlex
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from bastide.app.config import SETTINGS_DOC, Settings
from bastide.cli.root import bastide
from bastide.core import errors, limits
from bastide.core.evidence import KINDS
from bastide.core.key import Purpose
from bastide.core.lifecycle import LIFECYCLE
from bastide.core.party import Duty
from bastide.core.receipt import Receipt
from bastide.dialects.families import FAMILIES
from bastide.filters.catalogue import FILTERS, GLOBAL_STEPS
from bastide.gates.panel import GATES
from bastide.readers.catalogue import READERS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *ROOT.glob("changelog.d/*.md")])


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    with click.Context(group) as context:
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command is not None
            if isinstance(command, click.Group):
                yield from commands(command, (*path, name))
            else:
                yield " ".join((*path, name)), command


COMMANDS = dict(commands(bastide))


def all_errors(root: type[errors.BastideError]) -> Iterator[type[errors.BastideError]]:
    for child in root.__subclasses__():
        if child.__module__ == errors.__name__:
            yield child
            yield from all_errors(child)


# Per page of docs/reference: what must stand in it, and how it is written there.
DOCUMENTED: dict[str, tuple[str, list[str]]] = {
    "statements.md": ("## {}", list(KINDS)),
    "policy.md": ("### {}", list(GATES)),
    "errors.md": ("| `{}` |", [error.code for error in all_errors(errors.BastideError)]),
    "exit-codes.md": ("| {} |", ["0", "1", "2", "3", "4", "5", "6", "7", "130"]),
    "settings.md": (
        "| `{}` |",
        [*(field.name for field in dataclasses.fields(Settings)), *(row.value for row in Purpose)],
    ),
    "limits.md": ("| `{}` |", [name for name in limits.__annotations__ if "iB" not in name]),
    "lifecycle.md": ("| `{}` |", [row.name for row in LIFECYCLE]),
    "duties.md": ("| `{}` |", [duty.value for duty in Duty]),
    "receipts.md": ("`{}`", [*Receipt.__struct_fields__]),
    "commands.md": ("## bastide {}\n", list(COMMANDS)),
    "filters.md": ("### {}\n", [*FILTERS, *GLOBAL_STEPS, *READERS]),
}
_UNITS = {"KIB", "MIB", "GIB"}


@pytest.mark.parametrize("page", DOCUMENTED)
def test_everything_is_documented(page: str) -> None:
    form, names = DOCUMENTED[page]
    text = (REFERENCE / page).read_text()
    assert names
    assert [name for name in names if name not in _UNITS and form.format(name) not in text] == []


def test_the_gateways_page_has_every_family_and_no_other() -> None:
    rows = re.findall(r"(?m)^\| .* \| .*\[`(\w+)`\]\(.*\).* \| .* \|$", gateway_page())
    assert sorted(rows) == sorted({family.name for family in FAMILIES})
    for family in sorted(set(rows) - {"sealed"}):
        assert f"(dialects/{family}.md)" in gateway_page(), family


def gateway_page() -> str:
    return (REFERENCE / "gateway.md").read_text()


def test_every_setting_has_its_meaning() -> None:
    assert set(SETTINGS_DOC) == {field.name for field in dataclasses.fields(Settings)}


def generate(docs: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(docs / "generate.py"), *arguments],
        env={"PYTHONPATH": str(ROOT / "src"), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_generated_pages_are_fresh() -> None:
    done = generate(DOCS, "--check")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_stale_page_is_found_and_written_anew(tmp_path: Path) -> None:
    docs = Path(shutil.copytree(DOCS, tmp_path / "docs"))
    page = docs / "reference" / "lifecycle.md"
    fresh = page.read_text()
    page.write_text(fresh.replace("eval-floor", "eval-flour"))
    assert generate(docs, "--check").returncode != 0
    assert generate(docs).returncode == 0
    assert page.read_text() == fresh


# What documents name


def functions_of(path: Path) -> dict[str, list[str]]:
    """The functions of a test file, also `Class::name`, each with the claims it is marked with."""
    found = {}
    for node in ast.parse(path.read_text()).body:
        inside = node.body if isinstance(node, ast.ClassDef) else [node]
        prefix = f"{node.name}::" if isinstance(node, ast.ClassDef) else ""
        for inner in inside:
            if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
                found[prefix + inner.name] = attacked(inner)
    return found


def attacked(test: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    return [
        ast.literal_eval(claim)
        for mark in test.decorator_list
        if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.attacks"
        for claim in mark.args
    ]


_TEST = re.compile(r"`(tests/[\w/.-]+\.py)::([\w:]+)`")
_CLAIM = re.compile(r"^\| (C\d+) \| .+ \| ([^|]+) \| [^|]+ \| ([^|]+) \|$", re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_named_tests_exist(page: Path) -> None:
    for name, test in _TEST.findall(page.read_text()):
        assert (ROOT / name).exists(), f"{page.name} names {name}"
        assert test in functions_of(ROOT / name), f"{page.name} names {name}::{test}"


def claims() -> list[tuple[str, str, str]]:
    """Id, invariants and proof of every row of the threat model."""
    return _CLAIM.findall((DOCS / "threat-model.md").read_text())


def test_every_claim_of_the_threat_model_has_a_test() -> None:
    text = (DOCS / "threat-model.md").read_text()
    idents = [ident for ident, _, _ in claims()]
    assert idents == re.findall(r"^\| (C\d+) ", text, re.MULTILINE), "a row lacks a column"
    assert idents == [f"C{number}" for number in range(1, len(idents) + 1)]
    assert len(idents) >= 60
    assert [ident for ident, _, proof in claims() if not _TEST.search(proof)] == []


def test_every_claim_names_the_invariant_that_its_tests_attack() -> None:
    known = {*map(str, range(1, 11)), "service", "apart", "told"}
    assert [row[:2] for row in claims() if not set(row[1].split(", ")) <= known] == []


def test_tests_say_which_claims_they_attack_and_claims_name_these_tests() -> None:
    """Both ways: a row and its tests' `@pytest.mark.attacks("C1")` are changed together."""
    told = {
        (name, test, ident) for ident, _, proof in claims() for name, test in _TEST.findall(proof)
    }
    said = {
        (path.relative_to(ROOT).as_posix(), test, ident)
        for path in (ROOT / "tests").rglob("test_*.py")
        for test, idents in functions_of(path).items()
        for ident in idents
    }
    assert sorted(told - said) == [], "named in docs/threat-model.md, and not marked"
    assert sorted(said - told) == [], "marked, and not named in docs/threat-model.md"


def test_no_claim_stands_twice() -> None:
    """Merges of two branches that both add rows have doubled thirty of them before."""
    text = (DOCS / "threat-model.md").read_text()
    said = re.findall(r"^\| C\d+ \| ([^|]+) \|", text, re.MULTILINE)
    assert len(said) >= 30
    assert [row for row, count in Counter(said).items() if count > 1] == []


def test_every_invariant_has_a_test() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    rows = re.findall(r"^\| (\d+)\. .+ \| (.+) \|$", text, re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, 11))
    # 9 and 10 are about stages that come later; what exists of them is tested.
    assert [number for number, proof in rows if not _TEST.search(proof)] == []


_PATH = re.compile(
    r"\b((?:docs/(?:reference|adr|guides)|tests|tools|benchmarks)/[\w/.-]+\.(?:md|py|toml))\b"
)


def test_paths_that_code_and_pages_name_exist() -> None:
    missing = set()
    for path in [*ROOT.glob("src/**/*.py"), *PAGES]:
        for name in _PATH.findall(path.read_text()):
            if not (ROOT / name).exists():
                missing.add(f"{path.relative_to(ROOT)}: {name}")
    assert missing == set()


def test_decisions_are_numbered_and_whole() -> None:
    pages = sorted((DOCS / "adr").glob("[0-9]*.md"))
    assert [int(page.name[:4]) for page in pages] == list(range(1, len(pages) + 1))
    for page in pages:
        text = page.read_text()
        assert re.match(rf"# {page.name[:4]}: ", text), page.name
        for part in ("Context", "Decision", "Consequences", "Rejected"):
            assert f"\n## {part}\n" in text, (page.name, part)
    known = {page.name[:4] for page in pages}
    for path in [*ROOT.glob("src/**/*.py"), *PAGES]:
        assert set(re.findall(r"docs/adr/(\d{4})", path.read_text())) <= known, path


def test_pages_keep_their_length() -> None:
    assert len((ROOT / "ARCHITECTURE.md").read_text().splitlines()) <= 250
    assert len((ROOT / "AGENTS.md").read_text().splitlines()) <= 25
    assert len((ROOT / "README.md").read_text().splitlines()) <= 70


def test_the_code_map_names_every_package() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    for path in (ROOT / "src" / "bastide").iterdir():
        if path.is_dir() and path.name != "__pycache__":
            assert f"`{path.name}/`" in text, path.name


def shown_commands() -> Iterator[tuple[str, list[str]]]:
    """The words of each `bastide ...` in a code block, with its page."""
    for page in PAGES:
        inside = False
        # A command that goes on in the next line, with or without a prompt, is one.
        for line in re.sub(r"\\\n(> )?", " ", page.read_text()).splitlines():
            if line.startswith("```"):
                inside = not inside
            elif inside:
                for command in re.finditer(r"(?:^|[$|(;&] ?)bastide (?=[a-z])", line):
                    yield page.name, words_of(line[command.end() :])


def words_of(command: str) -> list[str]:
    """The words of a shell command up to where it ends, is piped or redirected, or a comment."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars=True)
    words = []
    for word in lexer:
        if set(word) <= set(lexer.punctuation_chars):
            break
        words.append(word)
    return words


def test_shown_commands_exist() -> None:
    wrong = []
    shown = list(shown_commands())
    assert len(shown) > 20
    for page, words in shown:
        line = " ".join(words)
        names = (" ".join(words[:count]) for count in (3, 2, 1))
        name = next((row for row in names if row in COMMANDS), None)
        if name is None:
            wrong.append(f"{page}: {line}")
            continue
        options = {text for param in COMMANDS[name].params for text in param.opts}
        given = {word.partition("=")[0] for word in words if word.startswith("--")}
        wrong += [f"{page}: {line}: {option}" for option in sorted(given - options - {"--help"})]
    assert wrong == []
