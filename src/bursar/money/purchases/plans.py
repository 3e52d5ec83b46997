"""Which plan of its subscription a payment was for. Pure.

A payment that names no product is for what the subscription was when it was paid. Where the plan changed
about that time, the period that began with the payment decides; where none did, nobody can say, and
nothing is guessed: the money stays unmatched until an operator or a further report says it.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from bursar.money.gateways.facts import PaymentPurpose, SubscriptionFact
from bursar.money.purchases.members import Members

History = Sequence[tuple[SubscriptionFact, datetime]]

BESIDE = timedelta(hours=1)
"""How far from a payment the reports of what it paid for are told, and its period begins: they are made in one go."""

_UNCLEAR = "the subscription's plan changed about when this was paid, and no report says which plan it paid for"


class Plan(NamedTuple):
    """subscription: as it was for this payment; None while nobody has described it. doubt: why its plan cannot be said."""

    subscription: SubscriptionFact | None
    doubt: str | None = None


def plan_paid(members: Members, histories: Mapping[str, History], *, at: datetime) -> Plan:
    """Return the subscription that a purchase pays for, as it was then.

    at: when it was paid. histories: the snapshots of each subscription that we know, oldest first.
    """
    history = histories.get(members.subscription_ref or "", ())
    then = _as_of(history, at)
    around = [
        *[told for told in history if told[1] <= at - BESIDE][-1:],
        *[told for told in history if at - BESIDE < told[1] <= at + BESIDE],
    ]
    if len({_plan(fact) for fact, _ in around}) <= 1:
        return Plan(then)
    start = members.period_start or at
    begun = next((fact for fact, _ in around if _begins(fact, start)), None)
    is_period = members.purpose in (PaymentPurpose.new, PaymentPurpose.renewal)
    if begun and (is_period or _plan(begun) == _plan(around[0][0])):
        return Plan(begun)
    return Plan(then, _UNCLEAR)


def _as_of(history: History, at: datetime) -> SubscriptionFact | None:
    """Return the subscription as it was: its last snapshot up to `at`, else its first after."""
    before = [fact for fact, taken_at in history if taken_at <= at]
    return before[-1] if before else next((fact for fact, _ in history), None)


def _begins(fact: SubscriptionFact, start: datetime) -> bool:
    return fact.current_period_start is not None and abs(fact.current_period_start - start) <= BESIDE


def _plan(fact: SubscriptionFact) -> object:
    """What decides the plan: what its metadata claim, else its items."""
    if fact.claim.order or fact.claim.price:
        return fact.claim
    return tuple((line.prices, line.quantity) for line in fact.lines)
