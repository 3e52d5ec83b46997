"""Figures of the business, over all tenants, taken by a job every five minutes: whoever watches reads a small table.

No tenant is a label: figures are sums by gateway, currency and state, so they are as many for ten tenants as for ten thousand.
"""

from collections import defaultdict
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final
from uuid import UUID

from bursar.kernel import ids, jobs, tenancy
from bursar.kernel.db import Database, Transaction
from bursar.money.reports import MONTHS, checkouts_by_gateway, trials_by_gateway

TAKE: Final = "health.take_figures"
DAY: Final = timedelta(days=1)
MONTH: Final = timedelta(days=30)
HOUR: Final = timedelta(hours=1)
EVENTS_MAX: Final = 100_000
"""Events of one tenant's last hour that are counted at most."""
CHECKOUTS_MAX: Final = 100_000
"""Checkouts of one tenant's last thirty days that are counted at most."""

_Labels = tuple[str, str, str]
"""The name of a figure and its two labels."""
_Since = tuple[datetime, datetime, UUID, UUID, datetime]
"""A day and a month ago; the least ids of a day and of an hour ago; now."""

# List prices: discounts and quantities are the gateway's, and are not known for all of them.
_BUSINESS = f"""
select 'subscriptions' as name, status as label, '' as other_label, count(*)::numeric as value
from subscription where tenant_id = $1 group by status
union all
select 'mrr_minor', p.currency, '', sum(p.amount_minor / p.interval_count::numeric * {MONTHS})
from subscription s join price p on p.tenant_id = s.tenant_id and p.id = s.price_id
where s.tenant_id = $1 and s.status in ('active', 'past_due') and p.interval is not null group by p.currency
union all
select f.name, m.currency, m.interval, f.value
from (
  select p.currency, p.interval, count(*)::numeric as subscriptions, sum(p.amount_minor / p.interval_count::numeric * {MONTHS}) as mrr
  from subscription s join price p on p.tenant_id = s.tenant_id and p.id = s.price_id
  where s.tenant_id = $1 and s.status in ('active', 'past_due') and p.interval is not null group by p.currency, p.interval
) m cross join lateral (values ('plan_subscriptions', m.subscriptions), ('plan_mrr_minor', m.mrr)) as f (name, value)
union all
select f.name, '', '', f.value
from (
  select count(*) as begun, count(*) filter (where r.over_at >= $3 and r.over_at <= $6) as lost
  from (
    select coalesce(ended_at, case when status = 'canceled' then canceled_at end) as over_at from subscription
    where tenant_id = $1 and created_at < $3 and status <> 'incomplete' and (trial_end is null or trial_end <= $3)
  ) r where r.over_at is null or r.over_at >= $3
) s cross join lateral (values ('subscriptions_month_begun', s.begun), ('subscriptions_month_lost', s.lost)) as f (name, value)
union all
select 'mrr_month_lost_minor', p.currency, '', sum(p.amount_minor / p.interval_count::numeric * {MONTHS})
from subscription s join price p on p.tenant_id = s.tenant_id and p.id = s.price_id
where s.tenant_id = $1 and s.created_at < $3 and (s.trial_end is null or s.trial_end <= $3) and p.interval is not null
  and coalesce(s.ended_at, case when s.status = 'canceled' then s.canceled_at end) between $3 and $6
group by p.currency
union all
select 'payments_day', a.gateway, t.status, sum(t.payments)
from payment_tally t join gateway_account a on a.tenant_id = t.tenant_id and a.id = t.gateway_account_id
where t.tenant_id = $1 and t.quarter >= $2 group by a.gateway, t.status
union all
select 'captured_day_minor', t.currency, '', sum(t.amount_minor)
from payment_tally t where t.tenant_id = $1 and t.quarter >= $2 and t.status = 'succeeded' group by t.currency
union all
select 'payments_month', a.gateway, '', sum(t.payments)
from payment_tally t join gateway_account a on a.tenant_id = t.tenant_id and a.id = t.gateway_account_id
where t.tenant_id = $1 and t.quarter >= $3 and t.status = 'succeeded' group by a.gateway
union all
select 'disputes_month', a.gateway, '', count(*)
from dispute d join gateway_account a on a.tenant_id = d.tenant_id and a.id = d.gateway_account_id
where d.tenant_id = $1 and d.created_at >= $3 and not d.is_inquiry group by a.gateway
union all
select 'calls_day', a.gateway, c.state, count(*)
from gateway_call c join gateway_account a on a.tenant_id = c.tenant_id and a.id = c.gateway_account_id
where c.tenant_id = $1 and c.id >= $4 group by a.gateway, c.state
union all
select 'events_hour', e.gateway, case when exists (select from gateway_event_dead d where d.tenant_id = $1 and d.event_id = e.id) then 'dead'
    when exists (select from gateway_event_outcome o where o.tenant_id = $1 and o.event_id = e.id) then 'applied' else 'waiting' end as state, count(*)
from (
  select v.id, a.gateway from gateway_event v join gateway_account a on a.tenant_id = v.tenant_id and a.id = v.gateway_account_id
  where v.tenant_id = $1 and v.id >= $5 limit {EVENTS_MAX}
) as e group by e.gateway, state
"""

_WRITE = """
insert into installation_figure (name, label, other_label, value, taken_at)
select name, label, other_label, value, clock_timestamp()
from unnest($1::text[], $2::text[], $3::text[], $4::numeric[]) as f (name, label, other_label, value)
on conflict (name, label, other_label) do update set value = excluded.value, taken_at = excluded.taken_at
"""
_CLEAR = "delete from installation_figure"


async def take_figures(work: jobs.Work) -> None:
    """Sum up every tenant and write the sums down in place of the last ones."""
    held = work.resources
    sums = await summed(held.db, now=held.now())
    async with held.db.engine() as tx:
        await tx.execute(_CLEAR)
        rows = [(*labels, value) for labels, value in sorted(sums.items())]
        await tx.execute(_WRITE, *map(list, zip(*rows, strict=True)))


async def summed(db: Database, *, now: datetime) -> dict[_Labels, Decimal]:
    """Return the sums over all tenants, each of whom is asked in a transaction of its own."""
    sums: defaultdict[_Labels, Decimal] = defaultdict(Decimal)
    since = (now - DAY, now - MONTH, ids.least_at(now - DAY), ids.least_at(now - HOUR), now)
    sums["tenants", "", ""] = Decimal(0)
    async for tenant_id in tenancy.every_tenant(db):
        async with db.tenant(tenant_id) as tx:
            for labels, value in (await _of_tenant(tx, tenant_id, since)).items():
                sums[labels] += value
        sums["tenants", "", ""] += 1
    yearly = {
        ("arr_minor", currency, ""): 12 * value for (name, currency, _), value in sums.items() if name == "mrr_minor"
    }
    return {**sums, **yearly}


async def _of_tenant(tx: Transaction, tenant_id: UUID, since: _Since) -> dict[_Labels, Decimal]:
    _, month, _, _, now = since
    found = {
        (row["name"], row["label"], row["other_label"]): row["value"]
        for row in await tx.fetch(_BUSINESS, tenant_id, *since)
    }
    checkouts = await checkouts_by_gateway(tx, tenant_id=tenant_id, since=month, now=now, limit=CHECKOUTS_MAX)
    trials = await trials_by_gateway(tx, tenant_id=tenant_id, since=month, now=now)
    found |= {("checkouts_month", *labels): Decimal(count) for labels, count in checkouts.items()}
    return found | {("trials_month", *labels): Decimal(count) for labels, count in trials.items()}


KINDS: Final = (jobs.Kind(TAKE, take_figures, attempts_max=2, lease_s=300, at_once_max=1),)
SCHEDULES: Final = (jobs.Schedule("health.figures", "*/5 * * * *", TAKE, per="installation"),)
