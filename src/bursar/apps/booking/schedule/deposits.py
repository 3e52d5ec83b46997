"""What of the money for seats is paid to book them; the rest is paid at the desk. Pure."""

from fractions import Fraction


def deposit_of(amount_minor: int, percent: int | None) -> int:
    """Return what of an amount is paid ahead: all of it without a percentage. Rounded half to even; of something never nothing."""
    if percent is None or not amount_minor:
        return amount_minor
    return max(round(Fraction(amount_minor * percent, 100)), 1)
