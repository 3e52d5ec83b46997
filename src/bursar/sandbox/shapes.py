"""Stripe's objects as they are when they are new, in the layout of 2026. Every field that Stripe has is there.

Times are Unix seconds, amounts Stripe's minor units. Source: Stripe API reference; Stripe's OpenAPI fixtures.
"""

from typing import Final

from bursar.money.gateways.fields import Json
from bursar.sandbox.cards import TestCard
from bursar.sandbox.work import listing, new_id

NO_ADDRESS: Final[Json] = dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state"))


def new(kind: str, prefix: str, now: int, **fields: object) -> Json:
    """Return a new object's beginning."""
    return {"id": new_id(prefix), "object": kind, "created": now, "livemode": False, "metadata": {}} | fields


def customer(now: int) -> Json:
    made = new("customer", "cus", now)
    return made | {
        "address": None,
        "balance": 0,
        "currency": None,
        "customer_account": None,
        "default_source": None,
        "delinquent": False,
        "description": None,
        "discount": None,
        "email": None,
        "invoice_prefix": made["id"][-8:].upper(),
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        "name": None,
        "next_invoice_sequence": 1,
        "phone": None,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": None,
    }


def product(now: int, name: str) -> Json:
    return new("product", "prod", now) | {
        "active": True,
        "default_price": None,
        "description": None,
        "images": [],
        "marketing_features": [],
        "name": name,
        "package_dimensions": None,
        "shippable": None,
        "statement_descriptor": None,
        "tax_code": None,
        "type": "service",
        "unit_label": None,
        "updated": now,
        "url": None,
    }


def price(now: int, *, product: str, currency: str, unit_amount: int, recurring: Json | None) -> Json:
    return new("price", "price", now) | {
        "active": True,
        "billing_scheme": "per_unit",
        "currency": currency,
        "custom_unit_amount": None,
        "lookup_key": None,
        "nickname": None,
        "product": product,
        "recurring": recurring,
        "tax_behavior": "unspecified",
        "tiers_mode": None,
        "transform_quantity": None,
        "type": "recurring" if recurring else "one_time",
        "unit_amount": unit_amount,
        "unit_amount_decimal": str(unit_amount),
    }


def payment_method(now: int, card: TestCard, *, exp_month: int, exp_year: int) -> Json:
    made = new("payment_method", "pm", now) | {
        "allow_redisplay": "unspecified",
        "billing_details": {"address": dict(NO_ADDRESS), "email": None, "name": None, "phone": None, "tax_id": None},
        "customer": None,
        "customer_account": None,
        "_card": card.number,
        "_is_set_up": False,
    }
    if card.is_bank:
        debit = {
            "bank_code": "19043",
            "branch_code": "",
            "country": "AT",
            "fingerprint": f"iban{card.last4}sandbox",
            "generated_from": {"charge": None, "setup_attempt": None},
            "last4": card.last4,
        }
        return made | {"type": "sepa_debit", "sepa_debit": debit}
    details = {
        "brand": card.brand,
        "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "pass"},
        "country": "US",
        "display_brand": card.brand,
        "exp_month": exp_month,
        "exp_year": exp_year,
        "fingerprint": f"card{card.last4}sandbox",
        "funding": card.funding,
        "generated_from": None,
        "last4": card.last4,
        "networks": {"available": [card.brand], "preferred": None},
        "regulated_status": None,
        "three_d_secure_usage": {"supported": True},
        "wallet": None,
    }
    return made | {"type": "card", "card": details}


def setup_intent(now: int) -> Json:
    made = new("setup_intent", "seti", now)
    return made | {
        "application": None,
        "automatic_payment_methods": None,
        "cancellation_reason": None,
        "client_secret": f"{made['id']}_secret_{new_id('s')[2:]}",
        "customer": None,
        "customer_account": None,
        "description": None,
        "excluded_payment_method_types": None,
        "flow_directions": None,
        "last_setup_error": None,
        "latest_attempt": None,
        "mandate": None,
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": {"card": {"mandate_options": None, "network": None, "request_three_d_secure": None}},
        "payment_method_types": ["card"],
        "single_use_mandate": None,
        "status": "requires_payment_method",
        "usage": "off_session",
    }


def payment_intent(now: int, *, amount: int, currency: str) -> Json:
    made = new("payment_intent", "pi", now)
    return made | {
        "amount": amount,
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": None,
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": "automatic",
        "client_secret": f"{made['id']}_secret_{new_id('s')[2:]}",
        "confirmation_method": "automatic",
        "currency": currency,
        "customer": None,
        "customer_account": None,
        "description": None,
        "excluded_payment_method_types": None,
        "last_payment_error": None,
        "latest_charge": None,
        "managed_payments": {"enabled": False},
        "next_action": None,
        "on_behalf_of": None,
        "payment_details": {"customer_reference": None, "order_reference": None},
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": {
            "card": {"installments": None, "network": None, "request_three_d_secure": "automatic"}
        },
        "payment_method_types": ["card"],
        "processing": None,
        "receipt_email": None,
        "review": None,
        "setup_future_usage": None,
        "shipping": None,
        "source": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "requires_payment_method",
        "transfer_data": None,
        "transfer_group": None,
    }


def charge(now: int, intent: Json, method: Json, base: str) -> Json:
    """An attempt at an intent's money; whether it worked is filled in by who makes it."""
    made = new("charge", "py" if method["type"] == "sepa_debit" else "ch", now)
    kind = method["type"]
    details = {name: value for name, value in method[kind].items() if name not in ("generated_from", "display_brand")}
    return made | {
        "amount": intent["amount"],
        "amount_captured": 0,
        "amount_refunded": 0,
        "application": None,
        "application_fee": None,
        "application_fee_amount": None,
        "balance_transaction": None,
        "billing_details": method["billing_details"],
        "calculated_statement_descriptor": "BURSAR SANDBOX",
        "captured": False,
        "currency": intent["currency"],
        "customer": intent["customer"],
        "description": intent["description"],
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": None,
        "failure_message": None,
        "fraud_details": {},
        "metadata": dict(intent["metadata"]),
        "on_behalf_of": None,
        "outcome": None,
        "paid": False,
        "payment_intent": intent["id"],
        "payment_method": method["id"],
        "payment_method_details": {kind: _charged(details) if kind == "card" else details, "type": kind},
        "receipt_email": intent["receipt_email"],
        "receipt_number": None,
        "receipt_url": f"{base}/receipts/{made['id']}",
        "refunded": False,
        "review": None,
        "shipping": None,
        "source": None,
        "source_transfer": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "failed",
        "transfer_data": None,
        "transfer_group": None,
    }


def _charged(card: Json) -> Json:
    kept = ("brand", "checks", "country", "exp_month", "exp_year", "fingerprint", "funding", "last4", "wallet")
    more = (
        "amount_authorized",
        "authorization_code",
        "installments",
        "mandate",
        "network_transaction_id",
        "three_d_secure",
    )
    return (
        {name: card[name] for name in kept} | dict.fromkeys(more) | {"network": card["brand"], "regulated_status": None}
    )


def refund(now: int, charged: Json, *, amount: int, reason: str | None) -> Json:
    made = new("refund", "re", now)
    del made["livemode"]
    return made | {
        "amount": amount,
        "balance_transaction": None,
        "charge": charged["id"],
        "currency": charged["currency"],
        "customer": charged["customer"],
        "customer_account": None,
        "destination_details": {"card": {"reference_status": "pending", "type": "refund"}, "type": "card"},
        "payment_intent": charged["payment_intent"],
        "payment_method": charged["payment_method"],
        "reason": reason,
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": "succeeded",
        "transfer_reversal": None,
    }


def balance_transaction(
    now: int, *, amount: int, fee: int, currency: str, source: str, kind: str, category: str, available_on: int
) -> Json:
    fees = {
        "amount": fee,
        "application": None,
        "currency": currency,
        "description": "Processing fees",
        "type": "stripe_fee",
    }
    return {
        "id": new_id("txn"),
        "object": "balance_transaction",
        "amount": amount,
        "available_on": available_on,
        "balance_type": "payments",
        "created": now,
        "currency": currency,
        "description": None,
        "exchange_rate": None,
        "fee": fee,
        "fee_details": [fees] if fee else [],
        "net": amount - fee,
        "reporting_category": category,
        "source": source,
        "status": "available" if available_on <= now else "pending",
        "type": kind,
    }


def file(now: int, *, filename: str, purpose: str, size: int, base: str) -> Json:
    made = new("file", "file", now)
    del made["livemode"], made["metadata"]
    return made | {
        "expires_at": None,
        "filename": filename,
        "links": listing([], f"/v1/file_links?file={made['id']}"),
        "purpose": purpose,
        "size": size,
        "title": None,
        "type": filename.rpartition(".")[2].lower() or None,
        "url": f"{base}/v1/files/{made['id']}/contents",
    }


def webhook_endpoint(now: int, *, url: str, enabled_events: list[str], description: str | None) -> Json:
    return new("webhook_endpoint", "we", now) | {
        "api_version": None,
        "application": None,
        "description": description,
        "enabled_events": enabled_events,
        "status": "enabled",
        "url": url,
    }
