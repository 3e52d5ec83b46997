"""End to end: from a signed delivery over HTTP to granted credits, one API process and one worker.

Against: dj-stripe 2.11 doing less (storing the event and one row that grants), 75 to 130 a second on two cores such
as these. It is not installed here; the upper figure is the base, as it was measured before.
"""

import time

from benchmarks import cpu
from benchmarks.figures import Budget, Result, Scale
from benchmarks.ground import Ground, Process, ground
from benchmarks.intake import deliver

PEER_PER_SECOND = 130.0
PROMISE = "HTTP to granted, one API process and one worker, at fifteen times the peer that does less"
BUDGETS = (Budget("ratio", at_least=15.0),)
NOTES = (
    f"ratio: against {PEER_PER_SECOND:g} events a second of dj-stripe 2.11, measured earlier and not in this run",
    "every event is a paid invoice that grants: acknowledged and granted are counted, and must be equal",
    "…_us: processor time an event costs that process, all its threads and children; the sender's is foreign",
)

_GRANTED = "select count(*) from fulfilment_grant"
_LASTED = """
select extract(epoch from max(o.at) - min(e.received_at))::float8 as lasted from gateway_event e
join gateway_event_outcome o on o.tenant_id = e.tenant_id and o.event_id = e.id
where e.gateway_event_id >= $1 and e.gateway_event_id < $1 || 'a'
"""


def measure(scale: Scale) -> Result:
    """Deliver for a while with a worker at work, and wait until the last event is applied."""
    runs = []
    with ground() as here, here.api() as api, here.worker() as worker:
        if not scale.quick:
            _once(here, api, worker, Scale(seconds=1.0), series="w")
        for number in range(scale.runs):
            here.admin("checkpoint")
            runs.append(_once(here, api, worker, scale, series="abcdefghij"[number]))
    return Result("end-to-end", PROMISE, BUDGETS, tuple(runs), NOTES)


def _once(here: Ground, api: Process, worker: Process, scale: Scale, *, series: str) -> dict[str, float]:
    groups = {"api": [api.pid], "worker": [worker.pid], "postgres": [here.cluster.pid or 0]}
    before, granted = cpu.read(groups), here.ask(_GRANTED)
    told = deliver(here, api, seconds=scale.seconds, series=series, events=scale.deliveries)
    here.until_applied()
    used = cpu.shares(before, cpu.read(groups))
    events = told["acknowledged"]
    if here.ask(_GRANTED) - granted != events:
        raise RuntimeError(f"{events:g} paid events were acknowledged, {here.ask(_GRANTED) - granted} granted")
    # On the server's clock: from the first delivery's receipt to the last one's outcome.
    lasted = here.ask(_LASTED, f"evt_1_{series}")
    passed = time.monotonic() - before.at
    return {
        "ratio": events / lasted / PEER_PER_SECOND,
        "per_second": events / lasted,
        "acknowledged_per_second": told["per_second"],
        "acknowledged_p99_ms": told["p99_ms"],
        **{f"{name}_us": 1e6 * used[name] * passed / events for name in groups},
        "foreign_cores": used["foreign"],
    }
