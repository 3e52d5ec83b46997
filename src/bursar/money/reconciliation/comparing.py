"""Compare two snapshots of one object. Pure."""

from datetime import datetime
from typing import Any

from bursar.money.gateways.facts import (
    AnyFact,
    ChargeFact,
    DisputeFact,
    DisputeFundsFact,
    PaymentFact,
    RefundFact,
    SubscriptionFact,
    version_of,
)
from bursar.money.merging import Snapshot
from bursar.money.reconciliation.models import Class, Found, State, Why

_Sides = tuple[Any, Any]

_ORDER = (Class.currency, Class.status, Class.amount)
"""Which of several differences names the whole: a payment that is not taken yet differs in its amount as well."""


def compared(here: Snapshot | None, there: AnyFact, *, at: datetime, made_at: datetime | None) -> Found | None:
    """Return the difference between what we have and what the gateway showed at `at`, or None.

    made_at: when the gateway made the object. What was reported after the gateway was asked is newer than its answer, and no difference.
    """
    if here is None:
        told = {name: value for sides in _told(there, there).values() for name, (value, _) in sides.items()}
        return Found(
            there.kind, there.ref, Class.missing_here, None, told, State.repairing, Why.merged, made_at=made_at
        )
    differing = {name: found for name, sides in _told(here.fact, there).items() if (found := _unequal(sides))}
    if not differing or here.at > at:
        return None
    is_kept = version_of(here.fact, here.at) > version_of(there, at)
    every = {name: sides for found in differing.values() for name, sides in found.items()}
    return Found(
        there.kind,
        there.ref,
        next(name for name in _ORDER if name in differing),
        {name: ours for name, (ours, _) in every.items()},
        {name: theirs for name, (_, theirs) in every.items()},
        State.open if is_kept else State.repairing,
        Why.kept_final if is_kept else Why.merged,
        made_at=made_at,
    )


def matters(fact: AnyFact) -> bool:
    """Tell whether an object is compared. A charge that names its payment says nothing that the payment does not."""
    return not (isinstance(fact, ChargeFact) and fact.payment)


def _told(here: AnyFact, there: AnyFact) -> dict[Class, dict[str, _Sides]]:
    """Return what both sides say of what matters, by the class of a difference in it."""
    match here, there:
        case (SubscriptionFact(), SubscriptionFact()):
            return {
                Class.status: {
                    "status": (here.status, there.status),
                    "is_ending": (here.is_ending, there.is_ending),
                    "current_period_end": (here.current_period_end, there.current_period_end),
                },
                Class.amount: {"lines": (_lines(here), _lines(there))},
            }
        case (ChargeFact(), ChargeFact()):
            return _money(here, there, is_captured=(here.is_captured, there.is_captured)) | {
                Class.amount: {
                    "amount_minor": (here.amount_minor, there.amount_minor),
                    "refunded_minor": (here.refunded_minor, there.refunded_minor),
                }
            }
        case (PaymentFact() | RefundFact() | DisputeFact(), PaymentFact() | RefundFact() | DisputeFact()):
            return _money(here, there)
        case (DisputeFundsFact(), DisputeFundsFact()):
            return {
                Class.currency: {"currency": (here.currency, there.currency)},
                Class.amount: {"amount_minor": (here.amount_minor, there.amount_minor)},
            }
        case _:
            return {}


def _money(
    here: PaymentFact | ChargeFact | RefundFact | DisputeFact,
    there: PaymentFact | ChargeFact | RefundFact | DisputeFact,
    **more: _Sides,
) -> dict[Class, dict[str, _Sides]]:
    return {
        Class.currency: {"currency": (here.currency, there.currency)},
        Class.status: {"status": (here.status, there.status), **more},
        Class.amount: {"amount_minor": (here.amount_minor, there.amount_minor)},
    }


def _unequal(sides: dict[str, _Sides]) -> dict[str, _Sides]:
    """Return what differs. What the gateway does not tell in a list is no difference."""
    return {name: (ours, theirs) for name, (ours, theirs) in sides.items() if theirs is not None and ours != theirs}


def _lines(fact: SubscriptionFact) -> list[str]:
    return sorted(f"{line.quantity} × {line.prices[0] if line.prices else line.ref or '?'}" for line in fact.lines)
