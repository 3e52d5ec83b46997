"""Payment intents and the charges that they lead to.

Invariants: an intent has at most one charge that succeeded; a charge that failed stays as the fact that it is;
nothing is charged while the bank still asks the customer.
"""

from bursar.money.gateways.fields import Json
from bursar.sandbox import books, methods, shapes
from bursar.sandbox.cards import BANK_DAYS_S, Decline, TestCard
from bursar.sandbox.forms import Params, merged
from bursar.sandbox.refusals import Refusal, invalid
from bursar.sandbox.work import Work, shown

DISPUTED_AFTER_S = 30
"""How long after the payment a customer with the right test card turns against it."""

AUTHENTICATION = Decline(
    "authentication_required",
    "authentication_required",
    "Your card was declined. This transaction requires authentication.",
)
_OVER = ("succeeded", "canceled", "processing", "requires_capture")


def create(work: Work, params: Params) -> Json:
    """POST /v1/payment_intents"""
    made = shapes.payment_intent(
        work.now, amount=params.need_whole("amount", least=1), currency=params.need("currency").lower()
    )
    _fill(work, made, params)
    work.save(made)
    work.tell("payment_intent.created", made)
    return confirm_with(work, made, params) if params.flag("confirm") else made


def update(work: Work, params: Params, ref: str) -> Json:
    """POST /v1/payment_intents/{id}"""
    intent = work.need("payment_intent", ref)
    if intent["status"] in _OVER:
        raise unexpected(intent)
    amount = params.whole("amount", least=1)
    if amount:
        intent["amount"] = amount
    _fill(work, intent, params)
    return work.save(intent)


def confirm(work: Work, params: Params, ref: str) -> Json:
    """POST /v1/payment_intents/{id}/confirm"""
    intent = work.need("payment_intent", ref)
    if intent["status"] in _OVER:
        raise unexpected(intent)
    _fill(work, intent, params)
    return confirm_with(work, intent, params)


def confirm_with(work: Work, intent: Json, params: Params) -> Json:
    """Try to take the money as the parameters say. Raises Refusal, which keeps what was tried."""
    is_off = params.text("off_session") not in (None, "false")
    return_url = params.text("return_url")
    params.accept("error_on_requires_action", "mandate_data", "use_stripe_sdk", "confirmation_method")
    if intent["payment_method"] is None:
        raise invalid(
            "You cannot confirm this PaymentIntent because it's missing a payment method.",
            param="payment_method",
            code="payment_intent_unexpected_state",
        )
    decline = attempt(work, intent, is_off_session=is_off, return_url=return_url)
    if decline:
        raise declined(intent, decline)
    return intent


def cancel(work: Work, params: Params, ref: str) -> Json:
    """POST /v1/payment_intents/{id}/cancel"""
    intent = work.need("payment_intent", ref)
    if intent["status"] in ("succeeded", "canceled", "processing"):
        raise unexpected(intent)
    return give_up(work, intent, params.text("cancellation_reason"))


def give_up(work: Work, intent: Json, reason: str | None) -> Json:
    """Cancel an intent that waits."""
    intent |= {
        "status": "canceled",
        "canceled_at": work.now,
        "cancellation_reason": reason,
        "next_action": None,
        "amount_capturable": 0,
    }
    work.save(intent)
    work.tell("payment_intent.canceled", intent)
    return intent


def capture(work: Work, params: Params, ref: str) -> Json:
    """POST /v1/payment_intents/{id}/capture"""
    intent = work.need("payment_intent", ref)
    if intent["status"] != "requires_capture":
        raise unexpected(intent)
    amount = params.whole("amount_to_capture", intent["amount_capturable"], least=1) or 0
    if amount > intent["amount_capturable"]:
        raise invalid("The amount to capture is larger than what is capturable.", param="amount_to_capture")
    charged = work.need("charge", intent["latest_charge"])
    charged |= {"captured": True, "amount_captured": amount}
    charged["balance_transaction"] = books.charged(work, charged | {"amount": amount}, at_once=False)
    work.save(charged)
    work.tell("charge.captured", charged, {"captured": False})
    intent |= {"status": "succeeded", "amount_received": amount, "amount_capturable": 0}
    work.save(intent)
    work.tell("payment_intent.succeeded", intent)
    return intent


def attempt(
    work: Work,
    intent: Json,
    *,
    is_off_session: bool,
    return_url: str | None = None,
    waits_off_session: bool = False,
) -> Decline | None:
    """Try to take an intent's money; the intent says how that went. Return why it was declined.

    waits_off_session: where the bank wants to ask a customer who is not there, wait for him instead of failing.
    """
    method = work.need("payment_method", intent["payment_method"])
    card = methods.card_of(method)
    if not _is_asked(card, method, is_off_session=is_off_session):
        return _charge(work, intent, method, card)
    if is_off_session and not waits_off_session:
        return _refuse(work, intent, method, AUTHENTICATION)
    page = f"{work.asked.base}/c/3ds/{intent['id']}/{intent['client_secret'].rpartition('_')[2]}"
    redirect = {"return_url": return_url, "url": page}
    intent |= {"status": "requires_action", "next_action": {"redirect_to_url": redirect, "type": "redirect_to_url"}}
    intent["_return_url"] = return_url
    work.save(intent)
    work.tell("payment_intent.requires_action", intent)
    return None


def authenticated(work: Work, intent: Json, *, passed: bool) -> Decline | None:
    """Go on after the bank has asked the customer. passed: whether he proved himself."""
    intent["next_action"] = None
    method = work.need("payment_method", intent["payment_method"])
    if passed:
        return _charge(work, intent, method, methods.card_of(method))
    failure = Decline(
        "payment_intent_authentication_failure",
        None,
        "We are unable to authenticate your payment method. Please choose a different payment method and try again.",
    )
    _wait_for_another(work, intent, method, failure, None)
    return failure


def settle(work: Work, intent: Json) -> bool:
    """Let a bank debit arrive or fail, as its test account says. Return whether it arrived."""
    charged = work.need("charge", intent["latest_charge"])
    method = work.need("payment_method", intent["payment_method"])
    card = methods.card_of(method)
    if card.settles:
        _succeed(work, intent, charged, method, card)
        return True
    failure = Decline(
        "payment_method_provider_decline", "insufficient_funds", "The bank account has insufficient funds."
    )
    charged |= {"status": "failed", "paid": False, "failure_code": failure.code, "failure_message": failure.message}
    work.save(charged)
    work.tell("charge.failed", charged)
    _wait_for_another(work, intent, method, failure, charged)
    return False


def declined(intent: Json, decline: Decline) -> Refusal:
    """Return the card error of an attempt; what it did stays."""
    told = {"decline_code": decline.decline_code} if decline.decline_code else {}
    error = intent["last_payment_error"] or {}
    told |= {name: error[name] for name in ("charge", "payment_method") if error.get(name)}
    return Refusal(
        402, "card_error", decline.message, code=decline.code, keeps=True, **told, payment_intent=shown(intent)
    )


def unexpected(intent: Json) -> Refusal:
    """Return the refusal of what an intent's state does not allow."""
    return invalid(
        f"This PaymentIntent's status is {intent['status']}, which does not allow this.",
        code="payment_intent_unexpected_state",
        payment_intent=shown(intent),
    )


def _fill(work: Work, intent: Json, params: Params) -> None:
    for name in ("customer", "payment_method"):
        ref = params.text(name)
        if ref:
            found = (
                methods.named(work, ref, param=name) if name == "payment_method" else work.need(name, ref, param=name)
            )
            intent[name] = found["id"]
    data = params.child("payment_method_data")
    if data:
        kind = data.need("type", among=("card", "sepa_debit"))
        intent["payment_method"] = work.save(methods.of_details(work, data, kind))["id"]
    if intent["payment_method"] and intent["status"] == "requires_payment_method":
        intent["status"] = "requires_confirmation"
    for name in ("description", "receipt_email", "setup_future_usage", "capture_method", "statement_descriptor"):
        if params.has(name):
            intent[name] = params.text(name, intent[name])
    if params.has("metadata"):
        intent["metadata"] = merged(intent["metadata"], params.mapping("metadata"))
    if params.has("payment_method_types"):
        intent["payment_method_types"] = params.texts("payment_method_types")
    automatic = params.child("automatic_payment_methods")
    if automatic:
        redirects = automatic.text("allow_redirects", "always", among=("always", "never"))
        intent["automatic_payment_methods"] = {"allow_redirects": redirects, "enabled": automatic.flag("enabled")}
    params.accept("shipping", "statement_descriptor_suffix", "payment_method_options", "transfer_group")
    params.accept("confirm", "off_session", "return_url")


def _is_asked(card: TestCard, method: Json, *, is_off_session: bool) -> bool:
    if card.challenge == "unless_set_up":
        return not (is_off_session and method["_is_set_up"])
    return card.challenge == "always" or (card.challenge == "on_session" and not is_off_session)


def _charge(work: Work, intent: Json, method: Json, card: TestCard) -> Decline | None:
    if card.decline:
        return _refuse(work, intent, method, card.decline)
    charged = shapes.charge(work.now, intent, method, work.asked.base)
    if not card.is_bank:
        _succeed(work, intent, charged, method, card)
        return None
    charged |= {"status": "pending", "captured": True, "amount_captured": charged["amount"]}
    work.save(charged)
    intent |= {"status": "processing", "latest_charge": charged["id"], "next_action": None, "last_payment_error": None}
    work.save(intent)
    work.tell("charge.pending", charged)
    work.tell("payment_intent.processing", intent)
    work.later(work.now + (card.settles_after_s or BANK_DAYS_S), "payment.settle", intent["id"])
    return None


def _succeed(work: Work, intent: Json, charged: Json, method: Json, card: TestCard) -> None:
    is_held = intent["capture_method"] == "manual" and not card.is_bank
    charged |= {
        "status": "succeeded",
        "paid": True,
        "captured": not is_held,
        "amount_captured": 0 if is_held else charged["amount"],
        "outcome": _outcome(None),
    }
    if not is_held:
        charged["balance_transaction"] = books.charged(work, charged, at_once=card.is_available_at_once)
    work.save(charged)
    intent |= {
        "status": "requires_capture" if is_held else "succeeded",
        "latest_charge": charged["id"],
        "amount_received": 0 if is_held else intent["amount"],
        "amount_capturable": intent["amount"] if is_held else 0,
        "next_action": None,
        "last_payment_error": None,
        "processing": None,
    }
    if intent["setup_future_usage"] and intent["customer"]:
        method["_is_set_up"] = True
        methods.attach_to(work, method, work.need("customer", intent["customer"]))
        work.save(method)
    work.save(intent)
    work.tell("charge.succeeded", charged)
    work.tell("payment_intent.amount_capturable_updated" if is_held else "payment_intent.succeeded", intent)
    if card.dispute:
        work.later(work.now + DISPUTED_AFTER_S, "dispute.open", charged["id"])


def _refuse(work: Work, intent: Json, method: Json, decline: Decline) -> Decline:
    charged = shapes.charge(work.now, intent, method, work.asked.base)
    charged |= {
        "failure_code": decline.code,
        "failure_message": decline.message,
        "outcome": _outcome(decline),
    }
    work.save(charged)
    work.tell("charge.failed", charged)
    _wait_for_another(work, intent, method, decline, charged)
    return decline


def _wait_for_another(work: Work, intent: Json, method: Json, decline: Decline, charged: Json | None) -> None:
    error: Json = {
        "code": decline.code,
        "message": decline.message,
        "type": "card_error",
        "payment_method": shown(method),
    }
    if decline.decline_code:
        error["decline_code"] = decline.decline_code
    if charged:
        error["charge"] = charged["id"]
        intent["latest_charge"] = charged["id"]
    intent |= {
        "status": "requires_payment_method",
        "last_payment_error": error,
        "payment_method": None,
        "next_action": None,
        "processing": None,
    }
    work.save(intent)
    work.tell("payment_intent.payment_failed", intent)


def _outcome(decline: Decline | None) -> Json:
    return {
        "advice_code": None,
        "network_advice_code": None,
        "network_decline_code": None,
        "network_status": "declined_by_network" if decline else "approved_by_network",
        "reason": (decline.decline_code or decline.code) if decline else None,
        "risk_level": "normal",
        "risk_score": 12,
        "seller_message": "The bank did not return any further details with this decline."
        if decline
        else "Payment complete.",
        "type": "issuer_declined" if decline else "authorized",
    }
