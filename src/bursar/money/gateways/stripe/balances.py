"""Balance transactions: the only place where Stripe says what a payment cost.

Source: Stripe API reference, "Balance transaction": `net` is `amount` less `fee`; `source` is the object it is about.
"""

from datetime import datetime
from typing import Final, TypedDict

from bursar.money.gateways.fields import Json, currency, instant, ref, ref_of, text
from bursar.money.gateways.port import FieldMissing
from bursar.money.gateways.stripe.units import minor_or_none

_AT: Final = "data.object"


class Booking(TypedDict):
    """The fields of a `BalanceEntry`."""

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


def booking(item: Json) -> Booking:
    """Read a balance transaction. Raises FieldMissing."""
    code = currency(item, "currency", _AT)
    created_at = instant(item.get("created"))
    if created_at is None:
        raise FieldMissing(f"{_AT}.created", "a time")
    return Booking(
        ref=ref(item, "id", _AT),
        kind=text(item.get("type")) or "other",
        source=ref_of(item.get("source")),
        amount_minor=_signed(item, "amount", code),
        fee_minor=_signed(item, "fee", code),
        net_minor=_signed(item, "net", code),
        currency=code,
        is_available=item.get("status") == "available",
        available_at=instant(item.get("available_on")),
        created_at=created_at,
    )


def _signed(item: Json, key: str, code: str) -> int:
    amount = minor_or_none(item, key, code, _AT)
    if amount is None:
        raise FieldMissing(f"{_AT}.{key}", "a whole number of minor units")
    return amount
