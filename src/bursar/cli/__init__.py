"""The command `bursar`. Each command is a module, imported when it is called: `bursar --help` imports none.

A module is listed in `commands.py`. It has either a function named like its command, or, where the command has
commands of its own (`tenant create`), a `typer.Typer` named `app`.

Every command takes `--json`; every refusal is one line on standard error (with `--json` also an object on standard
output) and a non-zero exit code.
"""

import sys
from importlib import import_module

from bursar.cli.commands import COMMANDS


def main() -> None:
    """Run the command line and leave with its exit code."""
    arguments = sys.argv[1:]
    name = arguments[0] if arguments else "--help"
    if name in ("--help", "-h", "help"):
        print(_overview())
        sys.exit(0)
    if name == "--version":
        print(import_module("bursar").__version__)
        sys.exit(0)
    if name not in COMMANDS:
        print(f"bursar: there is no command {name!r}; see bursar --help", file=sys.stderr)
        if "--json" in arguments:
            import_module("bursar.cli.running").report_misuse("there is no such command", hint="See bursar --help.")
        sys.exit(2)
    try:
        import_module("bursar.cli.running").run(name, arguments)
    except KeyboardInterrupt:  # while modules are still being loaded, which takes a moment
        sys.exit(130)


def _overview() -> str:
    width = max(map(len, COMMANDS)) + 2
    lines = [f"  {name:<{width}}{command.purpose}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            "Bursar takes the money and delivers what was paid for, exactly once, and can prove it.",
            "",
            "usage: bursar COMMAND [OPTIONS]      bursar COMMAND --help",
            "",
            *lines,
            "",
            "Every command takes --json. Settings come from the environment (BURSAR_…).",
        ]
    )
