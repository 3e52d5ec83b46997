"""What can be asked of a subscription in which state. Pure.

The state is the newest that was reported; where the gateway knows a newer one, it refuses by itself.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from bursar.kernel.errors import Conflict
from bursar.money.calls import Account

Wish = Literal["change", "pause", "resumption", "cancellation", "reactivation", "trial_extension"]

_RUNNING: Final = frozenset({"trialing", "active", "past_due"})
_MAY: Final[dict[Wish, frozenset[str]]] = {
    "change": _RUNNING,
    "pause": frozenset({"trialing", "active"}),
    "resumption": frozenset({"paused"}),
    "cancellation": frozenset({"incomplete", "trialing", "active", "past_due", "unpaid", "paused"}),
    "reactivation": _RUNNING | {"unpaid", "paused"},
    "trial_extension": frozenset({"trialing"}),
}
_VERB: Final[dict[Wish, str]] = {
    "change": "be changed",
    "pause": "be paused",
    "resumption": "be resumed",
    "cancellation": "be canceled",
    "reactivation": "be reactivated",
    "trial_extension": "have its trial extended",
}


class SubscriptionStateRefuses(Conflict):
    """What is asked for cannot be done with a subscription in this state."""

    code = "subscription_state_refuses"


@dataclass(frozen=True, slots=True)
class Target:
    """A subscription and the account that it is at. has_key: whether its gateway can be asked."""

    id: UUID
    account_id: UUID
    gateway: str
    has_key: bool
    ref: str
    status: str
    is_ending: bool
    trial_end: datetime | None

    @property
    def account(self) -> Account:
        return Account(self.account_id, self.gateway, self.has_key)


def possible(status: str, *, is_ending: bool) -> frozenset[Wish]:
    """Return what can be asked in a state. is_ending: it ends with its period."""
    may = frozenset(wish for wish, states in _MAY.items() if status in states)
    return may if is_ending else may - {"reactivation"}


def guard(target: Target, wish: Wish) -> None:
    """Return if the subscription's state allows the wish. Raises SubscriptionStateRefuses."""
    if target.status == "canceled":
        raise _refused(target, wish, "It has ended for good; start a new checkout.")
    if target.status not in _MAY[wish]:
        raise _refused(target, wish, f"That is possible while it is {_either(_MAY[wish])}.")
    if wish == "reactivation" and not target.is_ending:
        raise SubscriptionStateRefuses(
            "the subscription is not about to end", hint="There is no cancellation that could be undone."
        )


def guard_cancellation(target: Target, *, is_at_once: bool) -> None:
    """Refuse to ask again for an end that is coming. Raises SubscriptionStateRefuses."""
    guard(target, "cancellation")
    if is_at_once:
        return
    if target.is_ending:
        raise SubscriptionStateRefuses(
            "the subscription ends with its period already", hint="To end it at once, pass at: now."
        )
    if target.status == "incomplete":
        raise _refused(target, "cancellation", "It has no period that could end; pass at: now.")


def guard_trial(target: Target, *, trial_end: datetime, now: datetime) -> None:
    """Refuse a trial that would not become longer. Raises SubscriptionStateRefuses."""
    guard(target, "trial_extension")
    if trial_end <= now or (target.trial_end is not None and trial_end <= target.trial_end):
        told = f"the trial ends at {target.trial_end:%Y-%m-%dT%H:%M:%SZ}" if target.trial_end else "the trial goes on"
        raise SubscriptionStateRefuses(told, hint="Pass a trial_end that is later than that, and in the future.")


def _refused(target: Target, wish: Wish, hint: str) -> SubscriptionStateRefuses:
    return SubscriptionStateRefuses(
        f"the subscription is {target.status} and cannot {_VERB[wish]}", hint=hint, context={"status": target.status}
    )


def _either(states: frozenset[str]) -> str:
    return " or ".join(sorted(states))
