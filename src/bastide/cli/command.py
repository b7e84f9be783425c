# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What all commands share: their options, how they open an environment, how they fail.

Every command takes ``--home``, ``--json``, ``--passphrase-file`` and ``--debug``. Data goes to
standard output, everything else to standard error. With ``--json`` a command prints exactly one
JSON object (or array) on standard output, also when it fails.
"""

import contextlib
import json
import sys
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from bastide.core.errors import BastideError, Misconfigured, NotAllowed, NotFound, NotProven
from bastide.core.party import Party

if TYPE_CHECKING:
    from bastide.app.config import Home
    from bastide.app.environment import Environment
    from bastide.crypto.dsse import Envelope, Signer

__all__ = [
    "Call",
    "Command",
    "Lazy",
    "parameters",
    "parties_of",
    "read_envelope",
    "read_file",
    "read_text",
    "verify_one_way",
    "write_envelope",
]

# Columns that JSON has in milliseconds since 1970, and what a person reads above them.
_MOMENTS = {"time_ms": "time", "until_ms": "until", "expires_ms": "expires"}
T = TypeVar("T")
_BROKEN_PIPE = 141  # as a shell reports a program that SIGPIPE ended


@dataclass
class Call:
    """The shared options of one call, and what commands do with them."""

    home_option: str | None
    as_json: bool
    passphrase_file: str | None
    debug: bool
    event: Callable[..., None] | None = None  # writes one, where the output is lines of events

    @property
    def home(self) -> "Home":
        """The home directory that the call means."""
        from bastide.app.config import find_home

        return find_home(self.home_option)

    def passphrase(self) -> str:
        """The keyring's passphrase: a file's, or asked for on a terminal. Raises NotAllowed."""
        from bastide.app.environment import read_passphrase

        if self.passphrase_file is not None:
            return read_text(self.passphrase_file).strip()
        try:
            return read_passphrase(self.home)
        except NotAllowed:
            if not sys.stdin.isatty():
                raise
        return _ask_passphrase(f"Passphrase of {self.home.keyring}: ")

    @contextlib.contextmanager
    def environment(self, key: "Signer | None" = None) -> "Generator[Environment]":
        """Unlock the home directory. Raises NotFound, NotAllowed."""
        from bastide.app.config import read_settings
        from bastide.app.environment import open_environment

        read_settings(self.home)  # says that there is no environment before it asks for a key
        with open_environment(self.home, self.passphrase(), key) as env:
            self._warn(env)
            yield env

    @contextlib.contextmanager
    def environment_if_open(self, key: "Signer | None" = None) -> "Generator[Environment | None]":
        """The environment, or None if nobody unlocks it or it cannot be read: then it says so.

        It asks for no passphrase. Raises NotFound where there is no environment.
        """
        from bastide.app.config import read_settings
        from bastide.app.environment import open_environment, read_passphrase

        read_settings(self.home)
        file = self.passphrase_file
        given = None if file is None else read_text(file).strip()
        with contextlib.ExitStack() as stack:
            try:
                passphrase = read_passphrase(self.home) if given is None else given
                env = stack.enter_context(open_environment(self.home, passphrase, key))
            except BastideError as error:
                self.tell(f"no policy is asked: {error.message}")
                env = None
            else:
                self._warn(env)
            yield env

    def _warn(self, env: "Environment") -> None:
        """Say that an emergency is open: every command does, so that nobody overlooks one."""
        if env.ledger.newest_of("break-glass/v1") < 0:
            return
        from bastide.app.emergencies import told, warning

        # Policies that do not hold are the command's own error; this must not hide what it says.
        with contextlib.suppress(NotProven):
            if (row := env.access.emergency()) is not None:
                self.tell(warning(told(row)))

    def party_key(self, path: str | None) -> "Signer | None":
        """The signer of a party's key file; the terminal says what the person must do."""
        if path is None:
            return None
        from bastide.app import wiring

        return wiring.read_party_key(Path(path), None, _ask_passphrase, self.tell)

    def show(self, value: Any, text: str | None = None) -> None:
        """Print the result: JSON if asked for, else the text."""
        if self.as_json:
            click.echo(json.dumps(value, indent=2, ensure_ascii=False))
        elif text is not None:
            click.echo(text)

    def rows(self, rows: list[dict[str, Any]], columns: tuple[str, ...], empty: str) -> None:
        """Print rows: JSON if asked for, else a table of some columns."""
        if self.as_json or not rows:
            self.show(rows, empty)
            return
        cells = [[_cell(row[name], name in _MOMENTS) for name in columns] for row in rows]
        heads = [(_MOMENTS.get(name) or name).upper().replace("_", " ") for name in columns]
        widths = [
            max(len(name), *(len(row[index]) for row in cells)) for index, name in enumerate(heads)
        ]
        for line in (heads, *cells):
            text = "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
            click.echo(text.rstrip())

    def tell(self, text: str) -> None:
        """Say something to the person: standard error."""
        click.echo(text, err=True)

    def progress(self) -> Callable[[str, int, int], None]:
        """A progress display: a bar on a terminal, else a line every ten seconds."""
        from bastide.app import wiring
        from bastide.app.config import wants_motion
        from bastide.cli.progress import Progress

        animated = sys.stderr.isatty() and not self.as_json and wants_motion()
        return Progress(sys.stderr, animated, wiring.clock()).step


class Command(click.Command):
    """A command with the shared options; prints errors of the tree, and an example in its help."""

    def __init__(self, *args: Any, example: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.example = example
        self.params += [
            click.Option(["--home"], metavar="DIR", help="State directory.  [default: .bastide]"),
            click.Option(["--json", "as_json"], is_flag=True, help="Print JSON."),
            click.Option(
                ["--passphrase-file"], metavar="FILE", help="Keyring passphrase; - reads stdin."
            ),
            click.Option(["--debug"], is_flag=True, help="Show the traceback of an error."),
        ]

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Print the example."""
        if self.example:
            with formatter.section("Example"):
                for line in self.example.splitlines():
                    formatter.write(f"{' ' * formatter.current_indent}{line}\n")

    def invoke(self, ctx: click.Context) -> Any:
        """Run, and turn an error of the tree into its text and exit code."""
        shared = ("home", "as_json", "passphrase_file", "debug")
        call = Call(*(ctx.params.pop(name) for name in shared))
        try:
            return ctx.invoke(self.callback, call, **ctx.params) if self.callback else None
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except BrokenPipeError:
            _close_output()
            ctx.exit(_BROKEN_PIPE)
        except Exception as error:
            if call.debug:
                raise
            told = _as_error(error)
            _fail(call, told)
            ctx.exit(told.exit_status)


class Lazy(click.Group):
    """A group whose commands are imported when they are called: `--help` stays fast.

    `table` maps a name to a function that imports and returns the command, and to its one line;
    `headings` the first command under each to it.
    """

    def __init__(
        self,
        *args: Any,
        table: dict[str, tuple[Callable[[], click.Command], str]],
        headings: dict[str, str],
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.table = table
        self.headings = headings

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the table's order."""
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        row = self.table.get(cmd_name)
        return row[0]() if row else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command; a misspelt one gets the nearest name."""
        from difflib import get_close_matches

        if args and args[0] not in self.table and not args[0].startswith("-"):
            close = get_close_matches(args[0], self.table, 1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            ctx.fail(f"No such command {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        width = max(map(len, self.table))
        sections: list[tuple[str, list[tuple[str, str]]]] = []
        for name, (_, line) in self.table.items():
            if name in self.headings:
                sections.append((self.headings[name], []))
            sections[-1][1].append((name.ljust(width), line))
        for heading, rows in sections:
            with formatter.section(heading):
                formatter.write_dl(rows)


def parameters(name: str, example: str, *options: Any) -> Callable[[Callable[..., None]], Command]:
    """Make a command of a function whose first argument is its Call."""

    def make(function: Callable[..., None]) -> Command:
        for option in reversed(options):
            function = option(function)
        command = click.command(name, cls=Command, example=example)(function)
        assert isinstance(command, Command)
        return command

    return make


def verify_one_way(out: str | None, signed: str | None) -> None:
    """Raise Misconfigured if a statement is to be made and one that was signed is given, too."""
    if out is not None and signed is not None:
        raise Misconfigured("--out makes a statement, --signed brings one: give one", place="out")


def parties_of(given: tuple[str, ...]) -> dict[Party, str]:
    """What is given as PARTY=VALUE. Raises Misconfigured."""
    values: dict[Party, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or name not in set(Party) or name in values:
            known = ", ".join(Party)
            raise Misconfigured(f"not PARTY=VALUE: {text!r}", fix=f"once for each of {known}")
        values[Party(name)] = value
    return values


def write_envelope(path: str, envelope: "Envelope") -> None:
    """Write a signed statement, or one to sign, as a file that travels."""
    Path(path).write_text(json.dumps(envelope.to_json(), indent=2) + "\n")


def read_envelope(path: str) -> "Envelope":
    """A statement in a file that travels, with the signatures it has by now."""
    from bastide.app.enrolment import read_draft

    return read_file(path, read_draft)[0]


def read_text(path: str) -> str:
    """Read a file, or standard input for ``-``. Raises NotFound or Misconfigured."""
    if path == "-":
        return sys.stdin.read()
    try:
        return Path(path).read_text()
    except FileNotFoundError as error:
        raise NotFound(f"there is no file {path}", fix="check the path") from error
    except UnicodeDecodeError as error:
        raise Misconfigured(f"{path} is not a text file", fix="check the path") from error
    except OSError as error:
        from bastide.app.remedies import outside

        raise outside(error, path) from error


def read_file(path: str, parse: Callable[[str], T]) -> T:
    """What `parse` makes of a file's text. What is wrong with it names the file and a remedy."""
    text = read_text(path)
    try:
        return parse(text)
    except (Misconfigured, NotProven) as error:
        if path not in error.message:
            error.message = f"{path}: {error.message}"
        error.fix = error.fix or "is it the file that was meant, and is it whole?"
        raise


def _as_error(error: Exception) -> BastideError:
    """Any error as one of the tree. Of an unexpected one only its place: its text may be secret."""
    if isinstance(error, BastideError):
        return error
    if isinstance(error, OSError):
        from bastide.app.remedies import outside

        return outside(error)
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = ""
    if trace is not None:
        place = f" in {Path(trace.tb_frame.f_code.co_filename).name}, line {trace.tb_lineno}"
    return BastideError(
        f"unexpected {type(error).__name__}{place}",
        fix="this is a defect of Bastide: please report it with what --debug prints",
    )


def _close_output() -> None:
    """The reader of standard output is gone: the interpreter must not flush into it at exit."""
    with contextlib.suppress(OSError):
        sys.stdout.close()


def _fail(call: Call, error: BastideError) -> None:
    row = {
        "error": error.code,
        "message": error.message,
        "reasons": list(error.reasons),
        "fix": error.fix,
    }
    if call.event is not None:
        call.event("error", **row)
        return
    if call.as_json:
        call.show(row)
        return
    click.echo(f"{error.title}: {error.message}", err=True)
    for reason in error.reasons:
        click.echo(f"  - {reason}", err=True)
    if error.fix:
        click.echo(f"  fix: {error.fix}", err=True)


def _ask_passphrase(what: str) -> str:
    if not sys.stdin.isatty():
        raise NotAllowed(
            f"no terminal to ask for this: {what.strip().rstrip(':')}",
            fix="run it in a terminal",
        )
    return click.prompt(what.strip().rstrip(":"), hide_input=True, err=True)


def _cell(value: Any, moment: bool) -> str:
    if moment and value is not None:
        from datetime import UTC, datetime

        return datetime.fromtimestamp(value / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "-"
    text = "-" if value is None else str(value)
    return text[:19] if text.startswith("sha256:") else text
