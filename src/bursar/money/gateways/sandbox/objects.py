"""Stripe's objects as the sandbox makes them, in two layouts: today's (2026) and the one of 2020.

Fields that nobody here reads are kept where Stripe has them, so that bodies have their true size and shape.
Times are Unix seconds; amounts are Stripe's minor units.

Source: Stripe API reference and the fixture resources of Stripe's OpenAPI description.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from bursar.money.gateways.fields import Json

HOSTS: Final = {"checkout": "https://checkout.stripe.com", "pay": "https://pay.stripe.com"}
NO_ADDRESS: Final[Json] = {
    "city": None,
    "country": "GB",
    "line1": None,
    "line2": None,
    "postal_code": "EC1A 1BB",
    "state": None,
}


class Layout(StrEnum):
    """The API version that an account's events are rendered in."""

    old = "2020-08-27"
    current = "2026-04-22.dahlia"


@dataclass(frozen=True, slots=True)
class Buyer:
    """Who buys, and with which card."""

    id: str
    email: str
    name: str
    created: int
    card: str
    last4: str
    layout: Layout

    @property
    def is_old(self) -> bool:
        return self.layout is Layout.old


def listing(items: list[Json], url: str) -> Json:
    return {"object": "list", "data": items, "has_more": False, "total_count": len(items), "url": url}


def customer(buyer: Buyer, email: str) -> Json:
    return {
        "id": buyer.id,
        "object": "customer",
        "address": None,
        "balance": 0,
        "created": buyer.created,
        "currency": None,
        "default_source": None,
        "delinquent": False,
        "description": None,
        "discount": None,
        "email": email,
        "invoice_prefix": buyer.id[-8:].upper(),
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": buyer.card,
            "footer": None,
            "rendering_options": None,
        },
        "livemode": False,
        "metadata": {},
        "name": buyer.name,
        "next_invoice_sequence": 1,
        "phone": None,
        "preferred_locales": ["en-GB"],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": None,
    }


def _card(buyer: Buyer) -> Json:
    return {
        "brand": "visa",
        "checks": {"address_line1_check": None, "address_postal_code_check": "pass", "cvc_check": "pass"},
        "country": "GB",
        "exp_month": 8,
        "exp_year": 2031,
        "fingerprint": "AOB934RVNwzk6xtn",
        "funding": "credit",
        "last4": buyer.last4,
        "network": "visa",
        "three_d_secure": None,
        "wallet": None,
    }


def _billing_details(buyer: Buyer) -> Json:
    return {"address": dict(NO_ADDRESS), "email": buyer.email, "name": buyer.name, "phone": None}


def payment_method(buyer: Buyer, *, is_attached: bool) -> Json:
    return {
        "id": buyer.card,
        "object": "payment_method",
        "allow_redisplay": "limited",
        "billing_details": _billing_details(buyer),
        "card": _card(buyer) | {"display_brand": "visa", "networks": {"available": ["visa"], "preferred": None}},
        "created": buyer.created,
        "customer": buyer.id if is_attached else None,
        "livemode": False,
        "metadata": {},
        "type": "card",
    }


def payment_intent(
    buyer: Buyer,
    *,
    ref: str,
    amount: int,
    currency: str,
    created: int,
    metadata: Json,
    invoice: str | None,
) -> Json:
    """A fresh intent. Only the old layout names its invoice; today it is the order that the payment is for."""
    intent: Json = {
        "id": ref,
        "object": "payment_intent",
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
        "client_secret": f"{ref}_secret_sandbox",
        "confirmation_method": "automatic",
        "created": created,
        "currency": currency,
        "customer": buyer.id,
        "description": "Subscription update" if invoice else None,
        "last_payment_error": None,
        "livemode": False,
        "metadata": metadata,
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_options": {"card": {"request_three_d_secure": "automatic"}},
        "payment_method_types": ["card"],
        "processing": None,
        "receipt_email": buyer.email,
        "review": None,
        "setup_future_usage": "off_session" if invoice else None,
        "shipping": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "requires_payment_method",
        "transfer_data": None,
        "transfer_group": None,
    }
    if buyer.is_old:
        return intent | {"invoice": invoice, "charges": listing([], f"/v1/charges?payment_intent={ref}")}
    order = {"payment_details": {"customer_reference": None, "order_reference": invoice}} if invoice else {}
    return intent | {"latest_charge": None, "excluded_payment_method_types": None} | order


def charge(buyer: Buyer, intent: Json, *, ref: str, created: int, status: str, failure: str | None) -> Json:
    """One attempt to take the money of an intent. failure: the issuer's reason, where it declined."""
    is_paid = failure is None
    made: Json = {
        "id": ref,
        "object": "charge",
        "amount": intent["amount"],
        "amount_captured": intent["amount"] if status == "succeeded" else 0,
        "amount_refunded": 0,
        "application": None,
        "application_fee": None,
        "application_fee_amount": None,
        "balance_transaction": f"txn_{ref[3:]}" if status == "succeeded" else None,
        "billing_details": _billing_details(buyer),
        "calculated_statement_descriptor": "BURSAR SANDBOX",
        "captured": is_paid,
        "created": created,
        "currency": intent["currency"],
        "customer": buyer.id,
        "description": intent["description"],
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": None if is_paid else "card_declined",
        "failure_message": None if is_paid else "Your card was declined.",
        "fraud_details": {},
        "livemode": False,
        "metadata": intent["metadata"],
        "on_behalf_of": None,
        "outcome": {
            "network_status": "approved_by_network" if is_paid else "declined_by_network",
            "reason": failure,
            "risk_level": "normal",
            "risk_score": 12,
            "seller_message": "Payment complete." if is_paid else "The bank declined the payment.",
            "type": "authorized" if is_paid else "issuer_declined",
        },
        "paid": is_paid,
        "payment_intent": intent["id"],
        "payment_method": buyer.card,
        "payment_method_details": {"card": _card(buyer), "type": "card"},
        "receipt_email": buyer.email,
        "receipt_number": None,
        "receipt_url": f"{HOSTS['pay']}/receipts/payment/{ref}",
        "refunded": False,
        "review": None,
        "shipping": None,
        "source_transfer": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": status,
        "transfer_data": None,
        "transfer_group": None,
    }
    if buyer.is_old:
        refunds = listing([], f"/v1/charges/{ref}/refunds")
        return made | {"invoice": intent["invoice"], "dispute": None, "refunds": refunds}
    return made


def refund(charged: Json, *, ref: str, amount: int, created: int, status: str) -> Json:
    return {
        "id": ref,
        "object": "refund",
        "amount": amount,
        "balance_transaction": f"txn_{ref[3:]}",
        "charge": charged["id"],
        "created": created,
        "currency": charged["currency"],
        "destination_details": {"card": {"reference_status": "pending", "type": "refund"}, "type": "card"},
        "metadata": {},
        "payment_intent": charged["payment_intent"],
        "reason": "requested_by_customer",
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": status,
        "transfer_reversal": None,
    }


def dispute(charged: Json, *, ref: str, created: int, status: str, reason: str) -> Json:
    return {
        "id": ref,
        "object": "dispute",
        "amount": charged["amount"],
        "balance_transactions": [],
        "charge": charged["id"],
        "created": created,
        "currency": charged["currency"],
        "evidence": dict.fromkeys(_EVIDENCE),
        "evidence_details": {
            "due_by": created + 9 * 86_400,
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
        },
        "is_charge_refundable": status.startswith("warning"),
        "livemode": False,
        "metadata": {},
        "payment_intent": charged["payment_intent"],
        "payment_method_details": {
            "card": {"brand": "visa", "case_type": "chargeback", "network_reason_code": "10.4"},
            "type": "card",
        },
        "reason": reason,
        "status": status,
    }


_EVIDENCE: Final = (
    *("access_activity_log", "billing_address", "cancellation_policy", "cancellation_policy_disclosure"),
    *("cancellation_rebuttal", "customer_communication", "customer_email_address", "customer_name"),
    *("customer_purchase_ip", "customer_signature", "duplicate_charge_documentation", "duplicate_charge_explanation"),
    *("duplicate_charge_id", "product_description", "receipt", "refund_policy", "refund_policy_disclosure"),
    *("refund_refusal_explanation", "service_date", "service_documentation", "shipping_address", "shipping_carrier"),
    *("shipping_date", "shipping_documentation", "shipping_tracking_number", "uncategorized_file"),
    "uncategorized_text",
)


def session(buyer: Buyer, *, ref: str, created: int, mode: str, metadata: Json) -> Json:
    """An open checkout; what it leads to is filled in as it happens."""
    return {
        "id": ref,
        "object": "checkout.session",
        "after_expiration": None,
        "allow_promotion_codes": None,
        "amount_subtotal": None,
        "amount_total": None,
        "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
        "billing_address_collection": None,
        "cancel_url": "https://example.com/cancel",
        "client_reference_id": None,
        "consent": None,
        "consent_collection": None,
        "created": created,
        "currency": None,
        "custom_fields": [],
        "custom_text": {"after_submit": None, "shipping_address": None, "submit": None},
        "customer": buyer.id,
        "customer_creation": None,
        "customer_details": {
            "address": dict(NO_ADDRESS),
            "email": buyer.email,
            "name": buyer.name,
            "phone": None,
            "tax_exempt": "none",
            "tax_ids": [],
        },
        "customer_email": None,
        "expires_at": created + 86_400,
        "invoice": None,
        "invoice_creation": None,
        "livemode": False,
        "locale": None,
        "metadata": metadata,
        "mode": mode,
        "payment_intent": None,
        "payment_link": None,
        "payment_method_collection": "if_required",
        "payment_method_options": {},
        "payment_method_types": ["card"],
        "payment_status": "unpaid",
        "phone_number_collection": {"enabled": False},
        "setup_intent": None,
        "shipping_cost": None,
        "shipping_options": [],
        "status": "open",
        "submit_type": None,
        "subscription": None,
        "success_url": "https://example.com/success",
        "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
        "ui_mode": "hosted",
        "url": f"{HOSTS['checkout']}/c/pay/{ref}",
    }
