"""Memberships that pay for classes: a feature `<pool>-unlimited` pays for one seat in any class that takes credits of that pool.

A feature with a limit is capped: so many classes in each period of its own, counted by when the classes begin. What was cancelled in
time does not count. Counted under the lock of the customer's attendee row, so that parallel bookings cannot both be the last.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from bursar.kernel.db import Transaction
from bursar.money.fulfilment.durations import parse_duration

SUFFIX: Final = "-unlimited"
_PERIODS_MAX: Final = 200_000


@dataclass(frozen=True, slots=True)
class Feature:
    """Something that a customer has when a class begins."""

    entitlement_id: UUID
    key: str
    amount_max: int | None
    per: str | None
    starts_at: datetime
    is_suspended: bool


@dataclass(frozen=True, slots=True)
class Membership:
    """A feature that pays for classes of a pool. amount_max: None is unlimited. used: in the period from `since` until `until`."""

    entitlement_id: UUID
    feature: str
    pool: str
    amount_max: int | None
    used: int
    since: datetime
    until: datetime | None
    is_suspended: bool

    @property
    def has_room(self) -> bool:
        return not self.is_suspended and (self.amount_max is None or self.used < self.amount_max)


FEATURES: Final = """
select id as entitlement_id, key, amount_max, per, starts_at, status = 'suspended' as is_suspended
from entitlement
where tenant_id = $1 and customer_id = $2 and kind = 'feature' and status in ('active', 'suspended')
  and starts_at <= $3 and (ends_at is null or ends_at > $3)
order by id limit 200
"""

USED: Final = """
select u.place, count(b.id)::int as used
from unnest($3::int[], $4::text[], $5::timestamptz[], $6::timestamptz[]) as u (place, pool, since, until)
join booking b on b.tenant_id = $1 and b.customer_id = $2 and b.starts_at >= u.since and b.starts_at < coalesce(u.until, 'infinity')
  and b.paid_with = 'membership' and (b.is_live or b.status = 'late_cancelled') and b.id is distinct from $7
join class_instance c on c.tenant_id = b.tenant_id and c.id = b.class_id
where u.pool = any(case when cardinality(c.pools) = 0 then '{default}' else c.pools end)
group by u.place
"""


async def features_of(tx: Transaction, *, tenant_id: UUID, customer_id: UUID, at: datetime) -> tuple[Feature, ...]:
    """Return the features that a customer has at an instant, those that are suspended too."""
    return tuple(Feature(**dict(row)) for row in await tx.fetch(FEATURES, tenant_id, customer_id, at))


async def memberships_among(
    tx: Transaction,
    *,
    tenant_id: UUID,
    customer_id: UUID,
    features: tuple[Feature, ...],
    pools: tuple[str, ...],
    class_at: datetime,
    leaving: UUID | None = None,
) -> tuple[Membership, ...]:
    """Return which of the features pay for a class of these pools, the pools' order kept, unlimited ones first.

    leaving: a booking that is given up in the same act, and does not count.
    """
    order = {f"{pool}{SUFFIX}": place for place, pool in enumerate(pools)}
    paying = sorted(
        (each for each in features if each.key in order),
        key=lambda each: (each.amount_max is not None, order[each.key], each.entitlement_id),
    )
    periods = [period_of(each, class_at) for each in paying]
    used: dict[int, int] = {}
    if any(each.amount_max is not None for each in paying):
        names = [each.key.removesuffix(SUFFIX) for each in paying]
        since, until = [start for start, _ in periods], [end for _, end in periods]
        rows = await tx.fetch(USED, tenant_id, customer_id, list(range(len(paying))), names, since, until, leaving)
        used = {row["place"]: row["used"] for row in rows}
    return tuple(
        Membership(
            each.entitlement_id,
            each.key,
            each.key.removesuffix(SUFFIX),
            each.amount_max,
            used.get(place, 0),
            *periods[place],
            each.is_suspended,
        )
        for place, each in enumerate(paying)
    )


def period_of(feature: Feature, at: datetime) -> tuple[datetime, datetime | None]:
    """Return the period of a feature's limit in which an instant lies: whole durations from its start. Without one, all its life."""
    if feature.per is None:
        return feature.starts_at, None
    duration: Any = parse_duration(feature.per)
    # Multiples of the start, never steps: a month after 31 January is 28 February, and two months after it 31 March.
    low, high = 0, 1
    while high < _PERIODS_MAX and feature.starts_at + duration * high <= at:
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if feature.starts_at + duration * middle <= at else (low, middle)
    return feature.starts_at + duration * low, feature.starts_at + duration * (low + 1)
