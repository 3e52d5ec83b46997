"""One clock for everybody in the sandbox: the real one, moved forward by whoever wants to see next month."""

from collections.abc import Callable

from bursar.sandbox.store import Store

_NAME = "clock_ahead_s"


class Clock:
    """How far the sandbox is ahead of real time. real: the machine's clock, in Unix seconds."""

    def __init__(self, store: Store, real: Callable[[], float]) -> None:
        self._store = store
        self.real = real
        self.ahead_s: int = store.setting(_NAME) or 0

    def now(self) -> int:
        """Return the sandbox's time, in Unix seconds."""
        return int(self.real()) + self.ahead_s

    def move_to(self, at: int) -> None:
        """Be at a later moment from now on. The past is never seen again."""
        ahead_s = at - int(self.real())
        if ahead_s > self.ahead_s:
            self.ahead_s = ahead_s
            self._store.keep(_NAME, ahead_s)
