"""What a person paid, was paid back, booked, came to, and which credits moved: one timeline, whichever gateways he pays at."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from uuid import UUID

from pydantic import Field

from bursar.kernel import ids
from bursar.kernel.db import Transaction
from bursar.kernel.errors import Invalid
from bursar.kernel.http import View
from bursar.kernel.http.identifiers import AccountId, CustomerId
from bursar.money.customers import customer, customers_of_email

Kind = Literal["payment", "refund", "credits", "booking", "cancellation", "attendance"]

AHEAD: Final = timedelta(days=366)
"""What is told reaches as far beyond now: clocks differ."""
_CURSOR_MAX: Final = 100


class Event(View):
    """Something that happened. amount_minor: of a payment or refund; number, title: of a booking.

    Of credits the title is their pool, and the status what moved them. Somebody who missed a class did so when it ended.
    """

    at: datetime
    kind: Kind
    id: str = Field(examples=["pay_01kapj5m6rfq1v5wx6h0b1a2c3"])
    customer: CustomerId
    status: str
    gateway: str | None
    gateway_account: AccountId | None
    gateway_ref: str | None = Field(description="The gateway's id of it: of a payment its transaction.")
    amount_minor: int | None
    currency: str | None
    number: str | None
    title: str | None
    starts_at: datetime | None
    credits: int | None = Field(description="Of a movement of credits: how many came, or went where it is negative.")


class History(View):
    """The latest first. A person is every customer of one address: each gateway account has its own."""

    customers: list[CustomerId]
    data: list[Event]
    next: str | None = Field(description="Give it as `before` for what happened earlier.")


class CursorInvalid(Invalid):
    """The cursor names no place in a timeline."""

    code = "history_cursor_invalid"


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a timeline a page ends. What happened at one instant has an order, too."""

    at: datetime
    id: UUID
    kind: str


# A person has some hundreds of each at most: they are found by customer, and put into the order in which they happened.
_EVENTS: Final = """
select at, kind, id, customer_id as customer, status, gateway, gateway_account_id as gateway_account, gateway_ref, amount_minor, currency,
  number, title, starts_at, credits
from unnest($2::uuid[]) as who (person) cross join lateral (
  (select p.created_at as at, 'payment' as kind, p.id, p.customer_id, p.status, a.gateway, p.gateway_account_id, p.gateway_ref,
    p.amount_minor, p.currency, null as number, p.description as title, null::timestamptz as starts_at, null::bigint as credits
  from payment p join gateway_account a on a.tenant_id = p.tenant_id and a.id = p.gateway_account_id
  where p.tenant_id = $1 and p.customer_id = who.person and p.superseded_by is null and (p.created_at, p.id, 'payment') < ($3, $4, $5)
  order by p.created_at desc, p.id desc limit $6)
  union all
  (select r.created_at, 'refund', r.id, p.customer_id, r.status, a.gateway, r.gateway_account_id, r.gateway_ref, r.amount_minor, r.currency,
    null, r.reason, null, null
  from payment p
  join refund r on r.tenant_id = p.tenant_id and r.payment_id = p.id
  join gateway_account a on a.tenant_id = r.tenant_id and a.id = r.gateway_account_id
  where p.tenant_id = $1 and p.customer_id = who.person and r.same_as is null and (r.created_at, r.id, 'refund') < ($3, $4, $5)
  order by r.created_at desc, r.id desc limit $6)
  union all
  (select m.created_at, 'credits', m.id, m.customer_id, m.kind, null, null, null, null, null, null, l.pool, null, m.amount
  from credit_movement m join credit_lot l on l.tenant_id = m.tenant_id and l.id = m.lot_id
  where m.tenant_id = $1 and m.customer_id = who.person and (m.created_at, m.id, 'credits') < ($3, $4, $5)
  order by m.created_at desc, m.id desc limit $6)
  union all
  (select b.created_at, 'booking', b.id, b.customer_id, b.status, null, null, null, b.price_minor - b.discount_minor + case when b.tax_included then 0 else b.tax_minor end, b.currency, b.number,
    b.snapshot ->> 'title', b.starts_at, null
  from booking b where b.tenant_id = $1 and b.customer_id = who.person and (b.created_at, b.id, 'booking') < ($3, $4, $5)
  order by b.created_at desc, b.id desc limit $6)
  union all
  (select b.cancelled_at, 'cancellation', b.id, b.customer_id, b.status, null, null, null, null, null, b.number, b.snapshot ->> 'title',
    b.starts_at, null
  from booking b where b.tenant_id = $1 and b.customer_id = who.person and (b.cancelled_at, b.id, 'cancellation') < ($3, $4, $5)
  order by b.cancelled_at desc, b.id desc limit $6)
  union all
  (select coalesce(b.attended_at, b.ends_at), 'attendance', b.id, b.customer_id, b.status, null, null, null, null, null, b.number,
    b.snapshot ->> 'title', b.starts_at, null
  from booking b where b.tenant_id = $1 and b.customer_id = who.person and b.status in ('attended', 'no_show')
    and (coalesce(b.attended_at, b.ends_at), b.id, 'attendance') < ($3, $4, $5)
  order by coalesce(b.attended_at, b.ends_at) desc, b.id desc limit $6)
) as e
order by at desc, id desc, kind desc limit $6
"""

_PREFIX: Final = {
    "payment": ids.PAYMENT,
    "refund": ids.REFUND,
    "credits": ids.MOVEMENT,
    "booking": ids.BOOKING,
    "cancellation": ids.BOOKING,
    "attendance": ids.BOOKING,
}
_FIRST: Final = UUID(int=0)


async def history(
    tx: Transaction, *, tenant_id: UUID, customer_id: UUID, until: datetime, limit: int, before: str | None = None
) -> History:
    """Return what happened before an instant, or before the end of another page, the latest first.

    Raises CustomerNotFound, CursorInvalid.
    """
    asked = await customer(tx, tenant_id=tenant_id, customer_id=customer_id)
    people = {customer_id}
    if asked.email:
        people |= set(await customers_of_email(tx, tenant_id=tenant_id, email=asked.email))
    who, place = sorted(people), _place(before) if before else Place(until, _FIRST, "")
    found = await tx.fetch(_EVENTS, tenant_id, who, place.at, place.id, place.kind, limit + 1)
    rows = [dict(row) for row in found[:limit]]
    return History(
        customers=who,
        data=[Event(**row | {"id": ids.show(_PREFIX[row["kind"]], row["id"])}) for row in rows],
        next=_cursor(rows[-1]) if len(found) > limit else None,
    )


def _cursor(row: dict[str, Any]) -> str:
    return f"{row['at'].isoformat()}~{ids.show(_PREFIX[row['kind']], row['id'])}~{row['kind']}"


def _place(text: str) -> Place:
    at, _, rest = text.partition("~")
    public, _, kind = rest.partition("~")
    try:
        place = Place(datetime.fromisoformat(at), ids.parse(_PREFIX[kind], public), kind)
    except (ValueError, KeyError, ids.IdInvalid) as error:
        raise _no_such_place() from error
    if place.at.tzinfo is None or len(text) > _CURSOR_MAX:
        raise _no_such_place()
    return place


def _no_such_place() -> CursorInvalid:
    return CursorInvalid("there is no such place in the timeline", hint="Take `next` of another page.")
