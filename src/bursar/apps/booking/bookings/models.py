"""What a booking and a place on a waitlist are. Frozen; no input or output."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final, Literal, NamedTuple
from uuid import UUID

from bursar.apps.booking.policies import Terms

Status = Literal["requested", "held", "booked", "attended", "no_show", "cancelled", "late_cancelled", "expired"]
Source = Literal["online", "desk", "walk_in", "waitlist", "reschedule", "import"]
Pays = Literal["auto", "credits", "money", "both", "nothing"]
PaidWith = Literal["credits", "money", "membership", "nothing", "credits_and_money"]
CreditsBack = Literal["same_lot", "new_lot", "kept", "none"]
EntryStatus = Literal["waiting", "offered", "promoted", "skipped", "left", "closed"]

MONEYED: Final = ("money", "credits_and_money")
"""Ways to pay of which money is a part."""

LIVE: Final = ("requested", "held", "booked", "attended", "no_show")
PENDING: Final = ("requested", "held")
"""States whose seats are held, and not booked yet."""

STAFFED: Final = frozenset({"desk", "walk_in", "import"})
"""Where a booking was made by staff."""


@dataclass(frozen=True, slots=True)
class ClassSeats:
    """A class as whoever books it sees it, with its seats. waiting: how many entries wait."""

    id: UUID
    title: str
    status: str
    is_published: bool
    starts_at: datetime
    ends_at: datetime
    local_date: date
    time_zone: str
    venue_id: UUID
    venue: str
    staff_id: UUID | None
    staff: str | None
    policy_id: UUID | None
    price_id: UUID | None
    deposit_percent: int | None
    credit_cost: int
    pools: tuple[str, ...]
    capacity: int
    overbook: int
    held: int
    booked: int
    waiting: int
    version: int

    @property
    def free(self) -> int:
        return max(self.capacity - self.held - self.booked, 0)


class Priced(NamedTuple):
    """What a booking cost when it was booked, as its row keeps it. See `Booking`."""

    price_minor: int | None = None
    due_minor: int | None = None
    currency: str | None = None
    deposit_percent: int | None = None
    coupon_id: UUID | None = None
    discount_minor: int = 0
    missing_credits: int = 0
    tax_bp: int = 0
    tax_included: bool = True
    tax_minor: int = 0


UNPRICED: Final = Priced()


@dataclass(frozen=True, slots=True)
class Booking:
    """A seat in a class, or an appointment. cancel_by: until then cancelling costs nothing. snapshot: what was booked, as it was.

    credit_cost: credits taken. missing_credits: what money stands in for. price_minor: of the part in money, before the discount. due_minor: what has to be paid before it is sure.
    tax_minor: what of it is tax, or comes on top of the price where the tax was not included in it. deposit_percent: of what it costs, due ahead.
    """

    id: UUID
    number: str
    customer_id: UUID
    kind: Literal["class", "service"]
    class_id: UUID | None
    service_id: UUID | None
    tier_id: UUID | None
    staff_id: UUID | None
    venue_id: UUID
    status: Status
    seats: int
    starts_at: datetime
    ends_at: datetime
    local_date: date
    source: Source
    paid_with: PaidWith
    credit_cost: int
    missing_credits: int
    spend_id: UUID | None
    order_id: UUID | None
    price_minor: int | None
    due_minor: int | None
    deposit_percent: int | None
    currency: str | None
    coupon_id: UUID | None
    discount_minor: int
    tax_bp: int
    tax_included: bool
    tax_minor: int
    terms: Terms
    snapshot: dict[str, Any]
    cancel_by: datetime
    held_until: datetime | None
    override_reason: str | None
    overbooked: int
    moved_from: UUID | None
    moves: int
    booked_by: str
    cancelled_at: datetime | None
    cancelled_by: str | None
    cancel_reason: str | None
    credits_back: CreditsBack | None
    attended_at: datetime | None
    version: int
    created_at: datetime

    @property
    def is_live(self) -> bool:
        return self.status in LIVE

    @property
    def priced(self) -> Priced:
        return Priced(*(getattr(self, name) for name in Priced._fields))

    @property
    def asks_minor(self) -> int | None:
        """What its checkout asks for, where that is not the price of its seats."""
        is_other = self.missing_credits or self.due_minor != self.price_minor
        return self.due_minor if is_other else None

    @property
    def is_pending(self) -> bool:
        return self.status in PENDING


@dataclass(frozen=True, slots=True)
class Entry:
    """A place on the waitlist of a class. told: why it was passed over. booking_id: what it became."""

    id: UUID
    class_id: UUID
    customer_id: UUID
    seq: int
    seats: int
    status: EntryStatus
    offered_until: datetime | None
    booking_id: UUID | None
    told: str | None
    joined_by: str
    ended_at: datetime | None
    created_at: datetime
