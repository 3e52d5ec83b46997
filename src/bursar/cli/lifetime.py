"""How a child of the supervisor lives and ends."""

import os
import signal
import sys
from types import FrameType

from bursar.kernel import processes


def follow_supervisor() -> bool:
    """End when the supervisor that started us dies, even by SIGKILL. Return whether there is one."""
    supervisor = os.environ.get("BURSAR_SUPERVISOR")
    if supervisor and not processes.follow_parent(int(supervisor)):
        sys.exit(0)
    return supervisor is not None


def end_orderly() -> None:
    """Let SIGTERM unwind the process, so that what it opened is closed, and count it as success."""
    signal.signal(signal.SIGTERM, _leave)


def _leave(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the shape of a handler
    sys.exit(0)
