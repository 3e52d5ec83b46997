"""Objects as Dodo shows them when it is asked, read by the same code as those in events.

A webhook shows an object as of its delivery, so there the event's type decides; an object that was asked for
is as it stands, and its own status decides.
"""

from collections.abc import Callable
from typing import Final

from bursar.money.gateways.calls import Kind
from bursar.money.gateways.dodo.payments import OBJECT, customer_facts, dispute_facts, payment_facts, refund_facts
from bursar.money.gateways.dodo.subscriptions import licence_facts, subscription_facts
from bursar.money.gateways.facts import AnyFact, PaymentMethodFact
from bursar.money.gateways.fields import Json, child, is_true, ref, ref_of, text

OWNER: Final = "customer_id"
DETACHED: Final = "bursar_detached"
"""What our caller adds to a payment method: whose it is, which its address says; and that it was taken away."""

_MONTHS: Final = range(1, 13)
_YEARS: Final = range(2000, 2200)


def translate_object(kind: Kind, item: Json) -> tuple[AnyFact, ...]:
    """Return the facts of an object; none for kinds that tell nothing of their own. Raises FieldMissing."""
    reader = _READERS.get(kind)
    return reader("", item) if reader else ()


def _customer(_kind: str, customer: Json) -> tuple[AnyFact, ...]:
    return customer_facts({"customer": customer})


def _method(_kind: str, method: Json) -> tuple[AnyFact, ...]:
    card = child(method, "card")
    return (
        PaymentMethodFact(
            ref=ref(method, "payment_method_id", OBJECT),
            method=text(method.get("payment_method")) or "unknown",
            customer=ref_of(method.get(OWNER)),
            brand=text(card.get("card_network")),
            last4=text(card.get("last4_digits")),
            exp_month=_within(card.get("expiry_month"), _MONTHS),
            exp_year=_within(card.get("expiry_year"), _YEARS),
            is_detached=is_true(method, DETACHED),
        ),
    )


def _within(told: object, allowed: range) -> int | None:
    number = int(told[:5]) if isinstance(told, str) and told.isascii() and told.isdigit() else 0
    return number if number in allowed else None


_READERS: Final[dict[Kind, Callable[[str, Json], tuple[AnyFact, ...]]]] = {
    Kind.customer: _customer,
    Kind.payment: payment_facts,
    Kind.payment_method: _method,
    Kind.refund: refund_facts,
    Kind.dispute: dispute_facts,
    Kind.subscription: subscription_facts,
    Kind.licence_key: licence_facts,
}
