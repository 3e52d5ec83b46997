"""Which objects a snapshot ties together. A name is `<kind>:<gateway id>`."""

from bursar.money.gateways.facts import (
    AnyFact,
    AssignmentFact,
    ChargeFact,
    DisputeFact,
    DisputeFundsFact,
    InvoiceFact,
    InvoicePaymentFact,
    PaymentFact,
    RefundFact,
    SessionFact,
)

_FIRST_INVOICE = "subscription_create"


def name(kind: str, ref: str) -> str:
    return f"{kind}:{ref}"


def member_names(fact: AnyFact) -> tuple[str, ...]:
    """Return the names of the objects that this snapshot says are one purchase, its own first.

    Empty for objects that are no part of a purchase (customers, subscriptions, payment methods): a
    subscription is paid for by many purchases.
    """
    others: tuple[tuple[str, str | None], ...]
    match fact:
        case PaymentFact():
            others = (("invoice", fact.invoice), ("charge", fact.charge))
        case ChargeFact():
            others = (("payment", fact.payment), ("invoice", fact.invoice))
        case RefundFact() | DisputeFact():
            others = (("payment", fact.payment), ("charge", fact.charge))
        case DisputeFundsFact():
            others = (("dispute", fact.dispute), ("payment", fact.payment), ("charge", fact.charge))
        case InvoicePaymentFact():
            others = (("invoice", fact.invoice), ("payment", fact.payment), ("charge", fact.charge))
        case InvoiceFact():
            # A checkout of a subscription and the subscription's first invoice may not name each other.
            first = fact.subscription if fact.billing_reason == _FIRST_INVOICE else None
            others = (("first", first), ("charge", fact.charge), *(("payment", p) for p in fact.payments))
        case SessionFact():
            others = (("payment", fact.payment), ("invoice", fact.invoice), ("first", fact.subscription))
        case AssignmentFact():
            # What stands in for a payment that nobody has told of yet carries the name of a charge, invoice or checkout.
            others = tuple((kind, fact.payment) for kind in ("payment", "charge", "invoice", "session"))
        case _:
            return ()
    return (name(fact.kind, fact.ref), *(name(kind, ref) for kind, ref in others if ref))
