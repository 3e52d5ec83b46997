"""Routes of refunds of packs that are partly used."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import Field

from bursar.apps.booking.packs import refunding
from bursar.kernel.auth import CallerOf, TenantRoute, needs
from bursar.kernel.http import AmountMinor, Input, Reason, View
from bursar.kernel.http.identifiers import BookingId, LotId, PaymentId, RefundId

router = APIRouter(prefix="/v1", route_class=TenantRoute, tags=["packs"])


class BookingOfPack(View):
    """A booking to come that is paid with the pack."""

    id: BookingId
    number: str
    starts_at: datetime
    credits: int = Field(description="Of the pack.")


class PackRefundOffer(View):
    """What goes back for what is unused of a pack, by the rule `pack_refund`."""

    payment: PaymentId
    lot: LotId
    amount_minor: int
    currency: str
    granted: int
    used: int = Field(description="Used or expired.")
    unused: int
    forfeited: int = Field(description="Of the unused, what nothing goes back for.")
    bookings: list[BookingOfPack] = Field(description="What it pays for still, at most 50.")
    cancels_bookings: bool = Field(
        description="Whether they are cancelled first, and count as unused; else they are in the way."
    )


class NewPackRefund(Input):
    amount_minor: AmountMinor | None = Field(
        default=None, description="As it was offered; refused where it is another by now."
    )
    reason: Reason | None = None


class PackRefund(View):
    """The refund of a pack. Its credits are gone at once; the money is what the refund says."""

    refund: RefundId
    payment: PaymentId
    lot: LotId
    status: refunding.Status
    amount_minor: int
    currency: str
    granted: int
    used: int
    unused: int
    created_at: datetime


@router.get("/payments/{payment}/pack-refund")
@needs("refunds:read")
async def get_pack_refund_offer(caller: CallerOf, payment: Annotated[PaymentId, Path()]) -> PackRefundOffer:
    """Say what would go back for what is unused of a pack. Credits that were given are no part of it."""
    async with caller.transaction() as tx:
        found = await refunding.offer(tx, tenant_id=caller.tenant_id, payment_id=payment, now=caller.now())
    return PackRefundOffer(
        payment=found.payment_id,
        lot=found.lot_id,
        amount_minor=found.worth.amount_minor,
        currency=found.currency,
        granted=found.pack.granted,
        used=found.pack.used,
        unused=found.pack.unused,
        forfeited=found.worth.forfeited,
        bookings=[
            BookingOfPack(id=each.booking_id, number=each.number, starts_at=each.starts_at, credits=each.amount)
            for each in found.bookings
        ],
        cancels_bookings=found.is_cancelling,
    )


@router.post("/payments/{payment}/pack-refunds", status_code=201)
@needs("refunds:write")
async def refund_pack(caller: CallerOf, payment: Annotated[PaymentId, Path()], new: NewPackRefund) -> PackRefund:
    """Give back the money for what is unused of a pack, and take its credits. Once: a second time is refused."""
    async with caller.transaction() as tx:
        made = await refunding.refund_pack(
            tx,
            tenant_id=caller.tenant_id,
            payment_id=payment,
            amount_minor=new.amount_minor,
            reason=new.reason,
            actor=caller.actor,
            now=caller.now(),
        )
    return PackRefund(
        refund=made.refund_id,
        payment=made.payment_id,
        lot=made.lot_id,
        status=made.status,
        amount_minor=made.amount_minor,
        currency=made.currency,
        granted=made.granted,
        used=made.used,
        unused=made.unused,
        created_at=made.created_at,
    )
