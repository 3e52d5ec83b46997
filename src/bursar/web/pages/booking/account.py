"""A customer's account with a business: credits and until when, what is booked and was, where he waits, and who he is."""

from typing import Final
from uuid import UUID

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from bursar.apps.booking import bookings, fees, people
from bursar.kernel import ids
from bursar.kernel.auth import public
from bursar.kernel.errors import Conflict, NotFound
from bursar.money import customers
from bursar.web.pages.booking.front import opened
from bursar.web.pages.reads.own_bookings import bookings_ahead, bookings_past, details, lots, waiting
from bursar.web.pages.routing import PageRoute
from bursar.web.pages.texts import printable

_NAME_MAX: Final = 120
_PHONE_MAX: Final = 40
_LAST: Final = UUID(int=2**128 - 1)

router = APIRouter(route_class=PageRoute)


class WaitingNotHere(NotFound):
    """Whoever is signed in does not wait there."""

    code = "waiting_not_here"


@router.get("/b/{business}/account")
@public
async def account(request: Request, business: str, before: str = "", done: str = "") -> Response:
    """Show what somebody has here."""
    last = ids.parse(ids.BOOKING, before) if before else _LAST
    async with opened(request, business) as (front, tx):
        if front.visitor is None:
            return front.to(f"{front.base}/sign-in?next={front.base}/account")
        place, now = {"tenant_id": front.tenant_id}, front.now
        mine = await customers.customers_of_email(tx, **place, email=front.visitor.email)
        owes = await fees.open_fees(tx, **place, customers=mine) if not before else []
        past, older = await bookings_past(tx, **place, customers=mine, before=last, now=now)
        return front.answer(
            "account.html",
            is_first=not before,
            ahead=await bookings_ahead(tx, **place, customers=mine, now=now) if not before else [],
            waits=await waiting(tx, **place, customers=mine, now=now) if not before else [],
            lots=await lots(tx, **place, customers=mine, zone=front.shop.zone.key, now=now) if not before else [],
            owes=[(ids.show(ids.BOOKING, each.booking), each) for each in owes],
            past=past,
            older=older,
            who=await details(tx, **place, customers=mine),
            is_saved=done == "saved",
        )


@router.post("/b/{business}/account/details")
@public
async def save_details(request: Request, business: str) -> Response:
    """Keep the name and the telephone number that somebody wants to be known by."""
    async with opened(request, business) as (front, _):
        pass
    fields = await front.form()
    if front.visitor is None:
        return front.to(f"{front.base}/sign-in?next={front.base}/account")
    name = printable(fields.get("name", ""))[:_NAME_MAX] or None
    phone = printable(fields.get("phone", ""))[:_PHONE_MAX] or None
    async with front.resources.db.tenant(front.tenant_id) as tx:
        email, actor = front.visitor.email, front.actor
        await people.customer_for(tx, tenant_id=front.tenant_id, email=email, name=name, actor=actor, now=front.now)
        await people.describe(tx, tenant_id=front.tenant_id, email=email, name=name, phone=phone, actor=actor)
    return front.to(f"{front.base}/account?done=saved")


@router.post("/b/{business}/account/waitlist/{entry}")
@public
async def leave_waitlist(request: Request, business: str, entry: str) -> Response:
    """Let somebody wait no more."""
    async with opened(request, business) as (front, _):
        pass
    await front.form()
    entry_id = ids.parse(ids.WAITLIST_ENTRY, entry)
    if front.visitor is None:
        return front.to(f"{front.base}/sign-in?next={front.base}/account")
    async with front.resources.db.tenant(front.tenant_id) as tx:
        mine = await customers.customers_of_email(tx, tenant_id=front.tenant_id, email=front.visitor.email)
        own = await waiting(tx, tenant_id=front.tenant_id, customers=mine, now=front.now)
        if entry_id not in {each.id for each in own}:
            raise WaitingNotHere("You do not wait there any more.", hint="Look at your account.")
        try:
            await bookings.leave_waitlist(
                tx, tenant_id=front.tenant_id, entry_id=entry_id, actor=front.actor, now=front.now
            )
        except Conflict as refusal:
            raise WaitingNotHere("You do not wait there any more.", hint="Look at your account.") from refusal
    return front.to(f"{front.base}/account")
