"""Invoices: drafted, finalized, paid or not. A finalized invoice is paid through one payment intent of its own.

Invariants: a paid or void invoice never changes again; what a customer has to his credit pays first; a negative total
becomes credit.
"""

from typing import Any

from bursar.money.gateways.fields import Json
from bursar.sandbox import billing_shapes, payments, shapes
from bursar.sandbox.cards import Decline
from bursar.sandbox.forms import Params, merged
from bursar.sandbox.refusals import Refusal, invalid
from bursar.sandbox.work import Work, listing

FINALIZED_AFTER_S = 3_600
"""How long a renewal's invoice stays a draft."""


def draft(
    work: Work, customer: Json, *, currency: str, reason: str, subscription: Json | None, lines: list[Json]
) -> Json:
    """Write a draft with its lines, and with what waited for the customer's next invoice."""
    made = billing_shapes.invoice(work.now, customer, currency=currency, reason=reason, base=work.asked.base)
    if subscription:
        made["parent"] = billing_shapes.of_subscription(subscription)
        made["default_payment_method"] = subscription["default_payment_method"]
        start, end = period_of(subscription)
        made |= {"period_start": start, "period_end": end}
    waiting = _waiting(work, customer["id"], subscription["id"] if subscription else None, currency)
    fill(made, lines + [item["_line"] for item in waiting])
    for item in waiting:
        work.save(item | {"invoice": made["id"]})
    work.save(made)
    work.tell("invoice.created", made)
    return made


def fill(invoice: Json, lines: list[Json]) -> Json:
    """Put lines into an invoice and add them up."""
    for line in lines:
        line["invoice"] = invoice["id"]
    total = sum(line["amount"] for line in lines)
    due = max(0, total)
    invoice |= {
        "lines": listing(lines, f"/v1/invoices/{invoice['id']}/lines"),
        "subtotal": total,
        "subtotal_excluding_tax": total,
        "total": total,
        "total_excluding_tax": total,
        "amount_due": due,
        "amount_remaining": due,
    }
    return invoice


def finalize(work: Work, invoice: Json) -> Json:
    """Open a draft: number it, set off the customer's credit, and make the payment for the rest."""
    customer = work.need("customer", invoice["customer"])
    credit = -min(0, customer["balance"])
    used = min(credit, max(0, invoice["total"]))
    balance = customer["balance"] + used + min(0, invoice["total"])
    due = max(0, invoice["total"]) - used
    number = f"{customer['invoice_prefix']}-{customer['next_invoice_sequence']:04d}"
    invoice |= {
        "status": "open",
        "number": number,
        "effective_at": work.now,
        "starting_balance": customer["balance"],
        "ending_balance": balance,
        "amount_due": due,
        "amount_remaining": due,
        "status_transitions": invoice["status_transitions"] | {"finalized_at": work.now},
        "automatically_finalizes_at": None,
    }
    if balance != customer["balance"]:
        work.change("customer.updated", customer, balance=balance)
    work.save(customer | {"balance": balance, "next_invoice_sequence": customer["next_invoice_sequence"] + 1})
    if due:
        _make_payment(work, invoice)
    work.save(invoice)
    work.tell("invoice.finalized", invoice)
    return invoice if due else _paid(work, invoice)


def collect(work: Work, invoice: Json, *, method: str | None, is_off_session: bool) -> Decline | None:
    """Try to take what is due; the invoice says how that went. Return why it was declined."""
    if invoice["status"] != "open":
        return None
    intent = work.need("payment_intent", invoice["_intent"])
    if method is None:
        decline = Decline("missing", None, "This customer has no attached payment source or default payment method.")
        _not_paid(work, invoice, intent)
        return decline
    intent["payment_method"] = method
    decline_or_none = payments.attempt(work, intent, is_off_session=is_off_session, waits_off_session=True)
    outcome(work, invoice, intent)
    return decline_or_none


def outcome(work: Work, invoice: Json, intent: Json) -> None:
    """Bring what became of a payment to its invoice."""
    if invoice["status"] != "open":
        return
    if intent["status"] == "succeeded":
        _paid(work, invoice)
    elif intent["status"] in ("requires_payment_method", "requires_action"):
        _not_paid(work, invoice, intent)


def create(work: Work, params: Params) -> Json:
    """POST /v1/invoices"""
    customer = work.need("customer", params.need("customer"), param="customer")
    params.accept("collection_method", "pending_invoice_items_behavior", "auto_advance")
    currency = params.text("currency") or customer["currency"] or "eur"
    made = draft(work, customer, currency=currency.lower(), reason="manual", subscription=None, lines=[])
    made |= {"auto_advance": False, "description": params.text("description"), "metadata": params.mapping("metadata")}
    return work.save(made)


def create_item(work: Work, params: Params) -> Json:
    """POST /v1/invoiceitems"""
    customer = work.need("customer", params.need("customer"), param="customer")
    quantity = params.whole("quantity", 1, least=1) or 1
    amount = params.need_whole("amount")
    product = {"id": None, "product": None, "unit_amount": amount, "currency": params.need("currency").lower()}
    made = _kept_line(
        work,
        customer["id"],
        amount=amount,
        price=product,
        quantity=quantity,
        period=(work.now, work.now),
        description=params.text("description") or "Item",
        subscription=None,
    )
    work.tell("invoiceitem.created", made)
    return made


def keep_for_later(work: Work, customer: str, lines: list[Json]) -> None:
    """Let lines wait for the next invoice."""
    for line in lines:
        item = billing_shapes.invoice_item(work.now, customer, line)
        details = line["parent"][line["parent"]["type"]]
        names = {"invoice_item": item["id"], "proration": True, "proration_details": {"credited_items": None}}
        line["parent"] = {
            "invoice_item_details": names | {"subscription": details["subscription"]},
            "subscription_item_details": None,
            "type": "invoice_item_details",
        }
        work.save(item)
        work.tell("invoiceitem.created", item)


def settle(work: Work, invoice: Json) -> Json:
    """Mark an invoice as paid elsewhere; its own payment is given up."""
    intent = work.find("payment_intent", invoice.get("_intent") or "")
    if intent and intent["status"] in ("requires_payment_method", "requires_action"):
        payments.give_up(work, intent, "automatic")
    return _paid(work, invoice)


def update(work: Work, params: Params, ref: str) -> Json:
    """POST /v1/invoices/{id}"""
    found = work.need("invoice", ref)
    changes: Json = {}
    if params.has("metadata"):
        changes["metadata"] = merged(found["metadata"], params.mapping("metadata"))
    for name in ("description", "default_payment_method"):
        if params.has(name):
            changes[name] = params.text(name)
    if params.has("auto_advance"):
        changes["auto_advance"] = params.flag("auto_advance")
    return work.change("invoice.updated", found, **changes)


def finalize_draft(work: Work, params: Params, ref: str) -> Json:
    """POST /v1/invoices/{id}/finalize"""
    found = work.need("invoice", ref)
    params.accept("auto_advance")
    if found["status"] != "draft":
        raise invalid("This invoice is already finalized, you can't re-finalize a non-draft invoice.")
    work.forget(ref, "invoice.finalize")
    return finalize(work, found)


def void(work: Work, _params: Params, ref: str) -> Json:
    """POST /v1/invoices/{id}/void"""
    found = work.need("invoice", ref)
    if found["status"] not in ("open", "uncollectible"):
        raise invalid(f"You can only void an open or uncollectible invoice; this one is {found['status']}.")
    return _close(work, found, "void", "voided_at", "invoice.voided")


def give_up(work: Work, _params: Params, ref: str) -> Json:
    """POST /v1/invoices/{id}/mark_uncollectible"""
    found = work.need("invoice", ref)
    if found["status"] != "open":
        raise invalid(f"You can only mark an open invoice as uncollectible; this one is {found['status']}.")
    return _close(work, found, "uncollectible", "marked_uncollectible_at", "invoice.marked_uncollectible")


def delete(work: Work, _params: Params, ref: str) -> Json:
    """DELETE /v1/invoices/{id}"""
    found = work.need("invoice", ref)
    if found["status"] != "draft":
        raise invalid("You can only delete draft invoices.")
    work.delete(ref)
    work.tell("invoice.deleted", found)
    return {"id": ref, "object": "invoice", "deleted": True}


def method_for(work: Work, invoice: Json) -> str | None:
    """Return what an invoice is paid with when nobody says: its own method, else its customer's."""
    customer = work.find("customer", invoice["customer"]) or {}
    chosen = invoice["default_payment_method"] or (customer.get("invoice_settings") or {}).get("default_payment_method")
    method = work.find("payment_method", chosen) if chosen else None
    return method["id"] if method and method["customer"] else None


def subscription_of(invoice: Json) -> str | None:
    """Return the subscription that an invoice is for."""
    details = (invoice["parent"] or {}).get("subscription_details") or {}
    ref: str | None = details.get("subscription")
    return ref


def period_of(subscription: Json) -> tuple[int, int]:
    """Return the current period, which all items share here."""
    item = subscription["items"]["data"][0]
    return item["current_period_start"], item["current_period_end"]


def unpaid(intent: Json, decline: Decline) -> Refusal:
    """Return the refusal of what depends on a payment that failed; it is undone with everything around it."""
    refusal = payments.declined(intent | {"last_payment_error": None}, decline)
    refusal.keeps = False
    return refusal


def _waiting(work: Work, customer: str, subscription: str | None, currency: str) -> list[Json]:
    found = [item for item in work.all("invoiceitem", customer=customer) if item["invoice"] is None]
    wanted = [item for item in found if item["_subscription"] in (None, subscription)]
    return [item for item in reversed(wanted) if item["currency"] == currency]


def _kept_line(work: Work, customer: str, **line: Any) -> Json:
    made = billing_shapes.line(item=None, invoice_item="pending", **line)
    item = billing_shapes.invoice_item(work.now, customer, made)
    made["parent"]["invoice_item_details"]["invoice_item"] = item["id"]
    return work.save(item | {"_line": made})


def _make_payment(work: Work, invoice: Json) -> None:
    intent = shapes.payment_intent(work.now, amount=invoice["amount_due"], currency=invoice["currency"])
    is_first = invoice["billing_reason"] == "subscription_create"
    intent |= {
        "customer": invoice["customer"],
        "description": "Subscription creation" if is_first else "Subscription update",
        "payment_details": {"customer_reference": None, "order_reference": invoice["id"]},
        "receipt_email": invoice["customer_email"],
        "setup_future_usage": "off_session" if subscription_of(invoice) else None,
        "_invoice": invoice["id"],
    }
    work.save(intent)
    work.tell("payment_intent.created", intent)
    work.save(billing_shapes.invoice_payment(work.now, invoice, intent["id"]))
    invoice["_intent"] = intent["id"]


def _paid(work: Work, invoice: Json) -> Json:
    invoice |= {
        "status": "paid",
        "attempted": True,
        "attempt_count": invoice["attempt_count"] + (1 if invoice["amount_due"] else 0),
        "amount_paid": invoice["amount_due"],
        "amount_remaining": 0,
        "auto_advance": False,
        "next_payment_attempt": None,
        "status_transitions": invoice["status_transitions"] | {"paid_at": work.now},
    }
    work.save(invoice)
    work.forget(invoice["id"], "invoice.retry")
    for link in work.all("invoice_payment", invoice=invoice["id"], status="open"):
        link |= {"status": "paid", "amount_paid": invoice["amount_paid"]}
        link["status_transitions"] |= {"paid_at": work.now}
        work.save(link)
        work.tell("invoice_payment.paid", link)
    work.tell("invoice.paid", invoice)
    work.tell("invoice.payment_succeeded", invoice)
    return invoice


def _not_paid(work: Work, invoice: Json, intent: Json) -> None:
    invoice |= {"attempted": True, "attempt_count": invoice["attempt_count"] + 1}
    work.save(invoice)
    work.tell("invoice.payment_failed", invoice)
    if intent["status"] == "requires_action":
        work.tell("invoice.payment_action_required", invoice)


def _close(work: Work, invoice: Json, status: str, moment: str, kind: str) -> Json:
    invoice |= {
        "status": status,
        "auto_advance": False,
        "next_payment_attempt": None,
        "status_transitions": invoice["status_transitions"] | {moment: work.now},
    }
    work.forget(invoice["id"], "invoice.retry")
    intent = work.find("payment_intent", invoice.get("_intent") or "")
    if intent and status == "void" and intent["status"] in ("requires_payment_method", "requires_action"):
        payments.give_up(work, intent, "void_invoice")
    work.save(invoice)
    work.tell(kind, invoice)
    return invoice
