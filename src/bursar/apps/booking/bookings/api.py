"""Routes of bookings and of waitlists."""

from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Path, Query
from pydantic import Field

from bursar.apps.booking.bookings import attending, cancelling, changing, confirming, moving, queries, taking, waiting
from bursar.apps.booking.bookings.desk_api import TAKING_MONEY, NewDeskPayment, take
from bursar.apps.booking.bookings.models import CreditsBack, EntryStatus, Pays, Status
from bursar.apps.booking.bookings.paying import Landing
from bursar.apps.booking.bookings.queries import BookingView, WaitlistEntry
from bursar.apps.booking.coupons import CODE
from bursar.apps.booking.schedule import times
from bursar.apps.booking.schedule.schemas import ChangedClass, ShownClass, changes_of
from bursar.kernel.auth import Caller, CallerOf, TenantRoute, needs
from bursar.kernel.http import Input, Page, PageFilters, Reason, Url, View, page_of
from bursar.kernel.http.identifiers import (
    AccountId,
    BookingId,
    ClassId,
    CustomerId,
    StaffId,
    VenueId,
    WaitlistEntryId,
)
from bursar.kernel.http.inputs import Day

READING: Final = "bookings:read"
WRITING: Final = "bookings:write"
OVERRIDING: Final = "bookings:override"

router = APIRouter(prefix="/v1", route_class=TenantRoute, tags=["bookings"])

Seats = Annotated[int, Field(strict=True, ge=1, le=100, examples=[1])]
OnBooking = Annotated[BookingId, Path()]


class NewBooking(Input):
    """Seats in a class. Credits that end soonest pay for it, among those that are good when the class begins."""

    class_: ClassId = Field(alias="class")
    customer: CustomerId
    seats: Seats = 1
    source: Literal["online", "desk", "walk_in"] = Field(
        default="online", description="desk, walk_in: staff books, and is held to fewer rules."
    )
    pays: Pays = Field(
        default="auto",
        description="auto: credits where they suffice, else money where it has a price. both: as many credits as there are, the missing ones with money, where the business takes that.",
    )
    coupon: Annotated[str, Field(pattern=CODE, max_length=32)] | None = Field(
        default=None, description="A code that lessens the price; who gives one pays with money."
    )
    override_reason: Reason | None = Field(
        default=None,
        description="Why staff overbooks, or gives for nothing what costs something. Needs `bookings:override`.",
    )
    desk_payment: NewDeskPayment | None = Field(
        default=None,
        description="Take what is due at the desk in the same act. Needs `payments:write`; refused where nothing is due.",
    )
    gateway_account: AccountId | None = Field(default=None, description="Where money is paid, if there are several.")
    success_url: Url | None = Field(default=None, description="Where who has paid comes back to; else a page of ours.")
    cancel_url: Url | None = None


class NewBookingCancellation(Input):
    """`by` says whose wish it is. The customer's is judged by the booking's own terms; the business gives everything back."""

    by: Literal["customer", "business"] = "customer"
    reason: Reason | None = None


class NewReschedule(Input):
    """override_reason: why staff moves it though its terms forbid it, or overbooks. Needs `bookings:override`."""

    class_: ClassId = Field(alias="class")
    override_reason: Reason | None = None


class NewBookingConfirmation(Input):
    """override_reason: why more is booked than the class has. Needs `bookings:override`."""

    override_reason: Reason | None = None


class NewClassCancellation(Input):
    reason: Reason | None = Field(default=None, description="Customers are told it.")
    cancels_attended: bool = Field(
        default=False, description="Also when it has begun and somebody is checked in; theirs goes back too."
    )


class ShownClassCancellation(View):
    """A class that was cancelled, and with how many bookings. A repeat finds none."""

    class_: ClassId = Field(serialization_alias="class")
    bookings: int
    credits: int = Field(description="Credits that went back.")
    waiting: int = Field(description="Entries of its waitlist that ended.")


class NewWaitlistEntry(Input):
    class_: ClassId = Field(alias="class")
    customer: CustomerId
    seats: Seats = 1


class BookingFilters(PageFilters):
    """since, until: days where it takes place, the last one not included."""

    customer: CustomerId | None = None
    status: Status | None = None
    class_: ClassId | None = Field(default=None, alias="class")
    venue: VenueId | None = None
    staff: StaffId | None = None
    number: Annotated[str, Field(pattern="^[A-Z0-9]{7}$")] | None = None
    since: Day | None = None
    until: Day | None = None

    @property
    def given(self) -> dict[str, Any]:
        return {name.rstrip("_"): value for name, value in super().given.items()}


class EntryFilters(PageFilters):
    customer: CustomerId | None = None
    class_: ClassId | None = Field(default=None, alias="class")
    status: EntryStatus | None = None

    @property
    def given(self) -> dict[str, Any]:
        return {name.rstrip("_"): value for name, value in super().given.items()}


class ConsequenceView(View):
    """What it would do if the customer cancelled now."""

    booking: BookingId
    would_be: Status
    is_late: bool
    cancel_by_text: str = Field(examples=["Sat 7 March 2026, 08:00 EST (America/New_York)"])
    credits: int
    credits_back: CreditsBack
    credits_expire_local: str | None
    money_back_minor: int
    currency: str | None
    fee_minor: int = Field(description="What would be owed for cancelling late.")
    fee_currency: str | None
    text: str = Field(
        examples=["You get 1 credit back. Your seat is given up."], description="In words, for the customer."
    )


@router.post("/bookings", status_code=201)
@needs(WRITING)
async def create_booking(caller: CallerOf, new: NewBooking) -> BookingView:
    """Book seats. Refused with `class_full`, `already_booked`, `credits_insufficient` and others; nothing is taken then."""
    if new.override_reason is not None:
        caller.principal.require(OVERRIDING)
    if new.desk_payment is not None:
        caller.principal.require(TAKING_MONEY)
    async with caller.transaction() as tx:
        made = await taking.book(
            tx,
            tenant_id=caller.tenant_id,
            class_id=new.class_,
            customer_id=new.customer,
            seats=new.seats,
            source=new.source,
            pays=new.pays,
            coupon=new.coupon,
            override_reason=new.override_reason,
            landing=_landing(caller, new),
            actor=caller.actor,
            now=caller.now(),
        )
        if new.desk_payment is not None:
            await take(tx, caller, made.id, new.desk_payment)
        return await queries.view_of(tx, tenant_id=caller.tenant_id, made=made)


@router.get("/bookings")
@needs(READING)
async def list_bookings(caller: CallerOf, filters: Annotated[BookingFilters, Query()]) -> Page[BookingView]:
    """List bookings, newest first."""
    async with caller.transaction() as tx:
        given = filters.given
        return page_of(await queries.bookings(tx, tenant_id=caller.tenant_id, page=filters.slice, given=given))


@router.get("/bookings/{booking}")
@needs(READING)
async def get_booking(caller: CallerOf, booking: OnBooking) -> BookingView:
    """Return one booking."""
    async with caller.transaction() as tx:
        return await queries.booking(tx, tenant_id=caller.tenant_id, booking_id=booking)


@router.get("/bookings/{booking}/consequence")
@needs(READING)
async def get_consequence_of_cancelling(caller: CallerOf, booking: OnBooking) -> ConsequenceView:
    """Say what it would do if the customer cancelled now. Nothing is changed."""
    async with caller.transaction() as tx:
        told = await cancelling.consequence(
            tx, tenant_id=caller.tenant_id, booking_id=booking, now=caller.now(), actor=caller.actor
        )
    found, zone = told.consequence, told.booking.snapshot["time_zone"]
    return ConsequenceView(
        booking=booking,
        would_be=found.status,
        is_late=found.is_late,
        cancel_by_text=times.told(found.cancel_by, zone),
        credits=found.credits,
        credits_back=told.credits_back,
        credits_expire_local=times.local(told.credits_expire_at, zone) if told.credits_expire_at else None,
        money_back_minor=told.money_back_minor,
        currency=told.booking.currency,
        fee_minor=told.fee.minor if told.fee else 0,
        fee_currency=told.fee.currency if told.fee else None,
        text=told.text,
    )


@router.post("/bookings/{booking}/cancellations", status_code=201)
@needs(WRITING)
async def cancel_booking(caller: CallerOf, booking: OnBooking, new: NewBookingCancellation) -> BookingView:
    """Give up a booking. Its seat is free, and whoever waits has it at once."""
    if new.by == "business":
        caller.principal.require(OVERRIDING)
    async with caller.transaction() as tx:
        await cancelling.cancel(
            tx,
            tenant_id=caller.tenant_id,
            booking_id=booking,
            is_customer=new.by == "customer",
            reason=new.reason,
            actor=caller.actor,
            now=caller.now(),
        )
        return await queries.booking(tx, tenant_id=caller.tenant_id, booking_id=booking)


@router.post("/bookings/{booking}/reschedules", status_code=201)
@needs(WRITING)
async def reschedule_booking(caller: CallerOf, booking: OnBooking, new: NewReschedule) -> BookingView:
    """Move a booking to another class, in one act; the answer is the new booking. Refused, the old one is as it was."""
    if new.override_reason is not None:
        caller.principal.require(OVERRIDING)
    async with caller.transaction() as tx:
        moved = await moving.reschedule(
            tx,
            tenant_id=caller.tenant_id,
            booking_id=booking,
            class_id=new.class_,
            override_reason=new.override_reason,
            actor=caller.actor,
            now=caller.now(),
        )
        return await queries.booking(tx, tenant_id=caller.tenant_id, booking_id=moved.id)


@router.post("/bookings/{booking}/confirmations", status_code=201)
@needs(WRITING)
async def confirm_booking(caller: CallerOf, booking: OnBooking, new: NewBookingConfirmation) -> BookingView:
    """Confirm what was requested. Of two who do, one succeeds; to decline, cancel it by the business."""
    if new.override_reason is not None:
        caller.principal.require(OVERRIDING)
    async with caller.transaction() as tx:
        await confirming.confirm(
            tx,
            tenant_id=caller.tenant_id,
            booking_id=booking,
            override_reason=new.override_reason,
            landing=Landing(base_url=caller.resources.settings.public_url),
            actor=caller.actor,
            now=caller.now(),
        )
        return await queries.booking(tx, tenant_id=caller.tenant_id, booking_id=booking)


@router.post("/classes/{class}/cancellations", status_code=201)
@needs(OVERRIDING)
async def cancel_class(
    caller: CallerOf, class_id: Annotated[ClassId, Path(alias="class")], new: NewClassCancellation
) -> ShownClassCancellation:
    """Cancel a class: everybody who is booked gets everything back and is told. Repeating it gives nothing back twice.

    Once it has begun and somebody is checked in, it is refused with `class_attended`, unless `cancels_attended`.
    """
    async with caller.transaction() as tx:
        done = await changing.cancel_class(
            tx,
            tenant_id=caller.tenant_id,
            class_id=class_id,
            reason=new.reason,
            actor=caller.actor,
            now=caller.now(),
            cancels_attended=new.cancels_attended,
        )
    return ShownClassCancellation(class_=class_id, bookings=done.bookings, credits=done.credits, waiting=done.waiting)


@router.post("/classes/{class}/changes", status_code=201)
@needs(OVERRIDING)
async def change_booked_class(
    caller: CallerOf, class_id: Annotated[ClassId, Path(alias="class")], changed: ChangedClass
) -> ShownClass:
    """Change a class that is booked: its bookings follow, everybody is told, and who waits has what seats it has more."""
    async with caller.transaction() as tx:
        became = await changing.change_class(
            tx,
            tenant_id=caller.tenant_id,
            class_id=class_id,
            changes=changes_of(changed, without=("allows_overbooked",)),
            allows_overbooked=changed.allows_overbooked,
            actor=caller.actor,
            now=caller.now(),
        )
    return ShownClass.shown(became.instance, became.warnings)


@router.post("/bookings/{booking}/check-ins", status_code=201)
@needs(WRITING)
async def check_in_booking(caller: CallerOf, booking: OnBooking) -> BookingView:
    """Write down that the customer came. Repeating it changes nothing."""
    async with caller.transaction() as tx:
        await attending.check_in(
            tx, tenant_id=caller.tenant_id, booking_id=booking, actor=caller.actor, now=caller.now()
        )
        return await queries.booking(tx, tenant_id=caller.tenant_id, booking_id=booking)


@router.delete("/bookings/{booking}/check-ins")
@needs(WRITING)
async def undo_check_in(caller: CallerOf, booking: OnBooking) -> BookingView:
    """Take back that the customer came, or did not come. Repeating it changes nothing."""
    async with caller.transaction() as tx:
        await attending.undo_check_in(
            tx, tenant_id=caller.tenant_id, booking_id=booking, actor=caller.actor, now=caller.now()
        )
        return await queries.booking(tx, tenant_id=caller.tenant_id, booking_id=booking)


@router.post("/bookings/{booking}/no-shows", status_code=201)
@needs(WRITING)
async def mark_no_show(caller: CallerOf, booking: OnBooking) -> BookingView:
    """Write down that the customer did not come. Repeating it changes nothing."""
    async with caller.transaction() as tx:
        await attending.mark_no_show(
            tx, tenant_id=caller.tenant_id, booking_id=booking, actor=caller.actor, now=caller.now()
        )
        return await queries.booking(tx, tenant_id=caller.tenant_id, booking_id=booking)


@router.post("/waitlist-entries", status_code=201)
@needs(WRITING)
async def join_waitlist(caller: CallerOf, new: NewWaitlistEntry) -> WaitlistEntry:
    """Let a customer wait for a class that is full. Refused with `seats_free` when it can be booked."""
    async with caller.transaction() as tx:
        joined = await waiting.join(
            tx,
            tenant_id=caller.tenant_id,
            class_id=new.class_,
            customer_id=new.customer,
            count=new.seats,
            actor=caller.actor,
            now=caller.now(),
        )
        return await queries.entry(tx, tenant_id=caller.tenant_id, entry_id=joined.id)


@router.get("/waitlist-entries")
@needs(READING)
async def list_waitlist_entries(caller: CallerOf, filters: Annotated[EntryFilters, Query()]) -> Page[WaitlistEntry]:
    """List who waits and who waited, newest first."""
    async with caller.transaction() as tx:
        given = filters.given
        return page_of(await queries.entries(tx, tenant_id=caller.tenant_id, page=filters.slice, given=given))


@router.get("/waitlist-entries/{waitlist_entry}")
@needs(READING)
async def get_waitlist_entry(caller: CallerOf, waitlist_entry: Annotated[WaitlistEntryId, Path()]) -> WaitlistEntry:
    """Return one place on a waitlist."""
    async with caller.transaction() as tx:
        return await queries.entry(tx, tenant_id=caller.tenant_id, entry_id=waitlist_entry)


@router.delete("/waitlist-entries/{waitlist_entry}")
@needs(WRITING)
async def leave_waitlist(caller: CallerOf, waitlist_entry: Annotated[WaitlistEntryId, Path()]) -> WaitlistEntry:
    """Let a customer wait no more. What was offered goes to the next."""
    async with caller.transaction() as tx:
        await waiting.leave(
            tx, tenant_id=caller.tenant_id, entry_id=waitlist_entry, actor=caller.actor, now=caller.now()
        )
        return await queries.entry(tx, tenant_id=caller.tenant_id, entry_id=waitlist_entry)


def _landing(caller: Caller, new: NewBooking) -> Landing:
    return Landing(
        success_url=new.success_url,
        cancel_url=new.cancel_url,
        base_url=caller.resources.settings.public_url,
        account_id=new.gateway_account,
        is_at_desk=new.desk_payment is not None,
    )
