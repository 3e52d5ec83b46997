"""Memory: what an API process and a worker hold while ten thousand events wait and are applied."""

import asyncio
import re
import time
from pathlib import Path

from benchmarks.events import paid_events
from benchmarks.figures import Budget, Result, Scale
from benchmarks.ground import Process, file_bodies, ground

PROMISE = "API and worker together hold at most 400 MB at 10,000 queued events"
BUDGETS = (Budget("together_mb", at_most=400.0),)
NOTES = ("largest resident size of each process while the events were applied; live pages are not part of it",)

_LEFT = "select count(*) from gateway_event_queue"
_PEAK = re.compile(r"^VmHWM:\s+(\d+) kB", re.MULTILINE)


def measure(scale: Scale) -> Result:
    """Queue events, then let one worker apply them beside one API process."""
    runs = []
    count = 200 if scale.quick else 10_000
    with ground() as here, here.api() as api:
        for number in range(scale.runs):
            asyncio.run(file_bodies(here, list(paid_events(count, "abcdefghij"[number]))))
            with here.worker() as worker:
                while int(here.program("psql", "-qXtAc", _LEFT)):
                    time.sleep(0.1)
                found = {"api_mb": _peak_mb(api), "worker_mb": _peak_mb(worker)}
            runs.append(found | {"together_mb": found["api_mb"] + found["worker_mb"]})
    return Result("memory", PROMISE, BUDGETS, tuple(runs), NOTES)


def _peak_mb(process: Process) -> float:
    found = _PEAK.search(Path(f"/proc/{process.pid}/status").read_text())
    assert found, "the process has gone"
    return int(found[1]) / 1024
