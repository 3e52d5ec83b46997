"""Reads of fees."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from pydantic import Field

from bursar.apps.booking.fees.models import FeeKind, FeeStatus
from bursar.apps.booking.fees.raising import FeeNotFound
from bursar.kernel import ids
from bursar.kernel.amounts import Money
from bursar.kernel.db import Transaction
from bursar.kernel.http import View
from bursar.kernel.http.identifiers import BookingFeeId, BookingId, CheckoutId, CustomerId, OrderId
from bursar.kernel.listing import Listing, Part, Slice, part

OPEN_MAX: Final = 50


class FeeView(View):
    """What a customer owes, or owed, for not coming or for cancelling late."""

    id: BookingFeeId
    booking: BookingId
    number: str = Field(examples=["K7QPX3A"], description="Of the booking.")
    customer: CustomerId
    kind: FeeKind
    amount_minor: int
    currency: str
    status: FeeStatus = Field(
        description="open: it is owed. withdrawn: what it was raised for was undone. refunded: it was paid, and given back."
    )
    order: OrderId | None = Field(description="What its payment was asked for with last.")
    checkout: CheckoutId | None = Field(description="Where it is paid: GET /v1/checkouts/{checkout} has the link.")
    reason: str | None = Field(description="Why it was waived.")
    raised_by: str
    ended_at: datetime | None
    ended_by: str | None
    version: int
    created_at: datetime

    @property
    def money(self) -> Money:
        return Money(self.amount_minor, self.currency)


_SELECT: Final = """select f.id, f.booking_id as booking, b.number, f.customer_id as customer, f.kind, f.amount_minor, f.currency, f.status,
  o.order_id as order, o.checkout_id as checkout, f.reason, f.raised_by, f.ended_at, f.ended_by, f.version, f.created_at
from booking_fee f join booking b on b.tenant_id = f.tenant_id and b.id = f.booking_id
left join lateral (
  select o.order_id, k.id as checkout_id from booking_fee_order o
  left join checkout k on k.tenant_id = o.tenant_id and k.order_id = o.order_id
  where o.tenant_id = f.tenant_id and o.fee_id = f.id order by o.order_id desc limit 1
) as o on true"""

FEES = Listing(
    select=_SELECT,
    tenant="f.tenant_id",
    key="f.id",
    filters={"customer": "f.customer_id = {}", "booking": "f.booking_id = {}", "status": "f.status = {}"},
    refers={"customer": "customer", "booking": "booking"},
)

_ONE = f"{_SELECT} where f.tenant_id = $1 and f.id = $2"
_OF_BOOKING = (
    f"{_SELECT} where f.tenant_id = $1 and f.booking_id = $2 order by f.status = 'withdrawn', f.id desc limit 1"
)
_OPEN = f"""
{_SELECT} where f.tenant_id = $1 and f.customer_id = any($2::uuid[]) and f.status = 'open' order by f.created_at, f.id limit {OPEN_MAX}
"""


async def fee(tx: Transaction, *, tenant_id: UUID, fee_id: UUID) -> FeeView:
    """Return one fee. Raises FeeNotFound."""
    row = await tx.fetchrow(_ONE, tenant_id, fee_id)
    if row is None:
        raise FeeNotFound(f"there is no fee {ids.show(ids.BOOKING_FEE, fee_id)}", hint="See GET /v1/booking-fees.")
    return FeeView.of(row)


async def fee_of_booking(tx: Transaction, *, tenant_id: UUID, booking_id: UUID) -> FeeView | None:
    """Return the fee of a booking, the one that was not withdrawn first; None where it never had one."""
    row = await tx.fetchrow(_OF_BOOKING, tenant_id, booking_id)
    return FeeView.of(row) if row else None


async def open_fees(tx: Transaction, *, tenant_id: UUID, customers: Sequence[UUID]) -> list[FeeView]:
    """Return what customers owe, the oldest first; at most 50."""
    return [FeeView.of(row) for row in await tx.fetch(_OPEN, tenant_id, list(customers))]


async def fees(tx: Transaction, *, tenant_id: UUID, page: Slice, given: Mapping[str, Any]) -> Part[FeeView]:
    """Return fees, newest first. given: values by filter of `FEES`."""
    return await part(tx, FEES, tenant_id=tenant_id, given=given, page=page, view=FeeView.of)
