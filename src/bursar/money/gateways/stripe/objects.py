"""Objects as Stripe shows them when it is asked, read by the same code as those in events.

No event's type proves a state here; the object is as it stands, so its own status decides. What only an event
tells is taken from what the object holds: a failed attempt from its last error, moved funds from its balance
transactions, a detached way to pay from having no customer.
"""

from collections.abc import Callable
from typing import Final

from bursar.money.gateways.calls import Kind
from bursar.money.gateways.facts import AnyFact
from bursar.money.gateways.fields import Json, child, children, word
from bursar.money.gateways.port import FieldMissing
from bursar.money.gateways.stripe.billing import invoice_facts, subscription_facts
from bursar.money.gateways.stripe.checkout import customer_facts, payment_method_facts, session_facts, setup_facts
from bursar.money.gateways.stripe.payments import OBJECT, charge_facts, dispute_facts, payment_facts, refund_facts

_TRYING: Final = frozenset({"requires_payment_method", "requires_source"})


def translate_object(kind: Kind, item: Json) -> tuple[AnyFact, ...]:
    """Return the facts of an object; none for kinds that tell nothing of their own. Raises FieldMissing."""
    reader = _READERS.get(kind)
    return reader(item) if reader else ()


def _payment(intent: Json) -> tuple[AnyFact, ...]:
    has_failed = word(intent, "status") in _TRYING and bool(child(intent, "last_payment_error"))
    return payment_facts("payment_intent.payment_failed" if has_failed else "", intent)


def _dispute(dispute: Json) -> tuple[AnyFact, ...]:
    moved = [entry.get("amount") for entry in children(dispute, "balance_transactions")]
    amounts = [amount for amount in moved if type(amount) is int]
    facts = dispute_facts("", dispute)
    if any(amount < 0 for amount in amounts):
        facts += dispute_facts("charge.dispute.funds_withdrawn", dispute)[1:]
    if any(amount > 0 for amount in amounts):
        facts += dispute_facts("charge.dispute.funds_reinstated", dispute)[1:]
    return facts


def _method(method: Json) -> tuple[AnyFact, ...]:
    # Whose it was before stands in what was reported before.
    return payment_method_facts("payment_method.detached" if method.get("customer") is None else "", method)


def _setup(setup: Json) -> tuple[AnyFact, ...]:
    return setup_facts("setup_intent.succeeded" if setup.get("status") == "succeeded" else "", setup)


def _plain(reader: Callable[[str, Json], tuple[AnyFact, ...]]) -> Callable[[Json], tuple[AnyFact, ...]]:
    def read(item: Json) -> tuple[AnyFact, ...]:
        if not item:
            raise FieldMissing(OBJECT, "an object")
        return reader("", item)

    return read


_READERS: Final[dict[Kind, Callable[[Json], tuple[AnyFact, ...]]]] = {
    Kind.session: _plain(session_facts),
    Kind.customer: _plain(customer_facts),
    Kind.payment: _payment,
    Kind.charge: _plain(charge_facts),
    Kind.refund: _plain(refund_facts),
    Kind.dispute: _dispute,
    Kind.invoice: _plain(invoice_facts),
    Kind.subscription: _plain(subscription_facts),
    Kind.payment_method: _method,
    Kind.setup: _setup,
}
