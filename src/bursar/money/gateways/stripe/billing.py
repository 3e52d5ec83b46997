"""Invoices and subscriptions, in the layouts of 2011 to 2026.

What moved, and where we look, newest layout first:
- an invoice's subscription: `parent.subscription_details.subscription` (2025), `subscription`;
- an invoice's payment: `payments.data[].payment` (2025), `payment_intent` and `charge`;
- a line's price: `pricing.price_details.price` (2025), `price`, `plan`; then the product, the weakest name;
- a line's subscription and proration: `parent.*_details` (2025), `subscription`, the line's own id (a line of
  type `subscription` was named by it until 2018), `proration`;
- the lines: a list in an envelope; before 2013 three lists by kind, of an invoice that told no currency of its own;
- a subscription's period: on its items (2025), on itself. With several items the first one counts: Stripe
  keeps one billing date for all unless told otherwise;
- a subscription before 2014 had no id, and a customer at most one: it is named by its customer.

Source: Stripe changelog 2025-03-31 "basil"; 2018-11-08 (invoice status); 2013-02-11 (invoice lines); API reference, "Invoice", "Subscription".
"""

from datetime import datetime
from typing import Final

from bursar.money.gateways.facts import (
    AnyFact,
    Claim,
    InvoiceFact,
    InvoicePaymentFact,
    InvoiceStatus,
    Line,
    SubscriptionFact,
    SubscriptionStatus,
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
    period,
    quantity,
    ref,
    ref_of,
    text,
)
from bursar.money.gateways.port import FieldMissing
from bursar.money.gateways.stripe.payments import OBJECT
from bursar.money.gateways.stripe.units import minor_or_none

_PROVEN_INVOICE: Final = {
    "invoice.paid": InvoiceStatus.paid,
    "invoice.payment_succeeded": InvoiceStatus.paid,
    "invoice.voided": InvoiceStatus.void,
    "invoice.deleted": InvoiceStatus.void,
    "invoice.marked_uncollectible": InvoiceStatus.uncollectible,
}
_FINALIZED: Final = frozenset(
    {
        "invoice.finalized",
        "invoice.sent",
        "invoice.overdue",
        "invoice.will_be_due",
        "invoice.payment_failed",
        "invoice.payment_action_required",
        "invoice.payment_attempt_required",
    }
)
"""Events that only a finalized invoice has: an object that still says draft lags behind."""

_INVOICE: Final = {status.value: status for status in InvoiceStatus}
_SUBSCRIPTION: Final = {status.value: status for status in SubscriptionStatus} | {
    "incomplete_expired": SubscriptionStatus.canceled
}
_PROVEN_SUBSCRIPTION: Final = {
    "customer.subscription.deleted": SubscriptionStatus.canceled,
    "customer.subscription.paused": SubscriptionStatus.paused,
}


def invoice_facts(kind: str, invoice: Json) -> tuple[AnyFact, ...]:
    """Read an invoice with its lines and the payments that belong to it."""
    lines = _lines_of(invoice)
    code = _currency_of(invoice, [line for _, line in lines])
    status = _invoice_status(kind, invoice)
    due = minor_or_none(invoice, "amount_due", code, OBJECT)
    paid = minor_or_none(invoice, "amount_paid", code, OBJECT)
    told = (minor_or_none(invoice, "total", code, OBJECT), due, paid)
    total = next((amount for amount in told if amount is not None), None)
    if total is None:
        raise FieldMissing(f"{OBJECT}.total", "a whole number of minor units")
    if status is InvoiceStatus.paid and not paid:
        paid = due
    payments, charge = _payments_of(invoice)
    start, end = period(instant(invoice.get("period_start")), instant(invoice.get("period_end")))
    return (
        InvoiceFact(
            ref=ref(invoice, "id", OBJECT),
            status=status,
            total_minor=total,
            paid_minor=paid or 0,
            currency=code,
            customer=ref_of(invoice.get("customer")),
            email=email(invoice.get("customer_email")),
            subscription=_subscription_of(invoice),
            payments=payments,
            charge=charge,
            number=text(invoice.get("number")),
            claim=_invoice_claim(invoice),
            lines=tuple(_line(item, code, at) for at, item in lines),
            has_more_lines=is_cut(invoice, "lines"),
            billing_reason=text(invoice.get("billing_reason")),
            period_start=start,
            period_end=end,
            due_at=instant(invoice.get("due_date")),
            paid_at=instant(child(invoice, "status_transitions").get("paid_at")),
            created_at=instant(invoice.get("created")) or instant(invoice.get("date")),
        ),
    )


def invoice_payment_facts(_kind: str, link: Json) -> tuple[AnyFact, ...]:
    """Read the link between an invoice and the payment that settles it."""
    payment = child(link, "payment")
    return (
        InvoicePaymentFact(
            ref=ref(link, "id", OBJECT),
            invoice=ref(link, "invoice", OBJECT),
            payment=ref_of(payment.get("payment_intent")),
            charge=ref_of(payment.get("charge")),
        ),
    )


def subscription_facts(kind: str, subscription: Json) -> tuple[AnyFact, ...]:
    """Read a subscription with its items."""
    status = _subscription_status(kind, subscription)
    items = children(subscription, "items") or ([subscription] if _prices_of(subscription) else [])
    start, end = _period_of(subscription, items)
    canceled_at = instant(subscription.get("canceled_at"))
    ended_at = instant(subscription.get("ended_at"))
    if subscription.get("status") == "incomplete_expired":
        ended_at = ended_at or canceled_at
    cancel_at = instant(subscription.get("cancel_at"))
    return (
        SubscriptionFact(
            ref=_name_of(subscription),
            status=status,
            customer=ref_of(subscription.get("customer")),
            claim=claim_of(subscription.get("metadata")),
            lines=tuple(_item(item, f"{OBJECT}.items.data[{i}]") for i, item in enumerate(items)),
            has_more_lines=is_cut(subscription, "items"),
            current_period_start=start,
            current_period_end=end,
            is_ending=is_true(subscription, "cancel_at_period_end") or _ends_with(cancel_at, end),
            cancel_at=cancel_at,
            canceled_at=canceled_at,
            ended_at=ended_at,
            trial_end=instant(subscription.get("trial_end")),
            created_at=instant(subscription.get("created")) or instant(subscription.get("start")),
            default_method=ref_of(subscription.get("default_payment_method")),
        ),
    )


def bought_line(item: Json, code: str | None, at: str) -> Line:
    """Return a line of a checkout: `line_items` when expanded, `display_items` in the layout of 2019."""
    amount = None
    if code is not None:
        amount = minor_or_none(item, "amount_total", code, at)
        amount = minor_or_none(item, "amount", code, at) if amount is None else amount
    return Line(
        ref=ref_of(item),
        prices=_prices_of(item),
        quantity=quantity(item, "quantity", at),
        amount_minor=amount,
        description=text(item.get("description")),
    )


def _invoice_status(kind: str, invoice: Json) -> InvoiceStatus:
    proven = _PROVEN_INVOICE.get(kind)
    if proven is not None:
        return proven
    told = invoice.get("status")
    status = _INVOICE.get(told) if isinstance(told, str) else _derived_status(invoice) if told is None else None
    if status is None:
        raise FieldMissing(f"{OBJECT}.status", "a status of an invoice")
    if status is InvoiceStatus.draft and kind in _FINALIZED:
        return InvoiceStatus.open
    return status


def _derived_status(invoice: Json) -> InvoiceStatus:
    """Return what `paid`, `forgiven`, `closed` and `attempted` meant before an invoice had a status (2018-11-08)."""
    if is_true(invoice, "paid"):
        return InvoiceStatus.paid
    if is_true(invoice, "forgiven"):
        return InvoiceStatus.uncollectible
    if is_true(invoice, "closed") or is_true(invoice, "attempted"):
        return InvoiceStatus.open
    return InvoiceStatus.draft


def _payments_of(invoice: Json) -> tuple[tuple[str, ...], str | None]:
    """Return the payments that belong to an invoice, and the old layout's charge. Canceled ones do not count."""
    payments: list[str] = []
    charge = ref_of(invoice.get("charge"))
    first = ref_of(invoice.get("payment_intent"))
    if first:
        payments.append(first)
    for link in children(invoice, "payments"):
        if link.get("status") == "canceled":
            continue
        payment = child(link, "payment")
        name = ref_of(payment.get("payment_intent"))
        if name and name not in payments:
            payments.append(name)
        charge = charge or ref_of(payment.get("charge"))
    return tuple(payments), charge


def _lines_of(invoice: Json) -> list[tuple[str, Json]]:
    """Return the lines, each with where it stands. Before 2013 they came as three lists, by what they were."""
    listed = children(invoice, "lines")
    if listed:
        return [(f"{OBJECT}.lines.data[{i}]", line) for i, line in enumerate(listed)]
    lists = child(invoice, "lines")
    only = _only_subscription_of(invoice)
    kinds: tuple[tuple[str, Json], ...] = (
        ("subscriptions", {"subscription": only} if only else {}),
        ("prorations", {"proration": True}),
        ("invoiceitems", {}),
    )
    return [
        (f"{OBJECT}.lines.{kind}[{i}]", meant | line)
        for kind, meant in kinds
        for i, line in enumerate(children(lists, kind))
    ]


def _currency_of(invoice: Json, lines: list[Json]) -> str:
    """Return an invoice's currency; before 2013 only its lines told it."""
    telling = [invoice, *lines, *(child(line, "plan") for line in lines)]
    return currency(next((told for told in telling if told.get("currency") is not None), invoice), "currency", OBJECT)


def _name_of(subscription: Json) -> str:
    only = _only_subscription_of(subscription) if subscription.get("id") is None else None
    return only or ref(subscription, "id", OBJECT)


def _only_subscription_of(holder: Json) -> str | None:
    """Return the name of the one subscription that a customer had before subscriptions had ids (2014)."""
    customer = ref_of(holder.get("customer"))
    return f"subscription:{customer}" if customer else None


def _ends_with(cancel_at: datetime | None, period_end: datetime | None) -> bool:
    """Tell whether a set day of ending falls into the period that runs; a later one lets it renew first."""
    return cancel_at is not None and (period_end is None or cancel_at <= period_end)


def _subscription_details(invoice: Json) -> Json:
    return child(child(invoice, "parent"), "subscription_details") or child(invoice, "subscription_details")


def _subscription_of(invoice: Json) -> str | None:
    return ref_of(_subscription_details(invoice).get("subscription")) or ref_of(invoice.get("subscription"))


def _invoice_claim(invoice: Json) -> Claim:
    """Return the invoice's own claim, else that of its subscription, as it was when the invoice was made."""
    own = claim_of(invoice.get("metadata"))
    return own if own != Claim() else claim_of(_subscription_details(invoice).get("metadata"))


def _line(line: Json, code: str, at: str) -> Line:
    parent = child(line, "parent")
    details = child(parent, "subscription_item_details") if parent.get("type") != "invoice_item_details" else {}
    details = details or child(parent, "invoice_item_details")
    told = child(line, "period")
    start, end = period(instant(told.get("start")), instant(told.get("end")))
    return Line(
        ref=ref_of(line),
        prices=_prices_of(line),
        quantity=quantity(line, "quantity", at),
        amount_minor=minor_or_none(line, "amount", code, at),
        is_proration=is_true(line, "proration") or is_true(details, "proration"),
        subscription=ref_of(line.get("subscription")) or ref_of(details.get("subscription")) or _named_by(line),
        period_start=start,
        period_end=end,
        description=text(line.get("description")),
    )


def _named_by(line: Json) -> str | None:
    name = ref_of(line) if line.get("type") == "subscription" else None
    return name if name and name.startswith(("sub_", "su_")) else None


def _item(item: Json, at: str) -> Line:
    start, end = _told_period(item)
    return Line(
        ref=ref_of(item),
        prices=_prices_of(item),
        quantity=quantity(item, "quantity", at),
        period_start=start,
        period_end=end,
    )


def _prices_of(item: Json) -> tuple[str, ...]:
    """Return every id that may name what a line sells, surest first: price, plan, product."""
    details = child(child(item, "pricing"), "price_details")
    named = (
        ref_of(details.get("price")),
        ref_of(item.get("price")),
        ref_of(item.get("plan")),
        ref_of(item.get("sku")),
        ref_of(details.get("product")),
        ref_of(child(item, "price").get("product")),
        ref_of(child(item, "plan").get("product")),
    )
    return tuple(dict.fromkeys(name for name in named if name))


def _subscription_status(kind: str, subscription: Json) -> SubscriptionStatus:
    proven = _PROVEN_SUBSCRIPTION.get(kind)
    if proven is not None:
        return proven
    told = subscription.get("status")
    status = _SUBSCRIPTION.get(told) if isinstance(told, str) else None
    if status is None:
        raise FieldMissing(f"{OBJECT}.status", "a status of a subscription")
    if status is SubscriptionStatus.paused and kind == "customer.subscription.resumed":
        return SubscriptionStatus.active
    return status


def _period_of(subscription: Json, items: list[Json]) -> tuple[datetime | None, datetime | None]:
    for holder in (subscription, *items):
        start, end = _told_period(holder)
        if start is not None:
            return start, end
    return None, None


def _told_period(holder: Json) -> tuple[datetime | None, datetime | None]:
    return period(instant(holder.get("current_period_start")), instant(holder.get("current_period_end")))
