"""Single sales and what becomes of them: declines, second tries, slow banks, refunds, disputes.

Every function records the events of one happening in the order in which Stripe makes them; several of them
carry the same second, as they do in life.
"""

from collections.abc import Sequence

from bursar.money.gateways.fields import Json
from bursar.money.gateways.sandbox import objects
from bursar.money.gateways.sandbox.billing_objects import SandboxPrice
from bursar.money.gateways.sandbox.objects import Buyer
from bursar.money.gateways.sandbox.recorder import Recorder

DAY_S = 86_400


def begin(recorder: Recorder, buyer: Buyer, made: Json, at: int) -> None:
    recorder.record("payment_intent.created", at, made, buyer.layout)


def decline(recorder: Recorder, buyer: Buyer, intent: Json, at: int, *, pending: Json | None = None) -> None:
    """An attempt that the issuer refuses; the intent waits for another. pending: see `settle`."""
    reason = recorder.random.choice(("generic_decline", "insufficient_funds", "lost_card"))
    made = objects.charge(buyer, intent, ref=recorder.id("ch_3", 23), created=at, status="failed", failure=reason)
    if pending is not None:
        made |= {"id": pending["id"], "created": pending["created"]}
    _attach(buyer, intent, made)
    intent["status"] = "requires_payment_method"
    intent["last_payment_error"] = {
        "charge": made["id"],
        "code": "card_declined",
        "decline_code": reason,
        "message": "Your card was declined.",
        "type": "card_error",
    }
    recorder.record("charge.failed", at, made, buyer.layout)
    recorder.record("payment_intent.payment_failed", at, intent, buyer.layout)


def demand_action(recorder: Recorder, buyer: Buyer, intent: Json, at: int) -> None:
    """The bank wants to see the customer (3-D Secure)."""
    intent["status"] = "requires_action"
    intent["next_action"] = {"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "three_d_secure_redirect"}}
    recorder.record("payment_intent.requires_action", at, intent, buyer.layout)


def settle(recorder: Recorder, buyer: Buyer, intent: Json, at: int, *, pending: Json | None = None) -> Json:
    """The money is taken. pending: the charge that a slow bank was working on. Returns the charge."""
    made = objects.charge(buyer, intent, ref=recorder.id("ch_3", 23), created=at, status="succeeded", failure=None)
    if pending is not None:
        made |= {"id": pending["id"], "created": pending["created"]}
    _attach(buyer, intent, made)
    intent |= {
        "amount_received": intent["amount"],
        "last_payment_error": None,
        "next_action": None,
        "payment_method": buyer.card,
        "status": "succeeded",
    }
    recorder.record("charge.succeeded", at, made, buyer.layout)
    recorder.record("payment_intent.succeeded", at, intent, buyer.layout)
    return made


def checkout(recorder: Recorder, buyer: Buyer, sold: SandboxPrice, *, quantity: int, at: int, is_named: bool) -> None:
    """A customer opens a checkout, and perhaps pays. is_named: the sale says which price it is of."""
    label = {"bursar_price": sold.lookup_key, "bursar_quantity": str(quantity)} if is_named else {}
    where = recorder.random.choices(("both", "session", "intent"), weights=(70, 15, 15))[0]
    opened = objects.session(
        buyer,
        ref=recorder.id("cs_test_a1", 56),
        created=at,
        mode="payment",
        metadata=label if where != "intent" else {},
    )
    amount = sold.unit_amount * quantity
    opened |= {"amount_subtotal": amount, "amount_total": amount, "currency": sold.currency.lower()}
    if recorder.chance(0.06):
        _expire(recorder, buyer, opened)
        return
    paying = at + recorder.between(20, 300)
    intent = objects.payment_intent(
        buyer,
        ref=recorder.id("pi_3", 23),
        amount=amount,
        currency=sold.currency.lower(),
        created=paying,
        metadata=label if where != "session" else {},
        invoice=None,
    )
    opened["payment_intent"] = intent["id"]
    begin(recorder, buyer, intent, paying)
    _pay(recorder, buyer, opened, intent, paying)


def _pay(recorder: Recorder, buyer: Buyer, opened: Json, intent: Json, at: int) -> None:
    way = recorder.random.choices(
        ("straight", "declined_first", "action", "slow", "given_up"), weights=(72, 8, 10, 6, 4)
    )[0]
    if way == "slow":
        _pay_slowly(recorder, buyer, opened, intent, at)
        return
    if way in ("declined_first", "given_up"):
        decline(recorder, buyer, intent, at)
        at += recorder.between(30, 240)
    if way == "given_up":
        _give_up(recorder, buyer, opened, intent)
        return
    if way == "action":
        demand_action(recorder, buyer, intent, at)
        at += recorder.between(15, 120)
    charged = settle(recorder, buyer, intent, at)
    _complete(recorder, buyer, opened, at + recorder.between(0, 2), payment_status="paid")
    aftermath(recorder, buyer, charged, at)


def _pay_slowly(recorder: Recorder, buyer: Buyer, opened: Json, intent: Json, at: int) -> None:
    """A debit that the bank confirms or refuses days later."""
    waiting = objects.charge(buyer, intent, ref=recorder.id("py_3", 23), created=at, status="pending", failure=None)
    _attach(buyer, intent, waiting)
    intent["status"] = "processing"
    recorder.record("payment_intent.processing", at, intent, buyer.layout)
    recorder.record("charge.pending", at, waiting, buyer.layout)
    _complete(recorder, buyer, opened, at + 1, payment_status="unpaid")
    later = at + recorder.between(2 * DAY_S, 5 * DAY_S)
    if recorder.chance(0.15):
        decline(recorder, buyer, intent, later, pending=waiting)
        recorder.record("checkout.session.async_payment_failed", later, opened, buyer.layout)
        return
    charged = settle(recorder, buyer, intent, later, pending=waiting)
    opened["payment_status"] = "paid"
    recorder.record("checkout.session.async_payment_succeeded", later, opened, buyer.layout)
    aftermath(recorder, buyer, charged, later)


def aftermath(recorder: Recorder, buyer: Buyer, charged: Json, at: int) -> None:
    """Most sales stay sold; some are refunded in full, in parts, or disputed."""
    fate = recorder.random.choices(("kept", "full", "parts", "returned", "disputed"), weights=(86, 6, 4, 1, 3))[0]
    later = at + recorder.between(DAY_S, 20 * DAY_S)
    if fate == "full":
        refund(recorder, buyer, charged, amount=charged["amount"], at=later)
    elif fate == "parts":
        for share in recorder.random.choice(((4,), (3, 3), (4, 2))):
            if not charged["refunded"]:
                refund(recorder, buyer, charged, amount=max(1, charged["amount"] // share), at=later)
            later += recorder.between(60, 3 * DAY_S)
    elif fate == "returned":
        _fail_refund(recorder, buyer, charged, later)
    elif fate == "disputed":
        _dispute(recorder, buyer, charged, later)


def refund(recorder: Recorder, buyer: Buyer, charged: Json, *, amount: int, at: int, status: str = "succeeded") -> Json:
    """Give back at most what is left of a charge. Only today's layout has events of the refund itself."""
    amount = min(amount, charged["amount"] - charged["amount_refunded"])
    made = objects.refund(charged, ref=recorder.id("re_3", 23), amount=amount, created=at, status=status)
    _count_refund(buyer, charged, made, amount)
    if not buyer.is_old:
        recorder.record("refund.created", at, made, buyer.layout)
    recorder.record("charge.refunded", at, charged, buyer.layout)
    if status == "succeeded" and not buyer.is_old:
        made["destination_details"]["card"]["reference_status"] = "available"
        recorder.record("refund.updated", at + 5, made, buyer.layout)
    return made


def _fail_refund(recorder: Recorder, buyer: Buyer, charged: Json, at: int) -> None:
    """A refund that the customer's bank sends back a week later: the money is ours again."""
    made = refund(recorder, buyer, charged, amount=charged["amount"], at=at)
    later = at + recorder.between(5 * DAY_S, 9 * DAY_S)
    made |= {"status": "failed", "failure_reason": "expired_or_canceled_card"}
    _count_refund(buyer, charged, made, -made["amount"])
    if not buyer.is_old:
        recorder.record("refund.failed", later, made, buyer.layout)
    recorder.record("charge.refund.updated", later, made, buyer.layout, previous={"status": "succeeded"})
    recorder.record("charge.updated", later, charged, buyer.layout, previous={"amount_refunded": made["amount"]})


def _dispute(recorder: Recorder, buyer: Buyer, charged: Json, at: int) -> None:
    is_inquiry = recorder.chance(0.25)
    made = objects.dispute(
        charged,
        ref=recorder.id("du_1", 23),
        created=at,
        status="warning_needs_response" if is_inquiry else "needs_response",
        reason=recorder.random.choice(("fraudulent", "product_not_received", "subscription_canceled")),
    )
    charged |= {"disputed": True} | ({"dispute": made["id"]} if buyer.is_old else {})
    recorder.record("charge.dispute.created", at, made, buyer.layout)
    if not is_inquiry:
        recorder.record("charge.dispute.funds_withdrawn", at, made, buyer.layout)
    recorder.record("charge.updated", at, charged, buyer.layout, previous={"disputed": False})
    if recorder.chance(0.7):
        at += recorder.between(DAY_S, 6 * DAY_S)
        before, made["status"] = made["status"], "warning_under_review" if is_inquiry else "under_review"
        made["evidence_details"] |= {"has_evidence": True, "submission_count": 1}
        recorder.record("charge.dispute.updated", at, made, buyer.layout, previous={"status": before})
        is_won = recorder.chance(0.5)
    else:
        is_won = False
    at += recorder.between(10 * DAY_S, 40 * DAY_S)
    made["status"] = "warning_closed" if is_inquiry else "won" if is_won else "lost"
    recorder.record("charge.dispute.closed", at, made, buyer.layout)
    if made["status"] == "won":
        recorder.record("charge.dispute.funds_reinstated", at, made, buyer.layout)


def _complete(recorder: Recorder, buyer: Buyer, opened: Json, at: int, *, payment_status: str) -> None:
    opened |= {"payment_status": payment_status, "status": "complete", "url": None}
    recorder.record("checkout.session.completed", at, opened, buyer.layout)


def _expire(recorder: Recorder, buyer: Buyer, opened: Json) -> None:
    opened |= {"status": "expired", "url": None}
    recorder.record("checkout.session.expired", opened["expires_at"], opened, buyer.layout)


def _give_up(recorder: Recorder, buyer: Buyer, opened: Json, intent: Json) -> None:
    at = opened["expires_at"]
    intent |= {"canceled_at": at, "cancellation_reason": "automatic", "status": "canceled"}
    recorder.record("payment_intent.canceled", at, intent, buyer.layout)
    _expire(recorder, buyer, opened)


def _attach(buyer: Buyer, intent: Json, made: Json) -> None:
    if not buyer.is_old:
        intent["latest_charge"] = made["id"]
        return
    others: Sequence[Json] = intent["charges"]["data"]
    intent["charges"]["data"] = [made, *(other for other in others if other["id"] != made["id"])]
    intent["charges"]["total_count"] = len(intent["charges"]["data"])


def _count_refund(buyer: Buyer, charged: Json, made: Json, amount: int) -> None:
    charged["amount_refunded"] += amount
    charged["refunded"] = charged["amount_refunded"] == charged["amount"]
    if buyer.is_old and amount > 0:
        charged["refunds"]["data"].insert(0, made)
        charged["refunds"]["total_count"] += 1
