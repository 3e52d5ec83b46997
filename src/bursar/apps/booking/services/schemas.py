"""What callers send of services, and how slots are told."""

import re
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from bursar.apps.booking.services.queries import PolicyId, ServiceId, StaffId, TierId, VenueId
from bursar.kernel.http import Day, Filters, Input, Instant, Key, Name, PageFilters, View
from bursar.kernel.http.inputs import lines

_DAY_MIN = 24 * 60
_WALL = re.compile(r"([01]\d|2[0-3]):[0-5]\d|24:00", re.ASCII)
_LOCAL = re.compile(r"\d{4}-\d{2}-\d{2}T([01]\d|2[0-3]):[0-5]\d", re.ASCII)


def _minute(value: Any) -> int:
    if type(value) is int and 0 <= value <= _DAY_MIN:
        return value
    if not isinstance(value, str) or not _WALL.fullmatch(value):
        raise PydanticCustomError("wall_time_invalid", "A time of the clock is 00:00 to 24:00")
    hour, minute = value.split(":")
    return int(hour) * 60 + int(minute)


def _local(value: Any) -> Any:
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str) or not _LOCAL.fullmatch(value):
        raise PydanticCustomError("local_time_invalid", "A local time has no zone: 2026-12-24T00:00")
    try:
        told = datetime.fromisoformat(value)
    except ValueError as error:
        raise PydanticCustomError("local_time_invalid", "There is no such time") from error
    if not 2000 <= told.year <= 2998:  # noqa: PLR2004
        raise PydanticCustomError("local_time_invalid", "Times lie between 2000 and 2998")
    return told


_WallText = Annotated[str, Field(pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$", examples=["09:00"])]
_LocalText = Annotated[str, Field(examples=["2026-12-24T00:00"])]
WallTime = Annotated[int, BeforeValidator(_minute, json_schema_input_type=_WallText)]
LocalTime = Annotated[datetime, BeforeValidator(_local, json_schema_input_type=_LocalText)]
Title = Annotated[Name, Field(max_length=120)]
About = Annotated[str, Field(max_length=2000)]
Minutes = Annotated[int, Field(strict=True, ge=0, le=240)]


class WantedService(Input):
    """What staff give by appointment."""

    name: Title = Field(examples=["Deep tissue massage"])
    about: Annotated[str, Field(max_length=2000), BeforeValidator(lambda v: lines(v) if isinstance(v, str) else v)] = ""
    category: Annotated[Key, Field(max_length=64)] | None = Field(default=None, examples=["massage"])
    policy: PolicyId | None = None
    slot_min: Literal[5, 10, 15, 20, 30, 60] = 15
    lead_min: Annotated[int, Field(strict=True, ge=0, le=525_600)] = 0
    horizon_days: Annotated[int, Field(strict=True, ge=1, le=730)] = 90
    is_published: bool = True


class WantedTier(Input):
    """A length and a price. `price` pays for all of it; a deposit, given as a price or in per cent, is paid first where there is one.

    What is paid before it is booked must grant a seat: `"grants": [{"kind": "seat"}]`.
    """

    name: Title = Field(examples=["One hour"])
    duration_min: Annotated[int, Field(strict=True, ge=5, le=1440, examples=[60])]
    before_min: Minutes = Field(default=0, description="Kept free before it; may reach beyond the hours.")
    after_min: Minutes = Field(default=0, description="Kept free after it; may reach beyond the hours.")
    price: Key | None = Field(default=None, description="A price's id or lookup key.")
    deposit_price: Key | None = None
    deposit_percent: Annotated[int, Field(strict=True, ge=1, le=99)] | None = None


class WantedSkill(Input):
    """Which tiers somebody gives; none named: all."""

    tiers: list[TierId] = Field(default=[], max_length=50)


class WantedHours(Input):
    """Hours of the wall's clock at a venue: of a weekday, or on one date."""

    staff: StaffId
    venue: VenueId
    weekday: Annotated[int, Field(strict=True, ge=1, le=7, description="1 is Monday.")] | None = None
    date: Day | None = Field(default=None, description="Instead of a weekday: hours on this date too.")
    from_: WallTime = Field(alias="from")
    until: WallTime
    valid_from: Day | None = Field(default=None, description="The first day; without: from today.")
    valid_until: Day | None = Field(default=None, description="The last day.")


class WantedTimeOff(Input):
    """Local times at the venue, or, without one, in the business's zone."""

    staff: StaffId | None = Field(default=None, description="Without: the venue is closed.")
    venue: VenueId | None = None
    from_: LocalTime = Field(alias="from")
    until: LocalTime
    reason: Annotated[Name, Field(max_length=500)] | None = None


class Availability(Filters):
    """Which slots are asked for: those that begin in [from, to), at most 31 days."""

    service: ServiceId
    tier: TierId
    staff: StaffId | None = None
    from_: Instant = Field(alias="from")
    to: Instant


class ServiceFilters(PageFilters):
    staff: StaffId | None = None
    category: Key | None = None
    is_published: bool | None = None
    include_deleted: bool = Field(default=False, description="List deleted ones too.")


class HoursFilters(PageFilters):
    staff: StaffId | None = None
    venue: VenueId | None = None


class ShownSlot(View):
    """A time at which an appointment can begin, and who is free then."""

    starts_at: datetime
    ends_at: datetime
    local: str = Field(examples=["2026-03-08T09:00-04:00[America/New_York]"], description="Its start with its zone.")
    venue: VenueId
    venue_name: str
    staff: list[StaffId]


class ShownSlots(View):
    data: list[ShownSlot]
