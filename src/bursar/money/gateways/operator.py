"""Bursar's own events within any account: what an operator decided, applied as reports are.

A gateway's adapter ignores these types, so that a body signed by the gateway cannot speak for an operator;
whoever applies events must hand this module only events that Bursar itself wrote.
"""

from datetime import UTC, datetime
from typing import Final

from bursar.money.gateways import own_events
from bursar.money.gateways.facts import AssignmentFact
from bursar.money.gateways.fields import Json, quantity, ref, ref_of
from bursar.money.gateways.own_events import OBJECT, OwnEvent
from bursar.money.gateways.port import Translation

PREFIX: Final = "bursar."
PAYMENT_ASSIGNED: Final = "bursar.payment.assigned"
CATALOG_CHANGED: Final = "bursar.catalog.changed"
CUSTOMER_ERASED: Final = "bursar.customer.erased"


def is_own(kind: str) -> bool:
    """Tell whether only Bursar itself may write events of this type."""
    return kind.startswith(PREFIX)


def assignment_event(
    *, payment: str, price: str, quantity: int, occurred_at: datetime, customer: str | None = None
) -> OwnEvent:
    """Return the operator's word on what unmatched money bought; a later word on the same payment replaces it.

    payment: the gateway's id of it. price: our price id or lookup key. customer: the gateway's id, if one is named.
    """
    return own_events.write(
        event_id=f"{PAYMENT_ASSIGNED}:{_stamp(occurred_at)}:{payment}",
        kind=PAYMENT_ASSIGNED,
        occurred_at=occurred_at,
        data={"payment": payment, "price": price, "quantity": quantity, "customer": customer},
    )


def catalog_event(*, price: str, occurred_at: datetime) -> OwnEvent:
    """Return the news that a price changed, so that money that waited for it is looked at again."""
    return own_events.write(
        event_id=f"{CATALOG_CHANGED}:{_stamp(occurred_at)}:{price}",
        kind=CATALOG_CHANGED,
        occurred_at=occurred_at,
        data={"price": price},
    )


def erasure_event(*, erasure: str, occurred_at: datetime) -> OwnEvent:
    """Return the word that a person is erased. erasure: the UUID under which it was asked for; nothing of the person."""
    return own_events.write(
        event_id=f"{CUSTOMER_ERASED}:{erasure}",
        kind=CUSTOMER_ERASED,
        occurred_at=occurred_at,
        data={"erasure": erasure},
    )


def translate_own(kind: str, event: Json) -> Translation:
    """Return the facts of an event of our own. Raises FieldMissing."""
    if kind in (CATALOG_CHANGED, CUSTOMER_ERASED):
        return Translation()
    if kind != PAYMENT_ASSIGNED:
        return Translation(is_ignored=True)
    data = own_events.data_of(event)
    payment = ref(data, "payment", OBJECT)
    fact = AssignmentFact(
        ref=f"assignment:{payment}",
        payment=payment,
        price=ref(data, "price", OBJECT),
        quantity=quantity(data, "quantity", OBJECT),
        customer=ref_of(data.get("customer")),
    )
    return Translation((fact,))


def _stamp(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y%m%dT%H%M%S.%f}"
