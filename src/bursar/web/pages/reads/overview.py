"""The overview's figures: money in, events in, what waits, what needs a person."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from bursar.kernel import ids
from bursar.kernel.amounts import Money
from bursar.kernel.db import Transaction
from bursar.web.pages.drawing import Bar, Chart, Part, bar_chart

DAYS = 7
MINUTES = 60
EVENTS_READ_MAX = 100_000
WAITING_READ_MAX = 10_000
_SLACK = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Takings:
    """Money received in one currency. is_sandbox: play money, never added to the other kind."""

    today: Money
    week: Money
    payments_today: int
    payments_week: int
    is_sandbox: bool
    chart: Chart


@dataclass(frozen=True, slots=True)
class Arrivals:
    """The events of the last hour. is_partial: there were more than were read. median, slowest: received to settled."""

    total: int
    by_status: tuple[tuple[str, int], ...]
    is_partial: bool
    median: timedelta | None
    slowest: timedelta | None
    chart: Chart


@dataclass(frozen=True, slots=True)
class Waiting:
    """The queue. oldest_at: when the event that waits longest for its first attempt came in."""

    first_time: int
    retries: int
    is_partial: bool
    oldest_at: datetime | None


@dataclass(frozen=True, slots=True)
class Unmatched:
    """Money that names nothing we sell, by currency."""

    count: int
    amounts: tuple[Money, ...]
    oldest_at: datetime | None


@dataclass(frozen=True, slots=True)
class Sweep:
    """What the running check last saw; None of it before its first look."""

    checked_at: datetime | None
    failures: int


# A payment's id is made when it is first reported, which is after the gateway made it: ids bound the scan.
_TAKINGS = """
select p.currency, a.gateway = 'sandbox' as is_sandbox, (p.created_at at time zone 'UTC')::date as day,
  count(*) as payments, sum(p.amount_minor) as amount_minor
from payment p join gateway_account a on a.tenant_id = p.tenant_id and a.id = p.gateway_account_id
where p.tenant_id = $1 and p.status = 'succeeded' and p.id >= $2 and p.created_at >= $3 and p.superseded_by is null
group by 1, 2, 3
order by 1, 2, 3
"""

_ARRIVALS = f"""
select date_bin('1 minute', e.received_at, $3) as minute,
  case when d.event_id is not null then 'dead'
       when q.event_id is not null then case when q.tries > 0 then 'failed' else 'received' end
       else coalesce(o.outcome, 'received') end as status,
  count(*) as events
from (
  select tenant_id, id, received_at from gateway_event
  where tenant_id = $1 and id >= $2 order by id desc limit {EVENTS_READ_MAX}
) as e
left join gateway_event_queue q on q.tenant_id = e.tenant_id and q.event_id = e.id
left join gateway_event_dead d on d.tenant_id = e.tenant_id and d.event_id = e.id
left join gateway_event_outcome o on o.tenant_id = e.tenant_id and o.event_id = e.id and o.run = (
  select max(l.run) from gateway_event_outcome l where l.tenant_id = e.tenant_id and l.event_id = e.id)
where e.received_at >= $3
group by 1, 2
"""

_SPEED = """
select percentile_disc(0.5) within group (order by took) as median, max(took) as slowest
from (
  select o.at - e.received_at as took
  from gateway_event e join gateway_event_outcome o on o.tenant_id = e.tenant_id and o.event_id = e.id
  where e.tenant_id = $1 and e.id >= $2 and o.attempts <= 1
  order by e.id desc, o.run limit 2000
) as recent
"""

_WAITING = f"""
select count(*) filter (where tries = 0) as first_time, count(*) filter (where tries > 0) as retries,
  (select e.received_at from gateway_event_queue w join gateway_event e on e.tenant_id = w.tenant_id and e.id = w.event_id
   where w.tenant_id = $1 and w.tries = 0 order by w.event_id limit 1) as oldest_at
from (select tries from gateway_event_queue where tenant_id = $1 limit {WAITING_READ_MAX}) as q
"""

_UNMATCHED = """
select currency, count(*) as purchases, sum(paid_minor) as amount_minor, min(first_seen_at) as oldest_at
from purchase
where tenant_id = $1 and is_paid and unmatched_reason is not null and merged_into is null
group by currency order by currency
"""

_SWEEP = "select checked_at, jsonb_array_length(failures) as failures from invariant_sweep where tenant_id = $1"


async def takings(tx: Transaction, *, tenant_id: UUID, now: datetime) -> tuple[Takings, ...]:
    """Return what succeeded today and in the last seven days (UTC), by currency, before refunds."""
    today = now.astimezone(UTC).date()
    days = [today - timedelta(days=n) for n in reversed(range(DAYS))]
    since = datetime.combine(days[0], datetime.min.time(), UTC)
    found: dict[tuple[bool, str], dict[date, tuple[int, int]]] = defaultdict(dict)
    for row in await tx.fetch(_TAKINGS, tenant_id, ids.least_at(since - _SLACK), since):
        found[row["is_sandbox"], row["currency"]][row["day"]] = (row["payments"], int(Decimal(row["amount_minor"])))
    return tuple(
        _takings(currency, by_day, days=days, is_sandbox=is_sandbox)
        for (is_sandbox, currency), by_day in sorted(found.items())
    )


async def arrivals(tx: Transaction, *, tenant_id: UUID, now: datetime) -> Arrivals:
    """Return the events of the last hour, minute by minute."""
    since = now.replace(second=0, microsecond=0) - timedelta(minutes=MINUTES - 1)
    floor = ids.least_at(since - _SLACK)
    by_minute: dict[datetime, dict[str, int]] = defaultdict(dict)
    by_status: dict[str, int] = defaultdict(int)
    for row in await tx.fetch(_ARRIVALS, tenant_id, floor, since):
        by_minute[row["minute"]][row["status"]] = row["events"]
        by_status[row["status"]] += row["events"]
    speed = await tx.fetchrow(_SPEED, tenant_id, floor)
    total = sum(by_status.values())
    minutes = [since + timedelta(minutes=n) for n in range(MINUTES)]
    order = ("applied", "ignored", "received", "failed", "dead")
    return Arrivals(
        total=total,
        by_status=tuple((status, by_status[status]) for status in order if by_status[status]),
        is_partial=total >= EVENTS_READ_MAX,
        median=speed["median"],
        slowest=speed["slowest"],
        chart=bar_chart(
            [
                Bar(
                    tuple(Part(by_minute[m].get(status, 0), status) for status in order),
                    f"{m:%H:%M} UTC: {sum(by_minute[m].values()):,} events",
                )
                for m in minutes
            ],
            width=360,
            height=48,
            label=f"Events received in each of the last {MINUTES} minutes, {total:,} in all",
        ),
    )


async def waiting(tx: Transaction, *, tenant_id: UUID) -> Waiting:
    row = await tx.fetchrow(_WAITING, tenant_id)
    is_partial = row["first_time"] + row["retries"] >= WAITING_READ_MAX
    return Waiting(row["first_time"], row["retries"], is_partial, row["oldest_at"])


async def unmatched(tx: Transaction, *, tenant_id: UUID) -> Unmatched:
    rows = await tx.fetch(_UNMATCHED, tenant_id)
    return Unmatched(
        count=sum(row["purchases"] for row in rows),
        amounts=tuple(Money(int(Decimal(row["amount_minor"])), row["currency"]) for row in rows if row["currency"]),
        oldest_at=min((row["oldest_at"] for row in rows), default=None),
    )


async def sweep(tx: Transaction, *, tenant_id: UUID) -> Sweep:
    row = await tx.fetchrow(_SWEEP, tenant_id)
    return Sweep(row["checked_at"], row["failures"]) if row else Sweep(None, 0)


def _takings(currency: str, by_day: dict[date, tuple[int, int]], *, days: list[date], is_sandbox: bool) -> Takings:
    bars = [
        Bar(
            (Part(by_day.get(day, (0, 0))[1], "taken-today" if day == days[-1] else "taken-before"),),
            f"{day:%a %d %b}: {Money(by_day.get(day, (0, 0))[1], currency)}, {by_day.get(day, (0, 0))[0]} payments",
        )
        for day in days
    ]
    payments_today, today_minor = by_day.get(days[-1], (0, 0))
    week = Money(sum(amount for _, amount in by_day.values()), currency)
    return Takings(
        today=Money(today_minor, currency),
        week=week,
        payments_today=payments_today,
        payments_week=sum(payments for payments, _ in by_day.values()),
        is_sandbox=is_sandbox,
        chart=bar_chart(bars, width=168, height=44, label=f"{week} received in the last {DAYS} days, day by day"),
    )
