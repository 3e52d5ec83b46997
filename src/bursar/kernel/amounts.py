"""Money: whole minor units and an ISO 4217 code, always together; never a float.

The exponent (digits after the point) comes from ISO 4217; gateways differ from it in places and their
adapters map. Source: ISO 4217 list one.
"""

from dataclasses import dataclass

MINOR_MAX = 2**53 - 1
"""Largest amount read from JSON: beyond it, parsers disagree about the value."""

_ZERO = frozenset(
    [
        "BIF",
        "CLP",
        "DJF",
        "GNF",
        "ISK",
        "JPY",
        "KMF",
        "KRW",
        "PYG",
        "RWF",
        "UGX",
        "UYI",
        "VND",
        "VUV",
        "XAF",
        "XOF",
        "XPF",
    ]
)
_THREE = frozenset(["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"])
_FOUR = frozenset(["CLF", "UYW"])

_STRIPE_EXPONENTS = {"CLF": 2, "IQD": 2, "ISK": 2, "LYD": 2, "MGA": 0, "UGX": 2, "UYI": 2, "UYW": 2}
"""Where Stripe's API counts other minor units than ISO 4217 does.

ISK and UGX have no minor unit any more, but are written with two digits that are always 00 (5 UGX is 500),
although the page's zero-decimal list names UGX too. HUF and TWD are whole units in payouts only; their
charges have two digits, as in ISO 4217. Source: Stripe "Supported currencies" (docs.stripe.com/currencies),
zero-decimal currencies, three-decimal currencies and special cases; Stripe support, "Deprecation of
fractional ISK charges and refunds".
"""


def exponent(currency: str) -> int:
    """Return the number of digits after the point in ISO 4217: 0, 2, 3 or 4."""
    if currency in _ZERO:
        return 0
    if currency in _THREE:
        return 3
    return 4 if currency in _FOUR else 2


def stripe_exponent(currency: str) -> int:
    """Return the digits after the point that Stripe's API assumes for this currency."""
    return _STRIPE_EXPONENTS.get(currency, exponent(currency))


class NotRepresentable(ValueError):
    """The gateway's amount has digits that ISO 4217 minor units cannot hold."""


def from_gateway(amount: int, *, gateway_exponent: int, iso_exponent: int) -> int:
    """Return ISO minor units for an amount in a gateway's units. Exact, or raises NotRepresentable."""
    scale: int = 10 ** abs(iso_exponent - gateway_exponent)
    if gateway_exponent <= iso_exponent:
        return amount * scale
    whole, rest = divmod(amount, scale)
    if rest:
        raise NotRepresentable(f"{amount} has more digits than the currency")
    return whole


def to_gateway(amount: int, *, gateway_exponent: int, iso_exponent: int) -> int:
    """Return an amount in a gateway's units for ISO minor units. Exact, or raises NotRepresentable."""
    return from_gateway(amount, gateway_exponent=iso_exponent, iso_exponent=gateway_exponent)


@dataclass(frozen=True, slots=True)
class Money:
    """minor: whole minor units (ISO 4217 exponent). currency: upper-case ISO 4217."""

    minor: int
    currency: str

    def __str__(self) -> str:
        digits = exponent(self.currency)
        sign = "-" if self.minor < 0 else ""
        units = str(abs(self.minor)).rjust(digits + 1, "0")
        whole, part = (units[:-digits], "." + units[-digits:]) if digits else (units, "")
        return f"{sign}{int(whole):,}{part} {self.currency}"
