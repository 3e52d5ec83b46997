"""What each call is in Dodo's words, and by name what Dodo cannot do. Pure.

Sources: Dodo Payments API reference; SDK 1.123.0. Its amounts are whole numbers of the currency's lowest
denomination, which we take to be ISO 4217's (see `payments`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from bursar.money.gateways import calls
from bursar.money.gateways.calling import (
    MARK,
    REFERENCE_MARK,
    REFUND_MARK,
    GatewayRefused,
    Json,
    OperationUnsupported,
)
from bursar.money.gateways.calls import CheckoutMode, Kind, Proration
from bursar.money.gateways.facts import Claim
from bursar.money.gateways.fields import child, children, ref_of, said

_PRORATION: Final = {
    Proration.bill_now: "prorated_immediately_keep_cycle",
    Proration.full_now: "full_immediately",
    Proration.difference_now: "difference_immediately",
    Proration.none: "do_not_bill",
}
_TEXT_LENGTH_MAX: Final = 500
_CLAIM: Final = ("bursar_order", "bursar_price", "bursar_quantity")

_UNSUPPORTED: Final[Mapping[type[calls.Call], str]] = {
    calls.ExpireCheckout: "Nothing needs to be done: a checkout that nobody pays closes by itself after 24 hours.",
    calls.CreatePayment: "Make a checkout for the customer; Dodo takes money only for its products, on its own page.",
    calls.ConfirmPayment: "Send the customer to the payment's own link, or make a new checkout.",
    calls.CancelPayment: "Nothing needs to be done: a payment that nobody completes fails by itself.",
    calls.SetupPaymentMethod: "A way to pay is saved when a subscription is bought; send the customer to the portal.",
    calls.AttachPaymentMethod: "A way to pay is saved when a subscription is bought; send the customer to the portal.",
    calls.UploadFile: "Answer the dispute on Dodo's own page; its API only shows disputes.",
    calls.SubmitEvidence: "Answer the dispute on Dodo's own page; its API only shows disputes.",
    calls.AcceptDispute: "Accept the dispute on Dodo's own page; its API only shows disputes.",
}


@dataclass(frozen=True, slots=True)
class Request:
    """path: of resources and the method in the SDK's client. after: what to fetch when the answer is no such object."""

    path: str
    kind: Kind
    ids: tuple[str, ...] = ()
    params: Json = field(default_factory=dict)
    after: str | None = None


def check(call: calls.AnyCall) -> None:
    """Raises OperationUnsupported."""
    hint = _UNSUPPORTED.get(type(call))
    if hint is not None:
        raise OperationUnsupported(f"Dodo has no call for {call.operation}", hint=hint)
    match call:
        case calls.CreateCheckout():
            _check_checkout(call)
        case calls.CreateCustomer() if not call.email or not call.name:
            raise OperationUnsupported("Dodo knows no customer without a name and an e-mail address", hint="Tell both.")
        case calls.SetDefaultPaymentMethod(subscription=None):
            raise OperationUnsupported(
                "Dodo has no way to pay that holds for all of a customer's", hint="Set it for each subscription."
            )
        case calls.CreateRefund(payment=None):
            raise OperationUnsupported("Dodo knows payments, not charges", hint="Name the payment.")
        case calls.ChangeSubscription() | calls.PreviewSubscriptionChange():
            _check_change(call)
        case calls.CancelSubscriptionNow(is_prorated=True):
            raise OperationUnsupported(
                "Dodo sets nothing off when a subscription ends", hint="Cancel it, and refund what was not used."
            )
        case _:
            pass


def request_of(call: calls.AnyCall, *, mark: str, known: Json) -> Request:
    """Return the request of a call. known: what `needs` asked for. Raises GatewayRefused where it does not fit."""
    return _REQUESTS[type(call)](call, mark, known)


def needs(call: calls.AnyCall) -> Request | None:
    """Return what must be read before the call can be made: what it must repeat, or where its amount belongs."""
    match call:
        case calls.CreateRefund(amount_minor=int(), payment=str(payment)):
            return Request("payments.retrieve_line_items", Kind.payment, (payment,))
        case calls.ChangeSubscription() | calls.PreviewSubscriptionChange():
            # Add-ons that a change does not repeat are taken away.
            return Request("subscriptions.retrieve", Kind.subscription, (call.subscription,))
        case _:
            return None


def _check_checkout(call: calls.CreateCheckout) -> None:
    if call.mode is CheckoutMode.setup:
        raise OperationUnsupported(
            "Dodo saves a way to pay only with a subscription", hint="Send the customer to the portal."
        )
    if any(line.price is None for line in call.lines) or not call.lines:
        raise OperationUnsupported(
            "Dodo sells only its own products", hint="Make the product there and name it in the price's gateway_refs."
        )
    if call.expires_at is not None:
        raise OperationUnsupported("Dodo's checkouts close after 24 hours, always", hint="Leave expires_at out.")
    if call.trial_end is not None:
        raise OperationUnsupported("Dodo's trials belong to the product", hint="Set the trial on the product there.")


def _check_change(call: calls.ChangeSubscription | calls.PreviewSubscriptionChange) -> None:
    if call.proration not in _PRORATION:
        raise OperationUnsupported(
            f"Dodo cannot bill a change as {call.proration}", hint="Use bill_now, full_now, difference_now or none."
        )
    if call.proration_at is not None:
        raise OperationUnsupported("Dodo reckons a change as of now", hint="Leave proration_at out.")
    if call.item is not None:
        raise OperationUnsupported("Dodo's subscriptions sell one product", hint="Leave item out.")


def _create_checkout(call: calls.CreateCheckout, mark: str, _known: Json) -> Request:
    customer = {"customer_id": call.customer} if call.customer else {"email": call.email} if call.email else None
    params = {
        "product_cart": [
            said({"product_id": line.price, "quantity": line.quantity, "amount": line.amount_minor})
            for line in call.lines
        ],
        "customer": customer,
        "return_url": call.success_url,
        "cancel_url": call.cancel_url,
        "show_saved_payment_methods": True if call.customer else None,
        "feature_flags": None if call.takes_codes else {"allow_discount_code": False},
        "metadata": _claimed(call.claim) | {MARK: mark},
    }
    return Request("checkout_sessions.create", Kind.session, params=said(params))


def _create_customer(call: calls.CreateCustomer, mark: str, _known: Json) -> Request:
    metadata = said({REFERENCE_MARK: call.reference, MARK: mark})
    params = {"email": call.email, "name": call.name, "phone_number": call.phone, "metadata": metadata}
    return Request("customers.create", Kind.customer, params=said(params))


def _detach(call: calls.DetachPaymentMethod, _mark: str, _known: Json) -> Request:
    params = {"customer_id": call.customer}
    return Request("customers.delete_payment_method", Kind.payment_method, (call.payment_method,), params)


def _set_default(call: calls.SetDefaultPaymentMethod, _mark: str, _known: Json) -> Request:
    subscription = call.subscription or ""
    params = {"payment_method": {"type": "existing", "payment_method_id": call.payment_method}}
    return Request(
        "subscriptions.update_payment_method", Kind.subscription, (subscription,), params, after=subscription
    )


def _create_refund(call: calls.CreateRefund, mark: str, known: Json) -> Request:
    reason = call.reason_text or (call.reason.value if call.reason else None)
    params: Json = {
        "payment_id": call.payment,
        "reason": reason,
        "metadata": said({REFUND_MARK: call.refund, MARK: mark}),
    }
    if call.amount_minor is not None:
        params["items"] = _shares(call.amount_minor, known)
        params["currency"] = call.currency
    return Request("refunds.create", Kind.refund, params=said(params))


def _shares(amount: int, known: Json) -> list[Json]:
    """Return the amount over the payment's items, each up to what is left of it, in the order that Dodo lists them."""
    if known.get("partial_refund_allowed") is False:
        raise GatewayRefused("this way to pay allows no partial refund", code="partial_refund_not_allowed")
    shares: list[Json] = []
    for item in children(known, "items"):
        left = item.get("refundable_amount")
        share = min(amount, left) if type(left) is int else 0
        if share > 0:
            shares.append({"item_id": ref_of(item.get("items_id")), "amount": share, "tax_inclusive": True})
            amount -= share
    if amount:
        raise GatewayRefused("the amount is larger than what is left of the payment", code="amount_too_large")
    return shares


def _change(call: calls.ChangeSubscription, mark: str, known: Json) -> Request:
    params = _changed(call, known) | {
        "on_payment_failure": "apply_change" if call.is_kept_unpaid else "prevent_change",
        "metadata": _replaced(call.claim, known, mark=mark),
    }
    return Request(
        "subscriptions.change_plan", Kind.subscription, (call.subscription,), said(params), after=call.subscription
    )


def _replaced(claim: Claim, known: Json, *, mark: str) -> Json | None:
    """Return the metadata that a change leaves, which Dodo takes whole: what others wrote is kept, what was sold is not."""
    metadata = child(known, "metadata")
    if claim == Claim():
        return {**metadata, MARK: mark} if metadata else None
    kept = {name: told for name, told in metadata.items() if name not in _CLAIM}
    return kept | _claimed(claim) | {MARK: mark}


def _claimed(claim: Claim) -> Json:
    return said(dict(zip(_CLAIM, (claim.order, claim.price, claim.quantity), strict=True)))


def _preview(call: calls.PreviewSubscriptionChange, _mark: str, known: Json) -> Request:
    return Request("subscriptions.preview_change_plan", Kind.preview, (call.subscription,), _changed(call, known))


def _changed(call: calls.ChangeSubscription | calls.PreviewSubscriptionChange, known: Json) -> Json:
    kept = [{"addon_id": item.get("addon_id"), "quantity": item.get("quantity")} for item in children(known, "addons")]
    params = {
        "product_id": call.price,
        "quantity": call.quantity,
        "proration_billing_mode": _PRORATION[call.proration],
        "addons": kept or None,
    }
    return said(params)


def _state(told: str) -> Callable[[Any, str, Json], Request]:
    def request(call: Any, _mark: str, _known: Json) -> Request:
        return Request("subscriptions.update", Kind.subscription, (call.subscription,), {"status": told})

    return request


def _cancel_now(call: calls.CancelSubscriptionNow, _mark: str, _known: Json) -> Request:
    params = {"status": "cancelled", "cancellation_comment": _short(call.comment)}
    return Request("subscriptions.update", Kind.subscription, (call.subscription,), said(params))


def _cancel_later(call: calls.CancelSubscriptionAtPeriodEnd, _mark: str, _known: Json) -> Request:
    params = {"cancel_at_next_billing_date": True, "cancellation_comment": _short(call.comment)}
    return Request("subscriptions.update", Kind.subscription, (call.subscription,), said(params))


def _reactivate(call: calls.ReactivateSubscription, _mark: str, _known: Json) -> Request:
    params = {"cancel_at_next_billing_date": False}
    return Request("subscriptions.update", Kind.subscription, (call.subscription,), params)


def _extend_trial(call: calls.ExtendTrial, _mark: str, _known: Json) -> Request:
    return Request(
        "subscriptions.update", Kind.subscription, (call.subscription,), {"next_billing_date": call.trial_end}
    )


def _portal(call: calls.CreatePortalSession, _mark: str, _known: Json) -> Request:
    params = said({"return_url": call.return_url})
    return Request("customers.customer_portal.create", Kind.portal_session, (call.customer,), params)


def _short(text: str | None) -> str | None:
    return text[:_TEXT_LENGTH_MAX] if text else None


_REQUESTS: Final[dict[type[calls.Call], Callable[[Any, str, Json], Request]]] = {
    calls.CreateCheckout: _create_checkout,
    calls.CreateCustomer: _create_customer,
    calls.DetachPaymentMethod: _detach,
    calls.SetDefaultPaymentMethod: _set_default,
    calls.CreateRefund: _create_refund,
    calls.ChangeSubscription: _change,
    calls.PreviewSubscriptionChange: _preview,
    calls.PauseSubscription: _state("paused"),
    calls.ResumeSubscription: _state("active"),
    calls.CancelSubscriptionNow: _cancel_now,
    calls.CancelSubscriptionAtPeriodEnd: _cancel_later,
    calls.ReactivateSubscription: _reactivate,
    calls.ExtendTrial: _extend_trial,
    calls.CreatePortalSession: _portal,
}
