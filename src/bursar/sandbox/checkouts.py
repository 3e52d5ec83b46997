"""Checkout sessions: what is to be bought, until somebody pays on the hosted page or the time is over.

Invariant: a session is paid for once; what happens to a session that is complete or expired changes nothing.
"""

from typing import Final
from urllib.parse import urlsplit

from bursar.money.gateways.fields import Json
from bursar.sandbox import catalogue, checkout_shapes, methods, payments, shapes
from bursar.sandbox.cards import Decline
from bursar.sandbox.forms import Params
from bursar.sandbox.refusals import invalid, missing
from bursar.sandbox.work import Work

LINES_MAX: Final = 100
_EXPIRES_AFTER_S: Final = range(1_800, 86_401)
_IGNORED: Final = (
    *("allow_promotion_codes", "automatic_tax", "billing_address_collection", "consent_collection", "custom_text"),
    *("payment_method_options", "phone_number_collection", "submit_type", "tax_id_collection", "adaptive_pricing"),
    *("payment_method_collection", "saved_payment_method_options", "customer_update", "invoice_creation", "ui_mode"),
)
_DATA: Final = {
    "payment_intent_data": (
        *("capture_method", "description", "metadata", "receipt_email", "setup_future_usage"),
        *("statement_descriptor", "statement_descriptor_suffix"),
    ),
    "setup_intent_data": ("description", "metadata"),
    "subscription_data": ("description", "metadata", "trial_end", "trial_period_days", "trial_settings"),
}
"""What a session may say of the payment, the setup or the subscription that it leads to."""


def create(work: Work, params: Params) -> Json:
    """POST /v1/checkout/sessions"""
    mode = params.need("mode", among=("payment", "subscription", "setup"))
    made = checkout_shapes.session(work.now, mode=mode, base=work.asked.base)
    made["success_url"] = _address(params, "success_url", is_needed=True)
    made["cancel_url"] = _address(params, "cancel_url")
    for name in ("client_reference_id", "locale"):
        made[name] = params.text(name)
    made["metadata"] = params.mapping("metadata")
    made["payment_method_types"] = params.texts("payment_method_types") or ["card", "sepa_debit"]
    made["expires_at"] = _expiry(work, params)
    _set_customer(work, made, params)
    _set_lines(work, made, params)
    params.accept(*_IGNORED)
    for name, wanted in (("_intent", "payment_intent_data"), ("_subscription", "subscription_data")):
        made[name] = _data(params, wanted)
    made["_setup"] = _data(params, "setup_intent_data")
    if mode == "setup":
        made["payment_status"] = "no_payment_required"
        made["currency"] = params.text("currency")
    work.save(made)
    work.later(made["expires_at"], "session.expire", made["id"])
    return made


def expire(work: Work, _params: Params, ref: str) -> Json:
    """POST /v1/checkout/sessions/{id}/expire"""
    found = work.need("checkout.session", ref)
    if found["status"] != "open":
        raise invalid(
            f'Only Checkout Sessions with a status in ["open"] can be expired. '
            f"This Checkout Session has a status of {found['status']}."
        )
    return end(work, found)


def end(work: Work, session: Json) -> Json:
    """Let a session expire; what was begun for it is given up."""
    intent = work.find("payment_intent", session.get("_payment") or "")
    if intent and intent["status"] in ("requires_payment_method", "requires_confirmation", "requires_action"):
        payments.give_up(work, intent, "expired")
    session |= {"status": "expired", "url": None}
    work.save(session)
    work.tell("checkout.session.expired", session)
    return session


def lines(work: Work, _params: Params, ref: str) -> list[Json]:
    """Return what a session sells."""
    found: list[Json] = work.need("checkout.session", ref)["_lines"]
    return found


def buyer_of(work: Work, session: Json, *, email: str | None, name: str | None) -> str | None:
    """Return the customer who pays, made now where the session needs one. Nobody is made for a guest."""
    session["customer_details"] = checkout_shapes.customer_details(email=email, name=name)
    needs = session["mode"] == "subscription" or session["customer_creation"] == "always"
    if session["customer"] is None and needs:
        made = shapes.customer(work.now) | {"email": email, "name": name}
        work.save(made)
        work.tell("customer.created", made)
        session["customer"] = made["id"]
    ref: str | None = session["customer"]
    return ref


def pay(work: Work, session: Json, method: Json) -> Decline | None:
    """Try to take the money of a session in payment mode. Return why it was declined."""
    intent = work.find("payment_intent", session.get("_payment") or "")
    if intent is None:
        intent = _intent_of(work, session)
        session["_payment"] = intent["id"]
        work.save(session)
    intent["payment_method"] = method["id"]
    intent["receipt_email"] = intent["receipt_email"] or session["customer_details"]["email"]
    decline = payments.attempt(work, intent, is_off_session=False, return_url=back(session, work.asked.base))
    if decline is None:
        payment_outcome(work, intent)
    return decline


def payment_outcome(work: Work, intent: Json) -> None:
    """Bring what became of a payment to the session that it is for."""
    session = work.find("checkout.session", intent.get("_session") or "")
    if session is None:
        return
    state = intent["status"]
    if session["status"] == "open" and state in ("succeeded", "processing", "requires_capture"):
        session["payment_intent"] = intent["id"]
        complete(work, session, payment_status="unpaid" if state == "processing" else "paid")
    elif session["status"] == "complete" and session["payment_status"] == "unpaid":
        if state == "succeeded":
            session["payment_status"] = "paid"
            work.save(session)
            work.tell("checkout.session.async_payment_succeeded", session)
        elif state == "requires_payment_method":
            work.tell("checkout.session.async_payment_failed", session)


def complete(work: Work, session: Json, *, payment_status: str) -> Json:
    """Mark a session as done."""
    session |= {"status": "complete", "payment_status": payment_status, "url": None}
    work.forget(session["id"], "session.expire")
    work.save(session)
    work.tell("checkout.session.completed", session)
    return session


def set_up(work: Work, session: Json, method: Json) -> Json:
    """Save a method through a session in setup mode; return the setup intent, which may want more of the customer."""
    setup = work.find("setup_intent", session.get("_setup_ref") or "")
    if setup is None:
        setup = shapes.setup_intent(work.now) | {
            "customer": session["customer"],
            "metadata": (session["_setup"] or {}).get("metadata") or {},
            "_session": session["id"],
        }
        work.save(setup)
        work.tell("setup_intent.created", setup)
        session["_setup_ref"] = setup["id"]
        work.save(session)
    values = {"payment_method": method["id"], "return_url": back(session, work.asked.base)}
    confirmed = methods.confirm_setup(work, Params(values), setup["id"])
    setup_outcome(work, confirmed)
    return confirmed


def setup_outcome(work: Work, setup: Json) -> None:
    """Bring what became of a setup to the session that it is for."""
    session = work.find("checkout.session", setup.get("_session") or "")
    if session and session["status"] == "open" and setup["status"] == "succeeded":
        session["setup_intent"] = setup["id"]
        complete(work, session, payment_status="no_payment_required")


def back(session: Json, base: str) -> str:
    """Return the address at which a session's page goes on after the bank's."""
    return f"{base}/c/pay/{session['id']}"


def landing(session: Json) -> str:
    """Return where a customer goes who has paid."""
    return str(session["success_url"]).replace("{CHECKOUT_SESSION_ID}", session["id"])


def _intent_of(work: Work, session: Json) -> Json:
    wanted = session["_intent"] or {}
    intent = shapes.payment_intent(work.now, amount=session["amount_total"], currency=session["currency"])
    intent |= {
        "customer": session["customer"],
        "description": wanted.get("description"),
        "metadata": wanted.get("metadata") or {},
        "receipt_email": wanted.get("receipt_email"),
        "setup_future_usage": wanted.get("setup_future_usage"),
        "capture_method": wanted.get("capture_method", "automatic"),
        "payment_method_types": session["payment_method_types"],
        "_session": session["id"],
    }
    work.save(intent)
    work.tell("payment_intent.created", intent)
    return intent


def _address(params: Params, name: str, *, is_needed: bool = False) -> str | None:
    value = params.text(name)
    if value is None:
        if is_needed:
            raise missing(name)
        return None
    if urlsplit(value).scheme not in ("http", "https") or not urlsplit(value).netloc:
        raise invalid("Not a valid URL", param=name, code="url_invalid")
    return value


def _expiry(work: Work, params: Params) -> int:
    wanted = params.whole("expires_at")
    if wanted is None:
        return work.now + _EXPIRES_AFTER_S[-1]
    wanted = work.meant(wanted, first=work.now + _EXPIRES_AFTER_S[0], last=work.now + _EXPIRES_AFTER_S[-1])
    if wanted - work.now not in _EXPIRES_AFTER_S:
        raise invalid(
            "The `expires_at` timestamp must be between 30 minutes and 24 hours after Checkout Session creation.",
            param="expires_at",
        )
    return wanted


def _set_customer(work: Work, session: Json, params: Params) -> None:
    ref, email = params.text("customer"), params.text("customer_email")
    creation = params.text("customer_creation", among=("always", "if_required"))
    if ref and email:
        raise invalid("You may only specify one of these parameters: customer, customer_email.")
    if creation and session["mode"] != "payment":
        raise invalid("`customer_creation` can only be used in `payment` mode.", param="customer_creation")
    session["customer_email"] = email
    session["customer_creation"] = creation or session["customer_creation"]
    if ref:
        found = work.need("customer", ref, param="customer")
        session |= {"customer": ref, "customer_creation": None}
        session["customer_details"] = checkout_shapes.customer_details(email=found["email"], name=found["name"])


def _set_lines(work: Work, session: Json, params: Params) -> None:
    items = params.children("line_items")
    session["_lines"] = []
    if session["mode"] == "setup":
        return
    if not 0 < len(items) <= LINES_MAX:
        raise missing("line_items")
    sold = []
    for item in items:
        price = catalogue.price_of(work, item)
        quantity = item.whole("quantity", 1, least=1) or 1
        item.accept("adjustable_quantity", "tax_rates")
        item.refuse_others()
        product = work.need("product", price["product"])
        sold.append(checkout_shapes.line(price, quantity=quantity, name=product["name"]))
    _refuse_mixtures(session["mode"], sold)
    total = sum(line["amount_total"] for line in sold)
    session |= {"amount_subtotal": total, "amount_total": total, "currency": sold[0]["currency"], "_lines": sold}


def _refuse_mixtures(mode: str, sold: list[Json]) -> None:
    recurring = [line for line in sold if line["price"]["type"] == "recurring"]
    if mode == "payment" and recurring:
        raise invalid("You specified `payment` mode but passed a recurring price.", param="mode")
    if mode == "subscription" and not recurring:
        raise invalid("You must provide at least one recurring price in `subscription` mode.", param="mode")
    if len({line["currency"] for line in sold}) > 1:
        raise invalid("All prices of a Checkout Session must have the same currency.", param="line_items")
    if len({str(line["price"]["recurring"]) for line in recurring}) > 1:
        raise invalid("All recurring prices must have the same interval.", param="line_items")


def _data(params: Params, name: str) -> Json | None:
    """Return what a payment, setup or subscription is to begin with, as plain texts."""
    value: Json | None = params.raw(name)
    wanted = params.child(name)
    if wanted is None:
        return None
    wanted.accept(*_DATA[name])
    return value
