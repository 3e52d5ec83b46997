"""Processes of this machine, as Linux shows them: who runs where, and children that follow their parent."""

import ctypes
import os
import signal
from collections.abc import Callable
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


def follow_parent(parent: int, number: signal.Signals = signal.SIGTERM) -> bool:
    """Ask the kernel to send us a signal when our parent dies, even by SIGKILL.

    parent: the process that is expected to have started us. Returns whether it still lives.
    """
    _LIBC.prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
    return os.getppid() == parent


def following(number: signal.Signals) -> Callable[[], None]:
    """Return what a forked child runs before exec, so that it follows the process that is forking now."""
    parent = os.getpid()

    def follow() -> None:
        if not follow_parent(parent, number):
            os._exit(1)

    return follow


def is_alive(pid: int) -> bool:
    """Return whether a process of this number exists and has not ended (a zombie has ended)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def command_of(pid: int) -> list[str]:
    """Return the command line of a process, which every user may read; empty when there is none."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8", errors="replace").split("\0")[:-1]
    except OSError:
        return []


def working_in(directory: Path, *, program: str) -> list[int]:
    """Return the processes that run `program` with `directory` as their working directory, as far as we may know.

    In a container without CAP_SYS_PTRACE even root is not told this of other users' processes.
    """
    return [
        pid
        for pid in _pids()
        if _link(pid, "cwd") == str(directory) and _link(pid, "exe").rpartition("/")[2].split(" ")[0] == program
    ]


def send(pid: int, number: signal.Signals) -> None:
    """Send a signal to one process; one that has ended meanwhile has no need of it."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _pids() -> list[int]:
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]  # noqa: PTH208 - names, not paths


def _link(pid: int, name: str) -> str:
    try:
        return os.readlink(f"/proc/{pid}/{name}")  # noqa: PTH115 - compared as text: the target may be gone
    except OSError:
        return ""
