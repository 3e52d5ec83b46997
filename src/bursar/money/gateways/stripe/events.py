"""Which reader understands which type of event. A type that is not here is kept and ignored."""

from collections.abc import Callable
from typing import Final

from bursar.money.gateways.facts import AnyFact
from bursar.money.gateways.fields import Json, child
from bursar.money.gateways.port import FieldMissing, Translation
from bursar.money.gateways.stripe.billing import invoice_facts, invoice_payment_facts, subscription_facts
from bursar.money.gateways.stripe.checkout import customer_facts, payment_method_facts, session_facts, setup_facts
from bursar.money.gateways.stripe.payments import OBJECT, charge_facts, dispute_facts, payment_facts, refund_facts

Reader = Callable[[str, Json], tuple[AnyFact, ...]]
"""Takes the event's type and its object. Raises FieldMissing."""


def _forecast(_kind: str, _item: Json) -> tuple[AnyFact, ...]:
    # invoice.upcoming has no id in old layouts, and in new ones an id that never becomes real.
    return ()


_FAMILIES: Final[tuple[tuple[str, Reader, tuple[str, ...]], ...]] = (
    (
        "payment_intent",
        payment_facts,
        (
            "created",
            "processing",
            "requires_action",
            "amount_capturable_updated",
            "partially_funded",
            "succeeded",
            "payment_failed",
            "canceled",
        ),
    ),
    ("charge", charge_facts, ("pending", "succeeded", "captured", "updated", "refunded", "failed", "expired")),
    ("charge.refund", refund_facts, ("updated",)),
    ("refund", refund_facts, ("created", "updated", "failed")),
    ("charge.dispute", dispute_facts, ("created", "updated", "closed", "funds_withdrawn", "funds_reinstated")),
    (
        "invoice",
        invoice_facts,
        (
            "created",
            "updated",
            "finalized",
            "finalization_failed",
            "sent",
            "paid",
            "payment_succeeded",
            "payment_failed",
            "payment_action_required",
            "payment_attempt_required",
            "overdue",
            "overpaid",
            "will_be_due",
            "voided",
            "marked_uncollectible",
            "deleted",
        ),
    ),
    ("invoice_payment", invoice_payment_facts, ("paid",)),
    (
        "customer.subscription",
        subscription_facts,
        (
            "created",
            "updated",
            "deleted",
            "paused",
            "resumed",
            "trial_will_end",
            "pending_update_applied",
            "pending_update_expired",
        ),
    ),
    (
        "checkout.session",
        session_facts,
        ("completed", "expired", "async_payment_succeeded", "async_payment_failed"),
    ),
    ("customer", customer_facts, ("created", "updated", "deleted")),
    (
        "payment_method",
        payment_method_facts,
        ("attached", "detached", "updated", "automatically_updated", "card_automatically_updated"),
    ),
    ("setup_intent", setup_facts, ("created", "requires_action", "succeeded", "setup_failed", "canceled")),
)

READERS: Final[dict[str, Reader]] = {
    f"{family}.{verb}": reader for family, reader, verbs in _FAMILIES for verb in verbs
} | {"invoice.upcoming": _forecast}

_IGNORED: Final = Translation(is_ignored=True)


def translate(kind: str, event: Json) -> Translation:
    """Return the facts of an event. Raises FieldMissing."""
    reader = READERS.get(kind)
    if reader is None:
        return _IGNORED
    data = child(event, "data")
    item = data.get("object")
    if not isinstance(item, dict):
        raise FieldMissing(OBJECT, "an object")
    if kind == "payment_method.detached" and item.get("customer") is None:
        # A detached method names nobody; whose it was stands in what changed.
        item = item | {"customer": child(data, "previous_attributes").get("customer")}
    return Translation(reader(kind, item))
