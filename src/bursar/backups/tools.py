"""PostgreSQL's programs, as backups run them: apart from our terminal's signals, and ended with us."""

import signal
import subprocess
from typing import IO, Final

from bursar.backups.envelope import BackupDamaged
from bursar.kernel import processes
from bursar.kernel.postgres import Tools
from bursar.kernel.postgres.tools import Call

_RUN_S: Final = 6 * 3600


def start(
    call: Call,
    *,
    given: int = subprocess.DEVNULL,
    output: int | None = None,
    complaints: IO[bytes] | int | None = None,
) -> "subprocess.Popen[bytes]":
    """Start a program. It ends with the thread that starts it. given: what it reads."""
    return subprocess.Popen(  # noqa: S603 - PostgreSQL's program, our arguments
        call.arguments,
        stdin=given,
        stdout=output,
        stderr=complaints,
        cwd="/",
        env=call.environment,
        start_new_session=True,
        preexec_fn=processes.following(signal.SIGTERM),  # noqa: PLW1509
    )


def run(tools: Tools, program: str, *arguments: str) -> str:
    """Run a program to its end and return what it says. Raises: BackupDamaged, when it refuses what it was given."""
    with start(tools.call(program, *arguments), output=subprocess.PIPE, complaints=subprocess.STDOUT) as started:
        said, _ = started.communicate(timeout=_RUN_S)
    if started.returncode:
        raise BackupDamaged(f"{program} refuses what was unpacked: {said.decode(errors='replace').strip()[-600:]}")
    return said.decode(errors="replace").strip()
