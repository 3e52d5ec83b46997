"""How many of the checkouts that were started were paid: by offer and by day, as of now.

A cohort is the checkouts that were started here within a period, whatever became of them later. Each has one outcome:

- paid: money came, and whatever was given back later does not change it;
- free: it was completed and nothing was to be paid, as where a trial begins;
- open: it may still be paid: the gateway has not made the page yet, or the page has not ended, or the money is on its way;
- lost: the page ended and nobody paid, or the payment failed after it. A gateway that does not say when the page ends closes it after a day;
- refused: the gateway did not make the page, so that no customer ever saw it.

The rate of conversion is paid and free among paid, free and lost: what is open is not yet lost, and what was refused was never opened.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from bursar.kernel import ids
from bursar.kernel.db import Transaction
from bursar.kernel.zones import Days
from bursar.money.reports.counting import SANDBOX, ByDay, ByOffer, most_first, share, totals_of
from bursar.money.reports.schemas import (
    CheckoutConversion,
    ConversionOfDay,
    ConversionOfOffer,
    ConversionTotal,
    Period,
    ReportTooLarge,
)
from bursar.money.reports.sold import described

CHECKOUTS_MAX: Final = 200_000
"""Checkouts of one report at most; with more, a shorter period is asked for."""
OUTCOMES: Final = ("paid", "free", "open", "lost", "refused")

_SILENT_GATEWAYS: Final = ["dodo"]
"""Those that never tell of the page itself: what names its order says whether it was paid."""
_CLOCKS_APART: Final = timedelta(days=1)
"""How long before it was started the id of a checkout may have been made."""

_SILENT = "select id from gateway_account where tenant_id = $1 and gateway = any($2::text[])"

# Whatever was paid for a checkout was touched since it was started, so that old purchases are not read.
_CLAIMED = """
select o.named, bool_or(o.is_paid) as is_paid
from (
  select g.state -> 'claim' ->> 'order' as named, true as is_paid
  from (
    select id from purchase where tenant_id = $1 and touched_at >= $3 and gateway_account_id = any($2::uuid[]) and is_paid offset 0
  ) u
  join gateway_object g on g.tenant_id = $1 and g.purchase_id = u.id
  union all
  select g.state -> 'claim' ->> 'order', false
  from subscription b
  join gateway_object g on g.tenant_id = b.tenant_id and g.gateway_account_id = b.gateway_account_id and g.kind = 'subscription'
    and g.ref = b.gateway_ref
  where b.tenant_id = $1 and b.gateway_account_id = any($2::uuid[]) and b.has_begun and b.created_at >= $3
) o where o.named is not null group by o.named
"""

# The ids, which are made in the order of time, bound what is read; the instant decides.
_JUDGED = """
judged as materialized (
  select c.gateway_account_id, c.order_id, c.created_at,
    case
      when k.state = 'refused' then 'refused'
      when s.payment_status = 'paid' or c.order_id = any($8::uuid[]) then 'paid'
      when s.status = 'complete' and s.payment_status = 'no_payment_required' or c.order_id = any($9::uuid[]) then 'free'
      when s.status = 'complete' and s.payment_status = 'unpaid' then 'open'
      when s.status in ('complete', 'expired') then 'lost'
      when coalesce(s.expires_at, c.expires_at, c.created_at + interval '1 day') <= $7 then 'lost'
      else 'open'
    end as outcome
  from checkout c
  join gateway_call k on k.tenant_id = c.tenant_id and k.id = c.call_id
  left join checkout_session s
    on s.tenant_id = c.tenant_id and s.gateway_account_id = c.gateway_account_id and s.gateway_ref = k.ref
  where c.tenant_id = $1 and c.id >= $2 and c.id < $3 and c.created_at >= $4 and c.created_at < $5 and c.mode <> 'setup'
    and ($6::uuid is null or c.gateway_account_id = $6)
  limit $10
)
"""

# A checkout that sells several things is one checkout of the day, and one of each thing.
_COHORT = f"""
with {_JUDGED}, narrowed as materialized (
  select j.gateway_account_id, j.created_at, j.outcome, o.lines
  from judged j join customer_order o on o.tenant_id = $1 and o.id = j.order_id
  where $12::text is null or o.lines @> jsonb_build_array(jsonb_build_object('price', $12::text))
)
select width_bucket(n.created_at, $11::timestamptz[]) as day, null as price, a.gateway = '{SANDBOX}' as is_sandbox, n.outcome, count(*) as checkouts
from narrowed n join gateway_account a on a.tenant_id = $1 and a.id = n.gateway_account_id
group by 1, 3, 4
union all
select null, l.price, a.gateway = '{SANDBOX}', n.outcome, count(*)
from narrowed n join gateway_account a on a.tenant_id = $1 and a.id = n.gateway_account_id
cross join lateral (select distinct line ->> 'price' as price from jsonb_array_elements(n.lines) as line) l
where $12::text is null or l.price = $12
group by 2, 3, 4
union all
select null, null, null, null, count(*) from judged
"""

_BY_GATEWAY = f"""
with {_JUDGED}
select a.gateway, j.outcome, count(*) as checkouts
from judged j join gateway_account a on a.tenant_id = $1 and a.id = j.gateway_account_id
group by a.gateway, j.outcome
"""


@dataclass(frozen=True, slots=True)
class _Cohort:
    """Which checkouts are asked about. account_id: only those of this one."""

    tenant_id: UUID
    starts_at: datetime
    ends_at: datetime
    account_id: UUID | None
    now: datetime


async def checkout_conversion(
    tx: Transaction,
    *,
    tenant_id: UUID,
    days: Days,
    now: datetime,
    account_id: UUID | None = None,
    price_id: UUID | None = None,
) -> CheckoutConversion:
    """Return what became of the checkouts of these days. account_id, price_id: only of this one. Raises ReportTooLarge."""
    asked = await _asked(tx, _Cohort(tenant_id, days.starts_at, days.ends_at, account_id, now), CHECKOUTS_MAX + 1)
    wanted = ids.show(ids.PRICE, price_id) if price_id else None
    rows = await tx.fetch(_COHORT, *asked, days.bounds[:-1], wanted)
    by_offer: ByOffer = defaultdict(Counter)
    by_day: ByDay = defaultdict(Counter)
    for row in rows:
        if row["outcome"] is None:
            _require_all(row["checkouts"])
        elif row["day"] is None:
            by_offer[row["is_sandbox"], ids.parsed_or_none(ids.PRICE, row["price"])][row["outcome"]] += row["checkouts"]
        else:
            by_day[row["day"], row["is_sandbox"]][row["outcome"]] += row["checkouts"]
    sold = await described(tx, tenant_id=tenant_id, price_ids=[price for _, price in by_offer if price])
    return CheckoutConversion(
        period=Period.of_days(days),
        data=[
            ConversionOfOffer(offer=sold.get(price) if price else None, is_sandbox=is_sandbox, **_funnel(counted))
            for is_sandbox, price, counted in most_first(by_offer)
        ],
        by_day=[
            ConversionOfDay(day=days.days[day - 1], is_sandbox=is_sandbox, **_funnel(counted))
            for (day, is_sandbox), counted in sorted(by_day.items())
        ],
        totals=[
            ConversionTotal(is_sandbox=is_sandbox, **_funnel(counted)) for is_sandbox, counted in totals_of(by_day)
        ],
    )


async def checkouts_by_gateway(
    tx: Transaction, *, tenant_id: UUID, since: datetime, now: datetime, limit: int
) -> dict[tuple[str, str], int]:
    """Return how many checkouts that were started since have which outcome, by gateway and outcome. limit: of those counted."""
    asked = await _asked(tx, _Cohort(tenant_id, since, now, None, now), limit)
    return {(row["gateway"], row["outcome"]): row["checkouts"] for row in await tx.fetch(_BY_GATEWAY, *asked)}


def _funnel(counted: Counter[str]) -> dict[str, Any]:
    """Return the outcomes of a cohort with its rate of conversion, as the fields of a `Conversion`."""
    won, lost = counted["paid"] + counted["free"], counted["lost"]
    return {
        "started": counted.total(),
        **{outcome: counted[outcome] for outcome in OUTCOMES},
        "conversion_rate": share(won, won + lost),
    }


async def _asked(tx: Transaction, cohort: _Cohort, limit: int) -> tuple[object, ...]:
    """Return the first ten parameters of the statements that judge a cohort."""
    paid, free = await _claimed(tx, cohort)
    least, end = ids.least_at(cohort.starts_at - _CLOCKS_APART), ids.least_at(cohort.ends_at + _CLOCKS_APART)
    bounds = (least, end, cohort.starts_at, cohort.ends_at)
    return (cohort.tenant_id, *bounds, cohort.account_id, cohort.now, paid, free, limit)


async def _claimed(tx: Transaction, cohort: _Cohort) -> tuple[list[UUID], list[UUID]]:
    """Return the orders that were paid, and those for which something began, at gateways that do not tell of their pages."""
    silent = [row["id"] for row in await tx.fetch(_SILENT, cohort.tenant_id, _SILENT_GATEWAYS)]
    rows = await tx.fetch(_CLAIMED, cohort.tenant_id, silent, cohort.starts_at) if silent else ()
    named = [(ids.parsed_or_none(ids.ORDER, row["named"]), row["is_paid"]) for row in rows]
    return [o for o, is_paid in named if o and is_paid], [o for o, is_paid in named if o and not is_paid]


def _require_all(judged: int) -> None:
    """Refuse what was not read to its end. Raises ReportTooLarge."""
    if judged > CHECKOUTS_MAX:
        raise ReportTooLarge(f"these are more than {CHECKOUTS_MAX} checkouts", hint="Ask for fewer days.")
