"""Take a coupon for a booking, and give it back. Counted by one guarded statement, with a constraint behind it.

The coupon's row is the last that a booking locks; who holds it counts what one customer has taken of it.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from bursar.apps.booking.coupons.judging import Offered
from bursar.kernel.db import Transaction
from bursar.kernel.errors import Conflict


class CouponUsedUp(Conflict):
    """The coupon was taken as often as it may be, by everybody or by this customer."""

    code = "coupon_used_up"


_OFFERED: Final = """
select k.id as coupon_id, coalesce(k.is_on, false) as is_on, k.percent, k.amount_minor, k.currency, k.valid_from, k.valid_until, k.uses_max,
  coalesce(k.used, 0) as used, k.uses_per_customer,
  (select count(*)::int from coupon_redemption r
   where r.tenant_id = $1 and r.coupon_id = k.id and r.customer_id = $4 and r.released_at is null) as used_by_customer,
  coalesce((cardinality(k.class_ids) = 0 and cardinality(k.template_ids) = 0)
    or c.id = any(k.class_ids) or c.template_id = any(k.template_ids), false) as is_meant,
  p.amount_minor as price_minor, p.currency as price_currency
from class_instance c
left join price p on p.tenant_id = c.tenant_id and p.id = c.price_id
left join coupon k on k.tenant_id = c.tenant_id and k.code = $3
where c.tenant_id = $1 and c.id = $2
"""

# is_again ($4): a booking takes up what it had given back, so that only the limits count.
_TAKE: Final = """
update coupon set used = used + 1
where tenant_id = $1 and id = $2 and (uses_max is null or used < uses_max)
  and ($4 or (is_on and (valid_until is null or valid_until > $3)))
returning uses_per_customer
"""

_WRITE: Final = """
insert into coupon_redemption as r (tenant_id, booking_id, coupon_id, customer_id, discount_minor, currency)
select $1, $2, $3, $4, $5, $6
where $7::integer is null or $7 > (select count(*) from coupon_redemption o
  where o.tenant_id = $1 and o.coupon_id = $3 and o.customer_id = $4 and o.released_at is null)
on conflict (tenant_id, booking_id) do update set released_at = null where r.released_at is not null and r.coupon_id = excluded.coupon_id
returning 1
"""

_LOCK: Final = """
select id from coupon where tenant_id = $1 and id in (
  select coupon_id from coupon_redemption where tenant_id = $1 and booking_id = any($2::uuid[]) and released_at is null)
order by id for no key update
"""

_RELEASE: Final = """
with given as (
  update coupon_redemption set released_at = $3
  where tenant_id = $1 and booking_id = any($2::uuid[]) and released_at is null
  returning coupon_id
)
update coupon as c set used = c.used - n.count
from (select coupon_id, count(*) as count from given group by coupon_id) as n
where c.tenant_id = $1 and c.id = n.coupon_id
"""

_CARRY: Final = "update coupon_redemption set booking_id = $3 where tenant_id = $1 and booking_id = $2"


async def offered(
    tx: Transaction, *, tenant_id: UUID, class_id: UUID, code: str, customer_id: UUID | None
) -> Offered | None:
    """Return what a code is worth for a class; None where there is no such class. customer_id: None: nobody known yet."""
    row = await tx.fetchrow(_OFFERED, tenant_id, class_id, code.upper(), customer_id)
    return Offered(code.upper(), **dict(row)) if row else None


async def redeem(
    tx: Transaction,
    *,
    tenant_id: UUID,
    coupon_id: UUID,
    booking_id: UUID,
    customer_id: UUID,
    discount_minor: int,
    currency: str,
    now: datetime,
    is_again: bool = False,
) -> None:
    """Take a coupon for a booking that is there. is_again: the booking had it, and gave it back. Raises CouponUsedUp."""
    taken = await tx.fetchrow(_TAKE, tenant_id, coupon_id, now, is_again)
    if taken is not None:
        told: tuple[Any, ...] = (booking_id, coupon_id, customer_id, discount_minor, currency)
        if await tx.fetchval(_WRITE, tenant_id, *told, taken["uses_per_customer"]):
            return
    raise CouponUsedUp(
        "the coupon was taken as often as it may be", hint="Book without it, or with another one. Nothing was taken."
    )


async def release(tx: Transaction, *, tenant_id: UUID, booking_ids: Sequence[UUID], now: datetime) -> None:
    """Give back the coupons of bookings that came to nothing. Once more changes nothing."""
    if booking_ids and await tx.fetch(_LOCK, tenant_id, list(booking_ids)):
        await tx.execute(_RELEASE, tenant_id, list(booking_ids), now)


async def carry(tx: Transaction, *, tenant_id: UUID, booking_id: UUID, to: UUID) -> None:
    """Let a booking's coupon be that of the booking which took its place."""
    await tx.execute(_CARRY, tenant_id, booking_id, to)
