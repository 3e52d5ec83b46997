"""Changing: what we ask of a running subscription: another price, a pause, its end, a longer trial.

What it is: the rules of what can be asked in which state, the call, and what a change would cost, asked of the gateway.
What it is not: it changes no subscription. What the gateway reports does, as ever, and grants with it.

Invariants:
- a subscription has at most one change whose outcome nobody knows;
- what a subscription cannot do in its state is refused before anything is asked;
- what a changed subscription sells is what its renewals grant: it says so itself;
- a preview holds no transaction while the gateway reckons.
"""

from bursar.money.changing.asking import (
    ASKER,
    Change,
    PriceNotAtGateway,
    PriceNotRecurring,
    SubscriptionChangeOpen,
    ask_change,
    cancel,
    extend_trial,
    is_asked,
    pause,
    reactivate,
    resume,
    sold_at,
    target_of,
)
from bursar.money.changing.guarding import SubscriptionStateRefuses, Wish, possible
from bursar.money.changing.previewing import Preview, preview, prorations
from bursar.money.changing.queries import (
    SubscriptionChange,
    SubscriptionChangeNotFound,
    subscription_change,
    subscription_changes,
)

__all__ = [
    "ASKER",
    "Change",
    "Preview",
    "PriceNotAtGateway",
    "PriceNotRecurring",
    "SubscriptionChange",
    "SubscriptionChangeNotFound",
    "SubscriptionChangeOpen",
    "SubscriptionStateRefuses",
    "Wish",
    "ask_change",
    "cancel",
    "extend_trial",
    "is_asked",
    "pause",
    "possible",
    "preview",
    "prorations",
    "reactivate",
    "resume",
    "sold_at",
    "subscription_change",
    "subscription_changes",
    "target_of",
]
