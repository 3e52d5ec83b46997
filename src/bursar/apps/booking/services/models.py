"""What is offered, as it is booked. Frozen; no input or output."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from bursar.apps.booking.services.slots import Work


@dataclass(frozen=True, slots=True)
class Place:
    """A venue as slots are told of it."""

    id: UUID
    name: str
    time_zone: str


@dataclass(frozen=True, slots=True)
class Offer:
    """A tier of a service as it is booked. due: price and amount that must be paid before it is booked."""

    service_id: UUID
    tier_id: UUID
    title: str
    tier_name: str
    policy_id: UUID | None
    lead: timedelta
    horizon: timedelta
    is_published: bool
    work: Work
    price_minor: int | None
    currency: str | None
    due_price_id: UUID | None
    due_minor: int | None
    staff: tuple[tuple[UUID, str], ...]
