"""Sagas: several calls to a gateway that belong together, each with what undoes it; and what waits for a person.

What it is: the order of the steps, what comes next, and what to do by hand. What it is not: it calls nobody and changes nothing
itself; each step asks through its vertical, which keeps its own rules.

Invariants:
- the next step is asked for in the transaction that writes what came of the one before, so that an open saga has an open call,
  or is stuck or needs hands;
- each step is asked for once, and undone at most once, in reverse order;
- what cannot be undone stands behind everything that can; behind it there is no way back;
- a step of which nobody can tell whether it was done stops its saga until its call is settled;
- what is left for a person is told with amount, customer, ids and place, and his word that it is done is audited.
"""

from bursar.money.sagas.models import FOR_HANDS
from bursar.money.sagas.moving import ASKER, SagaOpen
from bursar.money.sagas.planning import (
    NothingToGiveBack,
    PricesNotComparable,
    SubscriptionNotUndoable,
    Wanted,
    cancel_and_refund,
    change_and_refund,
)
from bursar.money.sagas.queries import Saga, SagaNotFound, SagaStep, saga, sagas
from bursar.money.sagas.settling import SagaNotForHands, settle

__all__ = [
    "ASKER",
    "FOR_HANDS",
    "NothingToGiveBack",
    "PricesNotComparable",
    "Saga",
    "SagaNotForHands",
    "SagaNotFound",
    "SagaOpen",
    "SagaStep",
    "SubscriptionNotUndoable",
    "Wanted",
    "cancel_and_refund",
    "change_and_refund",
    "saga",
    "sagas",
    "settle",
]
