"""Whether a process that exists still works. A hung one holds its place and does nothing, so it is ended like a dead one.

A worker beats once a second from its event loop, into a pipe that the supervisor gave it. The API is asked over HTTP,
through the socket that callers use. A process that is still starting is given time until its first sign of life.
"""

import os
import threading
import time
from contextlib import suppress
from typing import Final

from bursar.cli.listening import answer_of

SILENCE_MAX_S: Final = 6.0
"""A worker that has not beaten for so long is ended. With its start that keeps a takeover below ten seconds."""
TRIES_MAX: Final = 4
"""An API process that did not answer so often in a row is ended: after ten to thirteen seconds. Each try waits two
seconds, so that one which is only busy is left alone."""
START_MAX_S: Final = 60.0

_ASK_EVERY_S = 0.5
_ABSENT_S = 2.0


class Pulse:
    """The supervisor's end of a pipe into which one worker process beats."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)
        self._heard_at: float | None = None
        self._looked_at = self._began_at = time.monotonic()

    @property
    def writer(self) -> int:
        """The end that the worker inherits."""
        return self._writer

    def given(self) -> None:
        """Let go of the worker's end: the worker has it."""
        os.close(self._writer)

    def close(self) -> None:
        os.close(self._reader)

    def is_lost(self) -> bool:
        """Hear what came since the last look, and tell whether the worker has been silent for too long."""
        now = time.monotonic()
        was_absent = now - self._looked_at > _ABSENT_S
        self._looked_at = now
        with suppress(BlockingIOError):
            if os.read(self._reader, 65_536):
                self._heard_at = now
        if self._heard_at is None:
            return now - self._began_at > START_MAX_S
        if was_absent:
            # Whatever stopped us (a suspended machine, a slow database start) may have stopped the worker as well.
            self._heard_at = now
        return now - self._heard_at > SILENCE_MAX_S


class Caller:
    """Asks the API whether it lives, again and again, in a thread of its own."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask_forever, name="liveness", daemon=True)
        self.begin_anew()

    def begin_anew(self) -> None:
        """Forget what was heard: another process answers from now on."""
        self._unanswered = 0
        self._has_answered = False
        self._began_at = time.monotonic()

    def start(self) -> None:
        self._thread.start()

    def hear(self) -> None:
        """Note that somebody else was answered."""
        self._has_answered, self._unanswered = True, 0

    def close(self) -> None:
        self._over.set()

    def is_lost(self) -> bool:
        """Tell whether the API has not answered for too long."""
        if not self._has_answered:
            return time.monotonic() - self._began_at > START_MAX_S
        return self._unanswered >= TRIES_MAX

    def _ask_forever(self) -> None:
        while not self._over.wait(_ASK_EVERY_S):
            status, _ = answer_of(self._url)
            self._has_answered = self._has_answered or status > 0
            self._unanswered = 0 if status else self._unanswered + 1
