"""What a gateway booked on the balance of an account: the amount, what it kept of it, and when it is paid out."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class BalanceEntry:
    """One booking. kind: the gateway's word for it. source: the gateway's id of what it is about.

    amount_minor: below zero for what went out. available_at: from when it can be paid out.
    """

    ref: str
    kind: str
    source: str | None
    amount_minor: int
    fee_minor: int
    net_minor: int
    currency: str
    is_available: bool
    available_at: datetime | None
    created_at: datetime
