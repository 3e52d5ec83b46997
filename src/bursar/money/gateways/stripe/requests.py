"""What each call is in Stripe's words: which method of its API, and the parameters. Pure, so that bytes repeat.

Sources: Stripe API reference, version STRIPE_VERSION. A change of that version changes what a call means, so it is
ours to choose and not the SDK's: it is sent with every request.
"""

import io
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil
from typing import Any, Final

from bursar.kernel.amounts import NotRepresentable
from bursar.money.gateways import calls
from bursar.money.gateways.calling import (
    MARK,
    PAYMENT_MARK,
    REFERENCE_MARK,
    REFUND_MARK,
    GatewayRefused,
    OperationUnsupported,
)
from bursar.money.gateways.calls import CheckoutMode, Kind, Proration, RefundReason
from bursar.money.gateways.facts import Claim
from bursar.money.gateways.fields import said
from bursar.money.gateways.stripe.units import stripe_amount

STRIPE_VERSION: Final = "2026-10-28.endive"

Params = dict[str, Any]

_PRORATION: Final = {
    Proration.bill_now: "always_invoice",
    Proration.next_invoice: "create_prorations",
    Proration.none: "none",
}
_UNFIT_FILENAME = re.compile(r"[^A-Za-z0-9._-]+")
_METADATA_LENGTH_MAX: Final = 500
_ORDER: Final = "bursar_order"


@dataclass(frozen=True, slots=True)
class Request:
    """One request. path: of services and the method in the SDK's client, under `v1`. ids: what stands in the address.

    kind: what the answer is; None: it depends on the object.
    """

    path: str
    kind: Kind
    ids: tuple[str, ...] = ()
    params: Params = field(default_factory=dict)


def request_of(call: calls.AnyCall, *, mark: str) -> Request:
    """Return the request of a call. Raises GatewayRefused for an amount that Stripe has no unit for."""
    try:
        return _REQUESTS[type(call)](call, mark)
    except NotRepresentable as error:
        raise GatewayRefused(f"Stripe has no unit small enough for this amount: {error}", code="amount") from error


def check(call: calls.AnyCall) -> None:
    """Raises OperationUnsupported."""
    if (
        isinstance(call, calls.ChangeSubscription | calls.PreviewSubscriptionChange)
        and call.proration not in _PRORATION
    ):
        raise OperationUnsupported(
            f"Stripe cannot bill a change as {call.proration}",
            hint="Use bill_now, next_invoice or none; for another sum, refund or charge the difference by itself.",
        )


def _create_checkout(call: calls.CreateCheckout, mark: str) -> Request:
    metadata = _metadata(call.claim, mark)
    params: Params = {
        "mode": call.mode.value,
        "success_url": call.success_url,
        "cancel_url": call.cancel_url,
        "line_items": [_line(line) for line in call.lines] or None,
        "client_reference_id": call.claim.order,
        "customer": call.customer,
        "customer_email": None if call.customer else call.email,
        "expires_at": _seconds(call.expires_at),
        "metadata": metadata,
    }
    match call.mode:
        case CheckoutMode.payment:
            later = {"setup_future_usage": "off_session"} if call.saves_payment_method else {}
            params["payment_intent_data"] = {"metadata": metadata} | later
        case CheckoutMode.subscription:
            # Of the order only the session tells: every renewal would name it, also after a change of what is sold.
            lasting = {name: told for name, told in metadata.items() if name != _ORDER}
            params["subscription_data"] = said({"metadata": lasting, "trial_end": _seconds(call.trial_end)})
        case CheckoutMode.setup:
            params["setup_intent_data"] = {"metadata": metadata}
            params["currency"] = call.currency.lower() if call.currency else None
    return Request("checkout.sessions.create", Kind.session, params=said(params))


def _line(line: calls.CheckoutLine) -> Params:
    if line.price is not None:
        return {"price": line.price, "quantity": line.quantity}
    currency = line.currency or ""
    price: Params = {
        "currency": currency.lower(),
        "unit_amount": stripe_amount(line.amount_minor or 0, currency),
        "product_data": {"name": line.name or ""},
    }
    if line.interval is not None:
        price["recurring"] = {"interval": line.interval.value, "interval_count": line.interval_count}
    return {"price_data": price, "quantity": line.quantity}


def _expire_checkout(call: calls.ExpireCheckout, _mark: str) -> Request:
    return Request("checkout.sessions.expire", Kind.session, (call.session,))


def _create_customer(call: calls.CreateCustomer, mark: str) -> Request:
    metadata = said({REFERENCE_MARK: call.reference, MARK: mark})
    params = {"email": call.email, "name": call.name, "phone": call.phone, "metadata": metadata}
    return Request("customers.create", Kind.customer, params=said(params))


def _create_payment(call: calls.CreatePayment, mark: str) -> Request:
    redirects = {} if call.return_url else {"allow_redirects": "never"}
    params = {
        "amount": stripe_amount(call.amount_minor, call.currency),
        "currency": call.currency.lower(),
        "customer": call.customer,
        "payment_method": call.payment_method,
        "confirm": True,
        "off_session": call.is_off_session or None,
        "return_url": call.return_url,
        "automatic_payment_methods": {"enabled": True} | redirects,
        "description": call.description,
        "metadata": _metadata(call.claim, mark) | said({PAYMENT_MARK: call.payment}),
    }
    return Request("payment_intents.create", Kind.payment, params=said(params))


def _confirm_payment(call: calls.ConfirmPayment, _mark: str) -> Request:
    params = {"payment_method": call.payment_method, "return_url": call.return_url}
    return Request("payment_intents.confirm", Kind.payment, (call.payment,), said(params))


def _cancel_payment(call: calls.CancelPayment, _mark: str) -> Request:
    return Request("payment_intents.cancel", Kind.payment, (call.payment,))


def _setup_payment_method(call: calls.SetupPaymentMethod, mark: str) -> Request:
    params = {
        "customer": call.customer,
        "payment_method": call.payment_method,
        "confirm": True,
        "usage": "off_session",
        "return_url": call.return_url,
        "automatic_payment_methods": {"enabled": True},
        "metadata": {MARK: mark},
        "expand": ["payment_method"],
    }
    return Request("setup_intents.create", Kind.setup, params=params)


def _attach(call: calls.AttachPaymentMethod, _mark: str) -> Request:
    return Request("payment_methods.attach", Kind.payment_method, (call.payment_method,), {"customer": call.customer})


def _detach(call: calls.DetachPaymentMethod, _mark: str) -> Request:
    return Request("payment_methods.detach", Kind.payment_method, (call.payment_method,))


def _set_default(call: calls.SetDefaultPaymentMethod, _mark: str) -> Request:
    if call.subscription is not None:
        params: Params = {"default_payment_method": call.payment_method}
        return Request("subscriptions.update", Kind.subscription, (call.subscription,), params)
    params = {"invoice_settings": {"default_payment_method": call.payment_method}}
    return Request("customers.update", Kind.customer, (call.customer,), params)


def _create_refund(call: calls.CreateRefund, mark: str) -> Request:
    reason = call.reason_text or (call.reason.value if call.reason is RefundReason.other else None)
    amount = call.amount_minor
    params = {
        "payment_intent": call.payment,
        "charge": None if call.payment else call.charge,
        "amount": None if amount is None else stripe_amount(amount, call.currency),
        "reason": call.reason.value if call.reason and call.reason is not RefundReason.other else None,
        "metadata": said({REFUND_MARK: call.refund, "bursar_reason": _short(reason), MARK: mark}),
    }
    return Request("refunds.create", Kind.refund, params=said(params))


def _upload_file(call: calls.UploadFile, _mark: str) -> Request:
    named = io.BytesIO(call.content)
    named.name = filename_of(call)
    return Request("files.create", Kind.file, params={"purpose": "dispute_evidence", "file": named})


def filename_of(call: calls.UploadFile) -> str:
    """Return a name that says the same and cannot end the header it stands in; with the ending that Stripe goes by."""
    return _UNFIT_FILENAME.sub("_", call.filename).strip("._")[-100:] or "evidence"


def _submit_evidence(call: calls.SubmitEvidence, _mark: str) -> Request:
    told: Params = {name.value: text for name, text in sorted(call.texts.items())}
    told |= {name.value: ref for name, ref in sorted(call.files.items())}
    return Request("disputes.update", Kind.dispute, (call.dispute,), {"evidence": told, "submit": call.is_final})


def _accept_dispute(call: calls.AcceptDispute, _mark: str) -> Request:
    return Request("disputes.close", Kind.dispute, (call.dispute,))


def _change(call: calls.ChangeSubscription, _mark: str) -> Request:
    params = {
        "items": [said({"id": call.item, "price": call.price, "quantity": call.quantity})],
        "proration_behavior": _PRORATION[call.proration],
        "proration_date": _seconds(call.proration_at),
        "payment_behavior": "allow_incomplete" if call.is_kept_unpaid else "error_if_incomplete",
        "metadata": _replaced(call.claim),
    }
    return Request("subscriptions.update", Kind.subscription, (call.subscription,), said(params))


def _preview(call: calls.PreviewSubscriptionChange, _mark: str) -> Request:
    details = {
        "items": [said({"id": call.item, "price": call.price, "quantity": call.quantity})],
        "proration_behavior": _PRORATION[call.proration],
        "proration_date": _seconds(call.proration_at),
    }
    params = {"subscription": call.subscription, "subscription_details": said(details)}
    return Request("invoices.create_preview", Kind.preview, params=params)


def _pause(call: calls.PauseSubscription, _mark: str) -> Request:
    # Not `pause_collection`: under that the subscription stays active and keeps its periods.
    return Request("subscriptions.pause", Kind.subscription, (call.subscription,))


def _resume(call: calls.ResumeSubscription, _mark: str) -> Request:
    return Request("subscriptions.resume", Kind.subscription, (call.subscription,))


def _cancel_now(call: calls.CancelSubscriptionNow, _mark: str) -> Request:
    params = {
        "prorate": call.is_prorated,
        "invoice_now": call.is_prorated,
        "cancellation_details": {"comment": _short(call.comment)} if call.comment else None,
    }
    return Request("subscriptions.cancel", Kind.subscription, (call.subscription,), said(params))


def _cancel_later(call: calls.CancelSubscriptionAtPeriodEnd, _mark: str) -> Request:
    details = {"comment": _short(call.comment)} if call.comment else None
    params = {"cancel_at_period_end": True, "cancellation_details": details}
    return Request("subscriptions.update", Kind.subscription, (call.subscription,), said(params))


def _reactivate(call: calls.ReactivateSubscription, _mark: str) -> Request:
    return Request("subscriptions.update", Kind.subscription, (call.subscription,), {"cancel_at_period_end": False})


def _extend_trial(call: calls.ExtendTrial, _mark: str) -> Request:
    params = {"trial_end": _seconds(call.trial_end), "proration_behavior": "none"}
    return Request("subscriptions.update", Kind.subscription, (call.subscription,), params)


def _portal(call: calls.CreatePortalSession, _mark: str) -> Request:
    params = {"customer": call.customer, "return_url": call.return_url}
    return Request("billing_portal.sessions.create", Kind.portal_session, params=said(params))


def _metadata(claim: Claim, mark: str) -> Params:
    return said({_ORDER: claim.order, "bursar_price": claim.price, "bursar_quantity": claim.quantity, MARK: mark})


def _replaced(claim: Claim) -> Params | None:
    """Return the metadata that says this and nothing of what was said before: an empty text takes a name away."""
    if claim == Claim():
        return None
    return {_ORDER: claim.order or "", "bursar_price": claim.price or "", "bursar_quantity": claim.quantity or ""}


def _short(text: str | None) -> str | None:
    return text[:_METADATA_LENGTH_MAX] if text else None


def _seconds(at: Any) -> int | None:
    return None if at is None else ceil(at.timestamp())


_REQUESTS: Final[dict[type[calls.Call], Callable[[Any, str], Request]]] = {
    calls.CreateCheckout: _create_checkout,
    calls.ExpireCheckout: _expire_checkout,
    calls.CreateCustomer: _create_customer,
    calls.CreatePayment: _create_payment,
    calls.ConfirmPayment: _confirm_payment,
    calls.CancelPayment: _cancel_payment,
    calls.SetupPaymentMethod: _setup_payment_method,
    calls.AttachPaymentMethod: _attach,
    calls.DetachPaymentMethod: _detach,
    calls.SetDefaultPaymentMethod: _set_default,
    calls.CreateRefund: _create_refund,
    calls.UploadFile: _upload_file,
    calls.SubmitEvidence: _submit_evidence,
    calls.AcceptDispute: _accept_dispute,
    calls.ChangeSubscription: _change,
    calls.PreviewSubscriptionChange: _preview,
    calls.PauseSubscription: _pause,
    calls.ResumeSubscription: _resume,
    calls.CancelSubscriptionNow: _cancel_now,
    calls.CancelSubscriptionAtPeriodEnd: _cancel_later,
    calls.ReactivateSubscription: _reactivate,
    calls.ExtendTrial: _extend_trial,
    calls.CreatePortalSession: _portal,
}
