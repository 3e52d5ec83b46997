"""What a change of a subscription would cost: Stripe's preview of an invoice, in our own words. Pure."""

from typing import cast

from bursar.money.gateways.calling import Json, OutcomeUnknown, Preview, PreviewLine
from bursar.money.gateways.calls import PreviewSubscriptionChange, Proration
from bursar.money.gateways.facts import InvoiceFact
from bursar.money.gateways.port import FieldMissing
from bursar.money.gateways.stripe.billing import invoice_facts
from bursar.money.gateways.stripe.units import minor_or_none

_NAMELESS = "preview"
_AT = "preview"


def preview_of(invoice: Json, call: PreviewSubscriptionChange) -> Preview:
    """Return a preview. Raises OutcomeUnknown for what is not one: nothing was changed by asking."""
    told = {"id": _NAMELESS, "status": "draft"} | {name: value for name, value in invoice.items() if value is not None}
    try:
        fact = cast("InvoiceFact", invoice_facts("", told)[0])
        due = minor_or_none(invoice, "amount_due", fact.currency, _AT)
        subtotal = minor_or_none(invoice, "subtotal", fact.currency, _AT)
    except FieldMissing as missing:
        raise OutcomeUnknown(f"the preview cannot be read: {missing}") from None
    lines = tuple(
        PreviewLine(
            amount_minor=line.amount_minor or 0,
            description=line.description,
            is_proration=line.is_proration,
            price=line.prices[0] if line.prices else None,
            quantity=line.quantity,
            period_start=line.period_start,
            period_end=line.period_end,
        )
        for line in fact.lines
    )
    is_now = call.proration is Proration.bill_now
    return Preview(
        currency=fact.currency,
        due_now_minor=(fact.total_minor if due is None else due) if is_now else 0,
        total_minor=fact.total_minor,
        tax_minor=None if subtotal is None else fact.total_minor - subtotal,
        lines=lines,
        proration_at=call.proration_at,
    )
