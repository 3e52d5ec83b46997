"""Where the effect of a call would be found at Stripe, if an earlier attempt had one, and how to know it. Pure.

What a call makes carries our mark in its metadata. What a call changes is known by its state: an object that is
as the call would leave it needs no second attempt. Links and files do no harm twice and are not looked for.
"""

from dataclasses import dataclass, field
from typing import Final

from bursar.money.gateways import calls
from bursar.money.gateways.calling import MARK, REFUND_MARK, Json
from bursar.money.gateways.calls import Kind
from bursar.money.gateways.fields import child, children, ref_of

_PAID: Final = ("succeeded", "processing", "requires_capture", "requires_action")


@dataclass(frozen=True, slots=True)
class Place:
    """One object by its ref, or a list to look through. is_recent: only what was made since the first attempt."""

    kind: Kind
    ref: str | None = None
    params: Json = field(default_factory=dict)
    is_recent: bool = True


def place_of(call: calls.AnyCall) -> Place | None:  # noqa: C901, PLR0911 - one line for each call
    """Return where to look; None for calls whose repeat does no harm."""
    match call:
        case calls.CreateCheckout():
            return Place(Kind.session, params={"customer": call.customer} if call.customer else {})
        case calls.CreateCustomer():
            return Place(Kind.customer, params={"email": call.email} if call.email else {})
        case calls.CreatePayment():
            return Place(Kind.payment, params={"customer": call.customer})
        case calls.SetupPaymentMethod():
            return Place(Kind.setup, params={"customer": call.customer})
        case calls.CreateRefund():
            of = {"payment_intent": call.payment} if call.payment else {"charge": call.charge}
            return Place(Kind.refund, params=of, is_recent=False)
        case calls.ExpireCheckout():
            return Place(Kind.session, call.session)
        case calls.ConfirmPayment() | calls.CancelPayment():
            return Place(Kind.payment, call.payment)
        case calls.AttachPaymentMethod() | calls.DetachPaymentMethod():
            return Place(Kind.payment_method, call.payment_method)
        case calls.SetDefaultPaymentMethod(subscription=None):
            return Place(Kind.customer, call.customer)
        case calls.SubmitEvidence() | calls.AcceptDispute():
            return Place(Kind.dispute, call.dispute)
        case (
            calls.SetDefaultPaymentMethod()
            | calls.ChangeSubscription()
            | calls.PauseSubscription()
            | calls.ResumeSubscription()
            | calls.CancelSubscriptionNow()
            | calls.CancelSubscriptionAtPeriodEnd()
            | calls.ReactivateSubscription()
            | calls.ExtendTrial()
        ):
            return Place(Kind.subscription, call.subscription)
        case _:
            return None


def is_marked(call: calls.AnyCall, item: Json, *, mark: str) -> bool:
    """Tell whether a call made this object."""
    metadata = child(item, "metadata")
    if isinstance(call, calls.CreateRefund) and metadata.get(REFUND_MARK) == call.refund:
        return True
    return metadata.get(MARK) == mark


def is_done(call: calls.AnyCall, item: Json) -> bool:  # noqa: PLR0911 - one line for each call
    """Tell whether an object is as the call would leave it."""
    status = item.get("status")
    if item.get("object") == "subscription":
        return _is_subscription_done(call, item)
    match call:
        case calls.ExpireCheckout():
            return status == "expired"
        case calls.ConfirmPayment():
            return status in _PAID
        case calls.CancelPayment():
            return status == "canceled"
        case calls.AttachPaymentMethod():
            return ref_of(item.get("customer")) == call.customer
        case calls.DetachPaymentMethod():
            return item.get("customer") is None
        case calls.SetDefaultPaymentMethod(subscription=None):
            chosen = child(item, "invoice_settings").get("default_payment_method")
            return ref_of(chosen) == call.payment_method
        case calls.SubmitEvidence():
            return _is_said(call, item)
        case calls.AcceptDispute():
            return status == "lost"
        case _:
            return False


def _is_subscription_done(call: calls.AnyCall, item: Json) -> bool:  # noqa: PLR0911 - one line for each call
    status = item.get("status")
    match call:
        case calls.SetDefaultPaymentMethod():
            return ref_of(item.get("default_payment_method")) == call.payment_method
        case calls.ChangeSubscription():
            return _is_sold(call, item)
        case calls.PauseSubscription():
            return status == "paused"
        case calls.ResumeSubscription():
            return status in ("active", "trialing", "past_due")
        case calls.CancelSubscriptionNow():
            return status == "canceled"
        case calls.CancelSubscriptionAtPeriodEnd():
            return item.get("cancel_at_period_end") is True or status == "canceled"
        case calls.ReactivateSubscription():
            return item.get("cancel_at_period_end") is False and status != "canceled"
        case calls.ExtendTrial():
            told = item.get("trial_end")
            return type(told) is int and told >= call.trial_end.timestamp()
        case _:
            return False


def _is_said(call: calls.SubmitEvidence, dispute: Json) -> bool:
    said = child(dispute, "evidence")
    is_there = all(said.get(name.value) == text for name, text in call.texts.items())
    is_there = is_there and all(ref_of(said.get(name.value)) == ref for name, ref in call.files.items())
    if not call.is_final:
        return is_there
    submitted = child(dispute, "evidence_details").get("submission_count")
    return is_there and type(submitted) is int and submitted > 0


def _is_sold(call: calls.ChangeSubscription, subscription: Json) -> bool:
    lines = children(subscription, "items")
    if call.item is not None:
        lines = [line for line in lines if ref_of(line) == call.item]
    return len(lines) == 1 and ref_of(lines[0].get("price")) == call.price and lines[0].get("quantity") == call.quantity
