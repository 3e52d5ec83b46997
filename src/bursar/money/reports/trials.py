"""How many trials were paid: by what was tried and by day, as of now.

A trial counts on the day on which it ends, or was to end. It is paid once money came for its subscription from that instant on; lost
when the subscription ended without; and open as long as it runs, or goes on without having paid yet. Paid among paid and lost is the rate.
"""

from collections import Counter, defaultdict
from datetime import datetime
from typing import Any
from uuid import UUID

from bursar.kernel.db import Transaction
from bursar.kernel.zones import Days
from bursar.money.reports.counting import SANDBOX, ByDay, ByOffer, most_first, share, totals_of
from bursar.money.reports.schemas import (
    Period,
    TrialConversion,
    TrialsOfDay,
    TrialsOfOffer,
    TrialTotal,
)
from bursar.money.reports.sold import described

_JUDGED = """
judged as materialized (
  select s.price_id, s.gateway_account_id, s.trial_end,
    case
      when exists (
        select from purchase u
        where u.tenant_id = s.tenant_id and u.gateway_account_id = s.gateway_account_id and u.subscription_ref = s.gateway_ref
          and u.is_paid and u.paid_minor > 0 and u.paid_at >= s.trial_end
      ) then 'paid'
      when s.status = 'canceled' then 'lost'
      else 'open'
    end as outcome
  from subscription s
  where s.tenant_id = $1 and s.trial_end is not null and s.trial_end >= $2 and s.trial_end < $3 and s.trial_end > s.created_at
    and s.status <> 'incomplete'
)
"""

_COHORT = f"""
with {_JUDGED}
select j.price_id, width_bucket(j.trial_end, $4::timestamptz[]) as day, a.gateway = '{SANDBOX}' as is_sandbox, j.outcome, count(*) as trials
from judged j join gateway_account a on a.tenant_id = $1 and a.id = j.gateway_account_id
where $5::uuid is null or j.gateway_account_id = $5
group by 1, 2, 3, 4
"""

_BY_GATEWAY = f"""
with {_JUDGED}
select a.gateway, j.outcome, count(*) as trials
from judged j join gateway_account a on a.tenant_id = $1 and a.id = j.gateway_account_id
group by a.gateway, j.outcome
"""


async def trial_conversion(
    tx: Transaction, *, tenant_id: UUID, days: Days, account_id: UUID | None = None
) -> TrialConversion:
    """Return what became of the trials that end within these days. account_id: only of this one."""
    rows = await tx.fetch(_COHORT, tenant_id, days.starts_at, days.ends_at, days.bounds[:-1], account_id)
    by_offer: ByOffer = defaultdict(Counter)
    by_day: ByDay = defaultdict(Counter)
    for row in rows:
        by_offer[row["is_sandbox"], row["price_id"]][row["outcome"]] += row["trials"]
        by_day[row["day"], row["is_sandbox"]][row["outcome"]] += row["trials"]
    sold = await described(tx, tenant_id=tenant_id, price_ids=[price for _, price in by_offer if price])
    return TrialConversion(
        period=Period.of_days(days),
        data=[
            TrialsOfOffer(offer=sold.get(price) if price else None, is_sandbox=is_sandbox, **_funnel(counted))
            for is_sandbox, price, counted in most_first(by_offer)
        ],
        by_day=[
            TrialsOfDay(day=days.days[day - 1], is_sandbox=is_sandbox, **_funnel(counted))
            for (day, is_sandbox), counted in sorted(by_day.items())
        ],
        totals=[TrialTotal(is_sandbox=is_sandbox, **_funnel(counted)) for is_sandbox, counted in totals_of(by_day)],
    )


async def trials_by_gateway(
    tx: Transaction, *, tenant_id: UUID, since: datetime, now: datetime
) -> dict[tuple[str, str], int]:
    """Return how many trials that ended since have which outcome, by gateway and outcome."""
    rows = await tx.fetch(_BY_GATEWAY, tenant_id, since, now)
    return {(row["gateway"], row["outcome"]): row["trials"] for row in rows}


def _funnel(counted: Counter[str]) -> dict[str, Any]:
    told = {"ended": counted.total(), "paid": counted["paid"], "open": counted["open"], "lost": counted["lost"]}
    return told | {"conversion_rate": share(counted["paid"], counted["paid"] + counted["lost"])}
