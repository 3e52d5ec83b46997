"""What happens when somebody presses the button on the hosted page."""

from dataclasses import dataclass

from bursar.money.gateways.fields import Json
from bursar.sandbox import checkouts, invoices, methods, payments, subscribing, subscriptions
from bursar.sandbox.forms import Params
from bursar.sandbox.refusals import Refusal
from bursar.sandbox.work import Work


@dataclass(frozen=True, slots=True)
class Tried:
    """go_to: where the browser goes next. problem: why it did not work, for the customer."""

    go_to: str | None = None
    problem: str | None = None


def buy(work: Work, session: Json, form: dict[str, str]) -> Tried:
    """Try to pay for a session, or to save a method through it, with what somebody typed."""
    if session["status"] == "complete":
        return Tried(go_to=checkouts.landing(session))
    try:
        method = _method_of(work, session, form)
        waiting = _MODES[session["mode"]](work, session, method)
    except Refusal as refusal:
        return Tried(problem=refusal.message)
    if isinstance(waiting, str):
        return Tried(problem=waiting)
    if waiting["status"] == "requires_action":
        return Tried(go_to=waiting["next_action"]["redirect_to_url"]["url"])
    return Tried(go_to=checkouts.landing(session))


def saved_methods(work: Work, session: Json) -> list[Json]:
    """Return the methods that the session's customer may use again."""
    if not session["customer"]:
        return []
    wanted = session["payment_method_types"]
    return [method for method in work.all("payment_method", customer=session["customer"]) if method["type"] in wanted]


def challenged(work: Work, ref: str) -> Json | None:
    """Return the payment or setup whose customer the bank asks."""
    return work.find("payment_intent", ref) or work.find("setup_intent", ref)


def answer_challenge(work: Work, intent: Json, *, passed: bool) -> None:
    """Say how the customer answered his bank."""
    if intent["object"] == "setup_intent":
        methods.authenticated(work, intent, passed=passed)
    else:
        payments.authenticated(work, intent, passed=passed)


def _pay(work: Work, session: Json, method: Json) -> Json | str:
    decline = checkouts.pay(work, session, method)
    return decline.message if decline else work.need("payment_intent", session["_payment"])


def _set_up(work: Work, session: Json, method: Json) -> Json | str:
    return checkouts.set_up(work, session, method)


def _subscribe(work: Work, session: Json, method: Json) -> Json | str:
    """Begin the subscription, or pay the first invoice of the one that was begun."""
    customer = work.need("customer", session["customer"])
    methods.attach_to(work, method, customer)
    begun = work.find("subscription", session.get("_begun") or "")
    if begun is None:
        begun = subscribing.subscribed(work, session, method)
        session["_begun"] = begun["id"]
        work.save(session)
    elif begun["status"] == "incomplete":
        begun["default_payment_method"] = method["id"]
        work.save(begun)
        bill = work.need("invoice", begun["latest_invoice"])
        invoices.collect(work, bill, method=method["id"], is_off_session=False)
        subscriptions.invoice_outcome(work, begun, bill)
    bill = work.need("invoice", begun["latest_invoice"])
    intent = work.find("payment_intent", bill.get("_intent") or "")
    if intent is None:
        _subscribed(work, session, begun)
        return {"status": "succeeded"}
    work.save(intent | {"_subscribes": session["id"], "_return_url": checkouts.back(session, work.asked.base)})
    subscription_outcome(work, intent | {"_subscribes": session["id"]})
    error = intent["last_payment_error"]
    return str(error["message"]) if error else intent


def subscription_outcome(work: Work, intent: Json) -> None:
    """Complete the session whose subscription a payment has begun."""
    session = work.find("checkout.session", intent.get("_subscribes") or "")
    if session and session["status"] == "open" and intent["status"] in ("succeeded", "processing"):
        _subscribed(
            work, session, work.need("subscription", session["_begun"]), is_paid=intent["status"] == "succeeded"
        )


def _subscribed(work: Work, session: Json, begun: Json, *, is_paid: bool = True) -> None:
    session |= {"subscription": begun["id"], "invoice": begun["latest_invoice"]}
    has_trial = begun["status"] == "trialing" and not session["amount_total"]
    status = "no_payment_required" if has_trial else "paid" if is_paid else "unpaid"
    checkouts.complete(work, session, payment_status=status)


_MODES = {"payment": _pay, "setup": _set_up, "subscription": _subscribe}


def _method_of(work: Work, session: Json, form: dict[str, str]) -> Json:
    """Return what somebody pays with, and note who he is. Raises Refusal, for the customer."""
    email = (session["customer_email"] or form.get("email") or "").strip()[
        :320
    ] or None  # as at Stripe: given, it stays
    if session["customer"]:
        email = (session["customer_details"] or {}).get("email") or email
    if email is None:
        raise Refusal(400, "invalid_request_error", "Enter your email address.")
    method = _typed(work, session, form)
    name = form.get("name", "").strip()[:200] or None
    method["billing_details"] |= {"email": email, "name": name}
    work.save(method)
    checkouts.buyer_of(work, session, email=email, name=name)
    work.save(session)
    return method


def _typed(work: Work, session: Json, form: dict[str, str]) -> Json:
    chosen = form.get("method", "card")
    for saved in saved_methods(work, session):
        if saved["id"] == chosen:
            return saved
    if chosen == "sepa_debit" and "sepa_debit" in session["payment_method_types"]:
        return methods.of_account(work, form.get("iban", ""))
    month, _, year = form.get("expiry", "").replace(" ", "").partition("/")
    card = {"number": form.get("number", ""), "exp_month": month, "exp_year": year}
    if not card["number"].strip():
        raise Refusal(400, "invalid_request_error", "Enter a card number.")
    if not (month.isdecimal() and year.isdecimal()):
        raise Refusal(400, "invalid_request_error", "Enter the expiry as MM / YY.")
    if not form.get("cvc", "").isdecimal():
        raise Refusal(400, "invalid_request_error", "Enter the card's security code.")
    return methods.of_details(work, Params({"card": card}), "card")
