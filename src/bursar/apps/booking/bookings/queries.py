"""Reads of bookings and of who waits."""

from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from pydantic import Field

from bursar.apps.booking.bookings.models import (
    Booking,
    CreditsBack,
    EntryStatus,
    PaidWith,
    Source,
    Status,
)
from bursar.apps.booking.bookings.refusals import BookingNotFound, EntryNotFound
from bursar.apps.booking.fees import FeeKind, FeeStatus
from bursar.apps.booking.schedule import times
from bursar.kernel import ids
from bursar.kernel.db import Transaction
from bursar.kernel.http import FromJson, View
from bursar.kernel.http.identifiers import (
    BookingFeeId,
    BookingId,
    CheckoutId,
    ClassId,
    CustomerId,
    OrderId,
    ServiceId,
    SpendId,
    StaffId,
    VenueId,
    WaitlistEntryId,
)
from bursar.kernel.listing import Listing, Part, Slice, part

LOCAL: Final = "2026-03-08T09:00-04:00[America/New_York]"


class FeeOfBooking(View):
    """What is owed, or was, because the customer did not come or cancelled late."""

    id: BookingFeeId
    kind: FeeKind
    amount_minor: int
    currency: str
    status: FeeStatus


class BookingView(View):
    """A seat in a class, or an appointment."""

    id: BookingId
    number: str = Field(examples=["K7QPX3A"], description="Short, to be read aloud; unique in the business.")
    customer: CustomerId
    kind: str = Field(examples=["class"], description="class or service.")
    class_: ClassId | None = Field(serialization_alias="class", validation_alias="class")
    service: ServiceId | None
    staff: StaffId | None
    venue: VenueId
    title: str = Field(examples=["Morning Flow"], description="As it was when it was booked.")
    status: Status = Field(
        description="requested: staff has to confirm it. held: it waits for its payment, or was offered. expired: nothing came."
    )
    seats: int
    starts_at: datetime
    ends_at: datetime
    local: str = Field(examples=[LOCAL], description="When it begins, where it takes place.")
    local_end: str = Field(examples=[LOCAL])
    time_zone: str
    cancel_by: datetime = Field(description="Until then cancelling costs nothing.")
    cancel_by_local: str = Field(examples=[LOCAL])
    cancel_by_text: str = Field(
        examples=["Sat 7 March 2026, 08:00 EST (America/New_York)"], description="As letters and pages say it."
    )
    source: Source
    paid_with: PaidWith
    credit_cost: int = Field(description="Credits that it cost.")
    missing_credits: int = Field(description="Credits that the money stands in for, where it is paid with both.")
    spend: SpendId | None
    order: OrderId | None
    checkout: CheckoutId | None = Field(
        description="Where it is paid: GET /v1/checkouts/{checkout} has the link. null with an order: it is paid at the desk."
    )
    price_minor: int | None = Field(description="Of the part that is paid with money, before the discount.")
    due_minor: int | None = Field(description="What has to be paid before it is sure.")
    deposit_percent: int | None = Field(
        description="What of the money that is in per cent; null: all, or a price of its own."
    )
    rest_minor: int | None = Field(description="What is to pay at the desk: what it costs less `due_minor`.")
    discount_minor: int = Field(description="What its coupon takes off the price.")
    coupon: str | None = Field(description="The code of its coupon.")
    tax_bp: int = Field(description="The tax of its venue when it was booked, in basis points.")
    tax_included: bool = Field(description="Whether the price has the tax in it.")
    net_minor: int | None = Field(description="What it costs less the tax. Net and tax together are gross.")
    tax_minor: int = Field(description="What of it is tax, rounded half to even.")
    gross_minor: int | None = Field(description="What it costs, its discount off and its tax in.")
    currency: str | None
    held_until: datetime | None
    override_reason: str | None
    overbooked: int = Field(description="Seats that staff gave out knowingly beyond the capacity.")
    moved_from: BookingId | None
    moves: int
    terms: Annotated[dict[str, Any], FromJson] = Field(description="The policy as it was when it was booked.")
    booked_by: str
    cancelled_at: datetime | None
    cancelled_by: str | None
    cancel_reason: str | None
    credits_back: CreditsBack | None = Field(
        description="same_lot: to where they came from. new_lot: that had expired, they are in one of their own. kept: by the business."
    )
    attended_at: datetime | None
    fee: FeeOfBooking | None = Field(description="Of not coming, or of cancelling late; see GET /v1/booking-fees.")
    version: int
    created_at: datetime


class WaitlistEntry(View):
    """A place on the waitlist of a class."""

    id: WaitlistEntryId
    class_: ClassId = Field(serialization_alias="class", validation_alias="class")
    customer: CustomerId
    position: int | None = Field(description="How many are served before, and one; null when the waiting has ended.")
    seats: int
    status: EntryStatus = Field(description="offered: a seat is held until `offered_until`; book the class to take it.")
    offered_until: datetime | None
    booking: BookingId | None
    told: str | None = Field(description="Why it was passed over.")
    ended_at: datetime | None
    created_at: datetime


_SELECT: Final = """select b.id, b.number, b.customer_id as customer, b.kind, b.class_id as class, b.service_id as service, b.staff_id as staff,
  b.venue_id as venue, b.snapshot ->> 'title' as title, b.status, b.seats, b.starts_at, b.ends_at, b.snapshot ->> 'time_zone' as time_zone,
  b.cancel_by, b.source, b.paid_with, b.credit_cost, b.missing_credits, b.spend_id as spend, b.order_id as order,
  (select k.id from checkout k where k.tenant_id = b.tenant_id and k.order_id = b.order_id order by k.id desc limit 1) as checkout,
  b.price_minor, b.due_minor, b.deposit_percent, b.discount_minor,
  (select k.code from coupon k where k.tenant_id = b.tenant_id and k.id = b.coupon_id) as coupon,
  b.tax_bp, b.tax_included, b.tax_minor, b.currency, b.held_until, b.override_reason, b.overbooked, b.moved_from, b.moves, b.terms::text as terms,
  b.booked_by, b.cancelled_at, b.cancelled_by, b.cancel_reason, b.credits_back, b.attended_at, b.version, b.created_at,
  (select jsonb_build_object('id', f.id, 'kind', f.kind, 'amount_minor', f.amount_minor, 'currency', f.currency, 'status', f.status)::text
    from booking_fee f where f.tenant_id = b.tenant_id and f.booking_id = b.id and f.status <> 'withdrawn') as fee
from booking b"""

BOOKINGS = Listing(
    select=_SELECT,
    tenant="b.tenant_id",
    key="b.id",
    filters={
        "customer": "b.customer_id = {}",
        "status": "b.status = {}",
        "class": "b.class_id = {}",
        "venue": "b.venue_id = {}",
        "staff": "b.staff_id = {}",
        "number": "b.number = {}",
        "since": "b.local_date >= {}",
        "until": "b.local_date < {}",
    },
    refers={"customer": "customer", "class": "class_instance", "venue": "venue", "staff": "staff"},
)

ENTRIES = Listing(
    select="""select w.id, w.class_id as class, w.customer_id as customer, w.seats, w.status, w.offered_until, w.booking_id as booking,
  w.told, w.ended_at, w.created_at,
  case when w.status = 'waiting' then (select count(*)::int from waitlist_entry o where o.tenant_id = w.tenant_id and o.class_id = w.class_id
    and o.status = 'waiting' and o.seq <= w.seq) end as position
from waitlist_entry w""",
    tenant="w.tenant_id",
    key="w.id",
    filters={"customer": "w.customer_id = {}", "class": "w.class_id = {}", "status": "w.status = {}"},
    refers={"customer": "customer", "class": "class_instance"},
)

_REFERENCES: Final = ("customer", "class", "service", "staff", "venue", "spend", "order")
_SAME: Final = tuple({f.name for f in fields(Booking)} & BookingView.model_fields.keys() - {"terms"})

_ONE = f"{_SELECT} where b.tenant_id = $1 and b.id = $2"
_ENTRY = f"{ENTRIES.select} where w.tenant_id = $1 and w.id = $2"


async def booking(tx: Transaction, *, tenant_id: UUID, booking_id: UUID) -> BookingView:
    """Return one booking. Raises BookingNotFound."""
    row = await tx.fetchrow(_ONE, tenant_id, booking_id)
    if row is None:
        raise BookingNotFound(f"there is no booking {ids.show(ids.BOOKING, booking_id)}", hint="See GET /v1/bookings.")
    return shown(row)


async def view_of(tx: Transaction, *, tenant_id: UUID, made: Booking) -> BookingView:
    """Return the view of a booking that was just made, and owes no fee yet. It is read again only where it has a checkout or a coupon."""
    if made.order_id or made.coupon_id:
        return await booking(tx, tenant_id=tenant_id, booking_id=made.id)
    told = {name: getattr(made, name) for name in _SAME}
    references = {name: getattr(made, f"{name}_id") for name in _REFERENCES}
    kept = {name: made.snapshot[name] for name in ("title", "time_zone")}
    return shown(
        told | references | kept | {"checkout": None, "coupon": None, "fee": None} | {"terms": made.terms.canonical()}
    )


async def bookings(tx: Transaction, *, tenant_id: UUID, page: Slice, given: Mapping[str, Any]) -> Part[BookingView]:
    """Return bookings, newest first. given: values by filter of `BOOKINGS`; since and until are days where it takes place."""
    return await part(tx, BOOKINGS, tenant_id=tenant_id, given=given, page=page, view=shown)


async def entry(tx: Transaction, *, tenant_id: UUID, entry_id: UUID) -> WaitlistEntry:
    """Return one place on a waitlist. Raises EntryNotFound."""
    row = await tx.fetchrow(_ENTRY, tenant_id, entry_id)
    if row is None:
        shown_id = ids.show(ids.WAITLIST_ENTRY, entry_id)
        raise EntryNotFound(f"there is no entry {shown_id}", hint="See GET /v1/waitlist-entries.")
    return WaitlistEntry.of(row)


async def entries(tx: Transaction, *, tenant_id: UUID, page: Slice, given: Mapping[str, Any]) -> Part[WaitlistEntry]:
    """Return who waits and waited, newest first. given: values by filter of `ENTRIES`."""
    return await part(tx, ENTRIES, tenant_id=tenant_id, given=given, page=page, view=WaitlistEntry.of)


def shown(row: Any) -> BookingView:
    """Return the view of a row of `BOOKINGS`."""
    told = dict(row)
    zone = told["time_zone"]
    return BookingView.model_validate(
        told
        | {
            "local": times.local(told["starts_at"], zone),
            "local_end": times.local(told["ends_at"], zone),
            "cancel_by_local": times.local(told["cancel_by"], zone),
            "cancel_by_text": times.told(told["cancel_by"], zone),
            "fee": _fee(told["fee"]),
        }
        | _sums(told)
    )


def _sums(told: Mapping[str, Any]) -> dict[str, int | None]:
    if told["price_minor"] is None:
        return {"net_minor": None, "gross_minor": None, "rest_minor": None}
    tax, added = told["tax_minor"], 0 if told["tax_included"] else told["tax_minor"]
    gross = told["price_minor"] - told["discount_minor"] + added
    return {"net_minor": gross - tax, "gross_minor": gross, "rest_minor": gross - (told["due_minor"] or 0)}


def _fee(told: str | None) -> dict[str, Any] | None:
    found: dict[str, Any] | None = msgspec.json.decode(told) if told else None
    return found and found | {"id": UUID(found["id"])}
