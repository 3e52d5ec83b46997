"""Objects as Dodo shows them when it is asked, read by the same code as those in events.

A webhook shows an object as of its delivery, so there the event's type decides; an object that was asked for
is as it stands, and its own status decides.
"""

from collections.abc import Callable
from typing import Final

from bursar.money.gateways.calls import Kind
from bursar.money.gateways.dodo.payments import customer_facts, dispute_facts, payment_facts, refund_facts
from bursar.money.gateways.dodo.subscriptions import licence_facts, subscription_facts
from bursar.money.gateways.facts import AnyFact
from bursar.money.gateways.fields import Json


def translate_object(kind: Kind, item: Json) -> tuple[AnyFact, ...]:
    """Return the facts of an object; none for kinds that tell nothing of their own. Raises FieldMissing."""
    reader = _READERS.get(kind)
    return reader("", item) if reader else ()


def _customer(_kind: str, customer: Json) -> tuple[AnyFact, ...]:
    return customer_facts({"customer": customer})


_READERS: Final[dict[Kind, Callable[[str, Json], tuple[AnyFact, ...]]]] = {
    Kind.customer: _customer,
    Kind.payment: payment_facts,
    Kind.refund: refund_facts,
    Kind.dispute: dispute_facts,
    Kind.subscription: subscription_facts,
    Kind.licence_key: licence_facts,
}
