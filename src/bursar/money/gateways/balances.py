"""Whose bookings can be read, and how."""

from collections.abc import Callable
from typing import Final

from bursar.money.gateways.bookings import BalanceEntry
from bursar.money.gateways.fields import Json
from bursar.money.gateways.stripe import balances as stripe


def balance_entry(gateway_name: str, item: Json) -> BalanceEntry:
    """Return the booking that a gateway's balance transaction tells. Raises FieldMissing."""
    return _READERS[gateway_name](item)


_READERS: Final[dict[str, Callable[[Json], BalanceEntry]]] = {"stripe": stripe.booking, "sandbox": stripe.booking}

BOOKED: Final = frozenset(_READERS)
"""Gateways whose bookings can be read."""
