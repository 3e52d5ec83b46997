"""What the rules look at, and what they find. Frozen; nothing here reads or writes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final, Literal
from uuid import UUID

from bursar.apps.booking.coupons import Offered
from bursar.apps.booking.passes import Membership
from bursar.apps.booking.policies import Terms, waitlist_until

Source = Literal["online", "desk", "walk_in", "waitlist", "reschedule", "import"]
Pays = Literal["auto", "credits", "money", "both", "nothing"]
Value = int | str | bool

STAFFED: Final = frozenset({"desk", "walk_in", "import"})
"""Sources of bookings that staff makes."""


@dataclass(frozen=True, slots=True)
class ClassFacts:
    """A class as it stands. pools: which credits pay for it, at its venue; barred_pools: those of its pools that are not good there. requirements: what its template asks of who comes. has_price: it can be paid with money.

    held_over: held seats whose time is over, which whoever books next takes. waiting: entries of its waitlist.
    """

    id: UUID
    title: str
    status: str
    is_published: bool
    starts_at: datetime
    ends_at: datetime
    local_date: date
    time_zone: str
    capacity: int
    held: int
    held_over: int
    booked: int
    waiting: int
    credit_cost: int
    pools: tuple[str, ...]
    has_price: bool
    requirements: Mapping[str, Any]
    barred_pools: tuple[str, ...] = ()

    @property
    def seats_left(self) -> int:
        """What is sold; staff may give out more, knowingly."""
        return max(self.capacity - self.held + self.held_over - self.booked, 0)


@dataclass(frozen=True, slots=True)
class CustomerFacts:
    """A customer as rules ask of him. What nobody told is None."""

    id: UUID
    is_deleted: bool = False
    is_active: bool = True
    is_banned: bool = False
    waiver_signed_at: datetime | None = None
    born_on: date | None = None
    level: str | None = None
    gender: str | None = None
    dues_unpaid_since: datetime | None = None
    fee_unpaid_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class OwnBookings:
    """The customer's other bookings. booked, overlapping: the number of one that stands in the way. has_offer: a seat of the class is his
    to take.

    offences: no-shows and late cancellations in the days that the rule counts. credits_ahead: spent on classes to come.
    """

    booked: str | None = None
    has_offer: bool = False
    has_lapsed: bool = False
    overlapping: str | None = None
    on_day: int = 0
    in_week: int = 0
    to_come: int = 0
    credits_ahead: int = 0
    has_any: bool = False
    has_intro: bool = False
    offences: int = 0


@dataclass(frozen=True, slots=True)
class CreditFacts:
    """The customer's credits, judged when the class begins.

    usable: of the pools that pay for the class. ending: of these pools, usable now, but expired by then. suspended: of these pools, of
    something paused or disputed. elsewhere: usable, of other pools. barred: usable, of the class's pools that are not good at its venue.
    """

    usable: int = 0
    ending: int = 0
    suspended: int = 0
    elsewhere: int = 0
    barred: int = 0


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything that decides whether a customer may have seats in a class, at one moment.

    features: what the customer has when the class begins. memberships: those of them that pay for the class.
    terms: those that a booking of the class is made under.
    coupon: what was given to lessen the price, if anything was.
    """

    now: datetime
    source: Source
    pays: Pays
    seats: int
    a_class: ClassFacts
    customer: CustomerFacts
    settings: "Settings"
    own: OwnBookings = OwnBookings()
    credits: CreditFacts = CreditFacts()
    memberships: tuple[Membership, ...] = ()
    features: frozenset[str] = frozenset()
    terms: Terms = field(default_factory=Terms)
    coupon: Offered | None = None

    @property
    def cost(self) -> int:
        return self.a_class.credit_cost * self.seats

    @property
    def is_waited_for(self) -> bool:
        """True where seats that are free belong to those who wait."""
        return self.a_class.waiting > 0 and not self.is_ahead

    @property
    def is_ahead(self) -> bool:
        """True where whoever asks need not let those go first who wait: staff asks, or waiting is over."""
        return self.source in STAFFED or self.now >= waitlist_until(self.terms, self.a_class.starts_at)

    @property
    def is_covered(self) -> bool:
        """True where a membership pays; it pays for its owner's seat, not for guests."""
        return self.seats == 1 and any(each.has_room for each in self.memberships)

    @property
    def takes_credits(self) -> bool:
        """True where credits have to be there: they are asked for, and money does not stand in for them."""
        if self.pays in ("money", "both", "nothing") or not self.cost:
            return False
        return self.pays == "credits" or not self.a_class.has_price

    @property
    def credits_of_both(self) -> int:
        """Credits that are taken where money pays the rest: as many as there are. 0 where it is not paid with both."""
        is_part = self.pays == "both" and not self.is_covered and 0 < self.credits.usable < self.cost
        return self.credits.usable if is_part else 0

    @property
    def is_payable(self) -> bool:
        """True where what was said to pay with is something that the class takes."""
        if not self.cost and not self.a_class.has_price:
            return True
        match self.pays:
            case "nothing":
                return False
            case "credits":
                return self.cost > 0
            case "both":
                return self.cost > 0 and self.a_class.has_price
            case "money":
                return self.a_class.has_price
            case _:
                return True


@dataclass(frozen=True, slots=True)
class Found:
    """What a rule has against it, in words of this case."""

    message: str
    hint: str
    context: dict[str, str | int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Failure:
    """A rule that is not kept. code: permanent. hint: what to do. is_waivable: by staff, with a reason."""

    rule: str
    code: str
    message: str
    hint: str
    is_waivable: bool
    context: dict[str, str | int]


@dataclass(frozen=True, slots=True)
class Parameter:
    """Something of a rule that a business chooses. least, most: of a number. choices: of a word."""

    name: str
    default: Value
    description: str
    least: int | None = None
    most: int | None = None
    choices: tuple[str, ...] = ()

    def accepts(self, value: object) -> bool:
        if self.choices:
            return value in self.choices
        if type(self.default) is bool:
            return type(value) is bool
        return (
            type(value) is int and self.least is not None and self.most is not None and self.least <= value <= self.most
        )

    @property
    def told(self) -> str:
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        return "true or false" if type(self.default) is bool else f"a whole number from {self.least} to {self.most}"


Values = Mapping[str, Value]
Check = Callable[[Situation, Values], Found | None]
Area = Literal[
    "schedule", "eligibility", "seats", "credits", "money", "cancelling", "waiting", "attendance"
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. id, code: permanent. check: what decides when a seat is booked; None: `where` says what decides, and when.

    is_on: unless the business says otherwise. is_switchable: whether it may. is_waivable: by staff, with a reason.
    """

    id: str
    number: int
    area: Area
    code: str | None
    told: str
    where: str = "when a seat is booked"
    check: Check | None = None
    parameters: tuple[Parameter, ...] = ()
    is_on: bool = True
    is_switchable: bool = False
    is_waivable: bool = False


@dataclass(frozen=True, slots=True)
class Settings:
    """The rules as a business has them: what it changed, over what the catalogue says."""

    changed: Mapping[str, tuple[bool, Values]] = field(default_factory=dict)

    def is_on(self, rule: Rule) -> bool:
        return self.changed[rule.id][0] if rule.id in self.changed and rule.is_switchable else rule.is_on

    def values(self, rule: Rule) -> dict[str, Value]:
        chosen = self.changed[rule.id][1] if rule.id in self.changed else {}
        return {p.name: chosen[p.name] if p.accepts(chosen.get(p.name)) else p.default for p in rule.parameters}
