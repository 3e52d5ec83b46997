"""Appointments: choose a service, with whom, and a free time; then book it, and pay where something is due."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from bursar.apps.booking import people
from bursar.apps.booking.bookings import Landing
from bursar.apps.booking.schedule import times
from bursar.apps.booking.services.appointments import NewAppointment
from bursar.apps.booking.services.appointments import book as give
from bursar.apps.booking.services.availability import Calendar, ServiceNotOffered, calendar_of, offer_of
from bursar.apps.booking.services.models import Offer
from bursar.kernel import ids
from bursar.kernel.auth import public
from bursar.kernel.db import Transaction
from bursar.kernel.errors import Conflict, Invalid
from bursar.kernel.identity import tokens
from bursar.money import checkouts
from bursar.web.pages.booking.front import Front, opened
from bursar.web.pages.booking.seats import Typed, form_link, typed_in, wait_for_page
from bursar.web.pages.booking.why import Why, of_refusal
from bursar.web.pages.reads.offerings import Offering, offerings
from bursar.web.pages.routing import PageRoute

DAYS_SHOWN: Final = 14
_OF_THE_TIME: Final = frozenset({"slot_not_offered", "staff_busy", "service_not_offered"})

router = APIRouter(route_class=PageRoute)


class TimeUnknown(Invalid):
    """The address names no time that could be booked."""

    code = "time_unknown"
    status = 400


@dataclass(frozen=True, slots=True)
class FreeTime:
    """A time that can be booked. at: as it stands in the address; day: as people read it; clock: beside it, with the zone's day above."""

    at: str
    day: str
    clock: str
    told: str


@router.get("/b/{business}/services")
@public
async def services(request: Request, business: str) -> Response:
    """Show what is given by appointment."""
    async with opened(request, business) as (front, tx):
        return front.answer("services.html", offerings=await offerings(tx, tenant_id=front.tenant_id))


@router.get("/b/{business}/services/{service}/{tier}")
@public
async def free_times(request: Request, business: str, service: str, tier: str) -> Response:
    """Show the free times of a service; with one of them (`at`) the form that books it. `staff`: with whom."""
    staff, at = (request.query_params.get(name, "") for name in ("staff", "at"))
    async with opened(request, business) as (front, tx):
        return await _shown(front, tx, service, tier, staff=staff, at=at)


@router.post("/b/{business}/services/{service}/{tier}")
@public
async def book_appointment(request: Request, business: str, service: str, tier: str) -> Response:
    """Book an appointment. Whoever has to pay is led on to the payment."""
    async with opened(request, business) as (front, _):
        pass
    fields = await front.form()
    staff, at, link = fields.get("staff", ""), fields.get("at", ""), fields.get("link", "")
    token, typed = form_link(front, link), typed_in(front, fields)
    async with front.resources.db.tenant(front.tenant_id) as tx:
        done = await people.booking_of(tx, token)
        if done is None and typed.wrong:
            return await _shown(front, tx, service, tier, staff=staff, at=at, typed=typed, status=422)
    if done:
        return front.to(f"{front.base}/bookings/{link}")
    page = f"{front.base}/bookings/{link}"
    new = (ids.parse(ids.SERVICE, service), ids.parse(ids.TIER, tier), _staff(staff), _instant(at))
    try:
        async with front.resources.db.tenant(front.tenant_id) as tx:
            booking_id, is_held = await _given(front, tx, token, new=new, typed=typed, page=page)
    except Conflict as refusal:
        is_known = front.visitor is not None or refusal.code in _OF_THE_TIME
        why = of_refusal(refusal, is_known=is_known)
        async with front.resources.db.tenant(front.tenant_id) as tx:
            return await _shown(front, tx, service, tier, staff=staff, at="", typed=typed, why=why, status=409)
    if is_held:
        await wait_for_page(front, booking_id)
        return front.to(f"{page}/pay")
    return front.to(page)


async def _given(
    front: Front,
    tx: Transaction,
    token: tokens.Token,
    *,
    new: tuple[UUID, UUID, UUID | None, datetime],
    typed: Typed,
    page: str,
) -> tuple[UUID, bool]:
    service_id, tier_id, staff_id, at = new
    customer = await people.customer_for(
        tx,
        tenant_id=front.tenant_id,
        email=typed.email,
        name=typed.name or None,
        actor=front.actor,
        now=front.now,
    )
    wanted = NewAppointment(
        service_id=service_id,
        tier_id=tier_id,
        customer_id=customer,
        starts_at=at,
        staff_id=staff_id,
        landing=Landing(success_url=f"{front.site}{page}?n=1", cancel_url=f"{front.site}{page}"),
    )
    made = await give(tx, tenant_id=front.tenant_id, new=wanted, actor=front.actor, now=front.now)
    if not await people.keep_link(tx, token, booking_id=made.id, now=front.now):
        raise TimeUnknown("This form was sent before.", hint="Open the page again, and send it from there.")
    return made.id, made.status == "held" and made.order_id is not None


async def _shown(
    front: Front,
    tx: Transaction,
    service: str,
    tier: str,
    *,
    staff: str,
    at: str,
    typed: Typed | None = None,
    why: Why | None = None,
    status: int = 200,
) -> Response:
    service_id, tier_id, staff_id = ids.parse(ids.SERVICE, service), ids.parse(ids.TIER, tier), _staff(staff)
    found = await offerings(tx, tenant_id=front.tenant_id, tier_id=tier_id)
    offering: Offering | None = next((each for each in found if each.service_id == service_id), None)
    if offering is None:
        raise ServiceNotOffered("There is no such appointment.", hint="Choose another one.")
    offer = await offer_of(tx, tenant_id=front.tenant_id, service_id=service_id, tier_id=tier_id)
    calendar = await calendar_of(
        tx,
        tenant_id=front.tenant_id,
        offer=offer,
        staff_id=staff_id,
        since=front.now,
        until=front.now + timedelta(days=DAYS_SHOWN),
        now=front.now,
    )
    free = _free(calendar)
    chosen = next((each for each in free if at and each.at == at), None)
    link, _ = tokens.make(front.tenant_id, ids.new())
    return front.answer(
        "service.html",
        status=status,
        o=offering,
        people=_who(offer),
        staff=staff if staff_id else "",
        days=_by_day(free),
        chosen=chosen,
        is_gone=bool(at) and chosen is None,
        typed=typed or Typed(),
        refused=why,
        link=link,
        ways=await checkouts.ways_to_pay(tx, tenant_id=front.tenant_id),
    )


def _free(calendar: Calendar) -> list[FreeTime]:
    found: dict[str, FreeTime] = {}
    for slot in sorted(calendar.free(), key=lambda each: each.starts_at):
        zone = calendar.places[slot.venue_id].time_zone
        told = times.told(slot.starts_at, zone)
        day = told.partition(",")[0]
        at = slot.starts_at.isoformat().replace("+00:00", "Z")
        found.setdefault(at, FreeTime(at, day, times.clock(slot.starts_at, zone), told))
    return list(found.values())


def _by_day(free: list[FreeTime]) -> dict[str, list[FreeTime]]:
    days: dict[str, list[FreeTime]] = {}
    for each in free:
        days.setdefault(each.day, []).append(each)
    return days


def _who(offer: Offer) -> list[tuple[str, str]]:
    return [(ids.show(ids.STAFF, staff_id), name) for staff_id, name in offer.staff]


def _staff(text: str) -> UUID | None:
    return ids.parse(ids.STAFF, text) if text else None


def _instant(text: str) -> datetime:
    try:
        at = (
            datetime.fromisoformat(text) if text.isascii() and len(text) <= len("2026-01-31T12:00:00.000000Z") else None
        )
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise TimeUnknown("The address names no time.", hint="Choose a time from the list.")
    return at
