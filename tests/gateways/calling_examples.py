"""One example of every call, and what each gateway's server answers to it."""

import json
from datetime import UTC, datetime
from typing import Any

from wire_double import Double, answer

from bursar.money.gateways import calls
from bursar.money.gateways.calls import Kind
from bursar.money.gateways.facts import Claim

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
KEY = "0b8f5f5e-6f5e-5d2a-9d0e-1c9d1b1f0a11"
SECRET = "sk_test_canary0123456789"
BACK = "https://shop.example/back"

EXAMPLES: tuple[calls.AnyCall, ...] = (
    calls.CreateCheckout(
        mode=calls.CheckoutMode.payment,
        success_url=BACK,
        cancel_url=BACK,
        lines=(calls.CheckoutLine(price="price_1", quantity=2),),
        claim=Claim(order="ord_1", price="pass-10", quantity="2"),
        customer="cus_1",
    ),
    calls.ExpireCheckout(session="cs_1"),
    calls.CreateCustomer(email="ada@example.org", name="Ada", reference="cus_ours"),
    calls.CreatePayment(amount_minor=500, currency="EUR", customer="cus_1", payment_method="pm_1"),
    calls.ConfirmPayment(payment="pi_1", return_url=BACK),
    calls.CancelPayment(payment="pi_1"),
    calls.SetupPaymentMethod(customer="cus_1", payment_method="pm_1", return_url=BACK),
    calls.AttachPaymentMethod(payment_method="pm_1", customer="cus_1"),
    calls.DetachPaymentMethod(payment_method="pm_1", customer="cus_1"),
    calls.SetDefaultPaymentMethod(payment_method="pm_1", customer="cus_1", subscription="sub_1"),
    calls.CreateRefund(
        refund="re_ours",
        payment="pi_1",
        amount_minor=250,
        currency="EUR",
        reason=calls.RefundReason.requested_by_customer,
        reason_text="moved away",
    ),
    calls.UploadFile(filename='a"\r\nb.pdf', content_type="application/pdf", content=b"%PDF-1.7"),
    calls.SubmitEvidence(
        dispute="dp_1",
        texts={calls.EvidenceText.customer_name: "Ada"},
        files={calls.EvidenceFile.receipt: "file_1"},
    ),
    calls.AcceptDispute(dispute="dp_1"),
    calls.ChangeSubscription(subscription="sub_1", price="price_2", quantity=3),
    calls.PreviewSubscriptionChange(subscription="sub_1", price="price_2", quantity=3),
    calls.PauseSubscription(subscription="sub_1"),
    calls.ResumeSubscription(subscription="sub_1"),
    calls.CancelSubscriptionNow(subscription="sub_1", comment="too dear"),
    calls.CancelSubscriptionAtPeriodEnd(subscription="sub_1", comment="too dear"),
    calls.ReactivateSubscription(subscription="sub_1"),
    calls.ExtendTrial(subscription="sub_1", trial_end=NOON),
    calls.CreatePortalSession(customer="cus_1", return_url=BACK),
)

_T = 1_760_000_000


def stripe_object(kind: Kind, **more: Any) -> dict[str, Any]:
    """A small object in today's layout."""
    return _STRIPE[kind] | more


_STRIPE: dict[Kind, dict[str, Any]] = {
    Kind.session: {
        "id": "cs_1",
        "object": "checkout.session",
        "mode": "payment",
        "status": "open",
        "payment_status": "unpaid",
        "url": "https://checkout.example/cs_1",
        "client_reference_id": "ord_1",
        "client_secret": "cs_1_secret_canary",
        "created": _T,
    },
    Kind.customer: {"id": "cus_1", "object": "customer", "email": "ada@example.org", "created": _T},
    Kind.payment: {
        "id": "pi_1",
        "object": "payment_intent",
        "status": "succeeded",
        "amount": 500,
        "amount_received": 500,
        "currency": "eur",
        "client_secret": "pi_1_secret_canary",
        "created": _T,
    },
    Kind.charge: {
        "id": "ch_1",
        "object": "charge",
        "status": "succeeded",
        "amount": 500,
        "currency": "eur",
        "created": _T,
    },
    Kind.refund: {
        "id": "re_1",
        "object": "refund",
        "status": "succeeded",
        "amount": 250,
        "currency": "eur",
        "payment_intent": "pi_1",
        "metadata": {"bursar_refund": "re_ours"},
        "created": _T,
    },
    Kind.dispute: {
        "id": "dp_1",
        "object": "dispute",
        "status": "under_review",
        "amount": 500,
        "currency": "eur",
        "charge": "ch_1",
        "created": _T,
    },
    Kind.invoice: {"id": "in_1", "object": "invoice", "status": "paid", "total": 500, "currency": "eur", "created": _T},
    Kind.subscription: {
        "id": "sub_1",
        "object": "subscription",
        "status": "active",
        "customer": "cus_1",
        "items": {"data": [{"id": "si_1", "price": {"id": "price_1"}, "quantity": 1}]},
        "created": _T,
    },
    Kind.payment_method: {
        "id": "pm_1",
        "object": "payment_method",
        "type": "card",
        "card": {"brand": "visa", "last4": "4242", "exp_month": 1, "exp_year": 2030},
        "customer": "cus_1",
        "created": _T,
    },
    Kind.setup: {"id": "seti_1", "object": "setup_intent", "status": "succeeded", "created": _T},
    Kind.balance_transaction: {"id": "txn_1", "object": "balance_transaction", "amount": 500, "created": _T},
    Kind.file: {"id": "file_1", "object": "file", "purpose": "dispute_evidence", "created": _T},
    Kind.portal_session: {
        "id": "bps_1",
        "object": "billing_portal.session",
        "url": "https://portal.example/1",
        "created": _T,
    },
    Kind.preview: {
        "id": "upcoming_in_1",
        "object": "invoice",
        "currency": "eur",
        "subtotal": 800,
        "total": 1000,
        "amount_due": 1000,
        "lines": {
            "data": [
                {"amount": -500, "currency": "eur", "description": "Unused time", "proration": True},
                {"amount": 1300, "currency": "eur", "description": "Remaining time", "proration": True},
            ]
        },
        "created": _T,
    },
}

STRIPE_ROUTES = {
    "POST /v1/checkout/sessions*": Kind.session,
    "GET /v1/checkout/sessions*": Kind.session,
    "POST /v1/customers*": Kind.customer,
    "GET /v1/customers*": Kind.customer,
    "POST /v1/payment_intents*": Kind.payment,
    "GET /v1/payment_intents*": Kind.payment,
    "POST /v1/setup_intents*": Kind.setup,
    "POST /v1/payment_methods*": Kind.payment_method,
    "GET /v1/payment_methods*": Kind.payment_method,
    "POST /v1/refunds*": Kind.refund,
    "GET /v1/refunds*": Kind.refund,
    "POST /v1/files*": Kind.file,
    "POST /v1/disputes*": Kind.dispute,
    "GET /v1/disputes*": Kind.dispute,
    "POST /v1/subscriptions*": Kind.subscription,
    "GET /v1/subscriptions*": Kind.subscription,
    "DELETE /v1/subscriptions*": Kind.subscription,
    "POST /v1/invoices/create_preview": Kind.preview,
    "GET /v1/invoices*": Kind.invoice,
    "GET /v1/charges*": Kind.charge,
    "POST /v1/billing_portal/sessions": Kind.portal_session,
}

_DODO_CUSTOMER = {"customer_id": "cus_1", "email": "ada@example.org", "name": "Ada", "created_at": NOON.isoformat()}
_DODO_REFUND = {
    "refund_id": "ref_1",
    "payment_id": "pi_1",
    "status": "pending",
    "amount": 250,
    "currency": "EUR",
    "is_partial": True,
    "customer": _DODO_CUSTOMER,
    "metadata": {"bursar_refund": "re_ours"},
    "created_at": NOON.isoformat(),
}
_DODO_SUBSCRIPTION = {
    "subscription_id": "sub_1",
    "status": "active",
    "product_id": "price_1",
    "quantity": 1,
    "addons": [{"addon_id": "adn_1", "quantity": 2}],
    "customer": _DODO_CUSTOMER,
    "metadata": {"bursar_order": "ord_1"},
    "cancel_at_next_billing_date": False,
    "previous_billing_date": "2026-11-01T00:00:00Z",
    "next_billing_date": "2026-12-01T00:00:00Z",
    "created_at": NOON.isoformat(),
}
DODO: dict[str, Any] = {
    "POST /checkouts": {"session_id": "cks_1", "checkout_url": "https://checkout.example/cks_1"},
    "POST /customers": _DODO_CUSTOMER,
    "POST /customers/cus_1/customer-portal/session": {"link": "https://portal.example/1"},
    "DELETE /customers/cus_1/payment-methods/pm_1": b"",
    "GET /customers/cus_1/payment-methods": {
        "items": [
            {
                "payment_method_id": "pm_2",
                "payment_method": "card",
                "card": {"card_network": "visa", "last4_digits": "4242", "expiry_month": "1", "expiry_year": "2030"},
            }
        ]
    },
    "GET /payments/pi_1/line-items": {
        "currency": "EUR",
        "partial_refund_allowed": True,
        "items": [
            {"items_id": "pdt_1", "amount": 200, "refundable_amount": 200, "tax": 0},
            {"items_id": "pdt_2", "amount": 300, "refundable_amount": 300, "tax": 0},
        ],
    },
    "GET /payments/pi_1": {
        "payment_id": "pi_1",
        "total_amount": 500,
        "currency": "EUR",
        "status": "succeeded",
        "customer": _DODO_CUSTOMER,
        "metadata": {},
        "refunds": [{"refund_id": "ref_1", "payment_id": "pi_1", "status": "succeeded", "amount": 250}],
        "created_at": NOON.isoformat(),
    },
    "POST /refunds": _DODO_REFUND,
    "GET /refunds/ref_1": _DODO_REFUND,
    "GET /subscriptions/sub_1": _DODO_SUBSCRIPTION,
    "PATCH /subscriptions/sub_1": _DODO_SUBSCRIPTION,
    "POST /subscriptions/sub_1/change-plan": {},
    "POST /subscriptions/sub_1/update-payment-method": {},
    "POST /subscriptions/sub_1/change-plan/preview": {
        "immediate_charge": {
            "effective_at": NOON.isoformat(),
            "line_items": [
                {
                    "type": "subscription",
                    "id": "li_1",
                    "product_id": "price_2",
                    "name": "Gold",
                    "unit_price": 2000,
                    "quantity": 1,
                    "proration_factor": 0.5,
                    "currency": "EUR",
                }
            ],
            "summary": {"currency": "EUR", "total_amount": 1000, "tax": 160},
        },
        "new_plan": _DODO_SUBSCRIPTION,
    },
}


def answers_of(name: str, server: Double) -> Double:
    """Let a server answer as this gateway does."""
    if name == "dodo":
        for route, body in DODO.items():
            server.on(route, answer(200 if body else 204, body or b"", x_request_id="req_1"))
        return server.on("GET /refunds", answer(200, {"items": [_DODO_REFUND]})).on(
            "GET /payments", answer(200, {"items": [DODO["GET /payments/pi_1"]]})
        )
    for route, kind in STRIPE_ROUTES.items():
        server.on(route, answer(200, stripe_object(kind), request_id="req_1"))
    return server


def shown(body: Any) -> str:
    return json.dumps(body, sort_keys=True, default=str)
