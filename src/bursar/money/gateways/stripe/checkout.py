"""The customer's side: checkout sessions, customers, and the ways to pay that they saved.

Sources: Stripe API reference, "Checkout Session" (2019 to 2026), "Customer", "PaymentMethod", "SetupIntent".
"""

from typing import Final

from bursar.money.gateways.facts import (
    AnyFact,
    CustomerFact,
    Line,
    PaymentMethodFact,
    SessionFact,
    SessionPayment,
    SessionStatus,
)
from bursar.money.gateways.fields import (
    Json,
    child,
    children,
    claim_of,
    currency,
    email,
    instant,
    is_cut,
    is_true,
    ref,
    ref_of,
    text,
)
from bursar.money.gateways.port import FieldMissing
from bursar.money.gateways.stripe.billing import bought_line
from bursar.money.gateways.stripe.payments import OBJECT
from bursar.money.gateways.stripe.units import minor_or_none

_STATUS: Final = {
    "checkout.session.completed": SessionStatus.complete,
    "checkout.session.async_payment_succeeded": SessionStatus.complete,
    "checkout.session.async_payment_failed": SessionStatus.complete,
    "checkout.session.expired": SessionStatus.expired,
}
_TOLD: Final = {status.value: status for status in SessionStatus}
_PROVEN_PAYMENT: Final = {
    "checkout.session.async_payment_succeeded": SessionPayment.paid,
    "checkout.session.async_payment_failed": SessionPayment.failed,
}
_PAYMENT: Final = {status.value: status for status in SessionPayment}
_MODES: Final = ("payment", "subscription", "setup")
_MONTHS: Final = range(1, 13)
_YEARS: Final = range(2000, 2200)


def session_facts(kind: str, session: Json) -> tuple[AnyFact, ...]:
    """Read a checkout session. It names what it bought only by reference, unless its lines are expanded."""
    mode = _mode_of(session)
    listed = "line_items" if session.get("line_items") is not None else "display_items"
    told = children(session, listed)
    code = _currency_of(session, told)
    lines = tuple(bought_line(line, code, f"{OBJECT}.{listed}.data[{i}]") for i, line in enumerate(told))
    total = minor_or_none(session, "amount_total", code, OBJECT) if code else None
    return (
        SessionFact(
            ref=ref(session, "id", OBJECT),
            status=_session_status(kind, session),
            payment_status=_payment_status(kind, session, mode),
            mode=mode,
            amount_minor=_sum_of(lines) if total is None and listed == "display_items" else total,
            currency=code,
            customer=ref_of(session.get("customer")),
            email=email(child(session, "customer_details").get("email")) or email(session.get("customer_email")),
            payment=ref_of(session.get("payment_intent")),
            invoice=ref_of(session.get("invoice")),
            subscription=ref_of(session.get("subscription")),
            claim=claim_of(session.get("metadata"), reference=session.get("client_reference_id")),
            lines=lines,
            has_more_lines=is_cut(session, listed),
            expires_at=instant(session.get("expires_at")),
            created_at=instant(session.get("created")),
        ),
    )


def customer_facts(kind: str, customer: Json) -> tuple[AnyFact, ...]:
    """Read a customer."""
    return (
        CustomerFact(
            ref=ref(customer, "id", OBJECT),
            email=email(customer.get("email")),
            name=text(customer.get("name")),
            phone=text(customer.get("phone")),
            is_deleted=kind == "customer.deleted" or is_true(customer, "deleted"),
            created_at=instant(customer.get("created")),
            default_method=ref_of(child(customer, "invoice_settings").get("default_payment_method")),
        ),
    )


def payment_method_facts(kind: str, method: Json) -> tuple[AnyFact, ...]:
    """Read a saved way to pay."""
    name = text(method.get("type")) or ("card" if child(method, "card") else "unknown")
    details = child(method, name)
    return (
        PaymentMethodFact(
            ref=ref(method, "id", OBJECT),
            method=name,
            customer=ref_of(method.get("customer")),
            brand=text(details.get("brand")) or text(details.get("bank_name")),
            last4=text(details.get("last4")),
            exp_month=_within(details.get("exp_month"), _MONTHS),
            exp_year=_within(details.get("exp_year"), _YEARS),
            is_detached=kind == "payment_method.detached",
            created_at=instant(method.get("created")),
        ),
    )


def setup_facts(kind: str, setup: Json) -> tuple[AnyFact, ...]:
    """Read the payment method that a setup intent saved, where the event carries it whole."""
    method = child(setup, "payment_method")
    if kind != "setup_intent.succeeded" or not method:
        return ()
    owner = {"customer": method.get("customer") or setup.get("customer")}
    return payment_method_facts(kind, method | owner)


def _session_status(kind: str, session: Json) -> SessionStatus:
    status = _STATUS.get(kind) or _TOLD.get(str(session.get("status")))
    if status is None:
        raise FieldMissing(f"{OBJECT}.status", "open, complete or expired")
    return status


def _currency_of(session: Json, lines: list[Json]) -> str | None:
    """Return a session's currency; before 2020 only what it displayed told it."""
    telling = next((holder for holder in (session, *lines) if holder.get("currency") is not None), None)
    return None if telling is None else currency(telling, "currency", OBJECT)


def _sum_of(lines: tuple[Line, ...]) -> int | None:
    """Return what displayed lines come to: their amounts are those of one piece."""
    amounts = [line.amount_minor * line.quantity for line in lines if line.amount_minor is not None]
    return sum(amounts) if amounts and len(amounts) == len(lines) else None


def _mode_of(session: Json) -> str:
    mode = session.get("mode")
    if mode in _MODES:
        return str(mode)
    if mode is not None:
        raise FieldMissing(f"{OBJECT}.mode", "payment, subscription or setup")
    if session.get("subscription") is not None:
        return "subscription"
    return "setup" if session.get("setup_intent") is not None else "payment"


def _payment_status(kind: str, session: Json, mode: str) -> SessionPayment:
    proven = _PROVEN_PAYMENT.get(kind)
    if proven is not None:
        return proven
    told = session.get("payment_status")
    if isinstance(told, str) and told in _PAYMENT:
        return _PAYMENT[told]
    if told is not None:
        raise FieldMissing(f"{OBJECT}.payment_status", "paid, unpaid or no_payment_required")
    if kind == "checkout.session.expired":
        return SessionPayment.unpaid
    # Before June 2020 a session had no payment status and was completed only when it was paid for.
    return SessionPayment.no_payment_required if mode == "setup" else SessionPayment.paid


def _within(value: object, allowed: range) -> int | None:
    return value if type(value) is int and value in allowed else None
