"""What a fee is. Frozen; no input or output."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

from bursar.apps.booking.policies import Terms
from bursar.kernel import ids
from bursar.kernel.amounts import Money

FeeKind = Literal["no_show", "late_cancel"]
FeeStatus = Literal["open", "paid", "waived", "withdrawn", "refunded"]

WORDS: Final[dict[str, str]] = {"no_show": "Fee for not coming", "late_cancel": "Fee for cancelling late"}
"""What a fee is called, also on the gateway's page."""


@dataclass(frozen=True, slots=True)
class Offence:
    """A booking whose customer did not come, or cancelled late. terms: the booking's own. starts_at: of what was booked."""

    kind: FeeKind
    booking_id: UUID
    customer_id: UUID
    starts_at: datetime
    terms: Terms


@dataclass(frozen=True, slots=True)
class Fee:
    """A fee as it is recorded. opened_at: since when it is owed. grant_id: what was paid for it."""

    id: UUID
    booking_id: UUID
    customer_id: UUID
    kind: FeeKind
    amount_minor: int
    currency: str
    status: FeeStatus
    grant_id: UUID | None
    opened_at: datetime
    version: int

    @property
    def money(self) -> Money:
        return Money(self.amount_minor, self.currency)

    @property
    def told(self) -> dict[str, Any]:
        """The fee in plain values, for the audit trail and for whoever listens."""
        return {
            "booking": ids.show(ids.BOOKING, self.booking_id),
            "customer": ids.show(ids.CUSTOMER, self.customer_id),
            "kind": self.kind,
            "amount_minor": self.amount_minor,
            "currency": self.currency,
            "status": self.status,
        }


COLUMNS: Final = "id, booking_id, customer_id, kind, amount_minor, currency, status, grant_id, opened_at, version"


def fee_read(row: Any) -> Fee:
    """Return the fee of a row of COLUMNS."""
    return Fee(**dict(row))
