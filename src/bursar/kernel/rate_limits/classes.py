"""The classes of routes, and how often each may be asked in a minute.

The numbers for people are the requirement's. A key is a business's own server, which acts for all its customers, so
its numbers are larger.
"""

from dataclasses import dataclass
from typing import Final, Literal, get_args

from bursar.kernel.settings import Settings

WINDOW_S: Final = 60

RateClass = Literal["general", "checkout", "subscription_read", "subscription_change"]
"""The classes that routes declare."""

Holder = Literal["user", "key"]
"""For whom a class has a number of its own. An operator is counted as a user."""

CLASSES: Final[tuple[RateClass, ...]] = get_args(RateClass)
HOLDERS: Final[tuple[Holder, ...]] = get_args(Holder)


@dataclass(frozen=True, slots=True)
class Limit:
    """per_minute: how many requests of one holder are admitted within any minute, nearly."""

    name: str
    per_minute: int


def defaults(settings: Settings) -> dict[tuple[RateClass, Holder], int]:
    """Return the installation's numbers, which a tenant may replace by its own."""
    return {
        ("general", "user"): settings.rate_general,
        ("general", "key"): settings.rate_key_general,
        ("checkout", "user"): settings.rate_checkout,
        ("checkout", "key"): settings.rate_key_checkout,
        ("subscription_read", "user"): settings.rate_subscription_read,
        ("subscription_read", "key"): settings.rate_key_subscription_read,
        ("subscription_change", "user"): settings.rate_subscription_change,
        ("subscription_change", "key"): settings.rate_key_subscription_change,
    }
