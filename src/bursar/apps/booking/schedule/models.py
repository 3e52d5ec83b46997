"""The frozen types of what a schedule consists of."""

from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any, Literal
from uuid import UUID

ClassStatus = Literal["scheduled", "cancelled", "deleted"]


@dataclass(frozen=True, slots=True)
class ClassInstance:
    """A class that takes place once.

    template_id: None: it is a class of its own. slot: which day of the template's rule it is, wherever it was moved.
    local_start: as wished; where the clock jumped over it, is_shifted is true and starts_at later. overbook: seats given out
    beyond the capacity. deposit_percent: what of the money is paid to book it; None: all of it. held, booked: seats. waiting: who waits. version: counts its changes.
    """

    id: UUID
    template_id: UUID | None
    venue_id: UUID
    room_id: UUID | None
    staff_id: UUID | None
    policy_id: UUID | None
    price_id: UUID | None
    title: str
    about: str
    category: str
    deposit_percent: int | None
    credit_cost: int
    pools: tuple[str, ...]
    requirements: dict[str, Any]
    slot: date | None
    local_date: date
    local_start: time
    time_zone: str
    starts_at: datetime
    ends_at: datetime
    is_shifted: bool
    status: ClassStatus
    is_published: bool
    is_edited: bool
    capacity: int
    overbook: int
    held: int
    booked: int
    waiting: int
    cancelled_at: datetime | None
    cancel_reason: str | None
    version: int

    @property
    def taken(self) -> int:
        """Seats that are given out."""
        return self.held + self.booked

    @property
    def seats_left(self) -> int:
        """Seats that may still be sold."""
        return max(self.capacity - self.taken, 0)

    @property
    def is_overbooked(self) -> bool:
        """More seats are given out than there are."""
        return self.taken > self.capacity

    @property
    def duration_min(self) -> int:
        return round((self.ends_at - self.starts_at).total_seconds() / 60)


@dataclass(frozen=True, slots=True)
class Template:
    """What recurs. rrule: None: it takes place on starts_on alone. ends_on: the last day, where it was cut off."""

    id: UUID
    venue_id: UUID
    room_id: UUID | None
    staff_id: UUID | None
    policy_id: UUID | None
    price_id: UUID | None
    title: str
    about: str
    category: str
    duration_min: int
    capacity: int
    deposit_percent: int | None
    credit_cost: int
    pools: tuple[str, ...]
    requirements: dict[str, Any]
    rrule: str | None
    starts_on: date
    local_start: time
    time_zone: str
    is_published: bool
    materialised_through: date | None
    ends_on: date | None
    follows_id: UUID | None
    version: int
    deleted_at: datetime | None
    created_at: datetime
