"""The queue between the event store and the appliers: who may work on what, and what became of it.

A bucket is owned by a *session* advisory lock, and everything its owner writes goes through that session:
when the session ends, the lock is free and nothing of it can ever commit. A worker that is frozen loses its
session to the server's idle timeouts. Before a batch is begun its events are written into `worker_bucket` (by the
transaction that finishes the one before it, where there is one); whoever finds them there later knows that their owner
died inside them. With them stands since when the server runs: where it was started again since, every session died with
it, and no event is to blame.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from bursar.kernel import ids
from bursar.kernel.db import Transaction, storable
from bursar.money.intake.filing import BUCKETS

LOCK_CLASS = 72_001
CRASHES_MAX = 5
"""Workers that may die inside an event before it rests as dead: with all others, with some, then alone.

The last two are minutes apart. A machine that is stopped and continued, or has no time for anybody, ends workers too.
"""
ERROR_LENGTH_MAX = 2000
BUCKET_READ_MAX = 2000
"""Queued events that are looked at for the next batch; of one account as a rule, of several where they share a bucket."""
BATCH_BYTES_MAX = 32 * 1024 * 1024
"""Bodies of a batch together; a batch of one may be longer."""


@dataclass(frozen=True, slots=True)
class Queued:
    """A due event of one account."""

    id: UUID
    type: str
    origin: str
    occurred_at: datetime
    body: bytes
    tries: int
    crashes: int
    is_erased: bool = False


@dataclass(frozen=True, slots=True)
class Lane:
    """One account with due events. gateway: its adapter's name."""

    bucket: int
    tenant_id: UUID
    account_id: UUID
    gateway: str


class Mark(NamedTuple):
    """Events of one tenant that a worker begins."""

    tenant_id: UUID | None
    events: Sequence[UUID]
    worker: str | None


NOTHING = Mark(None, (), None)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an event was not applied, and when it may be tried again (None: it rests as dead)."""

    event_id: UUID
    error: str
    retry_at: datetime | None
    reason: str = "retries_exhausted"


# The oldest due work of each bucket, live before replayed; the first bucket that is free.
_CLAIM = f"""
with due as materialized (
  select b::smallint as bucket, m.priority, m.run_at from generate_series(0, {BUCKETS - 1}) b
  cross join lateral (
    select priority, run_at from gateway_event_queue q where q.bucket = b and q.run_at <= statement_timestamp()
    order by priority, run_at limit 1
  ) m order by m.priority, m.run_at
)
select bucket from due where pg_try_advisory_lock({LOCK_CLASS}, bucket) limit 1
"""

_RELEASE = f"select pg_advisory_unlock({LOCK_CLASS}, $1)"

_CRASHED = """
select tenant_id, events, coalesce(server_since <> pg_postmaster_start_time(), false) as is_servers_doing
from worker_bucket where bucket = $1 and cardinality(events) > 0
"""

_COUNT_CRASHES = """
update gateway_event_queue set crashes = crashes + 1, run_at = case crashes
  when 2 then clock_timestamp() + interval '1 minute' when 3 then clock_timestamp() + interval '10 minutes' else run_at end
where tenant_id = $1 and event_id = any($2::uuid[])
"""

# The account whose due event is oldest, and its oldest due events, as far as they stand among the bucket's next ones;
# without those that are being applied already.
_DUE = f"""
with next as materialized (
  select tenant_id, gateway_account_id, event_id, priority, run_at, tries, crashes from gateway_event_queue
  where bucket = $1 and run_at <= statement_timestamp() and event_id <> all($3::uuid[]) order by priority, run_at limit {BUCKET_READ_MAX}
), lane as materialized (
  select n.tenant_id, n.gateway_account_id, a.gateway
  from (select tenant_id, gateway_account_id from next order by priority, run_at limit 1) n cross join lateral (
    select gateway from gateway_account where tenant_id = n.tenant_id and id = n.gateway_account_id offset 0
  ) a
), due as materialized (
  select n.*, lane.gateway from next n join lane using (tenant_id, gateway_account_id) order by n.priority, n.run_at limit $2
)
select d.tenant_id, d.gateway_account_id, d.gateway, d.tries, d.crashes, e.id, e.type, e.origin, e.occurred_at, e.received_at
from due d cross join lateral (
  select id, type, origin, occurred_at, received_at from gateway_event where tenant_id = d.tenant_id and id = d.event_id offset 0
) e
order by d.priority, d.run_at, e.id
"""

# Apart from the look-up of the events, so that only the months from $3 to $4 are opened, and once.
_BODIES = f"""
select event_id, case when bytes - length(body) < {BATCH_BYTES_MAX} then body end as body, is_erased
from (
  select event_id, body, erased_at is not null as is_erased, sum(length(body)) over (order by event_id rows unbounded preceding) as bytes from gateway_event_body
  where tenant_id = $1 and event_id = any($2::uuid[]) and received_at >= $3 and received_at <= $4
) stored
"""

_MARK = """
update worker_bucket set tenant_id = $2, events = $3, worker = $4, since = clock_timestamp(), server_since = pg_postmaster_start_time()
where bucket = $1
"""
_CORRELATION = """
select b.headers ->> 'x-correlation-id' from gateway_event e
join gateway_event_body b on b.tenant_id = e.tenant_id and b.event_id = e.id and b.received_at = e.received_at
where e.tenant_id = $1 and e.id = $2
"""

_UNMARK = "update worker_bucket set events = '{}', worker = null where bucket = $1"

_FINISH = """
with gone as (
  delete from gateway_event_queue where tenant_id = $1 and event_id = any($2::uuid[]) returning event_id, tries
), kept as (
  insert into gateway_event_outcome (tenant_id, event_id, run, outcome, attempts)
  select $1, g.event_id,
    coalesce((select max(o.run) + 1 from gateway_event_outcome o where o.tenant_id = $1 and o.event_id = g.event_id), 0),
    case when g.event_id = any($3::uuid[]) then 'ignored' else 'applied' end, g.tries + 1
  from gone g
), marked as (
  update worker_bucket
  set tenant_id = $5, events = $6, worker = $7, since = clock_timestamp(), server_since = pg_postmaster_start_time() where bucket = $4
)
select count(*) from gone
"""

_FAIL = """
with failed as (
  select * from unnest($2::uuid[], $3::text[], $4::timestamptz[], $5::text[]) as f (event_id, error, retry_at, reason)
), dead as (
  delete from gateway_event_queue q using failed f
  where q.tenant_id = $1 and q.event_id = f.event_id and f.retry_at is null
  returning q.event_id, q.tries, q.crashes
), buried as (
  insert into gateway_event_dead (tenant_id, event_id, reason, error, attempts, crashes)
  select $1, d.event_id, f.reason, f.error, d.tries + 1, d.crashes from dead d join failed f using (event_id)
), waiting as (
  update gateway_event_queue q set tries = q.tries + 1, run_at = f.retry_at, error = f.error, error_at = clock_timestamp()
  from failed f where q.tenant_id = $1 and q.event_id = f.event_id and f.retry_at is not null
  returning q.event_id, q.tries
)
insert into gateway_event_attempt (tenant_id, id, event_id, attempt, error)
select $1, n.id, f.event_id, coalesce(w.tries, d.tries + 1), f.error
from failed f join unnest($2::uuid[], $6::uuid[]) as n (event_id, id) using (event_id)
left join waiting w using (event_id) left join dead d using (event_id)
where w.event_id is not null or d.event_id is not null
"""


async def claim(connection: Any) -> int | None:
    """Take the bucket with the oldest due work; None when there is none, or all of it is owned."""
    bucket = await connection.fetchval(_CLAIM)
    return None if bucket is None else int(bucket)


async def release(connection: Any, bucket: int) -> None:
    """Give a bucket back."""
    await connection.execute(_RELEASE, bucket)


async def crashed_in(connection: Any, bucket: int) -> list[UUID]:
    """Return the events inside which this bucket's last owner died, after counting the crash.

    Empty where nobody died in it, or the server itself was started again since: then nothing is counted.
    """
    row = await connection.fetchrow(_CRASHED, bucket)
    if row is None:
        return []
    if not row["is_servers_doing"]:
        await connection.execute(_COUNT_CRASHES, row["tenant_id"], row["events"])
    await connection.execute(_UNMARK, bucket)
    return [] if row["is_servers_doing"] else list(row["events"])


async def due_events(
    connection: Any, bucket: int, *, limit: int, beyond: Sequence[UUID] = ()
) -> tuple[Lane, list[Queued]] | None:
    """Return the account of this bucket whose due event is oldest, with its due events, oldest first.

    beyond: events that are being applied already, and are not to be returned again.
    """
    rows = await connection.fetch(_DUE, bucket, limit, list(beyond))
    if not rows:
        return None
    lane = Lane(bucket, rows[0]["tenant_id"], rows[0]["gateway_account_id"], rows[0]["gateway"])
    received = [row["received_at"] for row in rows]
    stored = await connection.fetch(_BODIES, lane.tenant_id, [row["id"] for row in rows], min(received), max(received))
    bodies = {row["event_id"]: row["body"] for row in stored}
    erased = {row["event_id"] for row in stored if row["is_erased"]}
    return lane, [
        Queued(
            id=row["id"],
            type=row["type"],
            origin=row["origin"],
            occurred_at=row["occurred_at"],
            body=body,
            tries=row["tries"],
            crashes=row["crashes"],
            is_erased=row["id"] in erased,
        )
        for row in rows
        if (body := bodies.get(row["id"], b"")) is not None  # else it is one too many for this batch
    ]


async def mark(connection: Any, bucket: int, begun: Mark) -> None:
    """Write down, durably, which events are about to be worked on."""
    await connection.execute(_MARK, bucket, *begun)


async def correlation_of(connection: Any, lane: Lane, event_id: UUID) -> str | None:
    """Return the id of the request that brought an event; None where it named none."""
    found: str | None = await connection.fetchval(_CORRELATION, lane.tenant_id, event_id)
    return found


async def finish(tx: Transaction, lane: Lane, *, outcomes: Mapping[UUID, str], then: Mark = NOTHING) -> None:
    """Take events out of the queue and record what became of them, in the transaction of their effects.

    outcomes: `applied` or `ignored`. then: what this bucket's owner begins next, which is written down with it.
    A count that differs means that the events are not ours any more: the caller rolls back.
    """
    ignored = [event_id for event_id, outcome in outcomes.items() if outcome == "ignored"]
    count = await tx.fetchval(_FINISH, lane.tenant_id, list(outcomes), ignored, lane.bucket, *then)
    if count != len(outcomes):
        raise AssertionError(f"{len(outcomes)} events were applied, {count} were in the queue")


async def fail(tx: Transaction, *, tenant_id: UUID, failures: Sequence[Failure]) -> None:
    """Schedule the next attempt of failed events, or let them rest as dead; keep each attempt's error."""
    if failures:
        await tx.execute(
            _FAIL,
            tenant_id,
            [f.event_id for f in failures],
            [storable(f.error, length_max=ERROR_LENGTH_MAX) for f in failures],
            [f.retry_at for f in failures],
            [f.reason for f in failures],
            [ids.new() for _ in failures],
        )


def retry_after(tries: int, *, spread: float) -> timedelta:
    """Return the wait before the next attempt: 10 s, 30 s, 90 s, … at most 6 h, spread by ±20 %.

    tries: attempts that failed before this one. spread: a random number from 0 to 1.
    """
    seconds = min(10.0 * 3.0 ** min(tries, 12), 21_600.0)
    return timedelta(seconds=seconds * (0.8 + 0.4 * spread))
