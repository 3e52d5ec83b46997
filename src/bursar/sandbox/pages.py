"""The pages that a customer sees at the gateway: the checkout, the bank's question, a receipt.

They work without JavaScript, and say on each of them that no money moves.
"""

import hmac
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from bursar.kernel.amounts import stripe_exponent
from bursar.money.gateways.fields import Json
from bursar.sandbox import buying, checkouts, consequences, subscriptions
from bursar.sandbox.cards import CARDS
from bursar.sandbox.forms import Params
from bursar.sandbox.gateway import Gateway
from bursar.sandbox.work import Asked, Work

HERE: Final = Path(__file__).parent / "templates"
SHEET: Final = "/c/page.css"
PORTAL_S: Final = 3_600
"""How long a link to a customer's page is good."""


@dataclass(frozen=True, slots=True)
class Page:
    """What a browser gets. go_to: where it goes instead. leads_to: other origins that a form of it may end at."""

    status: int = 200
    html: str = ""
    go_to: str | None = None
    leads_to: tuple[str, ...] = ()
    headers: dict[str, str] = field(default_factory=dict)


def page(gateway: Gateway, method: str, path: str, body: bytes, base: str) -> Page:
    """Return what a browser gets for an address below /c/ or /receipts/."""
    parts = path.strip("/").split("/")
    form = dict(parse_qsl(body.decode("utf-8", "replace"), max_num_fields=50)) if method == "POST" else {}
    if len(parts) == 3 and parts[:2] == ["c", "pay"]:  # noqa: PLR2004 - the path's own shape
        return _at(gateway, parts[2], base, lambda work: _checkout(work, parts[2], form, is_sent=method == "POST"))
    if len(parts) == 4 and parts[:2] == ["c", "3ds"]:  # noqa: PLR2004 - the path's own shape
        return _at(gateway, parts[2], base, lambda work: _challenge(work, parts[2], parts[3], form))
    if len(parts) == 2 and parts[0] == "receipts":  # noqa: PLR2004 - the path's own shape
        return _at(gateway, parts[1], base, lambda work: _receipt(work, parts[1]))
    if len(parts) == 4 and parts[:2] == ["p", "session"]:  # noqa: PLR2004 - the path's own shape
        return _at(gateway, parts[2], base, lambda work: _portal(work, parts[2], parts[3], form))
    return _nothing()


def failed() -> Page:
    """Return what a browser gets when the sandbox itself has failed."""
    return Page(500, _notice("Something went wrong", "It is written in the sandbox's log. Try again.", None))


def render(template: str, **views: Any) -> str:
    """Return a page."""
    return _environment().get_template(template).render(**views)


def amount(minor: int, currency: str) -> str:
    """Return an amount of Stripe's minor units as people write it."""
    digits = stripe_exponent(currency.upper())
    text = f"{abs(minor):0{digits + 1}d}"
    whole = f"{int(text[: len(text) - digits]):,}"
    return f"{'−' if minor < 0 else ''}{whole}{'.' + text[-digits:] if digits else ''} {currency.upper()}"


@cache
def sheet() -> bytes:
    """Return the style sheet."""
    return (HERE / "page.css").read_bytes()


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["amount"] = amount
    environment.globals["sheet"] = SHEET
    return environment


def _at(gateway: Gateway, ref: str, base: str, show: Any) -> Page:
    row = gateway.store.connection.execute("select account from object where id = ?", (ref,)).fetchone()
    if row is None:
        return _nothing()
    with gateway.store.transaction() as connection:
        shown: Page = show(Work(connection, row[0], gateway.clock.now(), Asked(base=base)))
    return shown


def _checkout(work: Work, ref: str, form: dict[str, str], *, is_sent: bool) -> Page:
    session = work.find("checkout.session", ref)
    if session is None:
        return _nothing()
    if session["status"] == "complete":
        return Page(303, go_to=checkouts.landing(session))
    if session["status"] == "expired":
        return Page(410, _notice("This checkout is over", "It was not used in time. Nothing was taken.", session))
    problem = None
    if is_sent:
        tried = buying.buy(work, session, form)
        if tried.go_to:
            return Page(303, go_to=tried.go_to)
        problem = tried.problem
    saved = buying.saved_methods(work, session)
    views = {
        "session": session,
        "lines": session["_lines"],
        "saved": saved,
        "problem": problem or _last_problem(work, session),
        "form": form,
        "chosen": form.get("method") or (saved[0]["id"] if saved else "card"),
        "email": session["customer_email"] or form.get("email") or _email(session),
        "cards": [card for card in CARDS if not card.is_bank],
        "accounts": [card for card in CARDS if card.is_bank],
        "trial_days": (session["_subscription"] or {}).get("trial_period_days"),
        "takes_debit": "sepa_debit" in session["payment_method_types"],
    }
    return Page(402 if problem else 200, render("checkout.html", **views), leads_to=_origins(work, session))


def _challenge(work: Work, ref: str, secret: str, form: dict[str, str]) -> Page:
    intent = buying.challenged(work, ref)
    if intent is None or not hmac.compare_digest(intent["client_secret"].rpartition("_")[2].encode(), secret.encode()):
        return _nothing()
    back = intent.get("_return_url")
    if intent["status"] == "requires_action":
        if form.get("answer") not in ("complete", "fail"):
            leads_to = _origin(back)
            session = work.find("checkout.session", intent.get("_session") or "")
            if session:
                leads_to += _origins(work, session)
            return Page(200, render("challenge.html", intent=intent), leads_to=leads_to)
        buying.answer_challenge(work, intent, passed=form["answer"] == "complete")
        consequences.follow(work, ref)
    if back:
        return Page(303, go_to=back)
    return Page(200, _notice("Thank you", "Your bank has your answer. You may close this page.", None))


def _portal(work: Work, ref: str, secret: str, form: dict[str, str]) -> Page:
    session = work.find("billing_portal.session", ref)
    if session is None or not hmac.compare_digest(session["_secret"].encode(), secret.encode()):
        return _nothing()
    if session["created"] < work.now - PORTAL_S:
        return Page(410, _notice("This link is over", "Ask for another one where you came from.", None))
    held = work.all("subscription", customer=session["customer"])
    chosen = next((one for one in held if one["id"] == form.get("subscription")), None)
    if chosen and chosen["status"] not in subscriptions.ENDED:
        ends = "true" if form.get("act") == "cancel" else "false"
        subscriptions.update(work, Params({"cancel_at_period_end": ends}), chosen["id"])
        return Page(303, go_to=session["url"])
    customer = work.need("customer", session["customer"])
    methods_ = work.all("payment_method", customer=session["customer"])
    views = {"session": session, "customer": customer, "held": held, "methods": methods_, "day": _day}
    return Page(200, render("portal.html", **views), leads_to=_origin(session["return_url"]))


def _day(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")


def _receipt(work: Work, ref: str) -> Page:
    charged = work.find("charge", ref)
    return Page(200, render("receipt.html", charge=charged)) if charged and charged["paid"] else _nothing()


def _last_problem(work: Work, session: Json) -> str | None:
    intent = work.find("payment_intent", session.get("_payment") or "")
    setup = work.find("setup_intent", session.get("_setup_ref") or "")
    error = (intent or {}).get("last_payment_error") or (setup or {}).get("last_setup_error")
    return error["message"] if error else None


def _email(session: Json) -> str:
    return (session["customer_details"] or {}).get("email") or session["customer_email"] or ""


def _origins(_work: Work, session: Json) -> tuple[str, ...]:
    return _origin(session["success_url"])


def _origin(url: str | None) -> tuple[str, ...]:
    parts = urlsplit(url or "")
    return (
        (f"{parts.scheme}://{parts.netloc}",) if parts.scheme in ("http", "https") and _is_plain(parts.netloc) else ()
    )


def _is_plain(netloc: str) -> bool:
    """Tell whether a host may stand in a policy: nothing that would end it or begin another rule."""
    return bool(netloc) and netloc.isascii() and not set(netloc) & set("; ,'\"\t\r\n")


def _notice(title: str, said: str, session: Json | None) -> str:
    return render("notice.html", title=title, said=said, back=(session or {}).get("cancel_url"))


def _nothing() -> Page:
    return Page(404, _notice("There is nothing here", "Check the address, or begin again where you came from.", None))
