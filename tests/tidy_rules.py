# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The rules of the house that no linter knows, each a function from a tree to its faults.

A fault is one line, `path:line: what is wrong`. `test_tidy.py` runs every rule over this
repository, `test_tidy_negative.py` proves each on a tree made to offend it. Words that a rule
forbids are put together here from halves, so that this file does not offend it itself.
"""

import ast
import builtins
import functools
import re
from collections.abc import Callable, Iterator
from pathlib import Path

__all__ = ["RULES"]

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60

_CODE = ("src", "tests", "tools", "benchmarks", "docs")
_PRUNED = {"__pycache__", "build", "dist", "shared"}  # and every folder with a leading dot but .ci
_FILE_NAMES = {"utils", "helpers", "common", "base", "manager", "types"}
_FUNCTION_NAME = re.compile(r"_*(process|handle)$|_*handle_")
_HEADER = (
    "# SPDX-File" + "CopyrightText: 2026 The Bastide authors",
    "# SPDX-License-" + "Identifier: ",
)
_TRACES = re.compile(
    "|".join(
        (
            r"\bpypi" + r"\.org",
            r"files\.python" + "hosted",
            r"registry\." + "npmjs",
            r"-index-" + r"url[ =]",
            r"(?<![\w./-])/wo" + r"rk/",
            r"(?<![\w./-])/ro" + r"ot/",
            r"(?<![\w./-])/ho" + r"me/\w",
            r"(?<![\w./-])/tmp/l" + r"ab",
        )
    )
)
_UNFINISHED = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|X" + r"XX)\b")
_DYNAMIC = {
    "importlib.import_module",
    "importlib.metadata.entry_points",
    "importlib.util.module_from_spec",
    "pkgutil.resolve_name",
    "runpy",
    "__import__",
    "exec",
    "eval",
}
_CLOCKS = {
    *(f"time.{name}{end}" for name in ("time", "monotonic", "perf_counter") for end in ("", "_ns")),
    *(f"time.{name}{end}" for name in ("process_time", "clock_gettime") for end in ("", "_ns")),
    *(f"datetime.datetime.{name}" for name in ("now", "utcnow", "today")),
    "datetime.date.today",
}
_CHANCE = {"random", "secrets", "os.urandom", "os.getrandom", "uuid.uuid1", "uuid.uuid4"}
_KEY_MAKERS = re.compile(r"PrivateKey\.generate$|\.gensalt$|\.generate_(key|private_key)$")
_LOOP_CLOCK = re.compile(r"(\?|\.|_)loop(\(\))?\.time$")
_ENVIRONMENT = {"os.environ", "os.environb", "os.getenv", "os.putenv", "os.unsetenv"}
_SKIPPED_LINKS = ("http://", "https://", "mailto:")


# Rules over whole files


def long_files(root: Path) -> list[str]:
    """No file is longer than 400 lines."""
    counts = {path: len(path.read_text().splitlines()) for path in _python(root)}
    return [
        f"{_at(root, path)}: {count} lines, {FILE_LINES_MAX} are allowed"
        for path, count in counts.items()
        if count > FILE_LINES_MAX
    ]


def long_functions(root: Path) -> list[str]:
    """No function is longer than 60 lines, from its `def` to its end; decorators do not count."""
    faults = []
    for path, node in _functions(root):
        count = (node.end_lineno or node.lineno) - node.lineno + 1
        if count > FUNCTION_LINES_MAX:
            faults.append(f"{_at(root, path, node.lineno)}: {node.name} has {count} lines")
    return faults


def file_names(root: Path) -> list[str]:
    """A file is named after what is inside: none of the names that say nothing."""
    return [
        f"{_at(root, path)}: a file or folder of this name can hold anything"
        for path in _python(root)
        if _FILE_NAMES & {path.stem, *path.relative_to(root).parts[:-1]}
    ]


def function_names(root: Path) -> list[str]:
    """Nothing is called process or handle; what is called verify_ raises or returns nothing."""
    faults = [
        f"{_at(root, path, node.lineno)}: {node.name} does not say what it does"
        for path, node in _functions(root)
        if _FUNCTION_NAME.match(node.name)
    ]
    source = root / "src"
    return faults + [
        f"{_at(root, path, node.lineno)}: {node.name} returns something: its result may be ignored"
        for path, node in _functions(root)
        if source in path.parents
        and re.match(r"_*verify_", node.name)
        and not (isinstance(node.returns, ast.Constant) and node.returns.value is None)
    ]


def headers(root: Path) -> list[str]:
    """Every source file begins with its copyright and its licence."""
    faults = []
    for path in _python(root):
        lines = [line for line in path.read_text().splitlines()[:3] if not line.startswith("#!")]
        if len(lines) < 2 or lines[0] != _HEADER[0] or not lines[1].startswith(_HEADER[1]):
            faults.append(f"{_at(root, path)}: the SPDX header is missing")
    return faults


def package_docstrings(root: Path) -> list[str]:
    """Every package says what it is."""
    return [
        f"{_at(root, path)}: the package has no docstring"
        for path in _python(root, "src")
        if path.name == "__init__.py" and not ast.get_docstring(_tree(path))
    ]


def machine_traces(root: Path) -> list[str]:
    """No host of a package registry and no path of somebody's machine is in any file."""
    return _search(root, _TRACES, "belongs to one machine or registry")


def unfinished_work(root: Path) -> list[str]:
    """What is not finished is an issue, not a remark in the code."""
    return _search(root, _UNFINISHED, "file an issue instead")


def dead_links(root: Path) -> list[str]:
    """Every relative link of a Markdown file leads to a file, and to a heading in it."""
    faults = []
    for path in _texts(root, "*.md"):
        for number, target in _links(path):
            name, _, anchor = target.partition("#")
            file = (path.parent / name).resolve() if name else path
            if not file.exists():
                faults.append(f"{_at(root, path, number)}: no file {name}")
            elif anchor and file.suffix == ".md" and anchor not in _anchors(file):
                faults.append(f"{_at(root, path, number)}: no heading #{anchor} in {file.name}")
    return faults


# Rules over names that the code uses


def dynamic_imports(root: Path) -> list[str]:
    """Everything is named: no import by string, and nothing found because it is installed."""
    allowed = {"src/bastide/app/wiring.py"}
    return _uses(root, ("src", "tools"), allowed, lambda name: _within(name, _DYNAMIC))


def clock_and_chance(root: Path) -> list[str]:
    """Time and randomness come through their ports only."""
    allowed = {"src/bastide/adapters/clock/system.py", "src/bastide/adapters/entropy/system.py"}

    def banned(name: str) -> bool:
        listed = _within(name, _CLOCKS | _CHANCE)
        return listed or bool(_KEY_MAKERS.search(name) or _LOOP_CLOCK.search(name))

    return _uses(root, ("src",), allowed, banned)


def environment_reads(root: Path) -> list[str]:
    """The process environment is read in one file."""
    allowed = {"src/bastide/app/config.py"}
    return _uses(root, ("src", "tools"), allowed, lambda name: _within(name, _ENVIRONMENT))


def url_fetching(root: Path) -> list[str]:
    """The program fetches nothing: `urllib` is for parsing only.

    The import contracts see only the name `urllib`, so this rule stands here.
    """
    banned = {"urllib.request", "urllib.robotparser"}
    return _uses(root, ("src", "tools"), set(), lambda name: _within(name, banned))


def printing(root: Path) -> list[str]:
    """Only the command line and the tools print."""
    return [
        fault
        for fault in _uses(root, ("src", "docs"), set(), lambda name: name == "print")
        if not fault.startswith("src/bastide/cli/")
    ]


def dead_modules(root: Path) -> list[str]:
    """Every module is imported by another one, or named as an entry point.

    A string that is exactly a module's name counts as naming it (`python -m`), and so do the
    scripts of pyproject.toml. A fake among the adapters may be used by tests only.
    """
    modules = {_module(root, path): path for path in _python(root, "src")}
    named = {name: _named(path) for name, path in modules.items()}
    project = root / "pyproject.toml"
    scripts = project.read_text() if project.exists() else ""
    by_tests = {name for path in _python(root, "tests") for name in _named(path)}
    faults = []
    for name, path in modules.items():
        used = any(name in names for user, names in named.items() if user != name)
        entry = path.name in ("__init__.py", "__main__.py") or f'"{name}:' in scripts
        fake = ".adapters." in name and name in by_tests
        if not (used or entry or fake):
            faults.append(f"{_at(root, path)}: nothing imports or names {name}")
    return faults


RULES: dict[str, Callable[[Path], list[str]]] = {
    rule.__name__: rule
    for rule in (
        long_files,
        long_functions,
        file_names,
        function_names,
        headers,
        package_docstrings,
        machine_traces,
        unfinished_work,
        dead_links,
        dynamic_imports,
        clock_and_chance,
        environment_reads,
        url_fetching,
        printing,
        dead_modules,
    )
}


# Private functions


def _at(root: Path, path: Path, line: int | None = None) -> str:
    where = path.relative_to(root).as_posix()
    return where if line is None else f"{where}:{line}"


def _walk(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_symlink() or path.name == ".git":  # a file, in a worktree of git
            continue
        if path.is_file():
            yield path
        elif path.name == ".ci" or not (path.name in _PRUNED or path.name.startswith(".")):
            yield from _walk(path)


def _texts(root: Path, pattern: str = "*") -> Iterator[Path]:
    for path in _walk(root):
        if path.match(pattern) and b"\0" not in path.read_bytes()[:4_096]:
            yield path


def _python(root: Path, *folders: str) -> list[Path]:
    wanted = [root / folder for folder in folders or _CODE]
    return [
        path
        for folder in wanted
        if folder.is_dir()
        for path in _walk(folder)
        if path.suffix == ".py"
    ]


@functools.cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def _functions(root: Path) -> Iterator[tuple[Path, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for path in _python(root):
        for node in ast.walk(_tree(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield path, node


def _search(root: Path, pattern: re.Pattern[str], why: str) -> list[str]:
    faults = []
    for path in _texts(root):
        if path.is_relative_to(root / "tests" / "vectors") and path.suffix != ".py":
            continue  # data of others: base64 spells anything
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            if found := pattern.search(line):
                faults.append(f"{_at(root, path, number)}: {found.group()!r}: {why}")
    return faults


def _uses(
    root: Path, folders: tuple[str, ...], allowed: set[str], banned: Callable[[str], bool]
) -> list[str]:
    """Every use of a banned name, whatever it was imported as."""
    faults: list[str] = []
    for path in _python(root, *folders):
        if _at(root, path) not in allowed:
            found = dict.fromkeys(use for use in _dotted(_tree(path)) if banned(use[1]))
            faults += [f"{_at(root, path, line)}: {name}" for line, name in found]
    return faults


def _within(name: str, banned: set[str]) -> bool:
    return any(name == row or name.startswith(row + ".") for row in banned)


def _dotted(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Each import, and each name that is read, with what it was imported from in front.

    A name that was not imported and is no builtin gets a question mark: it is somebody's variable.
    """
    origin = {name: name for name in dir(builtins)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
                origin[alias.asname or alias.name.partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                yield node.lineno, f"{node.module}.{alias.name}"
                origin[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name):
            first, dot, rest = ast.unparse(node).partition(".")
            yield node.lineno, origin.get(first, "?" + first) + dot + rest


def _module(root: Path, path: Path) -> str:
    parts = path.relative_to(root / "src").with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@functools.cache
def _named(path: Path) -> frozenset[str]:
    """The modules that a file imports, or names in a string."""
    names = set()
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names.add(node.value)
    return frozenset(names)


_FENCE = re.compile(r"^\s*(```|~~~)")
_LINK = re.compile(r"\[[^\]]*\]\(([^()\s]+)\)")


def _prose(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a Markdown file outside its code, without inline code."""
    inside = False
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if _FENCE.match(line):
            inside = not inside
        elif not inside:
            yield number, line


def _links(path: Path) -> Iterator[tuple[int, str]]:
    for number, line in _prose(path):
        for target in _LINK.findall(re.sub(r"`[^`]*`", "", line)):
            if not target.startswith(_SKIPPED_LINKS):
                yield number, target


@functools.cache
def _anchors(path: Path) -> set[str]:
    """The anchors of headings, as GitHub makes them."""
    slugs = set()
    for _, line in _prose(path):
        if heading := re.match(r"#+\s+(.*)", line):
            text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading.group(1)).strip().lower()
            slugs.add(re.sub(r"[^\w\- ]", "", text).replace(" ", "-"))
    return slugs
