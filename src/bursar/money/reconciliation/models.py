"""What reconciliation finds, what becomes of it, and over which time it looks."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from bursar.money.gateways.calls import Kind

DAY: Final = timedelta(days=1)
GRACE: Final = timedelta(minutes=10)
"""What was made less than that ago may be reported yet."""
OVERDUE: Final = timedelta(hours=26)
"""How old the last good run of an account may be. A day, and two hours for a slow gateway."""

LOOKS_BACK: Final[dict[Kind, timedelta | None]] = {
    Kind.payment: 30 * DAY,
    Kind.charge: 30 * DAY,
    Kind.refund: 60 * DAY,
    Kind.dispute: 180 * DAY,
    Kind.subscription: None,
    Kind.balance_transaction: 30 * DAY,
}
"""How long ago objects may have been made that a run lists, in the order in which it does; None: all there are.

A payment settles within days, a bank returns a refund within weeks and decides a dispute within months, and a
subscription changes as long as it lives. Gateways keep what they have not delivered for thirty days.
"""

ABSENT_MAX: Final = 10_000
"""If the gateway lists none of more than so many of ours, they are not missing: the key is another account's."""


class Class(StrEnum):
    """In what two sides differ. timing: only for now, because a report is under way or the object is minutes old."""

    missing_here = "missing_here"
    missing_there = "missing_there"
    amount = "amount"
    currency = "currency"
    status = "status"
    fee = "fee"
    timing = "timing"


class State(StrEnum):
    """What became of a difference. waiting, repairing and open are still there; repaired and closed are not."""

    waiting = "waiting"
    repairing = "repairing"
    repaired = "repaired"
    open = "open"
    closed = "closed"


class Why(StrEnum):
    """What was done about a difference, or why nothing could be. Permanent names; `EXPLAINED` says the rest."""

    merged = "merged"
    recorded = "recorded"
    report_under_way = "report_under_way"
    just_made = "just_made"
    kept_final = "kept_final"
    not_listed = "not_listed"
    report_died = "report_died"
    unreadable = "unreadable"
    booked_otherwise = "booked_otherwise"
    sums_not = "sums_not"
    payout_late = "payout_late"
    gone = "gone"


EXPLAINED: Final[dict[Why, str]] = {
    Why.merged: "What the gateway has was merged, like a report of it.",
    Why.recorded: "The gateway's booking replaced the one we had.",
    Why.report_under_way: "A report of it is stored and not applied yet. The next run looks again.",
    Why.just_made: "It was made minutes ago, and its report may be on its way. The next run looks again.",
    Why.kept_final: "We were told a final state, and no later report takes one back. Look at the object at the gateway; "
    "if the gateway is right, correct the business side by hand (a refund, an adjustment) and tell the gateway's support.",
    Why.not_listed: "The gateway does not list it. Check that the API key is of the same account and mode as the webhook; "
    "if it is, somebody sent a report of an object that does not exist: rotate the signing secret and look at the event.",
    Why.report_died: "What was fetched could not be applied. See its dead letter, and replay it when the cause is mended.",
    Why.unreadable: "What the gateway lists lacks a field that matters. The detail names it; an upgrade may read it.",
    Why.booked_otherwise: "The gateway booked another amount on the balance than the payment or refund says. "
    "It is the gateway's own disagreement: ask its support, naming both.",
    Why.sums_not: "The booking's net is not its amount less its fee. Ask the gateway's support.",
    Why.payout_late: "The gateway said that it would be available by now, and it is not. Look at the account's payouts.",
    Why.gone: "The two sides agree by now.",
}


@dataclass(frozen=True, slots=True)
class Found:
    """A difference of one object. here, there: what each side says, of what differs; None where there is nothing."""

    kind: str
    ref: str
    difference: Class
    here: dict[str, Any] | None
    there: dict[str, Any] | None
    state: State
    why: Why
    made_at: datetime | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """A run as it stands. pages: how far it is; who holds an older count writes nothing."""

    id: UUID
    account_id: UUID
    gateway: str
    state: str
    kinds: tuple[Kind, ...]
    sinces: tuple[datetime | None, ...]
    until: datetime
    kinds_done: int
    cursor: str | None
    pages: int
    listed_at: datetime | None

    @property
    def kind(self) -> Kind:
        """The kind under way."""
        return self.kinds[self.kinds_done]

    @property
    def since(self) -> datetime | None:
        return self.sinces[self.kinds_done]
