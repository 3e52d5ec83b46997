"""What callers send about the schedule, and how it is shown."""

from collections.abc import Mapping
from datetime import date, datetime, time
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from bursar.apps.booking.schedule import times
from bursar.apps.booking.schedule.conflicts import Clash
from bursar.apps.booking.schedule.models import ClassInstance, Template
from bursar.apps.booking.schedule.taxes import WHOLE_BP
from bursar.kernel.http import Day, Input, Key, Lines, Name, View
from bursar.kernel.http.identifiers import (
    BookingPolicyId,
    ClassId,
    ClassTemplateId,
    PriceId,
    RoomId,
    StaffId,
    UserId,
    VenueId,
)

Title = Annotated[Name, Field(max_length=120, examples=["Morning flow"])]
About = Annotated[Lines, Field(max_length=2000)]
Category = Annotated[str, Field(max_length=64, pattern=r"^[a-z0-9_-]{0,64}$", examples=["yoga"])]
Seats = Annotated[int, Field(strict=True, ge=1, le=100_000)]
Minutes = Annotated[int, Field(strict=True, ge=1, le=1440)]
Cost = Annotated[int, Field(strict=True, ge=0, le=1000, description="Credits that one seat costs.")]
Deposit = Annotated[
    int,
    Field(
        strict=True,
        ge=1,
        le=99,
        description="Per cent of the money that are paid to book it; the rest is paid at the desk. Null: all of it ahead.",
    ),
]
Pools = Annotated[
    list[Annotated[Key, Field(max_length=100)]],
    Field(max_length=10, description="Which credits pay for it, the most special first.", examples=[["classes"]]),
]
Words = Annotated[list[Annotated[Key, Field(max_length=64)]], Field(max_length=20)]
Age = Annotated[int, Field(strict=True, ge=0, le=150)]
ScheduleDay = Annotated[Day, Field(ge=date(2000, 1, 1), le=date(2199, 12, 31))]

_TIME: Final = 5


def _time(value: Any) -> Any:
    if isinstance(value, time):
        return value
    if not isinstance(value, str) or len(value) != _TIME or not value.isascii():
        raise PydanticCustomError("time_invalid", "A time of day is HH:MM: 09:00")
    try:
        return time.fromisoformat(value)
    except ValueError as error:
        raise PydanticCustomError("time_invalid", "A time of day is HH:MM: 09:00") from error


_TimeText = Annotated[str, Field(pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$", examples=["09:00"])]
WallTime = Annotated[time, BeforeValidator(_time, json_schema_input_type=_TimeText)]


class Requirements(Input):
    """What is asked of who comes. What is left out is not asked."""

    age_min: Age | None = None
    age_max: Age | None = None
    levels: Words | None = None
    genders: Words | None = None
    membership: Annotated[Key, Field(max_length=100)] | None = Field(
        default=None, description="The feature that a membership grants."
    )
    first_timer: bool | None = Field(default=None, description="Only for who never booked.")
    intro: bool | None = Field(default=None, description="An introduction: once for each customer.")


# What is shown and sent under the name of the thing, and kept under the name of its id.
REFERS: Final = {
    "venue": "venue_id",
    "room": "room_id",
    "staff": "staff_id",
    "policy": "policy_id",
    "price": "price_id",
}
CLEARED: Final = frozenset({"room", "staff", "policy", "price", "deposit_percent", "rrule", "ends_on", "user"})
"""What may be set to nothing; a null of anything else means that it stays."""


TaxRate = Annotated[int, Field(strict=True, ge=0, le=WHOLE_BP, examples=[1900])]


class NewVenue(Input):
    """Where classes take place."""

    name: Title
    time_zone: Key = Field(max_length=64, examples=["Europe/Berlin"], description="A name of the IANA database.")
    address: Annotated[Lines, Field(max_length=500)] = ""
    tax_bp: TaxRate = Field(
        default=0, description="The tax on seats that are sold for money there, in basis points: 1900 is 19 %."
    )
    tax_included: Annotated[bool, Field(strict=True)] = Field(
        default=True, description="Whether prices have it in them. Else it is put on what a checkout asks."
    )


class ChangedVenue(Input):
    """What is left out stays as it is. The zone stays while classes are to come."""

    name: Title | None = None
    time_zone: Annotated[Key, Field(max_length=64)] | None = None
    address: Annotated[Lines, Field(max_length=500)] | None = None
    tax_bp: TaxRate | None = Field(default=None, description="Of bookings made from then on.")
    tax_included: Annotated[bool, Field(strict=True)] | None = None


class Venue(View):
    id: VenueId
    name: str
    time_zone: str
    address: str
    tax_bp: int
    tax_included: bool
    created_at: datetime
    deleted_at: datetime | None


class HoursOf(Input):
    """A stretch in which a venue is open. Minutes after midnight by the clock on the wall; beyond 1440 it closes on the next day."""

    weekday: int = Field(strict=True, ge=1, le=7, description="1 is Monday.")
    opens_min: int = Field(strict=True, ge=0, le=1439, examples=[420])
    closes_min: int = Field(strict=True, ge=1, le=2880, examples=[1320])


class OpeningHours(Input):
    """When a venue is open. None: at all times."""

    hours: list[HoursOf] = Field(max_length=50)


class WantedClosedDay(Input):
    day: ScheduleDay
    name: Annotated[str, Field(max_length=120, pattern=r"^[^\x00-\x1f\x7f]*$")] = ""


class WantedClosedDays(Input):
    """On which days a venue is to be closed; all that are not named are open."""

    days: list[WantedClosedDay] = Field(max_length=400)


class ClosedDay(View):
    day: date
    name: str


class ClosedDays(View):
    """On which days a venue is closed."""

    days: list[ClosedDay]


class NewRoom(Input):
    venue: VenueId
    name: Title
    capacity: Seats


class ChangedRoom(Input):
    """What is left out stays as it is."""

    name: Title | None = None
    capacity: Seats | None = None


class Room(View):
    id: RoomId
    venue: VenueId
    name: str
    capacity: int
    created_at: datetime
    deleted_at: datetime | None


Teaches = Annotated[
    list[Annotated[Category, Field(min_length=1)]],
    Field(
        max_length=50,
        description="Categories of classes that this person may instruct. None: all.",
        examples=[["yoga", "pilates"]],
    ),
]


class NewStaff(Input):
    """Somebody who instructs classes or gives services."""

    name: Title
    about: About = ""
    user: UserId | None = Field(default=None, description="Who of the business's users it is.")
    teaches: Teaches = Field(default_factory=list)


class ChangedStaff(Input):
    """What is left out stays as it is."""

    name: Title | None = None
    about: About | None = None
    user: UserId | None = None
    teaches: Teaches | None = None


class Staff(View):
    id: StaffId
    name: str
    about: str
    user: UserId | None
    teaches: list[str]
    created_at: datetime
    deleted_at: datetime | None


class _What(Input):
    """What a class is."""

    venue: VenueId
    room: RoomId | None = None
    staff: StaffId | None = Field(default=None, description="Who instructs it.")
    policy: BookingPolicyId | None = Field(
        default=None, description="Terms of its bookings. Left out: the default ones."
    )
    price: PriceId | None = Field(default=None, description="What a seat costs who pays with money.")
    deposit_percent: Deposit | None = None
    title: Title
    about: About = ""
    category: Category = ""
    duration_min: Minutes
    credit_cost: Cost = 1
    pools: Pools = Field(default_factory=list)
    requirements: Requirements = Requirements()
    is_published: bool = Field(default=False, description="Only what is published can be booked.")


class NewTemplate(_What):
    """What recurs. The time is the wall's, in the zone of the venue."""

    capacity: Seats | None = Field(default=None, description="Left out: the room's.")
    rrule: Annotated[str, Field(max_length=500, examples=["FREQ=WEEKLY;BYDAY=MO,WE"])] | None = Field(
        default=None, description="RFC 5545, of days. Left out: `starts_on` alone."
    )
    starts_on: ScheduleDay
    ends_on: ScheduleDay | None = None
    local_start: WallTime


class NewClass(_What):
    """A class that does not recur."""

    capacity: Seats | None = Field(default=None, description="Left out: the room's.")
    local_date: ScheduleDay
    local_start: WallTime


class _ChangedWhat(Input):
    venue: VenueId | None = None
    room: RoomId | None = None
    staff: StaffId | None = None
    policy: BookingPolicyId | None = None
    price: PriceId | None = None
    deposit_percent: Deposit | None = None
    title: Title | None = None
    about: About | None = None
    category: Category | None = None
    duration_min: Minutes | None = None
    credit_cost: Cost | None = None
    pools: Pools | None = None
    requirements: Requirements | None = None
    is_published: bool | None = None
    local_start: WallTime | None = None


class ChangedTemplate(_ChangedWhat):
    """What is left out stays as it is. A null empties a room, an instructor, a policy, a price, a deposit, a rule or an end."""

    capacity: Seats | None = None
    rrule: Annotated[str, Field(max_length=500)] | None = None
    starts_on: ScheduleDay | None = None
    ends_on: ScheduleDay | None = None


class Split(_ChangedWhat):
    """Which day of a template the first is that differs, and how."""

    from_day: ScheduleDay
    capacity: Seats | None = None
    rrule: Annotated[str, Field(max_length=500)] | None = None
    ends_on: ScheduleDay | None = None


class ChangedClass(_ChangedWhat):
    """What is left out stays as it is. Its template no longer reaches a class that was changed alone."""

    capacity: Annotated[int, Field(strict=True, ge=0, le=100_000)] | None = None
    local_date: ScheduleDay | None = None
    allows_overbooked: bool = Field(
        default=False,
        description="Take a capacity below what is booked: nobody loses his seat, and nothing more is sold.",
    )


class Warned(View):
    """A rule that a class breaks, of which the business chose to be only warned, or which came up later."""

    rule: str
    code: str
    message: str
    class_id: ClassId = Field(serialization_alias="class")
    conflicts_with: str | None = Field(description="The class or booking that is in the way.")
    is_refused: bool = Field(description="Whether it would be refused today.")

    @classmethod
    def told(cls, clash: Clash) -> Self:
        return cls(
            rule=clash.rule,
            code=clash.code,
            message=clash.message,
            class_id=clash.class_id,
            conflicts_with=clash.other,
            is_refused=clash.is_refused,
        )


class ShownTemplate(View):
    """What recurs."""

    id: ClassTemplateId
    venue: VenueId
    room: RoomId | None
    staff: StaffId | None
    policy: BookingPolicyId | None
    price: PriceId | None
    deposit_percent: int | None
    title: str
    about: str
    category: str
    duration_min: int
    capacity: int
    credit_cost: int
    pools: list[str]
    requirements: dict[str, Any]
    rrule: str | None
    starts_on: date
    ends_on: date | None = Field(description="The last day, where it was cut off.")
    local_start: str = Field(examples=["09:00"])
    time_zone: str
    is_published: bool
    materialised_through: date | None = Field(description="Up to which day its classes are made.")
    follows: ClassTemplateId | None = Field(description="The template that it took over from.")
    version: int
    created_at: datetime
    deleted_at: datetime | None
    warnings: list[Warned] = Field(default_factory=list)

    @classmethod
    def shown(cls, template: Template, warnings: tuple[Clash, ...] = ()) -> Self:
        kept = {name: getattr(template, name) for name in template.__slots__}
        told = {shown: kept.pop(name) for shown, name in (REFERS | {"follows": "follows_id"}).items()}
        return cls(
            **kept | told | {"local_start": f"{template.local_start:%H:%M}", "pools": list(template.pools)},
            warnings=[Warned.told(each) for each in warnings],
        )


class ShownClass(View):
    """A class. Its instants are told in UTC, and as text in its zone; the wall time is as wished."""

    id: ClassId
    template: ClassTemplateId | None = Field(description="Null: a class of its own.")
    venue: VenueId
    room: RoomId | None
    staff: StaffId | None
    policy: BookingPolicyId | None
    price: PriceId | None
    deposit_percent: int | None
    title: str
    about: str
    category: str
    credit_cost: int
    pools: list[str]
    requirements: dict[str, Any]
    slot: date | None = Field(description="Which day of its template's rule it is.")
    local_date: date
    local_start: str = Field(examples=["09:00"])
    time_zone: str
    starts_at: datetime
    ends_at: datetime
    duration_min: int
    local: str = Field(examples=["2026-03-08T09:00-04:00[America/New_York]"])
    local_end: str = Field(examples=["2026-03-08T10:00-04:00[America/New_York]"])
    is_shifted: bool = Field(description="The clock jumps over its wall time: it begins as much later.")
    status: Literal["scheduled", "cancelled"]
    is_published: bool
    is_edited: bool = Field(description="Changed alone: its template no longer reaches it.")
    capacity: int
    booked: int
    held: int
    waiting: int
    seats_left: int
    is_overbooked: bool = Field(description="More seats are given out than there are; nothing more is sold.")
    cancelled_at: datetime | None
    cancel_reason: str | None
    version: int
    warnings: list[Warned] = Field(default_factory=list)

    @classmethod
    def shown(cls, instance: ClassInstance, warnings: tuple[Clash, ...] = ()) -> Self:
        kept = {name: getattr(instance, name) for name in instance.__slots__}
        told = {shown: kept.pop(name) for shown, name in (REFERS | {"template": "template_id"}).items()}
        told |= {
            "local_start": f"{instance.local_start:%H:%M}",
            "pools": list(instance.pools),
            "local": times.local(instance.starts_at, instance.time_zone),
            "local_end": times.local(instance.ends_at, instance.time_zone),
            "duration_min": instance.duration_min,
            "seats_left": instance.seats_left,
            "is_overbooked": instance.is_overbooked,
        }
        return cls(**kept | told, warnings=[Warned.told(each) for each in warnings])


def values_of(given: Input, *, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return all fields of a new thing by the names of their columns."""
    return _columns({name: getattr(given, name) for name in type(given).model_fields if name not in without})


def changes_of(given: Input, *, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return what was sent, by the names of columns; a null counts only of what may be nothing."""
    sent = {name: getattr(given, name) for name in given.model_fields_set if name not in without}
    return _columns({name: value for name, value in sent.items() if value is not None or name in CLEARED})


def _columns(values: Mapping[str, Any]) -> dict[str, Any]:
    return {REFERS.get(name, name): _kept(value) for name, value in values.items()}


def _kept(value: Any) -> Any:
    if isinstance(value, Requirements):
        return value.model_dump(exclude_none=True)
    return tuple(value) if isinstance(value, list) else value
