"""Subscriptions: begun, changed, paused, ended by whoever sells; `cycles` renews them as time passes.

Invariants: a period follows the one before without a gap while the subscription runs; what is ended stays ended; a change
whose payment must succeed (`error_if_incomplete`) happens whole or not at all.
"""

from typing import Final

from bursar.money.gateways.fields import Json
from bursar.sandbox import billing_shapes, catalogue, changes, invoices, methods, periods
from bursar.sandbox.cards import Decline
from bursar.sandbox.forms import Params, merged
from bursar.sandbox.refusals import invalid, missing
from bursar.sandbox.work import Work, listing

ITEMS_MAX: Final = 20
INCOMPLETE_S: Final = 23 * 3_600
TRIAL_S_MAX: Final = 730 * 86_400
WARNED_BEFORE_S: Final = 3 * 86_400
ENDED: Final = ("canceled", "incomplete_expired")
_BEHAVIOURS: Final = ("allow_incomplete", "default_incomplete", "error_if_incomplete")
_PAUSES: Final = ("keep_as_draft", "mark_uncollectible", "void")


def create(work: Work, params: Params) -> Json:
    """POST /v1/subscriptions"""
    customer = work.need("customer", params.need("customer"), param="customer")
    made, behaviour = begin(work, customer, params), _behaviour(params)
    params.accept("off_session", "collection_method", "proration_behavior", "payment_settings", "currency")
    return start(work, made, behaviour=behaviour, is_off_session=True)


def begin(work: Work, customer: Json, params: Params) -> Json:
    """Return a subscription as parameters describe it, not yet billed."""
    wanted = params.children("items")
    if not 0 < len(wanted) <= ITEMS_MAX:
        raise missing("items")
    made = billing_shapes.subscription(work.now, customer["id"], "")
    sold = []
    for item in wanted:
        price = catalogue.price_of(work, item)
        item.accept("tax_rates", "metadata")
        if price["recurring"] is None:
            raise invalid("The price specified is set to `type=one_time`.", param=item.named("price"))
        sold.append(billing_shapes.item(work.now, made["id"], price, quantity=item.whole("quantity", 1, least=1) or 1))
        item.refuse_others()
    if len({str(item["price"]["recurring"]) for item in sold}) > 1 or len({i["price"]["currency"] for i in sold}) > 1:
        raise invalid("All items of a subscription must have the same currency and interval.", param="items")
    made |= {
        "currency": sold[0]["price"]["currency"],
        "items": listing(sold, f"/v1/subscription_items?subscription={made['id']}"),
        "metadata": params.mapping("metadata"),
        "description": params.text("description"),
        "cancel_at_period_end": params.flag("cancel_at_period_end"),
        "default_payment_method": _method(work, params, customer),
        "trial_end": trial_end_of(work, params),
    }
    set_trial_settings(made, params)
    return made


def start(work: Work, made: Json, *, behaviour: str, is_off_session: bool, extra: list[Json] | None = None) -> Json:
    """Begin the first period and bill it. extra: lines of what is sold once. Raises Refusal, which undoes it all."""
    items, trial_end = made["items"]["data"], made["trial_end"]
    stop = trial_end or periods.next_end(work.now, items[0]["price"]["recurring"], work.now)
    set_period(made, work.now, stop)
    made |= {"billing_cycle_anchor": trial_end or work.now}
    if trial_end:
        made |= {"status": "trialing", "trial_start": work.now}
    work.save(made)
    work.tell("customer.subscription.created", made)
    customer = work.need("customer", made["customer"])
    if customer["currency"] is None:
        work.save(customer | {"currency": made["currency"]})
        customer["currency"] = made["currency"]
    lines = [changes.full_line(item, (work.now, stop), amount=0 if trial_end else None) for item in items]
    reason = "subscription_create"
    bill = invoices.draft(
        work, customer, currency=made["currency"], reason=reason, subscription=made, lines=lines + (extra or [])
    )
    made["latest_invoice"] = bill["id"]
    work.save(made)
    decline = bill_now(work, made, bill, is_tried=behaviour != "default_incomplete", is_off_session=is_off_session)
    if decline and behaviour == "error_if_incomplete":
        raise invoices.unpaid(work.need("payment_intent", bill["_intent"]), decline)
    schedule(work, made)
    if made["status"] == "incomplete":
        work.later(work.now + INCOMPLETE_S, "subscription.abandon", made["id"])
    return made


def bill_now(
    work: Work, subscription: Json, bill: Json, *, is_tried: bool, is_off_session: bool = True
) -> Decline | None:
    """Finalize an invoice and, unless told otherwise, take the money; bring the outcome to the subscription."""
    invoices.finalize(work, bill)
    decline = None
    if is_tried and bill["status"] == "open":
        method = subscription["default_payment_method"] or invoices.method_for(work, bill)
        decline = invoices.collect(work, bill, method=method, is_off_session=is_off_session)
    invoice_outcome(work, subscription, bill)
    return decline


def invoice_outcome(work: Work, subscription: Json, bill: Json) -> None:
    """Bring what became of an invoice to the subscription that it is for."""
    status = subscription["status"]
    if status in (*ENDED, "paused") and not (status == "paused" and bill["id"] == subscription.get("_resumed_by")):
        return
    if bill["status"] == "paid" and status in ("incomplete", "past_due", "unpaid", "paused"):
        if bill["id"] == subscription["latest_invoice"]:
            work.forget(subscription["id"], "subscription.abandon")
            work.change("customer.subscription.updated", subscription, status="active")
            if status == "paused":
                work.tell("customer.subscription.resumed", subscription)
    elif bill["status"] == "open" and bill["attempted"] and status == "active":
        work.change("customer.subscription.updated", subscription, status="past_due")


def update(work: Work, params: Params, ref: str) -> Json:
    """POST /v1/subscriptions/{id}"""
    found = running(work, ref)
    before = {name: found[name] for name in found if name != "_"}
    behaviour = _behaviour(params)
    customer = work.need("customer", found["customer"])
    _set_simple(work, found, params, customer)
    set_trial_settings(found, params)
    _set_ending(work, found, params)
    _set_pause(found, params)
    bill = _set_items(work, found, params)
    _set_trial(work, found, params)
    params.accept("off_session", "payment_settings", "collection_method")
    work.save(found)
    told = {name: before.get(name) for name, value in found.items() if name[0] != "_" and before.get(name) != value}
    if told:
        work.tell("customer.subscription.updated", found, told)
    schedule(work, found)
    if bill is not None:
        decline = bill_now(work, found, bill, is_tried=behaviour != "default_incomplete")
        if decline and behaviour == "error_if_incomplete":
            raise invoices.unpaid(work.need("payment_intent", bill["_intent"]), decline)
    return found


def cancel(work: Work, params: Params, ref: str) -> Json:
    """DELETE /v1/subscriptions/{id}"""
    found = running(work, ref)
    details = params.child("cancellation_details")
    if details:
        found["cancellation_details"] |= {"comment": details.text("comment"), "feedback": details.text("feedback")}
    is_prorated, is_billed = params.flag("prorate"), params.flag("invoice_now")
    lines = changes.credits_for(found, at=work.now) if is_prorated and found["status"] == "active" else []
    end(work, found, reason="cancellation_requested")
    if lines and is_billed:
        customer = work.need("customer", found["customer"])
        bill = invoices.draft(
            work, customer, currency=found["currency"], reason="manual", subscription=found, lines=lines
        )
        invoices.finalize(work, bill)
    elif lines:
        invoices.keep_for_later(work, found["customer"], lines)
    return found


def end(work: Work, subscription: Json, *, reason: str, status: str = "canceled") -> Json:
    """End a subscription for good."""
    subscription["cancellation_details"] |= {"reason": reason}
    subscription |= {
        "status": status,
        "ended_at": work.now,
        "canceled_at": subscription["canceled_at"] or work.now,
    }
    work.forget(subscription["id"], "subscription.renew", "trial.warn", "subscription.abandon")
    work.save(subscription)
    work.tell("customer.subscription.deleted", subscription)
    return subscription


def pause(work: Work, params: Params, ref: str) -> Json:
    """POST /v1/subscriptions/{id}/pause"""
    found = running(work, ref)
    params.accept("type", "bill_for")
    behaviour = params.text("invoicing_behavior", "pending_invoice_item", among=("invoice", "pending_invoice_item"))
    if found["status"] not in ("active", "trialing"):
        raise invalid(f"Only an active subscription can be paused; this one is {found['status']}.")
    lines = changes.credits_for(found, at=work.now) if found["status"] == "active" else []
    if lines and behaviour == "pending_invoice_item":
        invoices.keep_for_later(work, found["customer"], lines)
    work.forget(ref, "subscription.renew", "trial.warn")
    before = found["status"]
    found["status"] = "paused"
    work.save(found)
    if lines and behaviour == "invoice":
        customer = work.need("customer", found["customer"])
        bill = invoices.draft(
            work, customer, currency=found["currency"], reason="subscription_update", subscription=found, lines=lines
        )
        invoices.finalize(work, bill)
    work.tell("customer.subscription.paused", found, {"status": before})
    return found


def resume(work: Work, params: Params, ref: str) -> Json:
    """POST /v1/subscriptions/{id}/resume"""
    found = work.need("subscription", ref)
    if found["status"] != "paused":
        raise invalid(f"Only a paused subscription can be resumed; this one is {found['status']}.")
    params.accept("proration_behavior", "proration_date", "payment_behavior")
    anchor = params.raw("billing_cycle_anchor")
    keeps = anchor == "unchanged" or (isinstance(anchor, dict) and anchor.get("type") == "unchanged")
    start_, stop = invoices.period_of(found)
    if keeps and stop > work.now:
        work.change("customer.subscription.updated", found, status="active")
        work.tell("customer.subscription.resumed", found)
        schedule(work, found)
        return found
    del start_
    bill = next_period(work, found, work.now, reason="subscription_update", is_anew=True)
    found["_resumed_by"] = bill["id"]
    work.save(found)
    bill_now(work, found, bill, is_tried=True)
    schedule(work, found)
    return found


def next_period(work: Work, found: Json, begins: int, *, reason: str, is_anew: bool = False) -> Json:
    """Move a subscription into its next period; return the draft that bills it."""
    items = found["items"]["data"]
    anchor = begins if is_anew else found["billing_cycle_anchor"]
    stop = periods.next_end(anchor, items[0]["price"]["recurring"], begins)
    set_period(found, begins, stop)
    found["billing_cycle_anchor"] = anchor
    lines = [changes.full_line(item, (begins, stop)) for item in items]
    customer = work.need("customer", found["customer"])
    bill = invoices.draft(work, customer, currency=found["currency"], reason=reason, subscription=found, lines=lines)
    found["latest_invoice"] = bill["id"]
    work.save(found)
    return bill


def schedule(work: Work, subscription: Json) -> None:
    """Leave for later what the subscription's present state leads to, and nothing that it led to before."""
    ref = subscription["id"]
    work.forget(ref, "subscription.renew", "trial.warn")
    if subscription["status"] in (*ENDED, "paused", "incomplete"):
        if subscription["status"] == "incomplete":
            work.later(invoices.period_of(subscription)[1], "subscription.renew", ref)
        return
    stop = invoices.period_of(subscription)[1]
    if subscription["cancel_at"]:
        stop = min(stop, subscription["cancel_at"])
    work.later(stop, "subscription.renew", ref)
    if subscription["status"] == "trialing":
        work.later(max(work.now, subscription["trial_end"] - WARNED_BEFORE_S), "trial.warn", ref)


def set_period(subscription: Json, start_: int, stop: int) -> None:
    """Put all items into a period."""
    for item in subscription["items"]["data"]:
        item |= {"current_period_start": start_, "current_period_end": stop}


def running(work: Work, ref: str, *, param: str = "id") -> Json:
    """Return a subscription that has not ended. Raises Refusal."""
    found = work.need("subscription", ref, param=param)
    if found["status"] in ENDED:
        raise invalid(
            f"This subscription is {found['status']} and cannot be changed any more.", code="resource_missing"
        )
    return found


def _behaviour(params: Params) -> str:
    return params.text("payment_behavior", "allow_incomplete", among=_BEHAVIOURS) or "allow_incomplete"


def _method(work: Work, params: Params, customer: Json) -> str | None:
    ref = params.text("default_payment_method")
    if ref is None:
        return None
    method = methods.named(work, ref, param="default_payment_method")
    if method["customer"] != customer["id"]:
        raise invalid(
            "The customer does not have a payment method with the ID "
            f"{ref}. The payment method must be attached to the customer.",
            param="default_payment_method",
            code="resource_missing",
        )
    return str(method["id"])


def trial_end_of(work: Work, params: Params) -> int | None:
    """Return when a trial ends that parameters ask for."""
    days, until = params.whole("trial_period_days", least=1), params.text("trial_end")
    if days and until:
        raise invalid("You may only specify one of these parameters: trial_period_days, trial_end.")
    if days:
        return work.now + days * 86_400
    if until is None or until == "now":
        return None
    at = work.meant(params.need_whole("trial_end"), first=work.now + 1, last=work.now + TRIAL_S_MAX)
    if at <= work.now:
        raise invalid("Invalid timestamp: must be an integer Unix timestamp in the future.", param="trial_end")
    return at


def _set_simple(work: Work, found: Json, params: Params, customer: Json) -> None:
    if params.has("metadata"):
        found["metadata"] = merged(found["metadata"], params.mapping("metadata"))
    if params.has("description"):
        found["description"] = params.text("description")
    if params.has("default_payment_method"):
        found["default_payment_method"] = _method(work, params, customer)
    details = params.child("cancellation_details")
    if details:
        found["cancellation_details"] = found["cancellation_details"] | {
            name: details.text(name) for name in ("comment", "feedback")
        }


def set_trial_settings(found: Json, params: Params) -> None:
    """Keep what happens where a trial ends without a method."""
    settings = params.child("trial_settings")
    behaviour = settings.child("end_behavior") if settings else None
    if behaviour:
        wanted = behaviour.need("missing_payment_method", among=("cancel", "create_invoice", "pause"))
        found["trial_settings"] = {"end_behavior": {"missing_payment_method": wanted}}


def _set_ending(work: Work, found: Json, params: Params) -> None:
    if params.has("cancel_at_period_end"):
        ends = params.flag("cancel_at_period_end")
        found |= {
            "cancel_at_period_end": ends,
            "cancel_at": invoices.period_of(found)[1] if ends else None,
            "canceled_at": work.now if ends else None,
        }
        reason = "cancellation_requested" if ends else None
        found["cancellation_details"] = found["cancellation_details"] | {"reason": reason}
    if params.has("cancel_at"):
        at = params.whole("cancel_at")
        found |= {"cancel_at": at, "canceled_at": work.now if at else None}


def _set_pause(found: Json, params: Params) -> None:
    if params.has("pause_collection"):
        wanted = params.child("pause_collection")
        found["pause_collection"] = wanted and {
            "behavior": wanted.need("behavior", among=_PAUSES),
            "resumes_at": wanted.whole("resumes_at"),
        }


def _set_items(work: Work, found: Json, params: Params) -> Json | None:
    """Change the items; return the draft to be paid at once, if there is one."""
    anchor = params.text("billing_cycle_anchor", among=("now", "unchanged"))
    if not params.has("items") and anchor != "now":
        params.accept("proration_behavior", "proration_date")
        return None
    behaviour = params.text("proration_behavior", "create_prorations", among=changes.BEHAVIOURS)
    change = changes.changed(work, found, params, anchors_now=anchor == "now")
    found["items"] = listing(change.items, found["items"]["url"])
    if change.starts_anew:
        stop = periods.next_end(work.now, change.items[0]["price"]["recurring"], work.now)
        set_period(found, work.now, stop)
        found |= {"billing_cycle_anchor": work.now}
    if not change.lines:
        return None
    if behaviour != "always_invoice" and not change.starts_anew:
        invoices.keep_for_later(work, found["customer"], change.lines)
        return None
    customer = work.need("customer", found["customer"])
    reason = "subscription_update"
    bill = invoices.draft(
        work, customer, currency=found["currency"], reason=reason, subscription=found, lines=change.lines
    )
    found["latest_invoice"] = bill["id"]
    return bill


def _set_trial(work: Work, found: Json, params: Params) -> None:
    if not params.has("trial_end"):
        return
    if params.text("trial_end") == "now":
        if found["status"] == "trialing":
            found |= {"trial_end": work.now}
            set_period(found, invoices.period_of(found)[0], work.now)
        return
    at = trial_end_of(work, params)
    if at is None:
        return
    set_period(found, invoices.period_of(found)[0] if found["status"] == "trialing" else work.now, at)
    found |= {
        "status": "trialing",
        "trial_start": found["trial_start"] or work.now,
        "trial_end": at,
        "billing_cycle_anchor": at,
    }
