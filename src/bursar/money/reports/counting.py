"""How reports count: play money by itself, outcomes by what is sold and by day, shares of what they come to."""

from collections import Counter, defaultdict
from decimal import ROUND_HALF_UP, Decimal
from typing import Final
from uuid import UUID

SANDBOX: Final = "sandbox"
"""The gateway whose money is play money."""
_DIGITS: Final = Decimal("0.0001")

ByOffer = dict[tuple[bool, UUID | None], Counter[str]]
"""How often there is which outcome, by whether it is play money and by price."""
ByDay = dict[tuple[int, bool], Counter[str]]
"""How often there is which outcome, by the day's number in the report, from 1, and by whether it is play money."""


def most_first(by_offer: ByOffer) -> list[tuple[bool, UUID | None, Counter[str]]]:
    """Return the outcomes of each offer, the most frequent offer first, play money last."""
    rows = [(is_sandbox, price, counted) for (is_sandbox, price), counted in by_offer.items()]
    return sorted(rows, key=lambda row: (row[0], -row[2].total(), row[1].int if row[1] else 0))


def totals_of(by_day: ByDay) -> list[tuple[bool, Counter[str]]]:
    """Return the outcomes of all days together, play money last."""
    totals: dict[bool, Counter[str]] = defaultdict(Counter)
    for (_, is_sandbox), counted in by_day.items():
        totals[is_sandbox].update(counted)
    return sorted(totals.items())


def share(part: int, whole: int) -> str | None:
    """Return a share to four digits, rounded half up; None of nothing."""
    return str((Decimal(part) / whole).quantize(_DIGITS, ROUND_HALF_UP)) if whole else None
