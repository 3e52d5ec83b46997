"""Stripe's amounts: whole numbers of *its* minor units, which for eight currencies are not ISO 4217's.

Source: Stripe "Supported currencies", zero-decimal and special cases; the table stands in `kernel.amounts`.
"""

from functools import lru_cache

from bursar.kernel.amounts import MINOR_MAX, NotRepresentable, exponent, from_gateway, stripe_exponent, to_gateway
from bursar.money.gateways.fields import Json, whole
from bursar.money.gateways.port import FieldMissing


def minor_or_none(parent: Json, key: str, currency: str, at: str) -> int | None:
    """Return ISO minor units of an amount that may be absent and may be negative. Raises FieldMissing."""
    amount = whole(parent, key, at)
    if not amount:
        return amount
    gateway_exponent, iso_exponent = _exponents(currency)
    if gateway_exponent == iso_exponent:
        return amount
    try:
        minor = from_gateway(amount, gateway_exponent=gateway_exponent, iso_exponent=iso_exponent)
    except NotRepresentable as error:
        raise FieldMissing(f"{at}.{key}", f"an amount without a fraction of the smallest unit of {currency}") from error
    if abs(minor) > MINOR_MAX:
        raise FieldMissing(f"{at}.{key}", f"at most {MINOR_MAX} minor units")
    return minor


def minor(parent: Json, key: str, currency: str, at: str) -> int:
    """Return ISO minor units of an amount that must be there and not negative. Raises FieldMissing."""
    amount = minor_or_none(parent, key, currency, at)
    if amount is None or amount < 0:
        raise FieldMissing(f"{at}.{key}", "a whole number of minor units, not negative")
    return amount


def stripe_amount(minor: int, currency: str) -> int:
    """Return Stripe's amount for ISO minor units. Raises NotRepresentable."""
    gateway_exponent, iso_exponent = _exponents(currency)
    return to_gateway(minor, gateway_exponent=gateway_exponent, iso_exponent=iso_exponent)


@lru_cache(maxsize=512)
def _exponents(currency: str) -> tuple[int, int]:
    return stripe_exponent(currency), exponent(currency)
