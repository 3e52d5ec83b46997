"""Services, tiers, skills, hours and time off as people and programs see them."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Any, Final
from uuid import UUID

from pydantic import Field, field_validator

from bursar.apps.booking.services.offering import ServiceNotFound
from bursar.kernel import ids
from bursar.kernel.db import Transaction
from bursar.kernel.http import FromJson, PublicId, View
from bursar.kernel.http.identifiers import PriceId
from bursar.kernel.listing import Listing, Part, Slice, part

ServiceId = Annotated[UUID, PublicId(ids.SERVICE)]
TierId = Annotated[UUID, PublicId(ids.TIER)]
StaffId = Annotated[UUID, PublicId(ids.STAFF)]
VenueId = Annotated[UUID, PublicId(ids.VENUE)]
PolicyId = Annotated[UUID, PublicId(ids.BOOKING_POLICY)]
HoursId = Annotated[UUID, PublicId(ids.STAFF_HOURS)]
TimeOffId = Annotated[UUID, PublicId(ids.TIME_OFF)]


class Tier(View):
    """A way to have a service. Its terms never change; new terms are a new tier."""

    id: TierId
    name: str = Field(examples=["One hour"])
    duration_min: int
    before_min: int = Field(description="Minutes before it that its staff is taken too.")
    after_min: int
    price: PriceId | None
    price_minor: int | None
    deposit_price: PriceId | None
    due_minor: int | None = Field(description="What has to be paid before it is booked: the deposit, else the price.")
    currency: str | None

    @field_validator("id", "price", "deposit_price", mode="before")
    @classmethod
    def _from_json(cls, value: Any) -> Any:
        return UUID(value) if isinstance(value, str) and "-" in value else value


class Skill(View):
    """Somebody who gives a service. Without tiers: all of them."""

    staff: StaffId
    name: str
    tiers: list[TierId]

    @field_validator("staff", mode="before")
    @classmethod
    def _from_json(cls, value: Any) -> Any:
        return UUID(value) if isinstance(value, str) and "-" in value else value

    @field_validator("tiers", mode="before")
    @classmethod
    def _each_from_json(cls, value: Any) -> Any:
        return [UUID(each) if isinstance(each, str) and "-" in each else each for each in value]


class Service(View):
    """What staff give by appointment."""

    id: ServiceId
    name: str = Field(examples=["Deep tissue massage"])
    about: str
    category: str
    policy: PolicyId | None = Field(description="Its terms of cancelling; null: the business's default.")
    slot_min: int = Field(description="Appointments begin at such minutes of the venue's clock.")
    lead_min: int = Field(description="Not sooner than so many minutes from now.")
    horizon_days: int = Field(description="Not later than so many days from now.")
    is_published: bool
    tiers: Annotated[list[Tier], FromJson]
    staff: Annotated[list[Skill], FromJson]
    created_at: datetime
    deleted_at: datetime | None = Field(description="Deleted ones are hidden from lists.")


class Hours(View):
    """When somebody works, as the clock on the venue's wall shows it."""

    id: HoursId
    staff: StaffId
    venue: VenueId
    time_zone: str
    weekday: int | None = Field(description="1 is Monday. Null: on the one date `valid_from`.")
    from_: str = Field(alias="from", examples=["09:00"])
    until: str = Field(examples=["17:30"], description="24:00 is the end of the day.")
    valid_from: date
    valid_until: date | None = Field(description="The last day.")

    @field_validator("from_", "until", mode="before")
    @classmethod
    def _of_the_wall(cls, value: Any) -> Any:
        return f"{value // 60:02}:{value % 60:02}" if isinstance(value, int) else value


class TimeOff(View):
    """When somebody does not work, or nobody at a venue does; local times in `time_zone`."""

    id: TimeOffId
    staff: StaffId | None = Field(description="Null: nobody works at the venue.")
    venue: VenueId | None = Field(description="Null: wherever he works.")
    time_zone: str
    from_: str = Field(alias="from", examples=["2026-12-24T00:00"])
    until: str = Field(examples=["2026-12-27T00:00"])
    reason: str


_TIERS: Final = """(select coalesce(json_agg(json_build_object('id', t.id, 'name', t.name, 'duration_min', t.duration_min,
    'before_min', t.before_min, 'after_min', t.after_min, 'price', t.price_id, 'price_minor', p.amount_minor, 'currency', p.currency,
    'deposit_price', t.deposit_price_id, 'due_minor', coalesce(d.amount_minor, p.amount_minor)) order by t.id), '[]')::text
  from tier t
  left join price p on p.tenant_id = t.tenant_id and p.id = t.price_id
  left join price d on d.tenant_id = t.tenant_id and d.id = t.deposit_price_id
  where t.tenant_id = s.tenant_id and t.service_id = s.id and t.deleted_at is null)"""

_SKILLS: Final = """(select coalesce(json_agg(json_build_object('staff', f.id, 'name', f.name, 'tiers', k.tier_ids) order by f.id), '[]')::text
  from staff_skill k join staff f on f.tenant_id = k.tenant_id and f.id = k.staff_id and f.deleted_at is null
  where k.tenant_id = s.tenant_id and k.service_id = s.id and k.ended_at is null)"""

_SELECT: Final = f"""select s.id, s.name, s.about, s.category, s.policy_id as policy, s.slot_min, s.lead_min, s.horizon_days, s.is_published,
  {_TIERS} as tiers, {_SKILLS} as staff, s.created_at, s.deleted_at
from service s"""

SERVICES = Listing(
    select=_SELECT,
    tenant="s.tenant_id",
    key="s.id",
    filters={
        "staff": """exists (select from staff_skill k where k.tenant_id = s.tenant_id and k.service_id = s.id and k.staff_id = {}
          and k.ended_at is null)""",
        "category": "s.category = {}",
        "is_published": "s.is_published = {}",
        "present": "s.deleted_at is null",
    },
    refers={"staff": "staff"},
)

_ONE = f"{_SELECT} where s.tenant_id = $1 and s.id = $2"

HOURS = Listing(
    select="""select h.id, h.staff_id as staff, h.venue_id as venue, v.time_zone, h.weekday, h.from_minute::int as from,
  h.to_minute::int as until, h.valid_from, h.valid_until
from staff_hours h join venue v on v.tenant_id = h.tenant_id and v.id = h.venue_id""",
    tenant="h.tenant_id",
    key="h.id",
    always=("h.deleted_at is null",),
    filters={"staff": "h.staff_id = {}", "venue": "h.venue_id = {}"},
    refers={"staff": "staff", "venue": "venue"},
)

_LOCAL: Final = """'YYYY-MM-DD"T"HH24:MI'"""

OFF = Listing(
    select=f"""select o.id, o.staff_id as staff, o.venue_id as venue, o.time_zone, to_char(o.local_from, {_LOCAL}) as from,
  to_char(o.local_until, {_LOCAL}) as until, o.reason
from staff_time_off o""",
    tenant="o.tenant_id",
    key="o.id",
    always=("o.deleted_at is null",),
    filters={"staff": "o.staff_id = {}", "venue": "o.venue_id = {}"},
    refers={"staff": "staff", "venue": "venue"},
)

_HOURS_ONE = HOURS.select + "\nwhere h.tenant_id = $1 and h.id = $2"
_OFF_ONE = OFF.select + "\nwhere o.tenant_id = $1 and o.id = $2"


async def service(tx: Transaction, *, tenant_id: UUID, service_id: UUID) -> Service:
    """Return one service, a deleted one too. Raises ServiceNotFound."""
    row = await tx.fetchrow(_ONE, tenant_id, service_id)
    if row is None:
        raise ServiceNotFound(f"there is no service {ids.show(ids.SERVICE, service_id)}")
    return Service.of(row)


async def services(tx: Transaction, *, tenant_id: UUID, page: Slice, given: Mapping[str, Any]) -> Part[Service]:
    """Return services, newest first. given: values by filter of `SERVICES`."""
    return await part(tx, SERVICES, tenant_id=tenant_id, given=given, page=page, view=Service.of)


async def hours(tx: Transaction, *, tenant_id: UUID, page: Slice, given: Mapping[str, Any]) -> Part[Hours]:
    """Return working hours, newest first. given: values by filter of `HOURS`."""
    return await part(tx, HOURS, tenant_id=tenant_id, given=given, page=page, view=Hours.of)


async def hours_of(tx: Transaction, *, tenant_id: UUID, hours_id: UUID) -> Hours:
    """Return one row of working hours, which was just written."""
    return Hours.of(await tx.fetchrow(_HOURS_ONE, tenant_id, hours_id))


async def times_off(tx: Transaction, *, tenant_id: UUID, page: Slice, given: Mapping[str, Any]) -> Part[TimeOff]:
    """Return times off, newest first. given: values by filter of `OFF`."""
    return await part(tx, OFF, tenant_id=tenant_id, given=given, page=page, view=TimeOff.of)


async def time_off_of(tx: Transaction, *, tenant_id: UUID, off_id: UUID) -> TimeOff:
    """Return one time off, which was just written."""
    return TimeOff.of(await tx.fetchrow(_OFF_ONE, tenant_id, off_id))
