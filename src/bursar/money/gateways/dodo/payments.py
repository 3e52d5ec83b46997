"""Dodo's payments, refunds and disputes.

The type of the event decides the state. Dodo delivers an object as it stands when it is *delivered*, and its
own test tool sends `payment.failed` with the status "succeeded", so the status inside is the weaker witness.

Units: `total_amount` and refund amounts are whole numbers of the currency's lowest denomination, which we
take to be ISO 4217's; dispute amounts are the same number as text. `settlement_amount` is what Dodo pays out
in the merchant's currency; it is not what the customer paid.

Source: Dodo Payments API description 2025-09-18 and the webhook schemas of SDK 1.123.0.
"""

import re
from typing import Final

from bursar.kernel.amounts import MINOR_MAX
from bursar.money.gateways.facts import (
    AnyFact,
    CustomerFact,
    DisputeFact,
    DisputeStatus,
    Line,
    PaymentFact,
    PaymentPurpose,
    PaymentStatus,
    RefundFact,
    RefundStatus,
)
from bursar.money.gateways.fields import (
    Json,
    amount,
    child,
    children,
    claim_of,
    currency,
    email,
    instant_of_text,
    is_true,
    own_refund,
    period,
    quantity,
    ref,
    ref_of,
    text,
)
from bursar.money.gateways.port import FieldMissing

OBJECT: Final = "data"

_PAYMENT: Final = {
    "payment.succeeded": PaymentStatus.succeeded,
    "payment.failed": PaymentStatus.failed,
    "payment.cancelled": PaymentStatus.canceled,
    "payment.processing": PaymentStatus.processing,
}
_TOLD_PAYMENT: Final = {
    None: PaymentStatus.pending,
    "requires_payment_method": PaymentStatus.pending,
    "requires_confirmation": PaymentStatus.pending,
    "requires_customer_action": PaymentStatus.requires_action,
    "requires_merchant_action": PaymentStatus.processing,
    "requires_capture": PaymentStatus.processing,
    "partially_captured_and_capturable": PaymentStatus.processing,
    "processing": PaymentStatus.processing,
    "failed": PaymentStatus.failed,
    "cancelled": PaymentStatus.canceled,
    "succeeded": PaymentStatus.succeeded,
}
"""What a payment says of itself when it is asked for. `partially_captured` is not here: how much was, it does not say."""

_PROVEN_REFUND: Final = {"refund.succeeded": RefundStatus.succeeded, "refund.failed": RefundStatus.failed}
_REFUND: Final = {
    "succeeded": RefundStatus.succeeded,
    "failed": RefundStatus.failed,
    "pending": RefundStatus.pending,
    "review": RefundStatus.pending,
}
_DISPUTE: Final = {
    "opened": DisputeStatus.needs_response,
    "challenged": DisputeStatus.under_review,
    "accepted": DisputeStatus.lost,
    "expired": DisputeStatus.lost,
    "lost": DisputeStatus.lost,
    "won": DisputeStatus.won,
    "cancelled": DisputeStatus.closed,
}
_DIGITS = re.compile("[0-9]{1,16}")
_FACTOR = re.compile(r"([0-9]{1,4})(?:\.([0-9]{1,32}))?")
_PURPOSES: Final = frozenset(purpose.value for purpose in PaymentPurpose)


def payment_facts(kind: str, payment: Json) -> tuple[AnyFact, ...]:
    """Read a payment, its customer, and the refunds and disputes that it lists."""
    name, code = ref(payment, "payment_id", OBJECT), currency(payment, "currency", OBJECT)
    buyer = child(payment, "customer")
    subscription = _subscription_of(payment)
    service = _service_period(payment)
    start, _ = period(instant_of_text(service.get("starts_at")), instant_of_text(service.get("ends_at")))
    fact = PaymentFact(
        ref=name,
        status=_payment_status(kind, payment),
        amount_minor=amount(payment, "total_amount", OBJECT),
        currency=code,
        customer=ref_of(buyer.get("customer_id")),
        email=email(buyer.get("email")),
        subscription=subscription,
        payment_method=ref_of(payment.get("payment_method_id")),
        purpose=_purpose(payment),
        is_prorated=_is_prorated(service.get("proration_factor")),
        period_start=start,
        claim=claim_of(payment.get("metadata")),
        lines=_cart(payment, subscription),
        failure_code=text(payment.get("error_code")),
        failure_message=text(payment.get("error_message")),
        created_at=instant_of_text(payment.get("created_at")),
    )
    refunds = [
        _refund(item, at=f"{OBJECT}.refunds[{i}]", proven=None, payment=payment)
        for i, item in enumerate(children(payment, "refunds"))
    ]
    disputes = [
        _dispute(item, at=f"{OBJECT}.disputes[{i}]", word=_dispute_word(item), payment=name)
        for i, item in enumerate(children(payment, "disputes"))
    ]
    return (*customer_facts(payment), fact, *refunds, *disputes)


def refund_facts(kind: str, refund: Json) -> tuple[AnyFact, ...]:
    return (*customer_facts(refund), _refund(refund, at=OBJECT, proven=_PROVEN_REFUND.get(kind), payment={}))


def dispute_facts(kind: str, dispute: Json) -> tuple[AnyFact, ...]:
    word = kind.removeprefix("dispute.") if kind else _dispute_word(dispute)
    return (*customer_facts(dispute), _dispute(dispute, at=OBJECT, word=word, payment=None))


def customer_facts(parent: Json) -> tuple[CustomerFact, ...]:
    """Return the customer that an object carries inside, where it names one."""
    buyer = child(parent, "customer")
    name = ref_of(buyer.get("customer_id"))
    if name is None:
        return ()
    return (
        CustomerFact(
            ref=name,
            email=email(buyer.get("email")),
            name=text(buyer.get("name")),
            phone=text(buyer.get("phone_number")),
        ),
    )


def _payment_status(kind: str, payment: Json) -> PaymentStatus:
    told = payment.get("status")
    status = _PAYMENT.get(kind) or _TOLD_PAYMENT.get(told) if told is None or isinstance(told, str) else None
    if status is None:
        raise FieldMissing(f"{OBJECT}.status", "a status of a payment")
    return status


def _subscription_of(payment: Json) -> str | None:
    named = payment.get("subscription_ids")
    return (
        ref_of(payment.get("subscription_id"))
        or next((ref_of(item.get("subscription_id")) for item in children(payment, "service_periods")), None)
        or (ref_of(named[0]) if isinstance(named, list) and named else None)
    )


def _service_period(payment: Json) -> Json:
    """Return the period that a payment of one subscription is for; empty where it tells none."""
    periods = children(payment, "service_periods")
    return periods[0] if len(periods) == 1 else {}


def _purpose(payment: Json) -> PaymentPurpose | None:
    if is_true(payment, "is_update_payment_method"):
        return PaymentPurpose.payment_method
    told = payment.get("charge_type")
    return PaymentPurpose(told) if isinstance(told, str) and told in _PURPOSES else None


def _is_prorated(factor: object) -> bool | None:
    """Return whether less than a whole period was asked for; None where the factor does not say it beyond doubt."""
    told = _FACTOR.fullmatch(factor) if isinstance(factor, str) else None
    return int(told[1]) == 0 if told else None


def _cart(payment: Json, subscription: str | None) -> tuple[Line, ...]:
    """Return what was in the cart. A payment of one subscription says which period it is for."""
    told = _service_period(payment)
    start, end = period(instant_of_text(told.get("starts_at")), instant_of_text(told.get("ends_at")))
    return tuple(
        Line(
            prices=(ref(item, "product_id", f"{OBJECT}.product_cart[{i}]"),),
            quantity=quantity(item, "quantity", f"{OBJECT}.product_cart[{i}]"),
            subscription=subscription,
            period_start=start,
            period_end=end,
        )
        for i, item in enumerate(children(payment, "product_cart"))
    )


def _refund(refund: Json, *, at: str, proven: RefundStatus | None, payment: Json) -> RefundFact:
    """Read a refund. One that tells no amount and is not partial returned the whole payment (Dodo: `amount` may be null).

    One that tells no currency was made in the payment's.
    """
    status = proven or _REFUND.get(str(refund.get("status")))
    if status is None:
        raise FieldMissing(f"{at}.status", "a status of a refund")
    is_whole = refund.get("amount") is None and (
        refund.get("is_partial") is False or status is not RefundStatus.succeeded
    )
    return RefundFact(
        ref=ref(refund, "refund_id", at),
        status=status,
        amount_minor=None if is_whole else amount(refund, "amount", at),
        currency=_currency_of(refund) or _currency_of(payment),
        payment=ref_of(payment.get("payment_id")) or ref(refund, "payment_id", at),
        reason=text(refund.get("reason")),
        bursar_refund=own_refund(refund.get("metadata")),
        created_at=instant_of_text(refund.get("created_at")),
    )


def _dispute(dispute: Json, *, at: str, word: str, payment: str | None) -> DisputeFact:
    status = _DISPUTE.get(word)
    if status is None:
        raise FieldMissing(f"{at}.dispute_status", "a status of a dispute")
    return DisputeFact(
        ref=ref(dispute, "dispute_id", at),
        status=status,
        amount_minor=_dispute_amount(dispute, at),
        currency=_currency_of(dispute),
        payment=payment or ref(dispute, "payment_id", at),
        is_inquiry=dispute.get("dispute_stage") == "pre_dispute",
        reason=text(dispute.get("reason")) or text(dispute.get("remarks")),
        created_at=instant_of_text(dispute.get("created_at")),
    )


def _dispute_word(dispute: Json) -> str:
    return str(dispute.get("dispute_status")).removeprefix("dispute_")


def _dispute_amount(dispute: Json, at: str) -> int | None:
    """Return minor units; None where the text does not say them beyond doubt: then the whole payment is disputed."""
    told = dispute.get("amount")
    if not isinstance(told, str):
        return amount(dispute, "amount", at)
    # A decimal point would leave open whether units or minor units are meant.
    return int(told) if _DIGITS.fullmatch(told) and int(told) <= MINOR_MAX else None


def _currency_of(told: Json) -> str | None:
    try:
        return currency(told, "currency", OBJECT)
    except FieldMissing:
        return None
