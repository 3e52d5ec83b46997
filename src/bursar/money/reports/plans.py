"""What is subscribed to, as of now: recurring revenue by plan and its share, and how much of it was lost within thirty days.

Recurring revenue is list prices of active and past-due subscriptions, brought to a month: neither discounts nor quantities, which are the
gateway's and are not known for all of them. A year is twelve months. Each plan's is rounded to the currency's smallest unit, and sums are
sums of what is shown. A trial brings nothing yet.
"""

from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Final
from uuid import UUID

from bursar.kernel.db import Transaction
from bursar.money.reports.counting import SANDBOX, share
from bursar.money.reports.schemas import ROWS_MAX, Churn, PlanMix, PlanShare, RecurringRevenue, ReportTooLarge
from bursar.money.reports.sold import MONTHS, described

MONTH: Final = timedelta(days=30)

_STANDING = f"""
with standing as materialized (
  select price_id, gateway_account_id, status, count(*) as subscriptions
  from subscription where tenant_id = $1 and status in ('active', 'past_due', 'trialing') group by price_id, gateway_account_id, status
)
select s.price_id, a.gateway = '{SANDBOX}' as is_sandbox, p.currency,
  coalesce(sum(s.subscriptions) filter (where s.status = 'active'), 0)::bigint as active,
  coalesce(sum(s.subscriptions) filter (where s.status = 'past_due'), 0)::bigint as past_due,
  coalesce(sum(s.subscriptions) filter (where s.status = 'trialing'), 0)::bigint as trialing,
  case when p.interval is not null then
    coalesce(sum(s.subscriptions) filter (where s.status <> 'trialing'), 0) * p.amount_minor / p.interval_count::numeric * {MONTHS}
  end as mrr
from standing s
join gateway_account a on a.tenant_id = $1 and a.id = s.gateway_account_id
left join price p on p.tenant_id = $1 and p.id = s.price_id
group by s.price_id, a.gateway = '{SANDBOX}', p.currency, p.amount_minor, p.interval, p.interval_count
limit $2
"""

# Those that ran, past their trial, when the month began, and what of them ended since.
_CHURN = f"""
select a.gateway = '{SANDBOX}' as is_sandbox, count(*) as begun, count(*) filter (where r.over_at <= $3) as lost
from (
  select gateway_account_id, coalesce(ended_at, case when status = 'canceled' then canceled_at end) as over_at
  from subscription
  where tenant_id = $1 and created_at < $2 and status <> 'incomplete' and (trial_end is null or trial_end <= $2)
) r
join gateway_account a on a.tenant_id = $1 and a.id = r.gateway_account_id
where r.over_at is null or r.over_at >= $2
group by 1 order by 1
"""


async def plan_mix(tx: Transaction, *, tenant_id: UUID, now: datetime) -> PlanMix:
    """Return what is subscribed to, the plan that brings most first. Raises ReportTooLarge."""
    rows = await tx.fetch(_STANDING, tenant_id, ROWS_MAX + 1)
    if len(rows) > ROWS_MAX:
        raise ReportTooLarge(f"these are more than {ROWS_MAX} plans", hint="Read them by list: GET /v1/subscriptions.")
    sold = await described(tx, tenant_id=tenant_id, price_ids=[row["price_id"] for row in rows if row["price_id"]])
    totals: dict[tuple[bool, str], int] = {}
    for row in rows:
        if row["currency"]:
            kind = row["is_sandbox"], row["currency"]
            totals[kind] = totals.get(kind, 0) + (_minor(row["mrr"]) or 0)
    plans = [
        PlanShare(
            offer=sold.get(row["price_id"]),
            is_sandbox=row["is_sandbox"],
            active=row["active"],
            past_due=row["past_due"],
            trialing=row["trialing"],
            mrr_minor=_minor(row["mrr"]),
            mrr_share=_share_of(row, totals),
        )
        for row in rows
    ]
    churn = await tx.fetch(_CHURN, tenant_id, now - MONTH, now)
    return PlanMix(
        at=now,
        data=sorted(plans, key=_order),
        totals=[
            RecurringRevenue(
                is_sandbox=is_sandbox,
                currency=currency,
                subscriptions=sum(p.active + p.past_due for p in plans if _kind(p) == (is_sandbox, currency)),
                mrr_minor=minor,
                arr_minor=12 * minor,
            )
            for (is_sandbox, currency), minor in sorted(totals.items())
        ],
        churn=[
            Churn(
                is_sandbox=row["is_sandbox"],
                since=now - MONTH,
                begun=row["begun"],
                lost=row["lost"],
                rate=share(row["lost"], row["begun"]),
            )
            for row in churn
        ],
    )


def _minor(mrr: Decimal | None) -> int | None:
    return None if mrr is None else int(mrr.to_integral_value(ROUND_HALF_EVEN))


def _share_of(row: Any, totals: dict[tuple[bool, str], int]) -> str | None:
    minor = _minor(row["mrr"])
    return None if minor is None else share(minor, totals[row["is_sandbox"], row["currency"]])


def _kind(plan: PlanShare) -> tuple[bool, str | None]:
    return plan.is_sandbox, plan.offer.currency if plan.offer else None


def _order(plan: PlanShare) -> tuple[bool, bool, str, int, int]:
    running = plan.active + plan.past_due + plan.trialing
    currency = plan.offer.currency if plan.offer else ""
    return plan.is_sandbox, plan.offer is None, currency, -(plan.mrr_minor or 0), -running
