"""Being asked to stop: SIGTERM, Ctrl-C, a closed terminal."""

import select
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

_ASKING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Stop:
    """Whether the process has been asked to stop. Waiting ends at once when it is, or when a child ends."""

    def __init__(self) -> None:
        self._times = 0
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)

    @property
    def is_asked(self) -> bool:
        return self._times > 0

    @property
    def is_urgent(self) -> bool:
        """Asked a second time: somebody does not want to wait."""
        return self._times > 1

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take the signals while the block runs; give them back afterwards."""
        asking = [number for number in _ASKING if not _is_nohup(number)]
        before = {number: signal.signal(number, self._ask) for number in asking}
        before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)
        waker = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(waker)
            for number, handler in before.items():
                signal.signal(number, handler)
            self._reader.close()
            self._writer.close()

    def wait(self, timeout_s: float) -> bool:
        """Wait for a signal, at most so long. Return whether a stop was asked for."""
        if not self.is_asked:
            select.select([self._reader], [], [], timeout_s)
        with suppress(BlockingIOError):
            self._reader.recv(4096)
        return self.is_asked

    def _ask(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the shape of a handler
        self._times += 1


def _is_nohup(number: signal.Signals) -> bool:
    """Whoever started us with `nohup` wants us to outlive the terminal."""
    return number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN
