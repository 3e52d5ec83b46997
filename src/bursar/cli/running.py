"""Run one command: its options are parsed by typer, its refusals become one line and an exit code."""

import json
import sys
from importlib import import_module

import asyncpg
import typer

from bursar.cli.commands import COMMANDS
from bursar.kernel import garbage
from bursar.kernel.errors import DomainError, Forbidden, Unavailable

_MISUSED = 2
"""Exit code of a call with wrong options or arguments."""


class DatabaseForbidden(Forbidden):
    """The login may not do this in the database."""

    code = "database_forbidden"


class DatabaseFailed(Unavailable):
    """PostgreSQL refused or broke off in the middle of a command."""

    code = "database_failed"


class FilesFailed(Unavailable):
    """The operating system refused a file, a directory or a connection."""

    code = "files_failed"


def run(name: str, arguments: list[str]) -> None:
    """Run a command and exit."""
    root = root_of(name)
    try:
        root(arguments, prog_name="bursar")
    except (DomainError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as failure:
        _report(_told(failure), as_json="--json" in arguments)
        sys.exit(1)
    except SystemExit as left:
        if left.code == _MISUSED and "--json" in arguments:
            report_misuse(f"this is not how bursar {name} is called", hint=f"See bursar {name} --help.")
        raise
    except KeyboardInterrupt:
        sys.exit(130)


def root_of(name: str) -> typer.Typer:
    """Return the command line with this one command in it."""
    root = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    root.callback()(lambda: None)
    with garbage.loading():
        module = import_module(f"bursar.cli.{COMMANDS[name].module}")
    if hasattr(module, "app"):
        root.add_typer(module.app, name=name)
    else:
        root.command(name, **getattr(module, "OPTIONS", {}))(getattr(module, name))
    return root


def _told(failure: Exception) -> DomainError:
    """Return what an operator can act on. What is none of these is a bug, and shows where it is."""
    if isinstance(failure, DomainError):
        return failure
    if isinstance(failure, asyncpg.InsufficientPrivilegeError):
        return DatabaseForbidden(
            f"the database refuses: {failure}",
            hint="Run bursar migrate with BURSAR_DATABASE_ADMIN_URL set to a role that may create roles and tables.",
        )
    if isinstance(failure, asyncpg.PostgresError | asyncpg.InterfaceError):
        return DatabaseFailed(f"the database broke off: {failure or type(failure).__name__}", hint="See bursar doctor.")
    return FilesFailed(f"the system refuses: {failure or type(failure).__name__}", hint="See bursar doctor.")


def report_misuse(message: str, *, hint: str) -> None:
    """Say as JSON that a command was called wrongly; what exactly stands on standard error."""
    print(json.dumps({"error": {"code": "usage_invalid", "message": message, "hint": hint}}))


def _report(refusal: DomainError, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"error": {"code": refusal.code, "message": refusal.message, "hint": refusal.hint}}))
    sentence = " ".join(f"{refusal.message.rstrip('.')}. {refusal.hint}".split())
    print(f"bursar: {sentence}", file=sys.stderr)
