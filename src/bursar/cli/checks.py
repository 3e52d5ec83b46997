"""`bursar test`: every check of the source tree, with one verdict."""

import importlib.util
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import typer

import bursar
from bursar.cli.options import Json, answer, tell
from bursar.kernel.errors import Invalid

OPTIONS = {"context_settings": {"allow_extra_args": True, "ignore_unknown_options": True}}

_PROCESSES = 3
"""One more than the cores of the smallest machine that this is for: a fifth of the time tests wait for servers and clocks."""
_CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


class ToolsMissing(Invalid):
    """The tools of development are not installed."""

    code = "tools_missing"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One check and whether it passed."""

    name: str
    ok: bool


def test(context: typer.Context, *, as_json: Json = False) -> None:  # noqa: PT028 - a command, not a test
    """Check style, types and imports, then run the tests. Further arguments go to pytest, after `--` if need be."""
    root = Path(bursar.__file__).parents[2]
    if not (root / "tests").is_dir() or importlib.util.find_spec("pytest") is None:
        raise ToolsMissing("the tests need the source tree and its tools", hint="Run ./bursar test in the source tree.")
    if not any(map(shutil.which, _CHROMIUM)):
        tell("there is no Chromium here: browser tests are skipped (Debian: apt-get install chromium)")
    # The tests come last: their closing line is the end of what people and machines read.
    outcomes = [_check(name, arguments, root) for name, arguments in _checks(context.args).items()]
    failed = [outcome.name for outcome in outcomes if not outcome.ok]
    if failed:
        tell(f"failed: {', '.join(failed)}")
    if as_json:
        answer({"ok": not failed, "checks": [asdict(outcome) for outcome in outcomes]}, "", as_json=True)
    raise typer.Exit(1 if failed else 0)


def _checks(arguments: list[str]) -> dict[str, list[str]]:
    python = [sys.executable, "-m"]
    # Some Chromium packages and debuggers want one process: -n given by hand wins.
    spread = [] if any(argument.startswith(("-n", "--numprocesses")) for argument in arguments) else [f"-n{_PROCESSES}"]
    return {
        "style": [*python, "ruff", "check", "-q"],
        "format": [*python, "ruff", "format", "--check", "-q"],
        "types": [*python, "mypy"],
        "imports": [str(Path(sys.executable).with_name("lint-imports")), "--no-logo"],
        "tests": [*python, "pytest", *spread, *arguments],
    }


def _check(name: str, arguments: list[str], root: Path) -> Outcome:
    """Run one check in sight of the person waiting."""
    tell(f"checking {name}")
    done = subprocess.run(arguments, cwd=root, check=False)  # noqa: S603 - the tools named above
    return Outcome(name, done.returncode == 0)
