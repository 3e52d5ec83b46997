"""What a subscription ought to have granted as long as it lasts. Pure.

Active and trialing entitle; past due and unpaid do until the grace after the start of the first unpaid period;
paused suspends; canceled ends, and one that never began (Stripe's `incomplete_expired`) never entitled. Before the subscription itself is told, a paid period of it entitles.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from bursar.money.catalog import Price
from bursar.money.fulfilment.fulfillers import Registry
from bursar.money.fulfilment.grants import GrantStatus, Target
from bursar.money.fulfilment.targets import status_of
from bursar.money.gateways.facts import SubscriptionFact, SubscriptionStatus


@dataclass(frozen=True, slots=True)
class Standing:
    """A subscription with the money behind it.

    fact, at: its newest snapshot and when that was taken; None while nobody has described it.
    bought: its prices and quantities. is_paid: any period of it was paid. is_disputed: a dispute of any period is open.
    taken_minor of paid_minor: of the latest paid period. since: the start of the first paid period known.
    unpaid_since: the start of the first unpaid period of the arrears it is in; None while it is in none.
    has_begun: some report showed it begun.
    """

    subscription_id: UUID
    customer_id: UUID
    event_id: UUID
    fact: SubscriptionFact | None
    at: datetime
    bought: tuple[tuple[Price, int], ...]
    is_paid: bool
    is_disputed: bool
    taken_minor: int
    paid_minor: int
    since: datetime
    unpaid_since: datetime | None = None
    has_begun: bool = False


def unpaid_since(history: Sequence[tuple[SubscriptionFact, datetime]]) -> datetime | None:
    """Return the start of the first unpaid period of the arrears that a subscription is in now.

    history: its snapshots, oldest first. Stripe moves the period on when it first asks for the new one's money, and again
    with each further unpaid period; Dodo leaves it at the one that was paid. So the first report of the arrears counts, and
    of its period the boundary that is nearer to the report.
    """
    arrears: tuple[SubscriptionFact, datetime] | None = None
    for fact, at in reversed(history):
        if not fact.is_owing:
            break
        arrears = (fact, at)
    if arrears is None:
        return None
    fact, at = arrears
    ends = [end for end in (fact.current_period_start, fact.current_period_end) if end]
    return min(ends, key=lambda end: abs(end - at), default=at)


def standing_targets(standing: Standing, *, registry: Registry, grace: timedelta) -> list[Target]:
    """Return the grants that last as long as the subscription; none before it entitles."""
    if not _entitles(standing):
        return []
    fact = standing.fact
    status = status_of(taken=standing.taken_minor, paid=standing.paid_minor, is_disputed=standing.is_disputed)
    if fact and fact.status is SubscriptionStatus.paused and status is GrantStatus.active:
        status = GrantStatus.suspended
    return [
        Target(
            source_kind="subscription",
            source_id=standing.subscription_id,
            price_id=price.id,
            position=position,
            kind=spec["kind"],
            customer_id=standing.customer_id,
            quantity=quantity,
            spec=spec,
            status=status,
            taken_minor=standing.taken_minor if status is GrantStatus.revoked else 0,
            paid_minor=standing.paid_minor if status is GrantStatus.revoked else 0,
            starts_at=(fact.created_at if fact else None) or standing.since,
            ends_at=_ends_at(fact, standing=standing, grace=grace),
            event_id=standing.event_id,
        )
        for price, quantity in standing.bought
        for position, spec in enumerate(price.grants)
        if registry[spec["kind"]].is_standing
    ]


def _entitles(standing: Standing) -> bool:
    if standing.fact and standing.fact.is_begun:
        return True
    is_over = standing.fact is not None and standing.fact.is_ended
    return standing.is_paid or (is_over and standing.has_begun)


def _ends_at(fact: SubscriptionFact | None, *, standing: Standing, grace: timedelta) -> datetime | None:
    if fact is None:
        return None
    match fact.status:
        case SubscriptionStatus.canceled:
            return fact.ended_at or fact.canceled_at or standing.at
        case SubscriptionStatus.past_due | SubscriptionStatus.unpaid:
            return (standing.unpaid_since or standing.at) + grace
        case _:
            return fact.cancel_at or (fact.current_period_end if fact.is_ending else None)
