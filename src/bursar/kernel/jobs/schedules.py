"""Schedules: at each tick one job, for every tenant or for the installation, however many workers look at the clock."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

from cronsim import CronSim

from bursar.kernel import ids
from bursar.kernel.db import Database, Transaction
from bursar.kernel.jobs.models import INSTALLATION

_NOW = "select clock_timestamp()"

# Counted once for each tenant by a guarded statement: of many workers one moves the tick on, and it alone enqueues.
# A tick that lies ahead of the clock is of a time that has not come: the clock went back, and must not stop the schedule until then.
_GOES_ON = "t.tick < excluded.tick or t.tick > clock_timestamp() + interval '1 minute'"

_MOVE_TENANTS = f"""
insert into job_tick as t (tenant_id, name, tick)
select w.tenant_id, $1, $2 from tenant w where w.created_at <= $2 order by w.tenant_id
on conflict (tenant_id, name) do update set tick = excluded.tick where {_GOES_ON}
returning tenant_id
"""

_MOVE_INSTALLATION = f"""
insert into job_tick as t (tenant_id, name, tick) values ($3, $1, $2)
on conflict (tenant_id, name) do update set tick = excluded.tick where {_GOES_ON}
returning tenant_id
"""

_ENQUEUE = """
insert into job (tenant_id, id, kind, key, idempotency_key, request, state, run_at)
select n.tenant_id, n.id, $4, $5, n.idempotency_key, ''::bytea, case when n.run_at > clock_timestamp() then 'scheduled' else 'ready' end,
  n.run_at
from unnest($1::uuid[], $2::uuid[], $3::uuid[], $6::timestamptz[]) as n (tenant_id, id, idempotency_key, run_at)
on conflict (tenant_id, kind, key) where state <> 'dead' do nothing
"""

# A job may have been held behind one that ended in the same moment. Nobody else would look at it again.
_RELEASE = """
update job h set state = case when h.run_at <= clock_timestamp() then 'ready' else 'scheduled' end
from (select distinct on (tenant_id, lane) tenant_id, id from job where state = 'held' order by tenant_id, lane, number) as first
where h.tenant_id = first.tenant_id and h.id = first.id and h.state = 'held' and not exists (
  select from job o where o.tenant_id = h.tenant_id and o.lane = h.lane and o.state in ('ready', 'scheduled', 'running')
)
"""


@dataclass(frozen=True, slots=True)
class Schedule:
    """name: permanent. cron: five fields, in the zone. kind: of the job, whose key is the tick.

    per: for every tenant, or once for the installation (whose jobs have INSTALLATION as tenant).
    spread_s: tenants' jobs are due within so many seconds after the tick, each always at the same place.
    Of ticks that were missed, because no worker ran, the last one counts.
    """

    name: str
    cron: str
    kind: str
    per: Literal["tenant", "installation"] = "tenant"
    zone: str = "UTC"
    spread_s: int = 0

    def __post_init__(self) -> None:
        next(CronSim(self.cron, datetime.now(ZoneInfo(self.zone))))  # its CronSimError says what is wrong

    def last_tick(self, now: datetime) -> datetime:
        """Return the last tick at or before an instant, in UTC."""
        local = now.astimezone(ZoneInfo(self.zone)).replace(microsecond=0) + timedelta(seconds=1)
        return next(CronSim(self.cron, local, reverse=True)).astimezone(now.tzinfo)

    def due_at(self, tenant_id: UUID, tick: datetime) -> datetime:
        """Return when a tenant's job of this tick is due."""
        place = uuid5(tenant_id, self.name).int % (self.spread_s * 1000) if self.spread_s else 0
        return tick + timedelta(milliseconds=place)


class Timetable:
    """The schedules of one process, which remembers the ticks that it has seen done."""

    def __init__(self, schedules: Iterable[Schedule]) -> None:
        self._schedules: Final = tuple(schedules)
        assert len({schedule.name for schedule in self._schedules}) == len(self._schedules), (
            "a schedule's name is taken twice"
        )
        self._done: dict[str, datetime] = {}

    async def tend(self, db: Database) -> int:
        """Enqueue what has ticked since the last time, and release lanes; return how many jobs. Raises DatabaseUnavailable."""
        async with db.engine() as tx:
            await tx.execute(_RELEASE)
            now = await tx.fetchval(_NOW)
        return sum([await self._tick(db, schedule, now=now) for schedule in self._schedules])

    async def _tick(self, db: Database, schedule: Schedule, *, now: datetime) -> int:
        tick = schedule.last_tick(now)
        if self._done.get(schedule.name) == tick:
            return 0
        async with db.engine() as tx:
            tenants = await _moved(tx, schedule, tick)
            if tenants:
                await _enqueue(tx, schedule, tick, tenants)
        self._done[schedule.name] = tick
        return len(tenants)


async def _moved(tx: Transaction, schedule: Schedule, tick: datetime) -> list[UUID]:
    if schedule.per == "installation":
        rows = await tx.fetch(_MOVE_INSTALLATION, schedule.name, tick, INSTALLATION)
    else:
        rows = await tx.fetch(_MOVE_TENANTS, schedule.name, tick)
    return [row["tenant_id"] for row in rows]


async def _enqueue(tx: Transaction, schedule: Schedule, tick: datetime, tenants: Sequence[UUID]) -> None:
    key = f"{schedule.name}@{tick.isoformat()}"
    job_ids = [ids.new() for _ in tenants]
    idempotency_keys = [uuid5(j, f"{t}:{schedule.kind}:{key}") for t, j in zip(tenants, job_ids, strict=True)]
    due = [schedule.due_at(tenant_id, tick) for tenant_id in tenants]
    await tx.execute(_ENQUEUE, tenants, job_ids, idempotency_keys, schedule.kind, key, due)
