"""What time does to subscriptions: renewals, ends of trials, retries of invoices, ends.

A renewal's invoice is a draft for an hour. One that fails is tried again after three, five and seven days more; then the
subscription is canceled, as an account is set up by default.
"""

from typing import Final

from bursar.money.gateways.fields import Json
from bursar.sandbox import invoices, subscriptions
from bursar.sandbox.cards import Decline
from bursar.sandbox.forms import Params
from bursar.sandbox.refusals import Refusal
from bursar.sandbox.work import Work, shown

RETRIED_AFTER_S: Final = (3 * 86_400, 5 * 86_400, 7 * 86_400)


def renew(work: Work, ref: str) -> None:
    """Bring a subscription past the end of its period."""
    found = work.find("subscription", ref)
    if found is None or found["status"] in (*subscriptions.ENDED, "paused", "incomplete"):
        return
    _, stop = invoices.period_of(found)
    if found["cancel_at"] and found["cancel_at"] <= work.now:
        subscriptions.end(work, found, reason="cancellation_requested")
        return
    if found["status"] == "trialing" and not _goes_on(work, found):
        return
    before = {"status": found["status"], "items": found["items"], "latest_invoice": found["latest_invoice"]}
    before = shown({"object": "subscription", **before})
    del before["object"]
    if found["status"] == "trialing":
        found["status"] = "active"
        found["billing_cycle_anchor"] = stop
    bill = subscriptions.next_period(work, found, stop, reason="subscription_cycle")
    work.tell("customer.subscription.updated", found, before)
    subscriptions.schedule(work, found)
    _plan(work, found, bill)


def warn_of_trial_end(work: Work, ref: str) -> None:
    """Tell that a trial ends in three days."""
    found = work.find("subscription", ref)
    if found and found["status"] == "trialing":
        work.tell("customer.subscription.trial_will_end", found)


def abandon(work: Work, ref: str) -> None:
    """Give up a subscription whose first invoice was not paid in time."""
    found = work.find("subscription", ref)
    if found and found["status"] == "incomplete":
        bill = work.find("invoice", found["latest_invoice"] or "")
        if bill and bill["status"] == "open":
            invoices.void(work, Params({}), bill["id"])
        found["cancellation_details"] |= {"reason": "payment_failed"}
        found |= {"ended_at": work.now, "canceled_at": work.now}
        work.forget(ref, "subscription.renew")
        work.change("customer.subscription.updated", found, status="incomplete_expired")


def finalize(work: Work, ref: str) -> None:
    """Finalize a draft whose hour is over, and take the money."""
    bill = work.find("invoice", ref)
    if bill and bill["status"] == "draft" and bill["auto_advance"]:
        invoices.finalize(work, bill)
        _collect(work, bill)


def retry(work: Work, ref: str) -> None:
    """Try an unpaid invoice again, or give the subscription up."""
    bill = work.find("invoice", ref)
    if bill and bill["status"] == "open":
        _collect(work, bill)


def pay(work: Work, params: Params, ref: str) -> Json:
    """POST /v1/invoices/{id}/pay"""
    bill = work.need("invoice", ref)
    if bill["status"] == "draft":
        work.forget(ref, "invoice.finalize")
        invoices.finalize(work, bill)
    params.accept("forgive")
    is_off = params.flag("off_session", default=True)
    wanted = params.text("payment_method")
    if params.flag("paid_out_of_band") and bill["status"] == "open":
        return invoices.settle(work, bill)
    if bill["status"] == "paid":
        raise Refusal(400, "invalid_request_error", "Invoice is already paid", code="invoice_already_paid")
    if bill["status"] != "open":
        raise Refusal(400, "invalid_request_error", f"An invoice that is {bill['status']} cannot be paid.")
    decline = invoices.collect(work, bill, method=wanted or _method(work, bill), is_off_session=is_off)
    follow(work, bill)
    _refuse_unpaid(work, bill, decline)
    return bill


def follow(work: Work, bill: Json) -> None:
    """Bring an invoice's state to its subscription."""
    found = work.find("subscription", invoices.subscription_of(bill) or "")
    if found:
        subscriptions.invoice_outcome(work, found, bill)


def payment_outcome(work: Work, intent: Json) -> None:
    """Bring what became of a payment to the invoice that it is for, and on to the subscription."""
    bill = work.find("invoice", intent.get("_invoice") or "")
    if bill and bill["status"] == "open":
        invoices.outcome(work, bill, intent)
        follow(work, bill)


def _goes_on(work: Work, found: Json) -> bool:
    """Tell whether a trial that is over becomes a subscription; else do what it was told to do without a method."""
    customer = work.need("customer", found["customer"])
    has_method = found["default_payment_method"] or customer["invoice_settings"]["default_payment_method"]
    behaviour = found["trial_settings"]["end_behavior"]["missing_payment_method"]
    if has_method or behaviour == "create_invoice":
        return True
    if behaviour == "pause":
        before = found["status"]
        found["status"] = "paused"
        work.save(found)
        work.tell("customer.subscription.paused", found, {"status": before})
    else:
        subscriptions.end(work, found, reason="payment_failed")
    return False


def _plan(work: Work, found: Json, bill: Json) -> None:
    """Leave the draft for its hour, or do with it what a pause of collection says."""
    pause = found["pause_collection"]
    if pause and pause["resumes_at"] and pause["resumes_at"] <= work.now:
        work.change("customer.subscription.updated", found, pause_collection=None)
        pause = None
    if pause is None:
        at = work.now + invoices.FINALIZED_AFTER_S
        work.save(bill | {"automatically_finalizes_at": at, "next_payment_attempt": at})
        work.later(at, "invoice.finalize", bill["id"])
        return
    if pause["behavior"] == "keep_as_draft":
        work.save(bill | {"auto_advance": False})
        return
    invoices.finalize(work, bill)
    if bill["status"] == "open":
        close = invoices.void if pause["behavior"] == "void" else invoices.give_up
        close(work, Params({}), bill["id"])


def _collect(work: Work, bill: Json) -> None:
    if bill["status"] == "open":
        invoices.collect(work, bill, method=_method(work, bill), is_off_session=True)
    follow(work, bill)
    if bill["status"] != "open":
        return
    attempts = bill["attempt_count"]
    if attempts <= len(RETRIED_AFTER_S):
        at = work.now + RETRIED_AFTER_S[attempts - 1]
        work.change("invoice.updated", bill, next_payment_attempt=at)
        work.later(at, "invoice.retry", bill["id"])
        return
    work.change("invoice.updated", bill, next_payment_attempt=None)
    found = work.find("subscription", invoices.subscription_of(bill) or "")
    if found and found["status"] not in subscriptions.ENDED:
        subscriptions.end(work, found, reason="payment_failed")


def _method(work: Work, bill: Json) -> str | None:
    found = work.find("subscription", invoices.subscription_of(bill) or "")
    chosen = found["default_payment_method"] if found else None
    ref: str | None = chosen or invoices.method_for(work, bill)
    return ref


def _refuse_unpaid(work: Work, bill: Json, decline: Decline | None) -> None:
    """Raises Refusal for an invoice that a caller wanted paid and that is not."""
    if decline is not None:
        intent = work.need("payment_intent", bill["_intent"])
        raise Refusal(402, "card_error", decline.message, code=decline.code, keeps=True, payment_intent=shown(intent))
