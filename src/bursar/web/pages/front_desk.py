"""The front desk: the day with its classes, who comes to each, and what is done with a booking at the counter."""

from collections.abc import Awaitable, Callable
from datetime import date, timedelta
from typing import Annotated, Any, Final, Literal, get_args
from uuid import UUID

from fastapi import APIRouter, Query
from starlette.responses import Response

from bursar.apps.booking import bookings, fees, live, people
from bursar.apps.booking.schedule import class_of
from bursar.apps.booking.services import appointments
from bursar.kernel import ids
from bursar.kernel.auth import needs
from bursar.kernel.errors import Conflict, FieldError
from bursar.kernel.listing import Slice
from bursar.kernel.permissions import require
from bursar.kernel.zones import local_day, time_zone_of
from bursar.money.gateways.manual import DeskMethod
from bursar.web.pages.desk_money import DeskFormInvalid, taken
from bursar.web.pages.paging import ROWS, Before
from bursar.web.pages.reads.front_desk import class_head, names_of, venues_of
from bursar.web.pages.reports import DayText
from bursar.web.pages.routing import PageRoute
from bursar.web.pages.texts import printable
from bursar.web.pages.visits import Page, Visit, Visiting, to

_REASON_MAX: Final = 500
_NAME_MAX: Final = 120
_SEATS_MAX: Final = 100
_DIGITS_MAX: Final = 3
STATUSES: Final = get_args(bookings.Status)
Done = Literal[
    "",
    "in",
    "out",
    "missed",
    "confirmed",
    "declined",
    "cancelled",
    "booked",
    "held",
    "waiting",
    "left",
    "waived",
    "taken",
    "returned",
]
_DONE: Final = {
    "in": "Checked in.",
    "out": "The check-in is taken back.",
    "missed": "Noted that nobody came.",
    "confirmed": "Confirmed, and told to the customer.",
    "declined": "Declined, and told to the customer: everything went back.",
    "cancelled": "Cancelled.",
    "booked": "A seat is given out.",
    "held": "A seat is held. It is booked when it is paid: take the money here, or send the customer the link.",
    "taken": "The money is written down. The seat is booked in a moment.",
    "returned": "Written down: the money was handed back.",
    "waiting": "On the waitlist.",
    "left": "Off the waitlist.",
    "waived": "The fee is waived.",
}
RefText = Annotated[str, Query(max_length=80)]

router = APIRouter(route_class=PageRoute)


@router.get("/day")
@needs("bookings:read")
async def day_page(visit: Visiting, date: DayText = "", venue: RefText = "") -> Response:
    """Show a day: each class with its seats, and the appointments, kept live."""
    venue_id = ids.parse(ids.VENUE, venue) if venue else None
    async with visit.open() as page:
        venues = await venues_of(page.tx, tenant_id=visit.tenant_id)
        today = await _today(page, visit)
        chosen = _day(date) or today
        found = await live.day_of(page.tx, tenant_id=visit.tenant_id, day=chosen, venue_id=venue_id)
        return page.answer(
            "day.html",
            fragment="day_live.html",
            day=found,
            venues=venues,
            returns=await _returns(page, visit),
            today=today,
            before=chosen - timedelta(days=1),
            after=chosen + timedelta(days=1),
            asked={"date": chosen.isoformat(), "venue": venue if venue_id else ""},
        )


@router.get("/day/classes/{class_ref}")
@needs("bookings:read")
async def class_page(visit: Visiting, class_ref: str, done: Done = "") -> Response:
    """Show who comes to a class and who waits, kept live, with what is done at the counter."""
    class_id = ids.parse(ids.CLASS, class_ref)
    async with visit.open() as page:
        found = await class_of(page.tx, tenant_id=visit.tenant_id, class_id=class_id)
        return page.answer(
            "class.html",
            fragment="class_live.html",
            id=class_ref,
            a_class=found,
            head=await class_head(page.tx, tenant_id=visit.tenant_id, class_id=class_id),
            roster=await live.roster_of(page.tx, tenant_id=visit.tenant_id, class_id=class_id),
            done=done,
            done_words=_DONE,
            reason_max=_REASON_MAX,
            new_booking=ids.show(ids.BOOKING, ids.new()),
        )


@router.post("/day/classes/{class_ref}/bookings")
@needs("bookings:write")
async def walk_in(visit: Visiting, class_ref: str) -> Response:
    """Give somebody at the counter a seat; beyond the capacity or a rule only with a reason, by whoever may."""
    class_id = ids.parse(ids.CLASS, class_ref)
    fields = await visit.form()
    reason = printable(fields.get("reason", ""))[:_REASON_MAX] or None
    if reason:
        require(visit.principal.permissions, "bookings:override")
    pays_cash = bool(fields.get("pays_cash"))
    if pays_cash:
        require(visit.principal.permissions, "payments:write")
    async with visit.open() as page:
        await class_of(page.tx, tenant_id=visit.tenant_id, class_id=class_id)
        made = await bookings.book(
            page.tx,
            tenant_id=visit.tenant_id,
            class_id=class_id,
            customer_id=await _customer(page, visit, fields),
            seats=_seats(fields),
            source="walk_in" if fields.get("is_here") else "desk",
            actor=visit.actor,
            now=visit.now,
            override_reason=reason,
            booking_id=_new_booking(fields),
            pays="money" if pays_cash else "auto",
            landing=bookings.Landing(base_url=visit.resources.settings.public_url, is_at_desk=pays_cash),
        )
        # The same form sent again finds it paid; where nothing is due, the refusal says so.
        if pays_cash and (made.status == "held" or made.order_id is None):
            await taken(page, visit, made.id, DeskMethod.cash)
    done = "taken" if pays_cash else "held" if made.status == "held" else "booked"
    return to(f"/day/classes/{class_ref}?done={done}")


@router.post("/day/classes/{class_ref}/waitlist")
@needs("bookings:write")
async def wait(visit: Visiting, class_ref: str) -> Response:
    """Put somebody on the waitlist."""
    class_id = ids.parse(ids.CLASS, class_ref)
    fields = await visit.form()
    async with visit.open() as page:
        await class_of(page.tx, tenant_id=visit.tenant_id, class_id=class_id)
        await bookings.join_waitlist(
            page.tx,
            tenant_id=visit.tenant_id,
            class_id=class_id,
            customer_id=await _customer(page, visit, fields),
            count=_seats(fields),
            actor=visit.actor,
            now=visit.now,
        )
    return to(f"/day/classes/{class_ref}?done=waiting")


@router.post("/day/classes/{class_ref}/waitlist/{entry_ref}/leave")
@needs("bookings:write")
async def leave(visit: Visiting, class_ref: str, entry_ref: str) -> Response:
    """Take somebody off the waitlist."""
    class_id, entry_id = ids.parse(ids.CLASS, class_ref), ids.parse(ids.WAITLIST_ENTRY, entry_ref)
    await visit.form()
    async with visit.open() as page:
        await bookings.leave_waitlist(
            page.tx, tenant_id=visit.tenant_id, entry_id=entry_id, actor=visit.actor, now=visit.now
        )
    return to(f"/day/classes/{ids.show(ids.CLASS, class_id)}?done=left")


@router.post("/bookings/{booking_ref}/check-in")
@needs("bookings:write")
async def check_in(visit: Visiting, booking_ref: str) -> Response:
    """Note that somebody is here."""
    return await _attend(visit, booking_ref, bookings.check_in, "in")


@router.post("/bookings/{booking_ref}/undo-check-in")
@needs("bookings:write")
async def undo_check_in(visit: Visiting, booking_ref: str) -> Response:
    """Take back that somebody is here."""
    return await _attend(visit, booking_ref, bookings.undo_check_in, "out")


@router.post("/bookings/{booking_ref}/no-show")
@needs("bookings:write")
async def no_show(visit: Visiting, booking_ref: str) -> Response:
    """Note that somebody did not come."""
    return await _attend(visit, booking_ref, bookings.mark_no_show, "missed")


@router.post("/bookings/{booking_ref}/confirm")
@needs("bookings:write")
async def confirm(visit: Visiting, booking_ref: str) -> Response:
    """Confirm what was requested; beyond the seats there are only with a reason, by whoever may."""
    booking_id, fields = ids.parse(ids.BOOKING, booking_ref), await visit.form()
    reason = printable(fields.get("reason", ""))[:_REASON_MAX] or None
    if reason:
        require(visit.principal.permissions, "bookings:override")
    landing = bookings.Landing(base_url=visit.resources.settings.public_url)
    given: dict[str, Any] = {"tenant_id": visit.tenant_id, "booking_id": booking_id, "landing": landing}
    async with visit.open() as page:
        found = await bookings.booking_view(page.tx, tenant_id=visit.tenant_id, booking_id=booking_id)
        if found.class_:
            done = await bookings.confirm(page.tx, **given, override_reason=reason, actor=visit.actor, now=visit.now)
        else:
            done = await appointments.confirm(page.tx, **given, actor=visit.actor, now=visit.now)
    return _back(done, fields, "confirmed")


@router.post("/bookings/{booking_ref}/decline")
@needs("bookings:write")
async def decline(visit: Visiting, booking_ref: str) -> Response:
    """Decline what was requested: everything goes back, and the customer is told why."""
    booking_id, fields = ids.parse(ids.BOOKING, booking_ref), await visit.form()
    async with visit.open() as page:
        done = await bookings.cancel(
            page.tx,
            tenant_id=visit.tenant_id,
            booking_id=booking_id,
            is_customer=False,
            reason=printable(fields.get("reason", ""))[:_REASON_MAX] or None,
            actor=visit.actor,
            now=visit.now,
            declines=True,
        )
    return _back(done, fields, "declined")


@router.get("/bookings")
@needs("bookings:read")
async def booking_list(  # noqa: PLR0917 - the filters of a page
    visit: Visiting,
    status: Literal[""] | bookings.Status = "",
    customer: RefText = "",
    number: Annotated[str, Query(max_length=20)] = "",
    date: DayText = "",
    before_id: Before = None,
) -> Response:
    """Show bookings, newest first."""
    day = _day(date)
    asked = {
        "status": status,
        "customer": printable(customer),
        "number": printable(number).upper(),
        "date": day.isoformat() if day else "",
    }
    given = {
        "status": status or None,
        "customer": ids.parse(ids.CUSTOMER, customer) if customer else None,
        "number": asked["number"] or None,
        "since": day,
        "until": day + timedelta(days=1) if day else None,
    }
    wanted = Slice(ROWS, ids.parse(ids.BOOKING, before_id) if before_id else None)
    async with visit.open() as page:
        found = await bookings.bookings(page.tx, tenant_id=visit.tenant_id, page=wanted, given=given)
        return page.answer(
            "bookings.html",
            bookings=[(ids.show(ids.BOOKING, row.id), ids.show(ids.CUSTOMER, row.customer), row) for row in found.rows],
            names=await names_of(page.tx, tenant_id=visit.tenant_id, customers=[row.customer for row in found.rows]),
            after=ids.show(ids.BOOKING, found.next_after) if found.next_after else None,
            is_newest=before_id is None,
            statuses=STATUSES,
            asked=asked,
        )


@router.get("/bookings/{booking_ref}")
@needs("bookings:read")
async def booking_page(visit: Visiting, booking_ref: str, done: Done = "") -> Response:
    """Show one booking: what was booked and paid, under which terms, and what cancelling it would do."""
    booking_id = ids.parse(ids.BOOKING, booking_ref)
    async with visit.open() as page:
        found = await bookings.booking_view(page.tx, tenant_id=visit.tenant_id, booking_id=booking_id)
        return page.answer(
            "booking.html",
            id=booking_ref,
            booking=found,
            customer_id=ids.show(ids.CUSTOMER, found.customer),
            names=await names_of(page.tx, tenant_id=visit.tenant_id, customers=[found.customer]),
            class_id=ids.show(ids.CLASS, found.class_) if found.class_ else None,
            told=await _consequence(page, visit, booking_id, found.status),
            fee=await fees.fee_of_booking(page.tx, tenant_id=visit.tenant_id, booking_id=booking_id),
            returns=await _returns(page, visit, booking=booking_id),
            done=done,
            done_words=_DONE,
            reason_max=_REASON_MAX,
        )


@router.post("/bookings/{booking_ref}/cancel")
@needs("bookings:write")
async def cancel(visit: Visiting, booking_ref: str) -> Response:
    """Cancel for the customer, by the terms, or for the business, which gives everything back."""
    booking_id = ids.parse(ids.BOOKING, booking_ref)
    fields = await visit.form()
    async with visit.open() as page:
        await bookings.cancel(
            page.tx,
            tenant_id=visit.tenant_id,
            booking_id=booking_id,
            is_customer=fields.get("who") != "business",
            reason=printable(fields.get("reason", ""))[:_REASON_MAX] or None,
            actor=visit.actor,
            now=visit.now,
        )
    return to(f"/bookings/{booking_ref}?done=cancelled")


@router.post("/bookings/{booking_ref}/waive-fee")
@needs("bookings:override")
async def waive_fee(visit: Visiting, booking_ref: str) -> Response:
    """Let the fee of a booking be owed no more, for a reason."""
    booking_id = ids.parse(ids.BOOKING, booking_ref)
    fields = await visit.form()
    reason = printable(fields.get("reason", ""))[:_REASON_MAX]
    if not reason:
        wrong = FieldError("reason", "invalid", "why it is waived")
        raise DeskFormInvalid("Say why the fee is waived.", hint="Go back and fill it in.", fields=(wrong,))
    async with visit.open() as page:
        owed = await fees.fee_of_booking(page.tx, tenant_id=visit.tenant_id, booking_id=booking_id)
        if owed is None:
            raise fees.FeeNotFound("There is no fee of this booking.", hint="Go back to the booking.")
        await fees.waive(
            page.tx, tenant_id=visit.tenant_id, fee_id=owed.id, reason=reason, actor=visit.actor, now=visit.now
        )
    return to(f"/bookings/{booking_ref}?done=waived")


async def _consequence(page: Page, visit: Visit, booking_id: UUID, status: str) -> bookings.Told | None:
    """Return what cancelling would do; None where nothing is left to cancel."""
    if status not in ("requested", "held", "booked"):
        return None
    try:
        return await bookings.consequence(
            page.tx, tenant_id=visit.tenant_id, booking_id=booking_id, now=visit.now, actor=visit.actor
        )
    except Conflict:
        return None


async def _customer(page: Page, visit: Visit, fields: dict[str, str]) -> UUID:
    """Return who stands at the counter: by id, or by address, added if need be. Raises DeskFormInvalid, EmailInvalid, IdInvalid."""
    who = fields.get("who", "").strip()
    if who.startswith(f"{ids.CUSTOMER}_"):
        return ids.parse(ids.CUSTOMER, who)
    if "@" not in who:
        wrong = FieldError("who", "invalid", "an e-mail address or a customer's id")
        raise DeskFormInvalid(
            "Say who: an e-mail address, or a customer's id.", hint="Go back and fill it in.", fields=(wrong,)
        )
    name = printable(fields.get("name", ""))[:_NAME_MAX] or None
    return await people.customer_for(
        page.tx, tenant_id=visit.tenant_id, email=who, name=name, actor=visit.actor, now=visit.now
    )


def _seats(fields: dict[str, str]) -> int:
    text = fields.get("seats", "1")
    seats = int(text) if text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX else 0
    if not 1 <= seats <= _SEATS_MAX:
        raise DeskFormInvalid(f"Seats are a whole number from 1 to {_SEATS_MAX}.", hint="Go back and correct it.")
    return seats


def _new_booking(fields: dict[str, str]) -> UUID | None:
    """Return the id that the form was made with: sending it twice is booking once."""
    return ids.parse(ids.BOOKING, fields["booking"]) if fields.get("booking") else None


async def _attend(
    visit: Visit, booking_ref: str, act: Callable[..., Awaitable[bookings.Booking]], word: Done
) -> Response:
    """Do one of the acts of attendance."""
    fields, booking_id = await visit.form(), ids.parse(ids.BOOKING, booking_ref)
    async with visit.open() as page:
        done = await act(page.tx, tenant_id=visit.tenant_id, booking_id=booking_id, actor=visit.actor, now=visit.now)
    return _back(done, fields, word)


def _back(done: bookings.Booking, fields: dict[str, str], word: Done) -> Response:
    """Go back to where the form was: the class, or the booking."""
    if fields.get("from") == "class" and done.class_id:
        return to(f"/day/classes/{ids.show(ids.CLASS, done.class_id)}?done={word}")
    return to(f"/bookings/{ids.show(ids.BOOKING, done.id)}?done={word}")


async def _returns(page: Page, visit: Visit, *, booking: UUID | None = None) -> tuple[bookings.DeskReturn, ...]:
    """Return the cash that has to be handed back; of one booking."""
    found = await bookings.desk_returns(
        page.tx, tenant_id=visit.tenant_id, page=Slice(ROWS), given={"booking": booking}
    )
    return found.rows


async def _today(page: Page, visit: Visit) -> date:
    return local_day(visit.now, await time_zone_of(page.tx, tenant_id=visit.tenant_id))


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        return None
