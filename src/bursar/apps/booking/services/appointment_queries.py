"""Appointments as people and programs see them, and a staff member's day."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from pydantic import Field

from bursar.apps.booking.bookings.refusals import BookingNotFound
from bursar.apps.booking.schedule.times import local
from bursar.apps.booking.services.named import require_staff
from bursar.apps.booking.services.queries import ServiceId, StaffId, TierId, VenueId
from bursar.kernel import ids
from bursar.kernel.db import Transaction
from bursar.kernel.http import PublicId, View
from bursar.kernel.http.identifiers import CustomerId, OrderId
from bursar.kernel.listing import Listing, Part, Slice, part
from bursar.kernel.seal import Seal
from bursar.money import checkouts
from bursar.money.checkouts.queries import CheckoutId

AppointmentId = Annotated[UUID, PublicId(ids.BOOKING)]
Status = Literal["requested", "held", "booked", "attended", "no_show", "cancelled", "late_cancelled", "expired"]
PaymentStatus = Literal["none", "unpaid", "deposit_paid", "paid", "disputed", "returning", "returned"]


class AppointmentCheckout(View):
    """The page on which it is paid."""

    id: CheckoutId
    status: Literal["pending", "open", "complete", "expired", "refused"]
    url: str | None = Field(description="Where to send the customer, while the page is open.")


class Appointment(View):
    """A staff member's time given to a customer. It is a booking too: cancel it and check it in as every other."""

    id: AppointmentId
    number: str = Field(examples=["K7RWX3A"])
    status: Status = Field(description="held: until `held_until` it waits for its payment.")
    payment_status: PaymentStatus
    customer: CustomerId
    service: ServiceId
    tier: TierId
    title: str
    tier_name: str
    staff: StaffId
    staff_name: str
    venue: VenueId
    venue_name: str
    starts_at: datetime
    ends_at: datetime
    local: str = Field(examples=["2026-03-08T09:00-04:00[America/New_York]"])
    cancel_by: datetime = Field(description="Until then cancelling costs nothing.")
    cancel_by_local: str
    source: str
    price_minor: int | None
    due_minor: int | None = Field(description="What has to be paid before it is sure; null: nothing.")
    currency: str | None
    order: OrderId | None
    held_until: datetime | None
    moves: int = Field(description="How often it was moved.")
    override_reason: str | None
    checkout: AppointmentCheckout | None = None
    created_at: datetime


class Busy(View):
    """What a staff member has to do. customer: of an appointment. seats: of a class, those that are taken."""

    kind: Literal["appointment", "class"]
    id: str
    title: str
    starts_at: datetime
    ends_at: datetime
    local: str
    venue_name: str | None
    customer: CustomerId | None = None
    customer_name: str | None = None
    number: str | None = None
    status: str | None = None
    seats: int | None = None


class StaffDay(View):
    """A staff member's day: what begins on a date of the business, in order."""

    staff: StaffId
    name: str
    date: date
    time_zone: str
    data: list[Busy]


# What was paid is what stayed here. A booking is paid by one purchase, and others may be on their way back.
_PAYMENT: Final = """case
    when b.due_minor is null then 'none'
    when p.status = 'seated' and p.is_disputed then 'disputed'
    when p.status = 'seated' and u.paid_minor - u.refunded_minor - u.lost_minor >= coalesce(b.price_minor, 0) then 'paid'
    when p.status = 'seated' then 'deposit_paid'
    when p.status = 'returning' then 'returning'
    when p.status = 'released' then 'returned'
    else 'unpaid' end"""

_SELECT: Final = f"""select b.id, b.number, b.status, {_PAYMENT} as payment_status, b.customer_id as customer, b.service_id as service,
  b.tier_id as tier, b.snapshot ->> 'title' as title, b.snapshot ->> 'tier' as tier_name, b.staff_id as staff,
  b.snapshot ->> 'staff' as staff_name, b.venue_id as venue, b.snapshot ->> 'venue' as venue_name, b.snapshot ->> 'time_zone' as time_zone,
  b.starts_at, b.ends_at, b.cancel_by, b.source, b.price_minor, b.due_minor, b.currency, b.order_id as order, b.held_until, b.moves,
  b.override_reason, b.created_at
from booking b
left join lateral (
  select s.status, s.is_disputed, s.purchase_id from seat_payment s where s.tenant_id = b.tenant_id and s.booking_id = b.id
  order by s.status = 'seated' desc, s.grant_id desc limit 1
) p on true
left join purchase u on u.tenant_id = b.tenant_id and u.id = p.purchase_id"""

APPOINTMENTS = Listing(
    select=_SELECT,
    tenant="b.tenant_id",
    key="b.id",
    always=("b.kind = 'service'",),
    filters={
        "customer": "b.customer_id = {}",
        "staff": "b.staff_id = {}",
        "service": "b.service_id = {}",
        "status": "b.status = {}",
        "since": "b.local_date >= {}",
        "until": "b.local_date < {}",
    },
    refers={"customer": "customer", "staff": "staff", "service": "service"},
)

_ONE = f"{_SELECT} where b.tenant_id = $1 and b.id = $2 and b.kind = 'service'"
_CHECKOUT = "select id from checkout where tenant_id = $1 and order_id = $2 order by id desc limit 1"

_DAY = """
select 'appointment' as kind, b.id, b.snapshot ->> 'title' as title, b.starts_at, b.ends_at, b.snapshot ->> 'venue' as venue_name,
  b.customer_id as customer, c.name as customer_name, b.number, b.status, null::int as seats
from booking b join customer c on c.tenant_id = b.tenant_id and c.id = b.customer_id
where b.tenant_id = $1 and b.staff_id = $2 and b.kind = 'service' and b.starts_at >= $3 and b.starts_at < $4
  and b.status in ('requested', 'held', 'booked', 'attended', 'no_show')
union all
select 'class', i.id, i.title, i.starts_at, i.ends_at, v.name, null, null, null, i.status, i.held + i.booked
from class_instance i join venue v on v.tenant_id = i.tenant_id and v.id = i.venue_id
where i.tenant_id = $1 and i.staff_id = $2 and i.status = 'scheduled' and i.starts_at >= $3 and i.starts_at < $4
order by starts_at, id
"""

_KINDS: Final = {"appointment": ids.BOOKING, "class": ids.CLASS}


async def appointment(tx: Transaction, *, tenant_id: UUID, booking_id: UUID, seal: Seal | None = None) -> Appointment:
    """Return one appointment; with a seal also the link of its checkout, while that is open. Raises BookingNotFound."""
    row = await tx.fetchrow(_ONE, tenant_id, booking_id)
    if row is None:
        shown = ids.show(ids.BOOKING, booking_id)
        raise BookingNotFound(f"there is no appointment {shown}", hint="See GET /v1/appointments.")
    found = _view(row)
    checkout_id = await tx.fetchval(_CHECKOUT, tenant_id, found.order) if found.order else None
    if checkout_id is None:
        return found
    told = await checkouts.checkout(tx, tenant_id=tenant_id, checkout_id=checkout_id, seal=seal)
    page = AppointmentCheckout(id=told.id, status=told.status, url=told.url)
    return found.model_copy(update={"checkout": page})


async def appointments(tx: Transaction, *, tenant_id: UUID, page: Slice, given: Mapping[str, Any]) -> Part[Appointment]:
    """Return appointments, those made last first. given: values by filter of `APPOINTMENTS`; since and until are days."""
    return await part(tx, APPOINTMENTS, tenant_id=tenant_id, given=given, page=page, view=_view)


async def staff_day(
    tx: Transaction, *, tenant_id: UUID, staff_id: UUID, day: date, zone: str, bounds: tuple[datetime, datetime]
) -> StaffDay:
    """Return what a staff member has to do between two instants. Raises StaffNotFound."""
    name = await require_staff(tx, tenant_id=tenant_id, staff_id=staff_id)
    found = [dict(row) for row in await tx.fetch(_DAY, tenant_id, staff_id, *bounds)]
    data = [
        Busy(**row | {"id": ids.show(_KINDS[row["kind"]], row["id"]), "local": local(row["starts_at"], zone)})
        for row in found
    ]
    return StaffDay(staff=staff_id, name=name, date=day, time_zone=zone, data=data)


def _view(row: Any) -> Appointment:
    told = dict(row)
    zone = told.pop("time_zone")
    times = {"local": local(told["starts_at"], zone), "cancel_by_local": local(told["cancel_by"], zone)}
    return Appointment(**told | times)
