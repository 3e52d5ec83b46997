"""Billing periods and what is left of them: calendar steps from an anchor, proration by the second.

Rules: the n-th period ends n intervals after the anchor, on the anchor's day or the month's last; what is left is reckoned in
seconds and each amount rounded half up by itself. Source: Stripe "Billing cycle", "Prorations".
"""

from datetime import UTC, datetime

from dateutil.relativedelta import relativedelta

from bursar.money.gateways.fields import Json


def next_end(anchor: int, recurring: Json, after: int) -> int:
    """Return the first end of a period later than a moment, in Unix seconds."""
    begin = datetime.fromtimestamp(anchor, UTC)
    steps = max(1, _steps_before(anchor, recurring, after))
    while _ending(begin, recurring, steps) > after and steps > 1:
        steps -= 1
    while _ending(begin, recurring, steps) <= after:
        steps += 1
    return _ending(begin, recurring, steps)


def prorated(amount: int, *, start: int, end: int, at: int) -> int:
    """Return the part of an amount for what is left of a period at a moment, rounded half up on its absolute value."""
    whole = end - start
    left = max(0, min(whole, end - at))
    if whole <= 0:
        return 0
    part = (2 * abs(amount) * left + whole) // (2 * whole)
    return part if amount >= 0 else -part


def _steps_before(anchor: int, recurring: Json, after: int) -> int:
    longest = {"day": 86_400, "week": 604_800, "month": 31 * 86_400, "year": 366 * 86_400}[recurring["interval"]]
    return (after - anchor) // int(longest * recurring["interval_count"])


def _ending(begin: datetime, recurring: Json, steps: int) -> int:
    count = steps * recurring["interval_count"]
    moved = begin + relativedelta(**{f"{recurring['interval']}s": count})
    return int(moved.timestamp())
