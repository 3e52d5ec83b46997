"""End to end: from a signed delivery over HTTP to granted credits, one API process and one worker.

Against: dj-stripe 2.11 doing less (storing the event and one row that grants), 75 to 130 a second on two cores such
as these. It is not installed here; the upper figure is the base, as it was measured before.
"""

import time

from benchmarks.figures import Budget, Result, Scale
from benchmarks.ground import Ground, ground
from benchmarks.intake import deliver

PEER_PER_SECOND = 130.0
PROMISE = "HTTP to granted, one API process and one worker, at fifteen times the peer that does less"
BUDGETS = (Budget("ratio", at_least=15.0),)
NOTES = (f"ratio: against {PEER_PER_SECOND:g} events a second of dj-stripe 2.11, measured earlier and not in this run",)

_LEFT = "select count(*) from gateway_event_queue"


def measure(scale: Scale) -> Result:
    """Deliver for a while with a worker at work, and wait until the last event is applied."""
    runs = []
    with ground() as here, here.api() as api, here.worker():
        for number in range(scale.runs):
            began = time.monotonic()
            told = deliver(here, api, seconds=scale.seconds, series="abcdefghij"[number])
            sent = told["acknowledged"] / told["per_second"]
            ahead = time.monotonic() - began - sent
            while _number(here):
                time.sleep(0.02)
            rate = told["acknowledged"] / max(time.monotonic() - began - ahead, sent)
            runs.append(
                {"ratio": rate / PEER_PER_SECOND, "per_second": rate, "acknowledged_per_second": told["per_second"]}
            )
    return Result("end-to-end", PROMISE, BUDGETS, tuple(runs), NOTES)


def _number(here: Ground) -> int:
    return int(here.program("psql", "-qXtAc", _LEFT))
