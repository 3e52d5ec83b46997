"""Balance transactions: the only place where Stripe says what a payment cost.

Source: Stripe API reference, "Balance transaction": `net` is `amount` less `fee`; `source` is the object it is about.
"""

from typing import Final

from bursar.money.gateways.bookings import BalanceEntry
from bursar.money.gateways.fields import Json, currency, instant, ref, ref_of, text
from bursar.money.gateways.port import FieldMissing
from bursar.money.gateways.stripe.units import minor_or_none

_AT: Final = "data.object"


def booking(item: Json) -> BalanceEntry:
    """Read a balance transaction. Raises FieldMissing."""
    code = currency(item, "currency", _AT)
    created_at = instant(item.get("created"))
    if created_at is None:
        raise FieldMissing(f"{_AT}.created", "a time")
    return BalanceEntry(
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
