"""Jobs: none waits behind nobody, none rests without a reason, and none is kept from its lane's order."""

from typing import Final

from bursar.operations.invariants.invariant import Invariant, Scope

JOBS: Final = (
    Invariant(
        name="held_jobs_wait_for_their_lane",
        promises="A job that is held has an earlier one of its lane before it, or was released a moment ago.",
        subject="job",
        scope=Scope.whole,
        sql="""
select h.id as job, h.kind, h.key, h.lane
from job h
where h.tenant_id = $1 and h.state = 'held' and h.created_at < clock_timestamp() - interval '1 minute'
  and not exists (
    select from job o where o.tenant_id = h.tenant_id and o.lane = h.lane and o.id <> h.id
      and (o.number < h.number or o.state = 'running') and o.state in ('ready', 'scheduled', 'running', 'held'))
""",
    ),
    Invariant(
        name="leases_end",
        promises="No job is a worker's for more than a quarter of an hour after its lease ended, while others are claimed.",
        subject="job",
        scope=Scope.whole,
        sql="""
select j.id as job, j.kind, j.worker, j.run_at as lease_ended_at, newest.started_at as others_started_at
from job j
cross join lateral (select max(o.started_at) as started_at from job o where o.tenant_id = j.tenant_id and o.state = 'running') as newest
where j.tenant_id = $1 and j.state = 'running' and j.run_at < newest.started_at - interval '15 minutes'
""",
    ),
)
