"""The menu: which pages there are, and what each needs. What a visitor may not see is not offered."""

from dataclasses import dataclass, replace
from typing import Final


@dataclass(frozen=True, slots=True)
class Entry:
    """A page of the menu. counts: the figure of the shell that stands beside it; unit: what that figure counts."""

    href: str
    word: str
    needs: str
    counts: str = ""
    unit: str = ""
    tone: str = "bad"


@dataclass(frozen=True, slots=True)
class Group:
    """Pages that belong together. The first group has no name."""

    name: str
    entries: tuple[Entry, ...]


_MENU: Final = (
    Group(
        "",
        (
            Entry("/", "Overview", "payments:read"),
            Entry("/alerts", "Alerts", "alerts:read", "alerts", "open"),
        ),
    ),
    Group(
        "Desk",
        (
            Entry("/day", "Day", "bookings:read"),
            Entry("/bookings", "Bookings", "bookings:read", "requests", "to confirm", "warn"),
        ),
    ),
    Group(
        "Classes",
        (
            Entry("/schedule/week", "Schedule", "schedule:read"),
            Entry("/schedule/templates", "What repeats", "schedule:read"),
            Entry("/schedule/services", "Services", "schedule:read"),
            Entry("/schedule/places", "Places and staff", "schedule:read"),
            Entry("/packs", "Packs", "catalog:read"),
            Entry("/coupons", "Coupons", "schedule:read"),
            Entry("/schedule/terms", "Terms and rules", "schedule:read"),
        ),
    ),
    Group(
        "Money",
        (
            Entry("/payments", "Payments", "payments:read"),
            Entry("/subscriptions", "Subscriptions", "subscriptions:read"),
            Entry("/customers", "Customers", "customers:read"),
            Entry("/disputes", "Disputes", "disputes:read", "due", "due soon"),
            Entry("/unmatched", "Unmatched", "payments:read", "overdue", "overdue"),
            Entry("/sagas", "Unfinished", "refunds:read", "hands", "need a person"),
            Entry("/reports", "Reports", "payments:read"),
        ),
    ),
    Group(
        "Gateways",
        (
            Entry("/events", "Events", "events:read"),
            Entry("/dead", "Dead letters", "events:read", "dead", "dead letters"),
            Entry("/reconciliation", "Reconciliation", "reconciliation:read"),
            Entry("/circuits", "Circuits", "gateways:read"),
            Entry("/jobs", "Jobs", "jobs:read"),
        ),
    ),
    Group(
        "Records",
        (
            Entry("/catalog", "Catalogue", "catalog:read"),
            Entry("/books", "Books", "ledger:read"),
            Entry("/checks", "Checks", "ledger:read", "broken", "broken"),
            Entry("/audit", "Audit", "audit:read"),
            Entry("/security", "Security", "security:read"),
        ),
    ),
    Group(
        "Business",
        (
            Entry("/people", "People", "users:read"),
            Entry("/api-keys", "API keys", "keys:read"),
            Entry("/storefront", "Storefront", "storefront:read"),
        ),
    ),
)

ACCOUNT: Final = "/account"


OPERATORS: Final = (
    ("/operator", "Businesses"),
    ("/operator/alerts", "Alerts"),
    ("/operator/health", "Health"),
    ("/operator/figures", "Figures"),
    ("/operator/slow-queries", "Slow queries"),
    ("/operator/backups", "Backups and drills"),
    ("/operator/retention", "Retention"),
)
"""The pages of those who run the installation."""


def menu_of(held: frozenset[str]) -> tuple[Group, ...]:
    """Return what a visitor with these permissions is offered."""
    groups = (replace(group, entries=tuple(e for e in group.entries if e.needs in held)) for group in _MENU)
    return tuple(group for group in groups if group.entries)


def home_of(held: frozenset[str]) -> str:
    """Return the first page that such a visitor may see."""
    return next((entry.href for group in menu_of(held) for entry in group.entries), ACCOUNT)
