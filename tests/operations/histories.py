"""Histories: everything a gateway told of one subject, as it delivers it. Each is a list of deliveries in calm order.

Bodies are cut to what is read of them; layouts are those of their year. Times are Unix seconds.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

T = 1_760_000_000
MONTH = 2_592_000
DAY = 86_400


@dataclass(frozen=True)
class Told:
    """One event: its type, the gateway's time of it, its parsed body."""

    type: str
    at: datetime
    payload: dict[str, Any]


@dataclass(frozen=True)
class History:
    """What one gateway told of one subject. gateway: whose format it is."""

    name: str
    gateway: str
    events: tuple[Told, ...]


def stripe(name: str, *events: tuple[str, int, dict[str, Any]]) -> History:
    told = [
        Told(kind, datetime.fromtimestamp(at, UTC), {"type": kind, "created": at, "data": {"object": item}})
        for kind, at, item in events
    ]
    return History(name, "stripe", tuple(told))


def dodo(name: str, *events: tuple[str, int, dict[str, Any]]) -> History:
    told = [
        Told(kind, datetime.fromtimestamp(at, UTC), {"type": kind, "timestamp": at, "data": item})
        for kind, at, item in events
    ]
    return History(name, "dodo", tuple(told))


# ---------------------------------------------------------------- Stripe's objects
def charge(amount: int = 5000, **more: Any) -> dict[str, Any]:
    return {
        "id": "ch_1",
        "status": "succeeded",
        "captured": True,
        "amount": amount,
        "amount_captured": amount,
        "amount_refunded": 0,
        "currency": "eur",
        "customer": "cus_a",
        "payment_intent": "pi_1",
        "created": T,
    } | more


def declined(**more: Any) -> dict[str, Any]:
    return (
        charge(id="ch_0", status="failed", amount_captured=0, failure_code="card_declined", failure_message="Declined.")
        | more
    )


def intent(amount: int = 5000, **more: Any) -> dict[str, Any]:
    return {
        "id": "pi_1",
        "status": "succeeded",
        "amount": amount,
        "amount_received": amount,
        "currency": "eur",
        "customer": "cus_a",
        "latest_charge": "ch_1",
        "created": T,
    } | more


def unpaid_intent(amount: int = 5000, **more: Any) -> dict[str, Any]:
    return intent(amount, status="requires_payment_method", amount_received=0, latest_charge=None) | more


def session(**more: Any) -> dict[str, Any]:
    return {
        "id": "cs_1",
        "mode": "payment",
        "status": "complete",
        "payment_status": "paid",
        "amount_total": 5000,
        "currency": "eur",
        "customer": "cus_a",
        "payment_intent": "pi_1",
        "metadata": {"bursar_price": "pack-10"},
        "created": T - 60,
    } | more


def refund(n: int, amount: int, at: int, status: str = "succeeded") -> dict[str, Any]:
    return {
        "id": f"re_{n}",
        "status": status,
        "amount": amount,
        "currency": "eur",
        "charge": "ch_1",
        "payment_intent": "pi_1",
        "created": at,
    }


def dispute(status: str, **more: Any) -> dict[str, Any]:
    return {
        "id": "du_1",
        "status": status,
        "amount": 5000,
        "currency": "eur",
        "charge": "ch_1",
        "payment_intent": "pi_1",
        "created": T + DAY,
    } | more


def subscription(
    status: str, *, price: str = "price_member", start: int = T, is_old: bool = False, **more: Any
) -> dict[str, Any]:
    told_period = {"current_period_start": start, "current_period_end": start + MONTH}
    item = {"id": "si_1", "quantity": 1, "price": {"id": price}}
    made: dict[str, Any] = {"id": "sub_1", "status": status, "customer": "cus_a", "created": T}
    if is_old:
        return made | told_period | {"plan": {"id": price}, "quantity": 1} | more
    return made | {"items": {"data": [item | told_period]}} | more


def invoice(
    n: int,
    status: str,
    *,
    start: int = T,
    price: str = "price_member",
    amount: int = 2000,
    is_old: bool = False,
    **more: Any,
) -> dict[str, Any]:
    line: dict[str, Any] = {
        "id": f"il_{n}",
        "amount": amount,
        "quantity": 1,
        "period": {"start": start, "end": start + MONTH},
    }
    if is_old:
        line |= {"plan": {"id": price}, "subscription": "sub_1", "type": "subscription"}
    else:
        details = {"subscription": "sub_1", "proration": False}
        line |= {
            "pricing": {"price_details": {"price": price}},
            "parent": {"type": "subscription_item_details", "subscription_item_details": details},
        }
    made: dict[str, Any] = {
        "id": f"in_{n}",
        "status": status,
        "total": amount,
        "amount_due": amount,
        "amount_paid": amount if status == "paid" else 0,
        "currency": "eur",
        "customer": "cus_a",
        "billing_reason": "subscription_create" if n == 1 else "subscription_cycle",
        "created": start,
        "status_transitions": {"paid_at": start + 2 if status == "paid" else None},
        "lines": {"data": [line]},
    }
    if is_old:
        return made | {"subscription": "sub_1"} | more
    return made | {"parent": {"subscription_details": {"subscription": "sub_1"}}} | more


def link(n: int) -> dict[str, Any]:
    return {
        "id": f"inpay_{n}",
        "invoice": f"in_{n}",
        "payment": {"type": "payment_intent", "payment_intent": f"pi_{n}"},
    }


# ---------------------------------------------------------------- Stripe's histories
LEGACY = stripe(
    "a subscription's first payment in the layout of 2018",
    ("customer.created", T, {"id": "cus_a", "email": "ann@example.com", "created": T}),
    ("customer.subscription.created", T, subscription("active", is_old=True)),
    ("invoice.created", T, invoice(1, "open", is_old=True, charge=None)),
    ("charge.succeeded", T, charge(2000, payment_intent=None, invoice="in_1")),
    ("invoice.payment_succeeded", T, invoice(1, "paid", is_old=True, charge="ch_1")),
)

CHECKOUT = stripe(
    "a single sale through a checkout",
    ("payment_intent.created", T, unpaid_intent()),
    ("charge.succeeded", T + 1, charge()),
    ("payment_intent.succeeded", T + 1, intent()),
    ("checkout.session.completed", T + 1, session()),
    ("charge.updated", T + 2, charge(description="settled")),
)

MODERN = stripe(
    "a subscription's first payment in the layout of 2026, linked late",
    ("customer.subscription.created", T, subscription("incomplete")),
    ("invoice.finalized", T, invoice(1, "open")),
    ("charge.succeeded", T + 1, charge(2000)),
    ("payment_intent.succeeded", T + 1, intent(2000)),
    ("invoice.paid", T + 1, invoice(1, "paid")),
    ("invoice_payment.paid", T + 1, link(1)),
    ("customer.subscription.updated", T + 1, subscription("active")),
    (
        "checkout.session.completed",
        T + 2,
        session(
            mode="subscription",
            subscription="sub_1",
            invoice="in_1",
            payment_intent=None,
            amount_total=2000,
            metadata={},
        ),
    ),
)

REFUNDS = stripe(
    "two partial refunds, the second sent back by the bank",
    ("payment_intent.succeeded", T, intent(metadata={"bursar_price": "pack-10"})),
    ("charge.succeeded", T, charge(metadata={"bursar_price": "pack-10"})),
    ("refund.created", T + DAY, refund(1, 1250, T + DAY)),
    ("charge.refunded", T + DAY, charge(amount_refunded=1250)),
    ("refund.created", T + 2 * DAY, refund(2, 2000, T + 2 * DAY)),
    ("charge.refunded", T + 2 * DAY, charge(amount_refunded=3250)),
    ("refund.failed", T + 9 * DAY, refund(2, 2000, T + 2 * DAY, "failed")),
    ("charge.updated", T + 9 * DAY, charge(amount_refunded=1250)),
)

FULL_REFUND = stripe(
    "a full refund, told by the charge alone",
    ("charge.succeeded", T, charge(metadata={"bursar_price": "course"}, amount=9900, amount_captured=9900)),
    ("payment_intent.succeeded", T, intent(9900, metadata={"bursar_price": "course"})),
    ("charge.refunded", T + DAY, charge(9900, metadata={"bursar_price": "course"}, amount_refunded=9900)),
)

DISPUTE_WON = stripe(
    "a dispute that was won",
    ("payment_intent.succeeded", T, intent(metadata={"bursar_price": "pack-10"})),
    ("charge.dispute.created", T + DAY, dispute("needs_response")),
    ("charge.dispute.funds_withdrawn", T + DAY, dispute("needs_response")),
    ("charge.dispute.updated", T + 3 * DAY, dispute("under_review")),
    ("charge.dispute.closed", T + 9 * DAY, dispute("won")),
    ("charge.dispute.funds_reinstated", T + 9 * DAY, dispute("won")),
)

DISPUTE_LOST = stripe(
    "a dispute that was lost after a partial refund",
    ("charge.succeeded", T, charge(metadata={"bursar_price": "pack-10"})),
    ("refund.created", T + 1, refund(1, 1000, T + 1)),
    ("charge.refunded", T + 1, charge(amount_refunded=1000, metadata={"bursar_price": "pack-10"})),
    ("charge.dispute.created", T + DAY, dispute("needs_response", amount=4000)),
    ("charge.dispute.funds_withdrawn", T + DAY, dispute("needs_response", amount=4000)),
    ("charge.dispute.closed", T + 9 * DAY, dispute("lost", amount=4000)),
)

UPGRADE = stripe(
    "an upgrade in the middle of a period",
    ("customer.subscription.created", T, subscription("active")),
    ("invoice.paid", T, invoice(1, "paid")),
    ("customer.subscription.updated", T + 10 * DAY, subscription("active", price="price_plus")),
    (
        "invoice.paid",
        T + 10 * DAY,
        invoice(
            2,
            "paid",
            start=T + 10 * DAY,
            amount=700,
            billing_reason="subscription_update",
            lines={
                "data": [
                    {
                        "id": "il_2",
                        "amount": 700,
                        "quantity": 1,
                        "pricing": {"price_details": {"price": "price_plus"}},
                        "parent": {
                            "type": "subscription_item_details",
                            "subscription_item_details": {"subscription": "sub_1", "proration": True},
                        },
                    }
                ]
            },
        ),
    ),
    ("invoice.paid", T + MONTH, invoice(3, "paid", start=T + MONTH, price="price_plus", amount=3000)),
    ("customer.subscription.updated", T + MONTH, subscription("active", price="price_plus", start=T + MONTH)),
)

CANCEL_AT_END = stripe(
    "a cancellation at the end of the period",
    ("customer.subscription.created", T, subscription("active")),
    ("invoice.paid", T, invoice(1, "paid")),
    (
        "customer.subscription.updated",
        T + DAY,
        subscription("active", cancel_at_period_end=True, cancel_at=T + MONTH, canceled_at=T + DAY),
    ),
    (
        "customer.subscription.deleted",
        T + MONTH,
        subscription(
            "canceled", cancel_at_period_end=True, cancel_at=T + MONTH, canceled_at=T + DAY, ended_at=T + MONTH
        ),
    ),
    ("charge.refunded", T + DAY, charge(2000, invoice="in_1", amount_refunded=1000)),
)

SECOND_TRY = stripe(
    "a declined card, then a good one",
    ("payment_intent.created", T, unpaid_intent(metadata={"bursar_price": "pack-10", "bursar_quantity": "2"})),
    ("charge.failed", T + 1, declined()),
    (
        "payment_intent.payment_failed",
        T + 1,
        unpaid_intent(
            metadata={"bursar_price": "pack-10", "bursar_quantity": "2"},
            latest_charge="ch_0",
            last_payment_error={"code": "card_declined", "message": "Declined."},
        ),
    ),
    ("charge.succeeded", T + 90, charge(created=T + 90)),
    ("payment_intent.succeeded", T + 90, intent(metadata={"bursar_price": "pack-10", "bursar_quantity": "2"})),
)

DUNNING = stripe(
    "a renewal that fails, is past due, and is paid in the end",
    ("customer.subscription.created", T, subscription("active")),
    ("invoice.paid", T, invoice(1, "paid")),
    ("invoice.payment_failed", T + MONTH, invoice(2, "open", start=T + MONTH)),
    ("customer.subscription.updated", T + MONTH, subscription("past_due", start=T + MONTH)),
    ("invoice.paid", T + MONTH + 3 * DAY, invoice(2, "paid", start=T + MONTH)),
    ("customer.subscription.updated", T + MONTH + 3 * DAY, subscription("active", start=T + MONTH)),
)

TRIAL = stripe(
    "a trial that becomes a paid membership",
    ("customer.subscription.created", T, subscription("trialing", trial_end=T + 14 * DAY)),
    ("invoice.paid", T, invoice(1, "paid", amount=0)),
    (
        "checkout.session.completed",
        T + 1,
        session(
            mode="subscription",
            payment_status="no_payment_required",
            subscription="sub_1",
            payment_intent=None,
            amount_total=0,
            metadata={},
        ),
    ),
    ("customer.subscription.updated", T + 14 * DAY, subscription("active", start=T + 14 * DAY)),
    ("invoice.paid", T + 14 * DAY, invoice(2, "paid", start=T + 14 * DAY)),
)

APART = stripe(
    "two payments of one customer, one of them unmatched, joined to an invoice late",
    ("payment_intent.succeeded", T, intent(2000, id="pi_1", latest_charge=None)),
    ("invoice.paid", T, invoice(1, "paid")),
    (
        "charge.succeeded",
        T + 5,
        charge(5000, id="ch_9", payment_intent=None, receipt_email="Ann@Example.com", customer=None),
    ),
    (
        "payment_intent.succeeded",
        T + 6,
        intent(5000, id="pi_9", latest_charge="ch_9", receipt_email="ann@example.com", customer=None),
    ),
    ("invoice_payment.paid", T + 1, link(1)),
    ("customer.updated", T + 9, {"id": "cus_a", "email": "ann@example.org", "created": T}),
)

SAME_SECOND = stripe(
    "contradicting reports of one second",
    ("customer.subscription.created", T, subscription("incomplete")),
    ("customer.subscription.updated", T, subscription("active")),
    ("customer.subscription.updated", T, subscription("active", metadata={"bursar_price": "membership"})),
    ("customer.subscription.updated", T, subscription("past_due")),
    ("payment_method.attached", T, {"id": "pm_1", "type": "card", "card": {"last4": "4242"}, "customer": "cus_a"}),
    ("payment_method.updated", T, {"id": "pm_1", "type": "card", "card": {"last4": "1881"}, "customer": "cus_a"}),
)


# ---------------------------------------------------------------- Dodo's histories
def _iso(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()


def _buyer() -> dict[str, Any]:
    return {"customer_id": "cus_d", "email": "dina@example.com", "name": "Dina"}


def dodo_payment(**more: Any) -> dict[str, Any]:
    return {
        "payment_id": "pay_1",
        "total_amount": 5000,
        "currency": "EUR",
        "customer": _buyer(),
        "product_cart": [{"product_id": "price_pack", "quantity": 1}],
        "created_at": _iso(T),
    } | more


def dodo_subscription(status: str, start: int = T, **more: Any) -> dict[str, Any]:
    return {
        "subscription_id": "sub_d",
        "status": status,
        "product_id": "price_member",
        "quantity": 1,
        "customer": _buyer(),
        "previous_billing_date": _iso(start),
        "next_billing_date": _iso(start + MONTH),
        "created_at": _iso(T),
    } | more


DODO_SALE = dodo(
    "a sale with a licence key, refunded in part, disputed and won",
    ("payment.processing", T, dodo_payment()),
    ("payment.succeeded", T + 1, dodo_payment()),
    (
        "refund.succeeded",
        T + DAY,
        {
            "refund_id": "ref_1",
            "payment_id": "pay_1",
            "amount": 1500,
            "currency": "EUR",
            "customer": _buyer(),
            "created_at": _iso(T + DAY),
        },
    ),
    (
        "dispute.opened",
        T + 2 * DAY,
        {
            "dispute_id": "dsp_1",
            "payment_id": "pay_1",
            "amount": "3500",
            "currency": "EUR",
            "created_at": _iso(T + 2 * DAY),
        },
    ),
    (
        "dispute.won",
        T + 9 * DAY,
        {
            "dispute_id": "dsp_1",
            "payment_id": "pay_1",
            "amount": "3500",
            "currency": "EUR",
            "created_at": _iso(T + 2 * DAY),
        },
    ),
    (
        "license_key.created",
        T + 1,
        {
            "id": "lic_1",
            "key": "AAAA-BBBB",
            "status": "active",
            "customer_id": "cus_d",
            "payment_id": "pay_1",
            "product_id": "prod_1",
            "activations_limit": None,
        },
    ),
)

DODO_MEMBERSHIP = dodo(
    "a membership that renews, is put on hold, recovers and is cancelled",
    ("subscription.active", T, dodo_subscription("active")),
    ("payment.succeeded", T, dodo_payment(total_amount=2000, subscription_id="sub_d", product_cart=[])),
    ("subscription.renewed", T + MONTH, dodo_subscription("active", T + MONTH)),
    (
        "payment.succeeded",
        T + MONTH,
        dodo_payment(
            payment_id="pay_2", total_amount=2000, subscription_id="sub_d", product_cart=[], created_at=_iso(T + MONTH)
        ),
    ),
    ("subscription.on_hold", T + 2 * MONTH, dodo_subscription("on_hold", T + MONTH)),
    (
        "subscription.cancelled",
        T + 2 * MONTH + DAY,
        dodo_subscription("cancelled", T + MONTH, cancelled_at=_iso(T + 2 * MONTH + DAY)),
    ),
)

DODO_CHANGE = dodo(
    "a trial that is paid for, a change of plan settled by the day, and the period refunded with its licence key",
    ("payment.succeeded", T, dodo_payment(total_amount=0, subscription_id="sub_d", product_cart=None)),
    ("subscription.active", T, dodo_subscription("active", trial_period_days=30)),
    (
        "payment.succeeded",
        T + MONTH,
        dodo_payment(
            payment_id="pay_2",
            total_amount=2000,
            subscription_id="sub_d",
            product_cart=None,
            created_at=_iso(T + MONTH),
        ),
    ),
    ("subscription.renewed", T + MONTH, dodo_subscription("active", T + MONTH, trial_period_days=30)),
    (
        "payment.succeeded",
        T + MONTH + 10 * DAY,
        dodo_payment(
            payment_id="pay_3",
            total_amount=700,
            subscription_id="sub_d",
            product_cart=None,
            charge_type="plan_change",
            service_periods=[
                {
                    "subscription_id": "sub_d",
                    "starts_at": _iso(T + MONTH + 10 * DAY),
                    "ends_at": _iso(T + 2 * MONTH),
                    "proration_factor": "0.6667",
                }
            ],
            created_at=_iso(T + MONTH + 10 * DAY),
        ),
    ),
    (
        "subscription.plan_changed",
        T + MONTH + 10 * DAY,
        dodo_subscription("active", T + MONTH, product_id="price_plus", trial_period_days=30),
    ),
    (
        "refund.succeeded",
        T + MONTH + 11 * DAY,
        {
            "refund_id": "ref_2",
            "payment_id": "pay_2",
            "amount": 2000,
            "currency": "EUR",
            "created_at": _iso(T + MONTH + 11 * DAY),
        },
    ),
    (
        "license_key.created",
        T + MONTH,
        {
            "id": "lic_2",
            "key": "CCCC-DDDD",
            "status": "active",
            "customer_id": "cus_d",
            "payment_id": "pay_2",
            "product_id": "prod_1",
        },
    ),
)

HISTORIES = (
    LEGACY,
    CHECKOUT,
    MODERN,
    REFUNDS,
    FULL_REFUND,
    DISPUTE_WON,
    DISPUTE_LOST,
    UPGRADE,
    CANCEL_AT_END,
    SECOND_TRY,
    DUNNING,
    TRIAL,
    APART,
    SAME_SECOND,
    DODO_SALE,
    DODO_MEMBERSHIP,
    DODO_CHANGE,
)
