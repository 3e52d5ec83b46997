"""Amounts as they are typed into forms. Pure."""

import re
from decimal import Decimal, InvalidOperation
from typing import Final

from bursar.kernel.amounts import exponent

CURRENCY: Final = re.compile(r"[A-Z]{3}", re.ASCII)
_MINOR_MAX: Final = 10**12
_LENGTH_MAX: Final = 15


def minor_of(text: str, currency: str) -> int | None:
    """Return a price as it is typed, `120` or `120.00`, in minor units; None for what is none, and for less than one unit."""
    if not CURRENCY.fullmatch(currency):
        return None
    typed = text.strip().replace(",", ".")
    try:
        amount = Decimal(typed) if typed.isascii() and len(typed) <= _LENGTH_MAX else Decimal(-1)
        minor = amount.scaleb(exponent(currency)) if amount.is_finite() else Decimal(-1)
    except InvalidOperation:
        return None
    return int(minor) if minor == minor.to_integral_value() and 1 <= minor <= _MINOR_MAX else None
