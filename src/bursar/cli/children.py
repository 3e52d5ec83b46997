"""The processes a supervisor starts: started again when they die, more slowly each time; ended together."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from bursar.cli.liveness import Pulse
from bursar.cli.options import tell
from bursar.kernel import processes

_DELAY_FIRST_S = 0.1
_DELAY_MAX_S = 10.0
_SETTLED_S = 20.0
"""A process that lived this long is started again at once."""

_GRACE_S = 8.0
"""How long processes may take to end by themselves."""


class Child:
    """One process and its restarts. once: it may end, and is not started again. quiet: what it answers is of no interest. beats: it says that it works.

    needed: the installation is of no use without it.
    """

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        *,
        pass_fds: Sequence[int] = (),
        once: bool = False,
        quiet: bool = False,
        beats: bool = False,
        needed: bool = True,
    ) -> None:
        self.name = name
        self.needed = needed
        self.once = once
        self._quiet = quiet
        self._beats = beats
        self._pulse: Pulse | None = None
        self.early_deaths = 0
        self._arguments = arguments
        self._pass_fds = pass_fds
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._noticed = False
        self._next_start_at = 0.0

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process and self.is_running else None

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, environment: dict[str, str]) -> None:
        """Start the process in a session of its own, so that Ctrl-C reaches the supervisor alone."""
        self._started_at = time.monotonic()
        self._noticed = False
        if self._pulse:
            self._pulse.close()
        self._pulse = Pulse() if self._beats else None
        self._process = subprocess.Popen(  # noqa: S603 - this program itself
            [sys.executable, "-m", "bursar", *self._arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL if self._quiet else None if self.once else sys.stderr,
            env=environment | ({"BURSAR_PULSE": str(self._pulse.writer)} if self._pulse else {}),
            pass_fds=[*self._pass_fds, *([self._pulse.writer] if self._pulse else [])],
            start_new_session=True,
        )
        if self._pulse:
            self._pulse.given()

    def end_if_silent(self) -> None:
        """End the process by force when it runs and does not work; `revive` starts it again."""
        if self._pulse and self.is_running and self._pulse.is_lost():
            self.end_hung()

    def end_hung(self) -> None:
        """End a process that no signal but this one reaches."""
        tell(f"the {self.name} process gives no sign of life; ending it")
        self.send(signal.SIGKILL)
        assert self._process is not None
        self._process.wait()

    def revive(self, environment: dict[str, str]) -> bool:
        """Start the process again if it has died and its turn has come. Return whether it was started."""
        if self._process is None or self.is_running:
            return False
        if not self._noticed:
            self._notice()
        if self.once or time.monotonic() < self._next_start_at:
            return False
        self.start(environment)
        return True

    def send(self, number: signal.Signals) -> None:
        if self._process and self.is_running:
            processes.send(self._process.pid, number)

    def _notice(self) -> None:
        """Say that it has ended, once, and decide when it may start again."""
        assert self._process is not None
        self._noticed = True
        code = self._process.returncode
        if self.once:
            if code:
                tell(f"the {self.name} process failed ({_ending(code)})")
            return
        lived_s = time.monotonic() - self._started_at
        self.early_deaths = 0 if lived_s > _SETTLED_S else self.early_deaths + 1
        wait_s = min(_DELAY_MAX_S, _DELAY_FIRST_S * 2 ** (self.early_deaths - 1)) if self.early_deaths else 0.0
        self._next_start_at = time.monotonic() + wait_s
        tell(f"the {self.name} process ended ({_ending(code)}); starting it again")


def end_all(children: Sequence[Child], *, hurry: Callable[[], bool]) -> None:
    """Ask all to end, wait, and kill those that do not. hurry: asked again and again whether to wait no longer."""
    for child in children:
        child.send(signal.SIGTERM)
    deadline = time.monotonic() + _GRACE_S
    while any(child.is_running for child in children) and time.monotonic() < deadline and not hurry():
        time.sleep(0.01)
    for child in children:
        child.send(signal.SIGKILL)


def end_leftovers(written: dict[str, Any]) -> None:
    """End what a killed supervisor left behind. They end by themselves; this is for one that cannot."""
    left = [pid for pid in written.get("pids", []) if _is_ours(pid)]
    deadline = time.monotonic() + _GRACE_S
    while any(processes.is_alive(pid) for pid in left) and time.monotonic() < deadline:
        time.sleep(0.02)
    for pid in left:
        if processes.is_alive(pid) and _is_ours(pid):
            processes.send(pid, signal.SIGKILL)


def _is_ours(pid: int) -> bool:
    """A number may mean another process by now; ours run the module `bursar` and lost their parent."""
    return processes.command_of(pid)[1:3] == ["-m", "bursar"] and os.getpid() != pid


def _ending(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"
