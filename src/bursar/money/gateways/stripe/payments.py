"""Money in and money back: PaymentIntents, charges, refunds and disputes.

Where the event's type proves a state, the type decides; else the object's own status does. An object is
rendered when the event is made, and in old layouts, test fixtures and delayed deliveries it may lag.

Sources: Stripe API reference, "PaymentIntent", "Charge", "Refund", "Dispute", versions of 2011 to 2026.
"""

from typing import Final

from bursar.money.gateways.facts import (
    AnyFact,
    ChargeFact,
    DisputeFact,
    DisputeFundsFact,
    DisputeStatus,
    PaymentFact,
    PaymentStatus,
    RefundFact,
    RefundStatus,
)
from bursar.money.gateways.fields import (
    Json,
    child,
    children,
    claim_of,
    currency,
    email,
    instant,
    own_payment,
    own_refund,
    ref,
    ref_of,
    text,
    word,
)
from bursar.money.gateways.port import FieldMissing
from bursar.money.gateways.stripe.units import minor, minor_or_none

OBJECT: Final = "data.object"

_PROVEN_PAYMENT: Final = {
    "payment_intent.succeeded": PaymentStatus.succeeded,
    "payment_intent.payment_failed": PaymentStatus.failed,
    "payment_intent.canceled": PaymentStatus.canceled,
    "payment_intent.processing": PaymentStatus.processing,
    "payment_intent.requires_action": PaymentStatus.requires_action,
    "payment_intent.amount_capturable_updated": PaymentStatus.processing,
}
_PAYMENT: Final = {
    "requires_payment_method": PaymentStatus.pending,
    "requires_confirmation": PaymentStatus.pending,
    "requires_source": PaymentStatus.pending,
    "requires_action": PaymentStatus.requires_action,
    "requires_source_action": PaymentStatus.requires_action,
    "requires_capture": PaymentStatus.processing,
    "processing": PaymentStatus.processing,
    "canceled": PaymentStatus.canceled,
    "succeeded": PaymentStatus.succeeded,
}
_ASKED: Final = "authentication_required"
"""The bank would ask the customer, who was not there: the payment has not failed, it waits for him."""
_PROVEN_CHARGE: Final = {
    "charge.succeeded": PaymentStatus.succeeded,
    "charge.captured": PaymentStatus.succeeded,
    "charge.refunded": PaymentStatus.succeeded,
    "charge.failed": PaymentStatus.failed,
    "charge.pending": PaymentStatus.pending,
    "charge.expired": PaymentStatus.canceled,
}
_CHARGE: Final = {
    "succeeded": PaymentStatus.succeeded,
    "paid": PaymentStatus.succeeded,
    "pending": PaymentStatus.pending,
    "failed": PaymentStatus.failed,
}
_REFUND: Final = {
    None: RefundStatus.succeeded,
    "pending": RefundStatus.pending,
    "requires_action": RefundStatus.pending,
    "succeeded": RefundStatus.succeeded,
    "failed": RefundStatus.failed,
    "canceled": RefundStatus.canceled,
}
_DISPUTE: Final = {
    "needs_response": DisputeStatus.needs_response,
    "response_disabled": DisputeStatus.under_review,
    "under_review": DisputeStatus.under_review,
    "won": DisputeStatus.won,
    "lost": DisputeStatus.lost,
    "charge_refunded": DisputeStatus.closed,
    "prevented": DisputeStatus.closed,
    "warning_needs_response": DisputeStatus.needs_response,
    "warning_under_review": DisputeStatus.under_review,
    "warning_closed": DisputeStatus.closed,
}
_DIRECTIONS: Final = {
    "charge.dispute.funds_withdrawn": "withdrawn",
    "charge.dispute.funds_reinstated": "reinstated",
}


def payment_facts(kind: str, intent: Json) -> tuple[AnyFact, ...]:
    """Read a PaymentIntent. A success is worth `amount_received`, or `amount` where that is not told."""
    code = currency(intent, "currency", OBJECT)
    status = _PROVEN_PAYMENT.get(kind) or _PAYMENT.get(word(intent, "status"))
    if status is None:
        raise FieldMissing(f"{OBJECT}.status", "a status of a payment intent")
    amount = minor(intent, "amount", code, OBJECT)
    if status is PaymentStatus.succeeded:
        amount = minor_or_none(intent, "amount_received", code, OBJECT) or amount
    attempts = children(intent, "charges")
    attempt = attempts[0] if attempts else child(intent, "latest_charge")
    error = child(intent, "last_payment_error")
    if status is PaymentStatus.failed and _ASKED in (error.get("code"), error.get("decline_code")):
        status = PaymentStatus.requires_action
    return (
        PaymentFact(
            ref=ref(intent, "id", OBJECT),
            status=status,
            amount_minor=amount,
            currency=code,
            customer=ref_of(intent.get("customer")),
            email=email(intent.get("receipt_email")) or _payer_email(attempt),
            invoice=ref_of(intent.get("invoice")) or _ordered_invoice(intent),
            charge=ref_of(intent.get("latest_charge")) or ref_of(attempt),
            payment_method=ref_of(intent.get("payment_method")) or ref_of(intent.get("source")),
            claim=claim_of(intent.get("metadata")),
            failure_code=text(error.get("decline_code")) or text(error.get("code")),
            failure_message=text(error.get("message")),
            description=text(intent.get("description")),
            created_at=instant(intent.get("created")),
            bursar_payment=own_payment(intent.get("metadata")),
        ),
    )


def charge_facts(kind: str, charge: Json) -> tuple[AnyFact, ...]:
    """Read a charge, and the refunds and the dispute that its layout may carry inside."""
    code = currency(charge, "currency", OBJECT)
    name, payment = ref(charge, "id", OBJECT), ref_of(charge.get("payment_intent"))
    is_captured = kind == "charge.captured" or charge.get("captured") is not False
    asked = minor(charge, "amount", code, OBJECT)
    taken = minor_or_none(charge, "amount_captured", code, OBJECT) or asked
    amount = taken if is_captured and 0 < taken < asked else asked
    # More than was asked for cannot go back, whatever a report says.
    refunded = min(minor_or_none(charge, "amount_refunded", code, OBJECT) or 0, asked)
    fact = ChargeFact(
        ref=name,
        status=_charge_status(kind, charge),
        amount_minor=amount,
        currency=code,
        is_captured=is_captured,
        # What was authorised and never captured counts as refunded at Stripe; it was never ours.
        refunded_minor=max(0, refunded - (asked - amount)),
        payment=payment,
        invoice=ref_of(charge.get("invoice")) or _ordered_invoice(charge),
        customer=ref_of(charge.get("customer")),
        email=_payer_email(charge),
        payment_method=ref_of(charge.get("payment_method")) or ref_of(charge.get("source")),
        claim=claim_of(charge.get("metadata")),
        failure_code=_decline_code(charge),
        failure_message=text(charge.get("failure_message")),
        description=text(charge.get("description")),
        created_at=instant(charge.get("created")),
        bursar_payment=own_payment(charge.get("metadata")),
    )
    facts: list[AnyFact] = [fact]
    for index, item in enumerate(children(charge, "refunds")):
        if item.get("id") is None:
            continue  # Before 2014 a refund had no id of its own; the charge's running total tells of it.
        facts.append(_refund(item, at=f"{OBJECT}.refunds.data[{index}]", status=None, charge=name, payment=payment))
    dispute = child(charge, "dispute")
    if dispute:
        facts.append(_dispute(dispute, at=f"{OBJECT}.dispute", charge=name, payment=payment, is_closed=False))
    return tuple(facts)


def refund_facts(kind: str, refund: Json) -> tuple[AnyFact, ...]:
    """Read a refund. Layouts from before refunds had a status tell only of refunds that succeeded."""
    status = RefundStatus.failed if kind == "refund.failed" else None
    if refund.get("charge") is None and refund.get("payment_intent") is None:
        return ()  # It paid out a customer's cash balance, which no payment of ours stands for.
    return (_refund(refund, at=OBJECT, status=status, charge=None, payment=None),)


def dispute_facts(kind: str, dispute: Json) -> tuple[AnyFact, ...]:
    """Read a dispute, and that its funds moved where the type says so."""
    fact = _dispute(dispute, at=OBJECT, charge=None, payment=None, is_closed=kind == "charge.dispute.closed")
    direction = _DIRECTIONS.get(kind)
    if direction is None or fact.amount_minor is None or fact.currency is None:
        return (fact,)
    funds = DisputeFundsFact(
        ref=f"{fact.ref}:{direction}",
        dispute=fact.ref,
        direction=direction,
        amount_minor=fact.amount_minor,
        currency=fact.currency,
        payment=fact.payment,
        charge=fact.charge,
    )
    return (fact, funds)


def _charge_status(kind: str, charge: Json) -> PaymentStatus:
    status = _PROVEN_CHARGE.get(kind) or _CHARGE.get(word(charge, "status"))
    if status is None and isinstance(charge.get("paid"), bool):
        status = PaymentStatus.succeeded if charge["paid"] else PaymentStatus.failed
    if status is None:
        raise FieldMissing(f"{OBJECT}.status", "a status of a charge")
    return status


def _refund(
    refund: Json, *, at: str, status: RefundStatus | None, charge: str | None, payment: str | None
) -> RefundFact:
    code = currency(refund, "currency", at)
    told = refund.get("status")
    status = status or (_REFUND.get(told) if told is None or isinstance(told, str) else None)
    if status is None:
        raise FieldMissing(f"{at}.status", "a status of a refund")
    whole = child(refund, "charge")
    return RefundFact(
        ref=ref(refund, "id", at),
        status=status,
        amount_minor=minor(refund, "amount", code, at),
        currency=code,
        payment=payment or ref_of(refund.get("payment_intent")) or ref_of(whole.get("payment_intent")),
        charge=charge or ref_of(refund.get("charge")),
        reason=text(refund.get("reason")),
        bursar_refund=own_refund(refund.get("metadata")),
        created_at=instant(refund.get("created")),
    )


def _dispute(dispute: Json, *, at: str, charge: str | None, payment: str | None, is_closed: bool) -> DisputeFact:
    code = currency(dispute, "currency", at)
    told = word(dispute, "status")
    status = _DISPUTE.get(told)
    if status is None:
        raise FieldMissing(f"{at}.status", "a status of a dispute")
    is_inquiry = told.startswith("warning_") or told == "prevented"
    # A closed inquiry has one ending. How a closed chargeback ended only the status can say.
    if is_closed and is_inquiry:
        status = DisputeStatus.closed
    charge = charge or ref_of(dispute.get("charge"))
    payment = payment or ref_of(dispute.get("payment_intent"))
    if charge is None and payment is None:
        raise FieldMissing(f"{at}.charge", "the charge or the payment_intent that is disputed")
    evidence = child(dispute, "evidence_details")
    whole = child(dispute, "charge")
    # Before 2014 a dispute had no id of its own, and a charge had at most one.
    name = f"dispute:{charge}" if charge and dispute.get("id") is None else ref(dispute, "id", at)
    return DisputeFact(
        ref=name,
        status=status,
        amount_minor=minor(dispute, "amount", code, at),
        currency=code,
        payment=payment or ref_of(whole.get("payment_intent")),
        charge=charge,
        is_inquiry=is_inquiry,
        reason=text(dispute.get("reason")),
        due_by=instant(evidence.get("due_by")) or instant(dispute.get("evidence_due_by")),
        created_at=instant(dispute.get("created")),
    )


def _payer_email(charge: Json) -> str | None:
    return email(charge.get("receipt_email")) or email(child(charge, "billing_details").get("email"))


def _decline_code(charge: Json) -> str | None:
    reason = child(charge, "outcome").get("reason") if charge.get("failure_code") == "card_declined" else None
    return text(reason) or text(charge.get("failure_code"))


def _ordered_invoice(parent: Json) -> str | None:
    # Since 2025 an invoice's payment names it only as the order it pays for.
    order = ref_of(child(parent, "payment_details").get("order_reference"))
    return order if order and order.startswith("in_") else None
