"""Read a situation: four statements, one more where a membership is capped, and one where a coupon is given, however many rules ask."""

from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from bursar.apps.booking import coupons
from bursar.apps.booking.passes import POOLS, POOLS_HERE, Feature, features_of, memberships_among
from bursar.apps.booking.policies import Terms, terms_read
from bursar.apps.booking.rules.catalogue import BY_ID
from bursar.apps.booking.rules.models import (
    ClassFacts,
    CreditFacts,
    CustomerFacts,
    OwnBookings,
    Pays,
    Settings,
    Situation,
    Source,
)
from bursar.apps.booking.schedule import ClassNotFound
from bursar.kernel import ids
from bursar.kernel.db import Transaction
from bursar.money.customers import CustomerNotFound

CLASS: Final = f"""
select c.id, c.title, c.status, c.is_published, c.starts_at, c.ends_at, c.local_date, c.time_zone, c.capacity, c.held,
  c.booked, c.waiting, c.credit_cost, {POOLS_HERE} as pools,
  {POOLS} as class_pools, c.price_id is not null as has_price, c.requirements::text as requirements,
  u.id as customer_id, u.deleted_at is not null as is_deleted, coalesce(a.is_active, true) as is_active,
  coalesce(a.is_banned, false) as is_banned, a.waiver_signed_at, a.born_on, a.level, a.gender, a.dues_unpaid_since,
  (select min(f.created_at) from booking_fee f where f.tenant_id = $1 and f.customer_id = $3 and f.status = 'open') as fee_unpaid_since,
  (select coalesce(sum(b.seats), 0)::int from booking b where b.tenant_id = $1 and b.class_id = $2 and b.status = 'held'
    and b.held_until <= $4) as held_over,
  (select p.terms::text from booking_policy p where p.tenant_id = $1 and p.id = c.policy_id) as terms,
  (select p.terms::text from booking_policy p where p.tenant_id = $1 and p.is_default and p.deleted_at is null) as default_terms,
  (select jsonb_object_agg(r.rule, jsonb_build_array(r.is_on, r.parameters))::text from booking_rule r where r.tenant_id = $1) as rules
from class_instance c
left join customer u on u.tenant_id = c.tenant_id and u.id = $3
left join attendee a on a.tenant_id = u.tenant_id and a.customer_id = u.id
where c.tenant_id = $1 and c.id = $2 and c.status <> 'deleted'
"""

# Each part is one range of an index that begins with the customer: what others book costs nothing here.
OWN: Final = """
select
  (select b.number from booking b
   where b.tenant_id = $1 and b.class_id = $3 and b.customer_id = $2 and b.kind = 'class'
     and b.status in ('requested', 'held', 'booked', 'attended', 'no_show') and b.id is distinct from $10
     and (b.status <> 'held' or b.held_until > $7 and b.order_id is not null) limit 1) as booked,
  exists (select from booking b
   where b.tenant_id = $1 and b.class_id = $3 and b.customer_id = $2 and b.kind = 'class' and b.status = 'held' and b.held_until > $7
     and b.order_id is null) as has_offer,
  exists (select from booking b
   where b.tenant_id = $1 and b.class_id = $3 and b.customer_id = $2 and b.kind = 'class' and b.status = 'held' and b.held_until <= $7)
   as has_lapsed,
  (select b.number from booking b
   where b.tenant_id = $1 and b.customer_id = $2 and b.starts_at > $4::timestamptz - interval '25 hours' and b.starts_at < $5
     and b.ends_at > $4 and b.is_live and b.class_id is distinct from $3 and b.id is distinct from $10
   order by b.starts_at limit 1) as overlapping,
  week.on_day, week.in_week, ahead.to_come, ahead.credits_ahead, lately.offences,
  exists (select from booking b where b.tenant_id = $1 and b.customer_id = $2
    and b.status in ('requested', 'held', 'booked', 'attended', 'no_show') and b.class_id is distinct from $3
    and b.id is distinct from $10) as has_any,
  $8 and exists (select from booking b join class_instance c on c.tenant_id = b.tenant_id and c.id = b.class_id
    where b.tenant_id = $1 and b.customer_id = $2 and b.status in ('requested', 'held', 'booked', 'attended', 'no_show')
      and b.class_id is distinct from $3 and b.id is distinct from $10 and c.requirements -> 'intro' = 'true') as has_intro
from
  (select count(*) filter (where b.local_date = $6)::int as on_day, count(*)::int as in_week from booking b
   where b.tenant_id = $1 and b.customer_id = $2 and b.is_live and b.id is distinct from $10 and b.class_id is distinct from $3
     and b.starts_at > $4::timestamptz - interval '9 days' and b.starts_at < $4::timestamptz + interval '9 days'
     and b.local_date >= date_trunc('week', $6::date)::date and b.local_date < date_trunc('week', $6::date)::date + 7) as week,
  (select count(*)::int as to_come, coalesce(sum(b.credit_cost), 0)::int as credits_ahead from booking b
   where b.tenant_id = $1 and b.customer_id = $2 and b.starts_at > $7 and b.is_live and b.id is distinct from $10
     and b.class_id is distinct from $3) as ahead,
  (select count(*)::int as offences from booking b
   where b.tenant_id = $1 and b.customer_id = $2 and b.starts_at > $9 and b.starts_at <= $7::timestamptz + interval '90 days'
     and b.status in ('no_show', 'late_cancelled')) as lately
"""

_CREDITS: Final = """
select
  coalesce(sum(remaining) filter (where is_ours and not is_suspended and (expires_at is null or expires_at > $4)), 0)::bigint as usable,
  coalesce(sum(remaining) filter (where is_ours and not is_suspended and expires_at > $5 and expires_at <= $4), 0)::bigint as ending,
  coalesce(sum(remaining) filter (where is_ours and is_suspended and (expires_at is null or expires_at > $4)), 0)::bigint as suspended,
  coalesce(sum(remaining) filter (where not is_ours and not is_barred and not is_suspended and (expires_at is null or expires_at > $4)), 0)::bigint
    as elsewhere,
  coalesce(sum(remaining) filter (where is_barred and not is_suspended and (expires_at is null or expires_at > $4)), 0)::bigint as barred
from (
  select remaining, is_suspended, expires_at, pool = any($3::text[]) as is_ours, pool = any($6::text[]) as is_barred from credit_lot
  where tenant_id = $1 and customer_id = $2 and remaining > 0 and effective_at <= $4
  {returned}) as lot
"""

# What a booking that is given up gives back counts as if it were back: it pays for the one that takes its place. One lot is looked up
# after the other, whatever the tables' statistics say: a plan that reads all lots would be chosen where few bookings were made yet.
_RETURNED: Final = """
  union all
  select m.amount, l.is_suspended, l.expires_at, l.pool = any($3::text[]), l.pool = any($6::text[])
  from (
    select lot_id, -amount as amount from credit_movement
    where tenant_id = $1 and kind = 'spent' and spend_id = (select spend_id from booking where tenant_id = $1 and id = $7)
    offset 0
  ) as m,
  lateral (select is_suspended, expires_at, pool from credit_lot where tenant_id = $1 and id = m.lot_id offset 0) as l
"""
CREDITS: Final = _CREDITS.format(returned="")
CREDITS_AND_RETURNED: Final = _CREDITS.format(returned=_RETURNED)


async def situation(
    tx: Transaction,
    *,
    tenant_id: UUID,
    class_id: UUID,
    customer_id: UUID,
    seats: int,
    source: Source,
    now: datetime,
    pays: Pays = "auto",
    leaving: UUID | None = None,
    coupon: str | None = None,
) -> Situation:
    """Read what decides whether a customer may have seats in a class now.

    pays: `credits` where money may not stand in for them; `money` or `nothing` where none are asked for. leaving: a booking that is given
    up in the same act, and counts for nothing. coupon: a code that lessens the price; who gives one pays with money. Raises ClassNotFound, CustomerNotFound.
    """
    row = await tx.fetchrow(CLASS, tenant_id, class_id, customer_id, now)
    if row is None:
        raise ClassNotFound(f"there is no class {ids.show(ids.CLASS, class_id)}", hint="See GET /v1/classes.")
    if row["customer_id"] is None:
        shown = ids.show(ids.CUSTOMER, customer_id)
        raise CustomerNotFound(f"there is no customer {shown}", hint="Look customers up at GET /v1/customers.")
    a_class, chosen = _class(row), settings_read(row["rules"])
    used_at = max(a_class.starts_at, now)
    own = await _own(tx, tenant_id, customer_id, a_class=a_class, settings=chosen, now=now, leaving=leaving)
    whose = tenant_id, customer_id, list(a_class.pools), used_at, now, list(a_class.barred_pools)
    credits_row = await (
        tx.fetchrow(CREDITS_AND_RETURNED, *whose, leaving) if leaving else tx.fetchrow(CREDITS, *whose)
    )
    features = await features_of(tx, tenant_id=tenant_id, customer_id=customer_id, at=used_at)
    memberships = await memberships_among(
        tx,
        tenant_id=tenant_id,
        customer_id=customer_id,
        features=features,
        pools=a_class.pools,
        class_at=used_at,
        leaving=leaving,
    )
    offered = None
    if coupon:
        offered = await coupons.offered(
            tx, tenant_id=tenant_id, class_id=class_id, code=coupon, customer_id=customer_id
        )
    return Situation(
        now=now,
        source=source,
        pays="money" if coupon and pays == "auto" else pays,
        seats=seats,
        a_class=a_class,
        customer=_customer(row),
        settings=chosen,
        own=own,
        credits=CreditFacts(**dict(credits_row)),
        memberships=memberships,
        features=_held(features),
        terms=_terms(row),
        coupon=offered,
    )


def settings_read(told: str | None) -> Settings:
    """Return settings from rows as `{rule: [is_on, parameters]}`. A rule that is no more is left out."""
    found: dict[str, Any] = msgspec.json.decode(told) if told else {}
    return Settings({rule: (is_on, values) for rule, (is_on, values) in found.items() if rule in BY_ID})


async def _own(
    tx: Transaction,
    tenant_id: UUID,
    customer_id: UUID,
    *,
    a_class: ClassFacts,
    settings: Settings,
    now: datetime,
    leaving: UUID | None,
) -> OwnBookings:
    days = int(settings.values(BY_ID["offences"])["days"])
    row = await tx.fetchrow(
        OWN,
        tenant_id,
        customer_id,
        a_class.id,
        a_class.starts_at,
        a_class.ends_at,
        a_class.local_date,
        now,
        a_class.requirements.get("intro") is True,
        now - timedelta(days=days),
        leaving,
    )
    return OwnBookings(**dict(row))


def _class(row: Any) -> ClassFacts:
    names = ClassFacts.__dataclass_fields__.keys()
    told = {name: row[name] for name in names if name != "barred_pools"}
    pools = tuple(row["pools"])
    barred = tuple(each for each in row["class_pools"] if each not in pools)
    requirements = msgspec.json.decode(row["requirements"])
    return ClassFacts(**told | {"pools": pools, "barred_pools": barred, "requirements": requirements})


def _terms(row: Any) -> Terms:
    told = row["terms"] or row["default_terms"]
    return terms_read(told) if told else Terms()


def _customer(row: Any) -> CustomerFacts:
    told = {name: row[name] for name in CustomerFacts.__dataclass_fields__ if name != "id"}
    return CustomerFacts(id=row["customer_id"], **told)


def _held(features: tuple[Feature, ...]) -> frozenset[str]:
    return frozenset(each.key for each in features if not each.is_suspended)
