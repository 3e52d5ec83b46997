"""Money at the front desk: what a held booking has to be paid with is taken there, and what has to go back is handed back."""

from uuid import UUID

from fastapi import APIRouter
from starlette.responses import Response

from bursar.apps.booking import bookings
from bursar.kernel import ids
from bursar.kernel.auth import needs
from bursar.kernel.errors import FieldError, Invalid
from bursar.money.gateways.manual import DeskMethod
from bursar.web.pages.routing import PageRoute
from bursar.web.pages.visits import Page, Visit, Visiting, to

router = APIRouter(route_class=PageRoute)


class DeskFormInvalid(Invalid):
    """The form at the desk is not filled in so that it could be done."""

    code = "desk_form_invalid"


@router.post("/bookings/{booking_ref}/take-payment")
@needs("payments:write")
async def take_payment(visit: Visiting, booking_ref: str) -> Response:
    """Write down that what a held booking has to be paid with was taken at the desk."""
    booking_id, fields = ids.parse(ids.BOOKING, booking_ref), await visit.form()
    told = fields.get("method") or DeskMethod.cash
    if told not in set(DeskMethod):
        wrong = FieldError("method", "invalid", "cash, transfer or other")
        raise DeskFormInvalid("Say how it was paid.", hint="Go back and choose.", fields=(wrong,))
    async with visit.open() as page:
        found = await bookings.booking_view(page.tx, tenant_id=visit.tenant_id, booking_id=booking_id)
        await taken(page, visit, booking_id, DeskMethod(told))
    if fields.get("from") == "class" and found.class_:
        return to(f"/day/classes/{ids.show(ids.CLASS, found.class_)}?done=taken")
    return to(f"/bookings/{booking_ref}?done=taken")


@router.post("/payments/{payment_ref}/hand-back")
@needs("refunds:write")
async def hand_back(visit: Visiting, payment_ref: str) -> Response:
    """Write down that cash which had to go back was handed back."""
    payment_id, fields = ids.parse(ids.PAYMENT, payment_ref), await visit.form()
    async with visit.open() as page:
        await bookings.hand_back(
            page.tx, tenant_id=visit.tenant_id, payment_id=payment_id, actor=visit.actor, now=visit.now
        )
    booking = fields.get("booking", "")
    if booking:
        return to(f"/bookings/{ids.show(ids.BOOKING, ids.parse(ids.BOOKING, booking))}?done=returned")
    return to("/day")


async def taken(page: Page, visit: Visit, booking_id: UUID, method: DeskMethod) -> None:
    """Record it. Raises what `take_payment` raises."""
    await bookings.take_payment(
        page.tx, tenant_id=visit.tenant_id, booking_id=booking_id, method=method, actor=visit.actor, now=visit.now
    )
