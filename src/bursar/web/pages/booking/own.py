"""One booking: what was booked, paying for it, giving it up, and its calendar's file. By its link, or for its customer."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from bursar.apps.booking import bookings, fees, people
from bursar.apps.booking.schedule import ClassNotFound
from bursar.kernel import ids
from bursar.kernel.amounts import Money
from bursar.kernel.auth import public
from bursar.kernel.db import Transaction
from bursar.kernel.errors import Conflict, DomainError, NotFound
from bursar.kernel.identity import tokens
from bursar.money import calls, checkouts, customers
from bursar.web.pages.booking.calendars import MEDIA_TYPE, calendar_of
from bursar.web.pages.booking.front import Front, opened
from bursar.web.pages.booking.why import Why, of_refusal
from bursar.web.pages.reads.own_bookings import Own, own_booking
from bursar.web.pages.reads.timetable import listed_class, others
from bursar.web.pages.routing import PageRoute
from bursar.web.pages.shopping import LOOKS_MAX, looks_of, pause_s

_REASON_MAX: Final = 300

router = APIRouter(route_class=PageRoute)


class BookingNotHere(NotFound):
    """The address opens no booking."""

    code = "booking_not_here"


@dataclass(frozen=True, slots=True)
class Opened:
    """A booking that somebody may see. path: of its page."""

    own: Own
    path: str


@router.get("/b/{business}/bookings/{booking}")
@public
async def one_booking(request: Request, business: str, booking: str, n: str = "", fee: str = "") -> Response:
    """Show a booking. n: how often the page has asked for itself, waiting for the payment. fee: what became of asking for its fee's."""
    async with opened(request, business) as (front, tx):
        found = await _opened(front, tx, booking)
        looks = looks_of(n)
        is_waiting = found.own.waits_for_money and (found.own.is_paid or looks > 0) and looks < LOOKS_MAX
        return front.answer(
            "booking.html",
            b=found.own,
            own_path=found.path,
            fee=await fees.fee_of_booking(tx, tenant_id=front.tenant_id, booking_id=found.own.id),
            is_fee_refused=fee == "refused",
            is_fee_waiting=fee == "waiting",
            is_confirming=found.own.waits_for_money and (found.own.is_paid or looks > 0),
            looks=looks,
            refresh_s=pause_s(looks) if is_waiting else None,
        )


@router.get("/b/{business}/bookings/{booking}/pay")
@public
async def pay(request: Request, business: str, booking: str, n: str = "") -> Response:
    """Lead on to the gateway's page as soon as it is there."""
    async with opened(request, business) as (front, tx):
        found = await _opened(front, tx, booking)
        own, looks = found.own, looks_of(n)
        if not own.waits_for_money or own.call_state not in ("asked", "succeeded") or own.is_paid:
            return front.to(found.path)
        assert own.call_id
        url = calls.open_link(front.resources.seal, own.sealed_url, call_id=own.call_id)
        return front.answer(
            "paying.html",
            b=own,
            own_path=found.path,
            pay_url=url if url and urlsplit(url).scheme in ("https", "http") else None,
            looks=looks,
            refresh_s=2 if looks < LOOKS_MAX else None,
        )


@router.post("/b/{business}/bookings/{booking}/fee")
@public
async def pay_fee(request: Request, business: str, booking: str) -> Response:
    """Ask the gateway for the page on which the fee is paid, and lead on to it. One that is open is taken again."""
    async with opened(request, business) as (front, tx):
        found = await _opened(front, tx, booking)
        owed = await fees.fee_of_booking(tx, tenant_id=front.tenant_id, booking_id=found.own.id)
    await front.form()
    if owed is None or owed.status != "open":
        return front.to(found.path)
    page = f"{front.site}{found.path}"
    wanted = checkouts.Wanted(lines=(), success_url=f"{page}?fee=waiting", cancel_url=page)
    try:
        async with front.resources.db.tenant(front.tenant_id) as tx:
            asked = await fees.ask(
                tx, tenant_id=front.tenant_id, fee_id=owed.id, wanted=wanted, actor=front.actor, now=front.now
            )
    except fees.FeeBeingPaid:
        return front.to(f"{found.path}?fee=waiting")
    except DomainError:
        return front.to(f"{found.path}?fee=refused")
    await calls.waited(front.resources.db, tenant_id=front.tenant_id, call_id=asked.call_id, at_most=front.outcome_wait)
    return front.to(f"{found.path}/fee")


@router.get("/b/{business}/bookings/{booking}/fee")
@public
async def fee_page(request: Request, business: str, booking: str, n: str = "") -> Response:
    """Lead on to the gateway's page for the fee as soon as it is there."""
    async with opened(request, business) as (front, tx):
        found = await _opened(front, tx, booking)
        owed = await fees.fee_of_booking(tx, tenant_id=front.tenant_id, booking_id=found.own.id)
        if owed is None or owed.status != "open" or owed.checkout is None:
            return front.to(found.path)
        seal = front.resources.seal
        checkout = await checkouts.checkout(tx, tenant_id=front.tenant_id, checkout_id=owed.checkout, seal=seal)
        looks = looks_of(n)
        if checkout.status not in ("pending", "open"):
            return front.to(f"{found.path}?fee={'refused' if checkout.status == 'refused' else 'waiting'}")
        url = checkout.url
        return front.answer(
            "paying_fee.html",
            fee=owed,
            own_path=found.path,
            pay_url=url if url and urlsplit(url).scheme in ("https", "http") else None,
            looks=looks,
            refresh_s=2 if looks < LOOKS_MAX else None,
        )


@router.get("/b/{business}/bookings/{booking}/calendar.ics")
@public
async def calendar(request: Request, business: str, booking: str) -> Response:
    """Give the booking as a calendar's file."""
    async with opened(request, business) as (front, tx):
        found = await _opened(front, tx, booking)
        body = calendar_of(found.own, business=front.shop.name, url=f"{front.site}{found.path}", now=front.now)
    disposition = f'attachment; filename="booking-{found.own.number}.ics"'
    return Response(body, media_type=MEDIA_TYPE, headers={"content-disposition": disposition})


@router.get("/b/{business}/bookings/{booking}/cancel")
@public
async def before_cancelling(request: Request, business: str, booking: str) -> Response:
    """Say what cancelling now would do, before it is done."""
    async with opened(request, business) as (front, tx):
        return await _asked(front, tx, await _opened(front, tx, booking))


@router.post("/b/{business}/bookings/{booking}/cancel")
@public
async def cancel(request: Request, business: str, booking: str) -> Response:
    """Give the booking up. If what it does has changed since it was told, it is told again first."""
    async with opened(request, business) as (front, tx):
        found = await _opened(front, tx, booking)
    fields = await front.form()
    try:
        async with front.resources.db.tenant(front.tenant_id) as tx:
            told = await bookings.consequence(tx, tenant_id=front.tenant_id, booking_id=found.own.id, now=front.now)
            if fields.get("told", "") != _mark(told):
                return await _asked(front, tx, found, is_changed=True)
            await bookings.cancel(
                tx,
                tenant_id=front.tenant_id,
                booking_id=found.own.id,
                is_customer=True,
                reason=None,
                actor=front.actor,
                now=front.now,
            )
    except Conflict:
        pass  # It was given up, or has begun, meanwhile: its page says so.
    return front.to(found.path)


@router.get("/b/{business}/bookings/{booking}/move")
@public
async def before_moving(request: Request, business: str, booking: str) -> Response:
    """Show which classes somebody could go to instead."""
    async with opened(request, business) as (front, tx):
        return await _movable(front, tx, await _opened(front, tx, booking))


@router.post("/b/{business}/bookings/{booking}/move")
@public
async def move(request: Request, business: str, booking: str) -> Response:
    """Move the booking to another class: a seat there, then none here; or nothing at all."""
    async with opened(request, business) as (front, tx):
        found = await _opened(front, tx, booking)
    fields = await front.form()
    class_id = ids.parse(ids.CLASS, fields.get("class", ""))
    link = people.link_for(front.tenant_id)
    try:
        async with front.resources.db.tenant(front.tenant_id) as tx:
            if await listed_class(tx, tenant_id=front.tenant_id, class_id=class_id) is None:
                raise ClassNotFound("There is no such class.", hint="Choose another one.")
            moved = await bookings.reschedule(
                tx,
                tenant_id=front.tenant_id,
                booking_id=found.own.id,
                class_id=class_id,
                actor=front.actor,
                now=front.now,
            )
            token = tokens.read(link)
            assert token is not None, "a link is a token of ours"
            await people.keep_link(tx, token, booking_id=moved.id, now=front.now)
    except Conflict as refusal:
        async with front.resources.db.tenant(front.tenant_id) as tx:
            return await _movable(front, tx, found, why=of_refusal(refusal, is_known=True))
    is_own = booking.startswith(f"{ids.BOOKING}_")
    return front.to(f"{front.base}/bookings/{ids.show(ids.BOOKING, moved.id) if is_own else link}")


async def _movable(front: Front, tx: Transaction, found: Opened, *, why: Why | None = None) -> Response:
    own = found.own
    classes = (
        await others(tx, tenant_id=front.tenant_id, class_id=own.class_id, seats=own.seats, now=front.now)
        if own.class_id and own.may_move(front.now)
        else []
    )
    return front.answer("move.html", status=409 if why else 200, b=own, own_path=found.path, classes=classes, why=why)


async def _asked(front: Front, tx: Transaction, found: Opened, *, is_changed: bool = False) -> Response:
    why: Why | None = None
    told: bookings.Told | None = None
    try:
        told = await bookings.consequence(tx, tenant_id=front.tenant_id, booking_id=found.own.id, now=front.now)
    except Conflict as refusal:
        why = of_refusal(refusal, is_known=True)
    own = found.own
    return front.answer(
        "cancel.html",
        status=409 if why else 200,
        b=own,
        own_path=found.path,
        told=told,
        mark=_mark(told) if told else "",
        money_back=Money(told.money_back_minor, own.money.currency)
        if told and own.money and told.money_back_minor
        else None,
        is_changed=is_changed,
        why=why,
    )


async def _opened(front: Front, tx: Transaction, name: str) -> Opened:
    """Return the booking that an address opens. Raises BookingNotHere, whether there is such a booking or not."""
    own = await _of_customer(front, tx, name) if name.startswith(f"{ids.BOOKING}_") else None
    if own is None and (token := tokens.read(name)) and token.tenant_id == front.tenant_id:
        linked = await people.booking_of(tx, token)
        own = await own_booking(tx, tenant_id=front.tenant_id, booking_id=linked, now=front.now) if linked else None
    if own is None:
        hint = "Take the link from your mail." if front.visitor else "Take the link from your mail, or sign in."
        raise BookingNotHere("There is no booking at this address.", hint=hint)
    return Opened(own, f"{front.base}/bookings/{name}")


async def _of_customer(front: Front, tx: Transaction, name: str) -> Own | None:
    """Return the booking of an id, if it is of whoever is signed in."""
    booking_id = ids.parsed_or_none(ids.BOOKING, name)
    if booking_id is None or front.visitor is None:
        return None
    own = await own_booking(tx, tenant_id=front.tenant_id, booking_id=booking_id, now=front.now)
    mine = await customers.customers_of_email(tx, tenant_id=front.tenant_id, email=front.visitor.email)
    return own if own and own.customer_id in mine else None


def _mark(told: bookings.Told) -> str:
    """Return what a form carries of the consequence that it tells, so that nobody agrees to another one."""
    found = told.consequence
    fee = f" {told.fee.minor} {told.fee.currency}" if told.fee else ""
    return f"{found.status} {told.credits_back} {told.money_back_minor}{fee}"
