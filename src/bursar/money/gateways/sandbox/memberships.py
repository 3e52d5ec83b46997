"""Subscriptions: sign-up with or without a trial, renewals, failed renewals and their retries, cancellation."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from dateutil.relativedelta import relativedelta

from bursar.money.gateways.fields import Json
from bursar.money.gateways.sandbox import billing_objects as made
from bursar.money.gateways.sandbox import checkouts, objects
from bursar.money.gateways.sandbox.billing_objects import SandboxPrice
from bursar.money.gateways.sandbox.checkouts import DAY_S
from bursar.money.gateways.sandbox.objects import Buyer
from bursar.money.gateways.sandbox.recorder import Recorder

_RETRIES_S = (3 * DAY_S, 5 * DAY_S, 7 * DAY_S)

Ending = Literal["stays", "at_end", "now"]


@dataclass(slots=True)
class Membership:
    """One subscription as it lives. anchor: when its first paid period began; cycle: which period it is in."""

    buyer: Buyer
    sold: SandboxPrice
    subscription: Json
    anchor: int
    cycle: int = 0

    def boundary(self, cycle: int) -> int:
        """Return the start of a period: so many months or years after the anchor, never a drifting sum."""
        months = cycle * (12 if self.sold.interval == "year" else 1)
        return int((datetime.fromtimestamp(self.anchor, UTC) + relativedelta(months=months)).timestamp())


def subscribe(recorder: Recorder, buyer: Buyer, sold: SandboxPrice, *, at: int) -> None:
    """A customer signs up through a checkout and stays, leaves or stops paying."""
    opened = objects.session(buyer, ref=recorder.id("cs_test_b1", 56), created=at, mode="subscription", metadata={})
    at += recorder.between(30, 400)
    has_trial = recorder.chance(0.2)
    tail = recorder.id("", 14)[1:]
    anchor = at + 14 * DAY_S if has_trial else at
    subscribed = made.subscription(
        buyer,
        sold,
        ref=f"sub_1{recorder.id('', 8)[1:]}{tail}",
        item=f"si_{tail}",
        created=at,
        status="trialing" if has_trial else "incomplete",
        start=at,
        end=at,
    )
    member = Membership(buyer, sold, subscribed, anchor)
    end = anchor if has_trial else member.boundary(1)
    made.set_period(buyer, subscribed, start=at, end=end)
    if has_trial:
        subscribed |= {"trial_start": at, "trial_end": anchor}
    _sign_up(recorder, member, opened, at, period=(at, end))
    _live(recorder, member)


def _sign_up(recorder: Recorder, member: Membership, opened: Json, at: int, *, period: tuple[int, int]) -> None:
    subscribed, buyer = member.subscription, member.buyer
    is_trial = subscribed["status"] == "trialing"
    amount = 0 if is_trial else member.sold.unit_amount
    bill = _bill(recorder, member, at, amount=amount, period=period, reason="subscription_create")
    recorder.record("customer.subscription.created", at, subscribed, buyer.layout)
    recorder.record("invoice.created", at, bill, buyer.layout)
    _finalize(recorder, member, bill, at)
    if is_trial:
        _mark_paid(recorder, member, bill, at, intent=None, charged=None)
    else:
        intent = _intent(recorder, member, bill, at)
        if recorder.chance(0.07):
            checkouts.decline(recorder, buyer, intent, at)
            at += recorder.between(40, 200)
        charged = checkouts.settle(recorder, buyer, intent, at)
        _mark_paid(recorder, member, bill, at, intent=intent, charged=charged)
        subscribed["status"] = "active"
        recorder.record(
            "customer.subscription.updated", at, subscribed, buyer.layout, previous={"status": "incomplete"}
        )
    opened |= {
        "amount_subtotal": amount,
        "amount_total": amount,
        "currency": member.sold.currency.lower(),
        "invoice": bill["id"],
        "payment_status": "no_payment_required" if is_trial else "paid",
        "status": "complete",
        "subscription": subscribed["id"],
        "url": None,
    }
    recorder.record("checkout.session.completed", at + 1, opened, buyer.layout)


def _live(recorder: Recorder, member: Membership) -> None:
    """Renew, period by period, until the timeline or the membership ends."""
    first = 0 if member.subscription["status"] == "trialing" else 1
    for cycle in range(first, 1200):
        start = member.boundary(cycle)
        if start >= recorder.end:
            return
        ending: Ending = recorder.random.choices(("stays", "at_end", "now"), weights=(94, 4, 2))[0]
        if ending != "stays":
            _leave(recorder, member, ending, start)
            return
        if cycle == 0:
            recorder.record(
                "customer.subscription.trial_will_end", start - 3 * DAY_S, member.subscription, member.buyer.layout
            )
        if not _renew(recorder, member, cycle, start):
            return


def _renew(recorder: Recorder, member: Membership, cycle: int, start: int) -> bool:
    """Begin the next period and ask for its money. Returns whether the membership goes on."""
    buyer, subscribed = member.buyer, member.subscription
    end = member.boundary(cycle + 1)
    before = subscribed["status"]
    bill = _bill(
        recorder, member, start, amount=member.sold.unit_amount, period=(start, end), reason="subscription_cycle"
    )
    forecast = {key: value for key, value in bill.items() if not (buyer.is_old and key == "id")}
    recorder.record("invoice.upcoming", start - 7 * DAY_S, forecast, buyer.layout)
    subscribed |= {"status": "active", "latest_invoice": bill["id"]}
    made.set_period(buyer, subscribed, start=start, end=end)
    recorder.record("invoice.created", start, bill, buyer.layout)
    recorder.record("customer.subscription.updated", start, subscribed, buyer.layout, previous={"status": before})
    at = start + 3600
    _finalize(recorder, member, bill, at)
    intent = _intent(recorder, member, bill, at)
    if recorder.chance(0.08):
        return _dun(recorder, member, bill, intent, at)
    if recorder.chance(0.03):
        checkouts.demand_action(recorder, buyer, intent, at)
        recorder.record("invoice.payment_action_required", at, bill, buyer.layout)
        at += recorder.between(600, DAY_S)
    charged = checkouts.settle(recorder, buyer, intent, at)
    _mark_paid(recorder, member, bill, at, intent=intent, charged=charged)
    if recorder.chance(0.02):
        checkouts.refund(recorder, buyer, charged, amount=charged["amount"], at=at + 2 * DAY_S)
    return True


def _dun(recorder: Recorder, member: Membership, bill: Json, intent: Json, at: int) -> bool:
    """The renewal is declined and tried again; in the end it is paid, or the membership ends."""
    buyer, subscribed = member.buyer, member.subscription
    _miss(recorder, member, bill, intent, at)
    subscribed["status"] = "past_due"
    recorder.record("customer.subscription.updated", at, subscribed, buyer.layout, previous={"status": "active"})
    for wait in _RETRIES_S:
        at += wait
        if recorder.chance(0.5):
            charged = checkouts.settle(recorder, buyer, intent, at)
            _mark_paid(recorder, member, bill, at, intent=intent, charged=charged)
            subscribed["status"] = "active"
            recorder.record(
                "customer.subscription.updated", at, subscribed, buyer.layout, previous={"status": "past_due"}
            )
            return True
        _miss(recorder, member, bill, intent, at)
    _end(recorder, member, at, reason="payment_failed")
    bill["status"] = "uncollectible"
    bill["status_transitions"]["marked_uncollectible_at"] = at
    recorder.record("invoice.marked_uncollectible", at, bill, buyer.layout)
    return False


def _miss(recorder: Recorder, member: Membership, bill: Json, intent: Json, at: int) -> None:
    checkouts.decline(recorder, member.buyer, intent, at)
    bill |= {"attempted": True, "attempt_count": bill["attempt_count"] + 1}
    recorder.record("invoice.payment_failed", at, bill, member.buyer.layout)


def _leave(recorder: Recorder, member: Membership, ending: Ending, boundary: int) -> None:
    """The customer cancels some days before the period ends, now or with effect at its end."""
    subscribed = member.subscription
    asked = boundary - recorder.between(DAY_S, 9 * DAY_S)
    subscribed["cancellation_details"] |= {"reason": "cancellation_requested", "feedback": "too_expensive"}
    if ending == "now":
        _end(recorder, member, asked, reason="cancellation_requested")
        return
    subscribed |= {"cancel_at_period_end": True, "cancel_at": boundary, "canceled_at": asked}
    recorder.record(
        "customer.subscription.updated",
        asked,
        subscribed,
        member.buyer.layout,
        previous={"cancel_at_period_end": False},
    )
    _end(recorder, member, boundary, reason="cancellation_requested")


def _end(recorder: Recorder, member: Membership, at: int, *, reason: str) -> None:
    subscribed = member.subscription
    subscribed |= {"status": "canceled", "canceled_at": subscribed["canceled_at"] or at, "ended_at": at}
    subscribed["cancellation_details"]["reason"] = reason
    recorder.record("customer.subscription.deleted", at, subscribed, member.buyer.layout)


def _bill(
    recorder: Recorder, member: Membership, at: int, *, amount: int, period: tuple[int, int], reason: str
) -> Json:
    bill = made.invoice(
        member.buyer,
        member.sold,
        ref=recorder.id("in_1", 23),
        line=recorder.id("il_1", 23),
        subscription=member.subscription["id"],
        created=at,
        amount=amount,
        period=period,
        reason=reason,
    )
    member.subscription["latest_invoice"] = bill["id"]
    return bill


def _finalize(recorder: Recorder, member: Membership, bill: Json, at: int) -> None:
    bill |= {
        "status": "open",
        "effective_at": at,
        "number": f"{member.buyer.id[-8:].upper()}-{recorder.between(1, 9999):04}",
    }
    bill["status_transitions"]["finalized_at"] = at
    recorder.record("invoice.finalized", at, bill, member.buyer.layout)


def _intent(recorder: Recorder, member: Membership, bill: Json, at: int) -> Json:
    intent = objects.payment_intent(
        member.buyer,
        ref=recorder.id("pi_3", 23),
        amount=bill["amount_due"],
        currency=bill["currency"],
        created=at,
        metadata={},
        invoice=bill["id"],
    )
    if member.buyer.is_old:
        bill["payment_intent"] = intent["id"]
    checkouts.begin(recorder, member.buyer, intent, at)
    return intent


def _mark_paid(
    recorder: Recorder, member: Membership, bill: Json, at: int, *, intent: Json | None, charged: Json | None
) -> None:
    buyer = member.buyer
    bill |= {
        "amount_paid": bill["amount_due"],
        "amount_remaining": 0,
        "attempt_count": bill["attempt_count"] + 1,
        "attempted": True,
        "next_payment_attempt": None,
        "status": "paid",
    }
    bill["status_transitions"]["paid_at"] = at
    if buyer.is_old:
        bill |= {"paid": True, "charge": charged["id"] if charged else None}
    recorder.record("invoice.paid", at, bill, buyer.layout)
    recorder.record("invoice.payment_succeeded", at, bill, buyer.layout)
    if intent is not None and not buyer.is_old:
        link = made.invoice_payment(bill, intent, ref=recorder.id("inpay_1", 23))
        recorder.record("invoice_payment.paid", at, link, buyer.layout)
