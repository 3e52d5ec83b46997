"""The command line as another process runs it, without loading it anew each time: forked from one that has it loaded."""

import multiprocessing
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bursar.cli import main

# What nearly every command loads; the rest a command loads for itself.
_LOADED = ["bursar.cli.running", "bursar.cli.connection", "bursar.cli.verify", "bursar.cli.users", "asyncpg"]

_forking = multiprocessing.get_context("forkserver")
_forking.set_forkserver_preload(_LOADED)

SECRET_KEY = "A" * 43


@dataclass(frozen=True)
class Done:
    """What a command said, and how it left."""

    code: int
    out: str
    err: str


def command(*arguments: str, timeout_s: float = 60, **environment: str) -> Done:
    """Run `bursar` in a process of its own. environment: is all that it sees of `BURSAR_…`."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("BURSAR_")}
    with tempfile.TemporaryDirectory(prefix="bursar-command-") as said:
        out, err = Path(said, "out"), Path(said, "err")
        process = _forking.Process(target=_run, args=(arguments, clean | environment, str(out), str(err)))
        process.start()
        process.join(timeout_s)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise TimeoutError(f"bursar {' '.join(arguments)} runs for more than {timeout_s} s")
        done = Done(process.exitcode, out.read_text(errors="replace"), err.read_text(errors="replace"))
        process.close()
        return done


def installation(database_url: str, admin_url: str) -> dict[str, str]:
    """Return the environment of an installation on a test's database."""
    return {
        "BURSAR_DATABASE_URL": database_url,
        "BURSAR_DATABASE_ADMIN_URL": admin_url,
        "BURSAR_SECRET_KEY": SECRET_KEY,
    }


def _run(arguments: tuple[str, ...], environment: dict[str, str], out: str, err: str) -> None:
    os.environ.clear()
    os.environ.update(environment)
    for path, stream in ((out, 1), (err, 2)):
        file = os.open(path, os.O_CREAT | os.O_WRONLY)
        os.dup2(file, stream)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    sys.argv = ["bursar", *arguments]
    main()
