"""What one purchase ought to have granted. Pure."""

from uuid import UUID

from bursar.money.fulfilment.fulfillers import Registry
from bursar.money.fulfilment.grants import GrantStatus, Target
from bursar.money.purchases import Assessment

_CREDITS = "credits"


def purchase_targets(
    purchase_id: UUID, assessment: Assessment, *, customer_id: UUID, event_id: UUID, registry: Registry
) -> list[Target]:
    """Return the grants of a paid purchase; none while it is not paid.

    Grants of a subscription's price that last as long as the subscription are not here but in `standing_targets`.
    """
    if not assessment.is_paid:
        return []
    taken = assessment.refunded_minor + assessment.lost_minor
    status = status_of(taken=taken, paid=assessment.paid_minor, is_disputed=assessment.is_disputed)
    return [
        Target(
            source_kind="purchase",
            source_id=purchase_id,
            price_id=line.price.id,
            position=position,
            kind=spec["kind"],
            customer_id=customer_id,
            quantity=line.quantity,
            spec=spec,
            status=status,
            taken_minor=taken,
            paid_minor=assessment.paid_minor,
            starts_at=assessment.paid_at,
            ends_at=None,
            event_id=event_id,
            recovers_shortfall=line.price.recovers_shortfall,
        )
        for line in assessment.bought
        for position, spec in enumerate(line.price.grants)
        if not (line.is_standing and registry[spec["kind"]].is_standing)
        and not (line.is_free and spec["kind"] == _CREDITS)
    ]


def status_of(*, taken: int, paid: int, is_disputed: bool) -> GrantStatus:
    """All money gone back: revoked. A dispute open: suspended. Otherwise active."""
    if paid > 0 and taken >= paid:
        return GrantStatus.revoked
    return GrantStatus.suspended if is_disputed else GrantStatus.active
