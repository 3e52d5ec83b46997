"""Subscriptions and invoices as they are when they are new, in the layout of 2025 ("basil") and later.

Periods stand on a subscription's items; an invoice names its subscription in `parent`; who paid an invoice stands in an
object of its own. Source: Stripe API reference, "Subscription", "Invoice", "Invoice Payment", "Invoice Item".
"""

from bursar.money.gateways.fields import Json
from bursar.sandbox import catalogue, shapes
from bursar.sandbox.work import listing, new_id


def subscription(now: int, customer: str, currency: str) -> Json:
    return shapes.new("subscription", "sub", now) | {
        "application": None,
        "application_fee_percent": None,
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
        "billing_cycle_anchor": now,
        "billing_cycle_anchor_config": None,
        "billing_mode": {"flexible": None, "type": "classic"},
        "billing_schedules": [],
        "billing_thresholds": None,
        "cancel_at": None,
        "cancel_at_period_end": False,
        "canceled_at": None,
        "cancellation_details": {"comment": None, "feedback": None, "reason": None},
        "collection_method": "charge_automatically",
        "currency": currency,
        "customer": customer,
        "customer_account": None,
        "days_until_due": None,
        "default_payment_method": None,
        "default_source": None,
        "default_tax_rates": [],
        "description": None,
        "discounts": [],
        "ended_at": None,
        "invoice_settings": {"account_tax_ids": None, "issuer": {"type": "self"}},
        "items": listing([], ""),
        "latest_invoice": None,
        "managed_payments": {"enabled": False},
        "next_pending_invoice_item_invoice": None,
        "on_behalf_of": None,
        "pause_collection": None,
        "payment_settings": {
            "payment_method_options": None,
            "payment_method_types": None,
            "save_default_payment_method": "off",
        },
        "pending_invoice_item_interval": None,
        "pending_setup_intent": None,
        "pending_update": None,
        "schedule": None,
        "start_date": now,
        "status": "incomplete",
        "test_clock": None,
        "transfer_data": None,
        "trial_end": None,
        "trial_settings": {"end_behavior": {"missing_payment_method": "create_invoice"}},
        "trial_start": None,
    }


def item(now: int, subscription: str, price: Json, *, quantity: int) -> Json:
    made = shapes.new("subscription_item", "si", now)
    del made["livemode"]
    return made | {
        "billing_thresholds": None,
        "current_period_end": now,
        "current_period_start": now,
        "discounts": [],
        "plan": catalogue.plan_of(price),
        "price": price,
        "quantity": quantity,
        "subscription": subscription,
        "tax_rates": [],
    }


def invoice(now: int, customer: Json, *, currency: str, reason: str, base: str) -> Json:
    """A draft without lines; `invoices.fill` puts them in."""
    made = shapes.new("invoice", "in", now)
    return made | {
        "account_country": "GB",
        "account_name": "Bursar sandbox",
        "account_tax_ids": None,
        "amount_due": 0,
        "amount_overpaid": 0,
        "amount_paid": 0,
        "amount_remaining": 0,
        "amount_shipping": 0,
        "application": None,
        "attempt_count": 0,
        "attempted": False,
        "auto_advance": True,
        "automatic_tax": {
            "disabled_reason": None,
            "enabled": False,
            "liability": None,
            "provider": None,
            "status": None,
        },
        "automatically_finalizes_at": None,
        "billing_reason": reason,
        "collection_method": "charge_automatically",
        "currency": currency,
        "custom_fields": None,
        "customer": customer["id"],
        "customer_account": None,
        "customer_address": customer["address"],
        "customer_email": customer["email"],
        "customer_name": customer["name"],
        "customer_phone": customer["phone"],
        "customer_shipping": None,
        "customer_tax_exempt": "none",
        "customer_tax_ids": [],
        "default_payment_method": None,
        "default_source": None,
        "default_tax_rates": [],
        "description": None,
        "discounts": [],
        "due_date": None,
        "effective_at": None,
        "ending_balance": None,
        "footer": None,
        "from_invoice": None,
        "hosted_invoice_url": f"{base}/i/{made['id']}",
        "invoice_pdf": None,
        "issuer": {"type": "self"},
        "last_finalization_error": None,
        "latest_revision": None,
        "lines": listing([], f"/v1/invoices/{made['id']}/lines"),
        "next_payment_attempt": None,
        "number": None,
        "on_behalf_of": None,
        "parent": None,
        "payment_settings": {"default_mandate": None, "payment_method_options": None, "payment_method_types": None},
        "period_end": now,
        "period_start": now,
        "post_payment_credit_notes_amount": 0,
        "pre_payment_credit_notes_amount": 0,
        "receipt_number": None,
        "rendering": None,
        "shipping_cost": None,
        "shipping_details": None,
        "starting_balance": 0,
        "statement_descriptor": None,
        "status": "draft",
        "status_transitions": dict.fromkeys(("finalized_at", "marked_uncollectible_at", "paid_at", "voided_at")),
        "subtotal": 0,
        "subtotal_excluding_tax": 0,
        "test_clock": None,
        "total": 0,
        "total_discount_amounts": [],
        "total_excluding_tax": 0,
        "total_pretax_credit_amounts": [],
        "total_taxes": [],
        "webhooks_delivered_at": None,
    }


def of_subscription(subscription: Json) -> Json:
    """Return how an invoice names the subscription that it is for."""
    details = {"metadata": dict(subscription["metadata"]), "subscription": subscription["id"]}
    return {"quote_details": None, "subscription_details": details, "type": "subscription_details"}


def line(
    *,
    amount: int,
    price: Json,
    quantity: int,
    period: tuple[int, int],
    description: str,
    subscription: str | None,
    item: str | None,
    is_proration: bool = False,
    invoice_item: str | None = None,
    metadata: Json | None = None,
) -> Json:
    """One line of an invoice; a line that was kept as an invoice item names that."""
    details = {
        "invoice_item": invoice_item,
        "proration": is_proration,
        "proration_details": {"credited_items": None},
        "subscription": subscription,
        "subscription_item": item,
    }
    kind = "invoice_item_details" if invoice_item else "subscription_item_details"
    names: Json = {"invoice_item_details": None, "subscription_item_details": None, "type": kind}
    if invoice_item:
        del details["subscription_item"]
    return {
        "id": new_id("il"),
        "object": "line_item",
        "amount": amount,
        "currency": price["currency"],
        "description": description,
        "discount_amounts": [],
        "discountable": not is_proration,
        "discounts": [],
        "invoice": None,
        "livemode": False,
        "metadata": metadata or {},
        "parent": names | {kind: details},
        "period": {"end": period[1], "start": period[0]},
        "pretax_credit_amounts": [],
        "pricing": {
            "price_details": {"price": price["id"], "product": price["product"]},
            "type": "price_details",
            "unit_amount_decimal": str(price["unit_amount"]),
        },
        "quantity": quantity,
        "quantity_decimal": str(quantity),
        "subscription": subscription,
        "subtotal": amount,
        "taxes": [],
    }


def invoice_item(now: int, customer: str, made_of: Json) -> Json:
    """A line that waits for the next invoice."""
    ref = new_id("ii")
    subscription = made_of["subscription"]
    details = {"subscription": subscription, "subscription_item": None}
    return {
        "id": ref,
        "object": "invoiceitem",
        "amount": made_of["amount"],
        "currency": made_of["currency"],
        "customer": customer,
        "customer_account": None,
        "date": now,
        "created": now,
        "description": made_of["description"],
        "discountable": False,
        "discounts": [],
        "invoice": None,
        "livemode": False,
        "metadata": {},
        "net_amount": made_of["amount"],
        "parent": {"subscription_details": details, "type": "subscription_details"} if subscription else None,
        "period": made_of["period"],
        "pricing": made_of["pricing"],
        "proration": made_of["parent"][made_of["parent"]["type"]]["proration"],
        "quantity": made_of["quantity"],
        "quantity_decimal": str(made_of["quantity"]),
        "tax_rates": [],
        "test_clock": None,
        "_subscription": subscription,
        "_line": made_of,
    }


def invoice_payment(now: int, invoice: Json, intent: str) -> Json:
    made = shapes.new("invoice_payment", "inpay", now)
    del made["metadata"]
    return made | {
        "amount_paid": None,
        "amount_requested": invoice["amount_due"],
        "currency": invoice["currency"],
        "invoice": invoice["id"],
        "is_default": True,
        "payment": {"payment_intent": intent, "type": "payment_intent"},
        "status": "open",
        "status_transitions": {"canceled_at": None, "paid_at": None},
    }
