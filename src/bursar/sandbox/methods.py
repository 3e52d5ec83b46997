"""Saved ways to pay: payment methods, and the setup intents that save them.

A test token such as `pm_card_visa` names a fresh method each time it is used, as at Stripe.
"""

import re
from typing import Any

from bursar.money.gateways.fields import Json
from bursar.sandbox import shapes
from bursar.sandbox.cards import BY_NUMBER, BY_TOKEN, Decline, TestCard, is_plausible
from bursar.sandbox.forms import Params, merged
from bursar.sandbox.refusals import Refusal, invalid, unknown
from bursar.sandbox.work import Work, new_id, shown

_EXPIRES_AFTER_YEARS = 5


def create(work: Work, params: Params) -> Json:
    """POST /v1/payment_methods"""
    kind = params.need("type", among=("card", "sepa_debit"))
    made = of_details(work, params, kind)
    params.accept("allow_redisplay")
    made["metadata"] = params.mapping("metadata")
    return work.save(made)


def of_details(work: Work, params: Params, kind: str) -> Json:
    """Return a new method of `card[…]` or `sepa_debit[…]`. Raises Refusal for a number that cannot be one."""
    details = params.child(kind)
    billing = params.raw("billing_details") or {}
    if details is None:
        raise invalid(f"Missing required param: {kind}.", param=kind, code="parameter_missing")
    if kind == "card":
        token = details.text("token")
        if token:
            made = of_token(work, token.replace("tok_", "pm_card_", 1))
        else:
            details.accept("cvc")
            made = of_card(
                work,
                details.need("number"),
                exp_month=details.need_whole("exp_month"),
                exp_year=details.need_whole("exp_year"),
            )
    else:
        made = of_account(work, details.need("iban"))
    return _billed(made, billing)


def of_card(work: Work, number: str, *, exp_month: int, exp_year: int) -> Json:
    """Return a new method of a card's number. An unknown number that can be a card's works like 4242…"""
    digits = re.sub(r"[ -]", "", number)
    card = BY_NUMBER.get(digits)
    if card is None and not is_plausible(digits):
        raise _card_refusal(Decline("incorrect_number", None, "Your card number is incorrect."), param="number")
    if not 1 <= exp_month <= 12:  # noqa: PLR2004 - months
        raise _card_refusal(
            Decline("invalid_expiry_month", None, "Your card's expiration month is invalid."), param="exp_month"
        )
    full_year = exp_year + 2000 if exp_year < 100 else exp_year  # noqa: PLR2004 - two digits
    if full_year > year_of(work.now) + 50 or (full_year, exp_month) < (year_of(work.now), month_of(work.now)):
        raise _card_refusal(
            Decline("invalid_expiry_year", None, "Your card's expiration year is invalid."), param="exp_year"
        )
    return shapes.payment_method(work.now, card or TestCard(digits), exp_month=exp_month, exp_year=full_year)


def of_account(work: Work, iban: str) -> Json:
    """Return a new method of a test bank account."""
    card = BY_NUMBER.get(iban.replace(" ", "").upper())
    if card is None or not card.is_bank:
        raise invalid("The IBAN is not one of Stripe's test accounts.", param="sepa_debit[iban]", code="invalid_iban")
    return shapes.payment_method(work.now, card, exp_month=0, exp_year=0)


def of_token(work: Work, token: str) -> Json:
    """Return a new method of a test token. Raises Refusal."""
    card = BY_TOKEN.get(token)
    if card is None:
        raise unknown("payment_method", token, param="payment_method", status=400)
    return shapes.payment_method(work.now, card, exp_month=12, exp_year=year_of(work.now) + _EXPIRES_AFTER_YEARS)


def named(work: Work, ref: str, *, param: str) -> Json:
    """Return a method by its name or by a test token. Raises Refusal."""
    return work.find("payment_method", ref) or (
        work.save(of_token(work, ref)) if ref in BY_TOKEN else work.need("payment_method", ref, param=param)
    )


def card_of(method: Json) -> TestCard:
    """Return what a method does."""
    return BY_NUMBER.get(method["_card"]) or TestCard(method["_card"])


def attach(work: Work, params: Params, ref: str) -> Json:
    """POST /v1/payment_methods/{id}/attach"""
    customer = work.need("customer", params.need("customer"), param="customer")
    return attach_to(work, named(work, ref, param="id"), customer)


def attach_to(work: Work, method: Json, customer: Json) -> Json:
    """Save a method for a customer. Raises Refusal, as the card's bank does."""
    if method["customer"] == customer["id"]:
        return method
    if method["customer"]:
        raise invalid(
            "This PaymentMethod is already attached to a different customer.", code="payment_method_unexpected_state"
        )
    card = card_of(method)
    if card.decline and card.refused_at_once:
        raise _card_refusal(card.decline)
    method |= {"customer": customer["id"]}
    work.save(method)
    work.tell("payment_method.attached", method)
    return method


def detach(work: Work, _params: Params, ref: str) -> Json:
    """POST /v1/payment_methods/{id}/detach"""
    method = work.need("payment_method", ref)
    owner = method["customer"]
    if owner is None:
        raise invalid(
            "The payment method you provided is not attached to a customer so detachment is impossible.",
            code="payment_method_unexpected_state",
        )
    method["customer"] = None
    work.save(method)
    work.tell("payment_method.detached", method, {"customer": owner})
    customer = work.find("customer", owner)
    if customer and customer["invoice_settings"]["default_payment_method"] == ref:
        settings = customer["invoice_settings"] | {"default_payment_method": None}
        work.change("customer.updated", customer, invoice_settings=settings)
    return method


def update(work: Work, params: Params, ref: str) -> Json:
    """POST /v1/payment_methods/{id}"""
    method = work.need("payment_method", ref)
    changes: Json = {}
    if params.has("metadata"):
        changes["metadata"] = merged(method["metadata"], params.mapping("metadata"))
    if params.has("billing_details"):
        changes["billing_details"] = method["billing_details"] | (params.raw("billing_details") or {})
    if params.has("allow_redisplay"):
        changes["allow_redisplay"] = params.text("allow_redisplay", among=("always", "limited", "unspecified"))
    card = params.child("card")
    if card:
        wanted = {name: card.whole(name) for name in ("exp_month", "exp_year") if card.has(name)}
        changes["card"] = method["card"] | wanted
    return work.change("payment_method.updated", method, **changes)


def create_setup(work: Work, params: Params) -> Json:
    """POST /v1/setup_intents"""
    made = shapes.setup_intent(work.now)
    customer = params.text("customer")
    if customer:
        made["customer"] = work.need("customer", customer, param="customer")["id"]
    made |= {
        "usage": params.text("usage", "off_session", among=("off_session", "on_session")),
        "description": params.text("description"),
        "metadata": params.mapping("metadata"),
        "payment_method_types": params.texts("payment_method_types") or ["card"],
    }
    automatic = params.child("automatic_payment_methods")
    if automatic:
        automatic.accept("enabled", "allow_redirects")
    made["automatic_payment_methods"] = {"allow_redirects": "always", "enabled": True} if automatic else None
    wanted = params.text("payment_method")
    if wanted:
        made |= {"payment_method": named(work, wanted, param="payment_method")["id"], "status": "requires_confirmation"}
    work.save(made)
    work.tell("setup_intent.created", made)
    params.accept("confirm", "return_url", "use_stripe_sdk", "mandate_data", "payment_method_options")
    return _confirmed(work, made, params.text("return_url")) if params.flag("confirm") else made


def confirm_setup(work: Work, params: Params, ref: str) -> Json:
    """POST /v1/setup_intents/{id}/confirm"""
    setup = work.need("setup_intent", ref)
    if setup["status"] in ("succeeded", "canceled"):
        raise _unexpected("setup_intent", setup)
    wanted = params.text("payment_method")
    if wanted:
        setup["payment_method"] = named(work, wanted, param="payment_method")["id"]
    params.accept("use_stripe_sdk", "mandate_data", "payment_method_options")
    return _confirmed(work, setup, params.text("return_url"))


def cancel_setup(work: Work, params: Params, ref: str) -> Json:
    """POST /v1/setup_intents/{id}/cancel"""
    setup = work.need("setup_intent", ref)
    if setup["status"] in ("succeeded", "canceled"):
        raise _unexpected("setup_intent", setup)
    reason = params.text("cancellation_reason")
    setup |= {"status": "canceled", "cancellation_reason": reason, "next_action": None}
    work.save(setup)
    work.tell("setup_intent.canceled", setup)
    return setup


def authenticated(work: Work, setup: Json, *, passed: bool) -> Json:
    """Go on after the bank has asked the customer. passed: whether he proved himself."""
    setup["next_action"] = None
    if passed:
        return _saved(work, setup)
    error = {
        "code": "setup_intent_authentication_failure",
        "message": "The provided PaymentMethod has failed authentication.",
        "type": "invalid_request_error",
    }
    setup |= {"status": "requires_payment_method", "last_setup_error": error, "payment_method": None}
    work.save(setup)
    work.tell("setup_intent.setup_failed", setup)
    return setup


def year_of(now: int) -> int:
    """Return the calendar year of a moment."""
    return _date(now)[0]


def month_of(now: int) -> int:
    """Return the month of a moment, from 1."""
    return _date(now)[1]


def _date(now: int) -> tuple[int, int]:
    from datetime import UTC, datetime  # noqa: PLC0415

    at = datetime.fromtimestamp(now, UTC)
    return at.year, at.month


def _confirmed(work: Work, setup: Json, return_url: str | None) -> Json:
    if setup["payment_method"] is None:
        raise invalid(
            "You cannot confirm this SetupIntent because it's missing a payment method.", param="payment_method"
        )
    method = work.need("payment_method", setup["payment_method"])
    card = card_of(method)
    if card.decline and card.refused_at_once:
        error = {
            "code": card.decline.code,
            "decline_code": card.decline.decline_code,
            "message": card.decline.message,
            "type": "card_error",
        }
        setup |= {"status": "requires_payment_method", "last_setup_error": error, "payment_method": None}
        work.save(setup)
        work.tell("setup_intent.setup_failed", setup)
        raise _card_refusal(card.decline, setup_intent=shown(setup), keeps=True)
    if card.challenge in ("always", "unless_set_up", "on_session"):
        page = f"{work.asked.base}/c/3ds/{setup['id']}/{setup['client_secret'].rpartition('_')[2]}"
        redirect = {"return_url": return_url, "url": page}
        setup |= {"status": "requires_action", "next_action": {"redirect_to_url": redirect, "type": "redirect_to_url"}}
        setup["_return_url"] = return_url
        work.save(setup)
        work.tell("setup_intent.requires_action", setup)
        return setup
    return _saved(work, setup)


def _saved(work: Work, setup: Json) -> Json:
    method = work.need("payment_method", setup["payment_method"])
    method["_is_set_up"] = True
    work.save(method)
    if setup["customer"]:
        attach_to(work, method, work.need("customer", setup["customer"]))
    setup |= {"status": "succeeded", "next_action": None, "last_setup_error": None, "latest_attempt": new_id("setatt")}
    work.save(setup)
    work.tell("setup_intent.succeeded", setup)
    return setup


def _billed(method: Json, billing: Json) -> Json:
    return method | {"billing_details": method["billing_details"] | billing}


def _card_refusal(decline: Decline, *, param: str | None = None, keeps: bool = False, **more: object) -> Refusal:
    told = {"decline_code": decline.decline_code} if decline.decline_code else {}
    return Refusal(402, "card_error", decline.message, code=decline.code, param=param, keeps=keeps, **told, **more)


def _unexpected(kind: str, item: Json) -> Refusal:
    said = {"setup_intent": "SetupIntent", "payment_intent": "PaymentIntent"}[kind]
    return invalid(
        f"You cannot do this to a {said} that has a status of {item['status']}.",
        code=f"{kind}_unexpected_state",
        **dict[str, Any]({kind: shown(item)}),
    )
