"""What a person paid, was paid back and booked, in one timeline, whichever gateways he pays at."""

from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from pydantic import Field

from bursar.kernel import ids
from bursar.kernel.db import Transaction
from bursar.kernel.http import View
from bursar.kernel.http.identifiers import AccountId, CustomerId
from bursar.money.customers import customer, customers_of_email

Kind = Literal["payment", "refund", "booking", "cancellation"]


class Event(View):
    """Something that happened. amount_minor: of a payment or refund; seats, number, title: of a booking."""

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


class History(View):
    """The latest first. A person is every customer of one address: each gateway account has its own."""

    customers: list[CustomerId]
    data: list[Event]


_EVENTS: Final = """
select at, kind, id, customer_id as customer, status, gateway, gateway_account_id as gateway_account, gateway_ref, amount_minor, currency,
  number, title, starts_at
from unnest($2::uuid[]) as who (person) cross join lateral (
  (select p.created_at as at, 'payment' as kind, p.id, p.customer_id, p.status, a.gateway, p.gateway_account_id, p.gateway_ref,
    p.amount_minor, p.currency, null as number, p.description as title, null::timestamptz as starts_at
  from payment p join gateway_account a on a.tenant_id = p.tenant_id and a.id = p.gateway_account_id
  where p.tenant_id = $1 and p.customer_id = who.person and p.superseded_by is null and p.created_at < $3 order by p.id desc limit $4)
  union all
  (select r.created_at, 'refund', r.id, p.customer_id, r.status, a.gateway, r.gateway_account_id, r.gateway_ref, r.amount_minor, r.currency,
    null, r.reason, null
  from payment p
  join refund r on r.tenant_id = p.tenant_id and r.payment_id = p.id
  join gateway_account a on a.tenant_id = r.tenant_id and a.id = r.gateway_account_id
  where p.tenant_id = $1 and p.customer_id = who.person and r.same_as is null and r.created_at < $3 order by r.id desc limit $4)
  union all
  (select b.created_at, 'booking', b.id, b.customer_id, b.status, null, null, null, b.price_minor, b.currency, b.number,
    b.snapshot ->> 'title', b.starts_at
  from booking b where b.tenant_id = $1 and b.customer_id = who.person and b.created_at < $3 order by b.id desc limit $4)
  union all
  (select b.cancelled_at, 'cancellation', b.id, b.customer_id, b.status, null, null, null, null, null, b.number, b.snapshot ->> 'title',
    b.starts_at
  from booking b where b.tenant_id = $1 and b.customer_id = who.person and b.cancelled_at < $3 order by b.id desc limit $4)
) as e
order by at desc, id desc, kind limit $4
"""

_PREFIX: Final = {"payment": ids.PAYMENT, "refund": ids.REFUND, "booking": ids.BOOKING, "cancellation": ids.BOOKING}


async def history(tx: Transaction, *, tenant_id: UUID, customer_id: UUID, until: datetime, limit: int) -> History:
    """Return what happened before an instant, the latest first. Raises CustomerNotFound."""
    asked = await customer(tx, tenant_id=tenant_id, customer_id=customer_id)
    people = {customer_id}
    if asked.email:
        people |= set(await customers_of_email(tx, tenant_id=tenant_id, email=asked.email))
    who = sorted(people)
    rows = [dict(row) for row in await tx.fetch(_EVENTS, tenant_id, who, until, limit)]
    return History(
        customers=who, data=[Event(**row | {"id": ids.show(_PREFIX[row["kind"]], row["id"])}) for row in rows]
    )
