"""`bursar test`: every check of the source tree, with one verdict."""

import importlib.util
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import typer

import bursar
from bursar.cli.options import Json, answer, tell
from bursar.kernel.errors import Invalid

OPTIONS = {"context_settings": {"allow_extra_args": True, "ignore_unknown_options": True}}

_PROCESSES = 3
"""One more than the cores of the smallest machine that this is for: a fifth of the time tests wait for servers and clocks."""
_BESIDE = ("style", "format", "types", "imports")
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
    # The others are done long before the tests, whose closing line is the end of what people and machines read.
    checks = _checks(context.args)
    tell(f"checking {', '.join(checks)}")
    with ThreadPoolExecutor(1) as aside:
        beside = aside.submit(lambda: [_check(name, checks[name], root, quiet=True) for name in _BESIDE])
        tests = _check("tests", checks["tests"], root)
        outcomes = [*beside.result(), tests]
    failed = [outcome.name for outcome in outcomes if not outcome.ok]
    if failed:
        tell(f"failed: {', '.join(failed)}")
    if as_json:
        answer({"ok": not failed, "checks": [asdict(outcome) for outcome in outcomes]}, "", as_json=True)
    raise typer.Exit(1 if failed else 0)


def _checks(arguments: list[str]) -> dict[str, list[str]]:
    python = [sys.executable, "-m"]
    # Some Chromium packages and debuggers want one process: -n given by hand wins. Neighbours stay together, so that
    # what a file sets up for all its tests is set up once.
    by_hand = any(argument.startswith(("-n", "--numprocesses")) for argument in arguments)
    spread = [] if by_hand else [f"-n{_PROCESSES}", "--dist=worksteal"]
    return {
        "style": [*python, "ruff", "check", "-q"],
        "format": [*python, "ruff", "format", "--check", "-q"],
        "types": [*python, "mypy"],
        "imports": [str(Path(sys.executable).with_name("lint-imports")), "--no-logo"],
        "tests": [*python, "pytest", *spread, *arguments],
    }


def _check(name: str, arguments: list[str], root: Path, *, quiet: bool = False) -> Outcome:
    """Run one check. quiet: in sight only if it fails."""
    # Tests start a hundred processes of this code: compiled anew in each, a `bursar up` takes three seconds more.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(  # noqa: S603 - the tools named above
        arguments,
        cwd=root,
        env=environment,
        check=False,
        text=True,
        stdout=subprocess.PIPE if quiet else None,
        stderr=subprocess.STDOUT if quiet else None,
    )
    if quiet and done.returncode != 0:
        tell(f"{name} failed\n{done.stdout.strip()}")
    return Outcome(name, done.returncode == 0)
