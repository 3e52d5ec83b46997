"""Routes of the day, of who comes, and of what attendance and credits come to."""

from datetime import date, datetime, timedelta
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Path, Query
from pydantic import Field

from bursar.apps.booking.live.attendance import AttendanceRow, Grouping, attendance
from bursar.apps.booking.live.days import RosterSeat, day_of, roster_of
from bursar.apps.booking.live.liabilities import credit_liability
from bursar.apps.booking.schedule import class_of
from bursar.apps.booking.schedule.times import local
from bursar.kernel.auth import CallerOf, TenantRoute, needs
from bursar.kernel.db import Transaction
from bursar.kernel.errors import FieldError
from bursar.kernel.http import Day as DayText
from bursar.kernel.http import Filters, View
from bursar.kernel.http.identifiers import BookingId, ClassId, CustomerId, VenueId, WaitlistEntryId
from bursar.kernel.listing import FilterNotFound, existence
from bursar.kernel.zones import local_day, recent_days, time_zone_of

_VENUE: Final = existence("venue")
SOON: Final = timedelta(days=30)

router = APIRouter(prefix="/v1", route_class=TenantRoute, tags=["bookings"])


class DayFilters(Filters):
    venue: VenueId | None = Field(default=None, description="Without it: of all venues.")


class OneDayFilters(DayFilters):
    date: DayText | None = Field(default=None, description="By the clocks of the venues. Without it: today's.")


class AttendanceFilters(DayFilters):
    """Days are those of the venues; without any, the last thirty up to the business's today."""

    first_day: DayText | None = Field(default=None, description="Without it: thirty days up to the last one.")
    last_day: DayText | None = Field(default=None, description="Included. Without it: today.")
    by: Grouping = Field(default="day", description="What a row is of.")


class ShownDayClass(View):
    """A class of the day. Numbers are seats, but for `waiting`."""

    id: ClassId
    title: str
    category: str
    status: str = Field(examples=["scheduled", "cancelled"])
    is_published: bool
    starts_at: datetime
    ends_at: datetime
    local: str = Field(
        examples=["2026-03-08T09:00-04:00[America/New_York]"], description="When it begins, where it is."
    )
    time_zone: str
    is_shifted: bool = Field(description="The clock jumped over the time that its rule says.")
    venue: VenueId
    venue_name: str
    room: str | None
    staff: str | None
    capacity: int
    held: int
    booked: int
    left: int = Field(description="Seats that can still be sold.")
    is_overbooked: bool
    waiting: int = Field(description="Entries of the waitlist.")
    attended: int
    missed: int


class ShownAppointment(View):
    """A service that is given on the day."""

    id: BookingId
    number: str
    title: str
    status: str
    starts_at: datetime
    ends_at: datetime
    local: str
    time_zone: str
    venue: str
    staff: str
    customer: CustomerId
    customer_name: str


class ShownDay(View):
    """A day by the clocks of the venues: at most 500 classes and 1,000 appointments."""

    date: date
    classes: list[ShownDayClass]
    appointments: list[ShownAppointment]
    capacity: int = Field(description="Seats of the classes that take place.")
    booked: int
    attended: int
    waiting: int
    is_cut: bool


class ShownSeat(View):
    """Somebody who has, or had, a seat."""

    id: BookingId
    number: str
    status: str
    seats: int
    customer: CustomerId
    customer_name: str
    source: str
    paid_with: str
    override_reason: str | None
    held_until: datetime | None
    attended_at: datetime | None
    created_at: datetime


class ShownEntry(View):
    """Somebody who waits, in order."""

    id: WaitlistEntryId
    seq: int
    seats: int
    status: str
    customer: CustomerId
    customer_name: str
    told: str | None = Field(description="Why somebody was passed over.")
    created_at: datetime


class ShownRoster(View):
    """Who comes to a class, who gave the seat up, and who waits; at most 1,000 of each."""

    class_id: ClassId = Field(serialization_alias="class")
    seats: list[ShownSeat]
    gone: list[ShownSeat]
    waiting: list[ShownEntry]


class ShownAttendanceRow(View):
    """What classes came to. Numbers are seats, but for `classes` and `cancelled_classes`."""

    key: str = Field(description="The day, the title, the instructor's name or the venue's; empty where there is none.")
    classes: int
    cancelled_classes: int
    capacity: int
    booked: int = Field(description="Given out and not given up, whoever came.")
    attended: int
    missed: int
    open: int = Field(description="Of `booked`: those of whom nobody has said whether they came.")
    late: int = Field(description="Given up too late.")
    in_time: int = Field(description="Given up in time.")
    occupancy: str | None = Field(examples=["0.8125"], description="`booked` of `capacity`; null without seats.")

    @classmethod
    def of_row(cls, row: AttendanceRow) -> "ShownAttendanceRow":
        names = cls.model_fields
        return cls(**{name: getattr(row, name) for name in names})


class ShownAttendance(View):
    first_day: date
    last_day: date
    by: Grouping
    data: list[ShownAttendanceRow]
    total: ShownAttendanceRow
    is_cut: bool = Field(description="There are more rows; the total is of all.")


class ShownPool(View):
    """Credits of one pool and currency that can still be spent."""

    pool: str
    credits: int
    customers: int
    expiring: int = Field(description="Of these, those that expire by `soon`.")
    currency: str | None = Field(description="Null: they were given, not sold.")
    is_sandbox: bool
    value_minor: int | None = Field(
        description="What was paid for them by the catalogue: each lot's share of its price, rounded down."
    )


class ShownLiability(View):
    """What a business owes in classes."""

    at: datetime
    soon: datetime
    data: list[ShownPool]


@router.get("/day")
@needs("bookings:read")
async def get_day(caller: CallerOf, filters: Annotated[OneDayFilters, Query()]) -> ShownDay:
    """Show a day: its classes with their seats, and its appointments, by time."""
    async with caller.transaction() as tx:
        await _known_venue(tx, caller.tenant_id, filters.venue)
        day = filters.date or local_day(caller.now(), await time_zone_of(tx, tenant_id=caller.tenant_id))
        found = await day_of(tx, tenant_id=caller.tenant_id, day=day, venue_id=filters.venue)
    return ShownDay(
        date=found.date,
        classes=[_class(each) for each in found.classes],
        appointments=[_appointment(each) for each in found.appointments],
        capacity=found.capacity,
        booked=found.booked,
        attended=found.attended,
        waiting=found.waiting,
        is_cut=found.is_cut,
    )


@router.get("/classes/{class}/roster")
@needs("bookings:read")
async def get_roster(caller: CallerOf, class_id: Annotated[ClassId, Path(alias="class")]) -> ShownRoster:
    """Show who comes to a class, who gave the seat up, and who waits."""
    async with caller.transaction() as tx:
        await class_of(tx, tenant_id=caller.tenant_id, class_id=class_id)
        found = await roster_of(tx, tenant_id=caller.tenant_id, class_id=class_id)
    return ShownRoster(
        class_id=class_id,
        seats=[_seat(each) for each in found.seats],
        gone=[_seat(each) for each in found.gone],
        waiting=[ShownEntry(**_renamed(each)) for each in found.waiting],
    )


@router.get("/booking-reports/attendance")
@needs("bookings:read")
async def get_attendance(caller: CallerOf, filters: Annotated[AttendanceFilters, Query()]) -> ShownAttendance:
    """Sum classes and their seats by day, class, instructor or venue."""
    async with caller.transaction() as tx:
        await _known_venue(tx, caller.tenant_id, filters.venue)
        zone = await time_zone_of(tx, tenant_id=caller.tenant_id)
        days = recent_days(zone, first=filters.first_day, last=filters.last_day, now=caller.now())
        found = await attendance(tx, tenant_id=caller.tenant_id, days=days, by=filters.by, venue_id=filters.venue)
    return ShownAttendance(
        first_day=found.first,
        last_day=found.last,
        by=found.by,
        data=[ShownAttendanceRow.of_row(each) for each in found.rows],
        total=ShownAttendanceRow.of_row(found.total),
        is_cut=found.is_cut,
    )


@router.get("/booking-reports/credit-liability")
@needs("credits:read")
async def get_credit_liability(caller: CallerOf) -> ShownLiability:
    """Show the credits that can still be spent, and what was paid for them."""
    now = caller.now()
    async with caller.transaction() as tx:
        found = await credit_liability(tx, tenant_id=caller.tenant_id, at=now, soon=now + SOON)
    rows = [ShownPool(**{name: getattr(each, name) for name in ShownPool.model_fields}) for each in found.rows]
    return ShownLiability(at=found.at, soon=found.soon, data=rows)


async def _known_venue(tx: Transaction, tenant_id: UUID, venue_id: UUID | None) -> None:
    """Raises FilterNotFound."""
    if venue_id and not await tx.fetchval(_VENUE, tenant_id, venue_id):
        wrong = FieldError("venue", "not_found", "nothing of this tenant has this id")
        raise FilterNotFound("there is no such venue", hint="See GET /v1/venues.", fields=(wrong,))


def _class(each: Any) -> ShownDayClass:
    told = {
        name: getattr(each, name) for name in ShownDayClass.model_fields if name not in ("venue", "venue_name", "local")
    }
    return ShownDayClass(
        **told, venue=each.venue_id, venue_name=each.venue, local=local(each.starts_at, each.time_zone)
    )


def _appointment(each: Any) -> ShownAppointment:
    told = {
        name: getattr(each, name)
        for name in ShownAppointment.model_fields
        if name not in ("customer", "customer_name", "local")
    }
    return ShownAppointment(
        **told,
        customer=each.customer_id,
        customer_name=each.customer,
        local=local(each.starts_at, each.time_zone),
    )


def _seat(each: RosterSeat) -> ShownSeat:
    return ShownSeat(**_renamed(each))


def _renamed(each: Any) -> dict[str, Any]:
    told = {name: getattr(each, name) for name in each.__dataclass_fields__}
    return told | {"customer": told.pop("customer_id"), "customer_name": told.pop("customer")}
