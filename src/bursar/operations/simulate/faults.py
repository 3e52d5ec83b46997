"""The faults, done to the installation at the points that the plan says."""

import asyncio
import signal
from collections import Counter
from collections.abc import Callable, Sequence

from bursar.operations.simulate.machinery import Machinery
from bursar.operations.simulate.planning import Fault, FaultKind

_TICK_S = 0.01
_FROZEN_S = 9.5
"""Longer than a worker's session may be silent (8 s): it must have lost its session when it wakes."""


async def attack(
    machinery: Machinery,
    faults: Sequence[Fault],
    *,
    acks: Callable[[], int],
    done: Counter[str],
    tell: Callable[[str], None],
) -> None:
    """Do each fault once enough events were acknowledged. done: counts them by kind."""
    thawing: list[asyncio.Task[None]] = []
    for fault in faults:
        while acks() < fault.after_acks:  # noqa: ASYNC110 - the count grows elsewhere
            await asyncio.sleep(_TICK_S)
        tell(f"{acks()} acknowledged; now: {fault.kind.value}")
        if fault.kind is FaultKind.frozen:
            thawing.append(asyncio.create_task(_freeze(machinery, fault.choice)))
        else:
            await _do(machinery, fault)
        done[fault.kind.value] += 1
    for thaw in thawing:
        await thaw


async def _do(machinery: Machinery, fault: Fault) -> None:
    match fault.kind:
        case FaultKind.worker:
            machinery.workers[int(fault.choice * len(machinery.workers))].signal(signal.SIGKILL)
        case FaultKind.api:
            machinery.api.signal(signal.SIGKILL)
        case FaultKind.all:
            for process in machinery.processes:
                process.signal(signal.SIGKILL)
        case FaultKind.backends:
            await machinery.terminate_backends(share=fault.choice)
        case FaultKind.database:
            await machinery.restart_database()


async def _freeze(machinery: Machinery, choice: float) -> None:
    worker = machinery.workers[int(choice * len(machinery.workers))]
    worker.signal(signal.SIGSTOP)
    await asyncio.sleep(_FROZEN_S)
    worker.signal(signal.SIGCONT)
