"""Stripe's prices, subscriptions and invoices as the sandbox makes them, in both layouts."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from bursar.kernel.amounts import exponent, from_gateway, stripe_exponent
from bursar.money.gateways.fields import Json
from bursar.money.gateways.sandbox.objects import Buyer, listing


@dataclass(frozen=True, slots=True)
class SandboxPrice:
    """A price of the sandbox's business.

    ref: the gateway's id (`price_…`). lookup_key: what metadata `bursar_price` says. product: `prod_…`.
    amount_minor: ISO 4217 minor units. interval: `month`, `year`, or None for a single sale.
    """

    ref: str
    lookup_key: str
    product: str
    amount_minor: int
    currency: str
    interval: str | None = None

    @property
    def unit_amount(self) -> int:
        """Stripe's minor units of one piece. Raises NotRepresentable."""
        return _stripe_amount(self.amount_minor, self.currency)


@lru_cache(maxsize=1024)
def _stripe_amount(amount_minor: int, currency: str) -> int:
    return from_gateway(amount_minor, gateway_exponent=exponent(currency), iso_exponent=stripe_exponent(currency))


def price(sold: SandboxPrice) -> Json:
    recurring = {"interval": sold.interval, "interval_count": 1, "meter": None, "usage_type": "licensed"}
    return {
        "id": sold.ref,
        "object": "price",
        "active": True,
        "billing_scheme": "per_unit",
        "created": 1_700_000_000,
        "currency": sold.currency.lower(),
        "livemode": False,
        "lookup_key": sold.lookup_key,
        "metadata": {},
        "nickname": None,
        "product": sold.product,
        "recurring": recurring if sold.interval else None,
        "tax_behavior": "unspecified",
        "tiers_mode": None,
        "transform_quantity": None,
        "type": "recurring" if sold.interval else "one_time",
        "unit_amount": sold.unit_amount,
        "unit_amount_decimal": str(sold.unit_amount),
    }


def plan(sold: SandboxPrice) -> Json:
    return {
        "id": sold.ref,
        "object": "plan",
        "active": True,
        "amount": sold.unit_amount,
        "billing_scheme": "per_unit",
        "created": 1_700_000_000,
        "currency": sold.currency.lower(),
        "interval": sold.interval,
        "interval_count": 1,
        "livemode": False,
        "metadata": {},
        "product": sold.product,
        "usage_type": "licensed",
    }


def subscription(
    buyer: Buyer,
    sold: SandboxPrice,
    *,
    ref: str,
    item: str,
    created: int,
    status: str,
    start: int,
    end: int,
) -> Json:
    entry: Json = {
        "id": item,
        "object": "subscription_item",
        "created": created,
        "discounts": [],
        "metadata": {},
        "plan": plan(sold),
        "price": price(sold),
        "quantity": 1,
        "subscription": ref,
        "tax_rates": [],
    }
    made: Json = {
        "id": ref,
        "object": "subscription",
        "application": None,
        "automatic_tax": {"enabled": False, "liability": None},
        "billing_cycle_anchor": created,
        "cancel_at": None,
        "cancel_at_period_end": False,
        "canceled_at": None,
        "cancellation_details": {"comment": None, "feedback": None, "reason": None},
        "collection_method": "charge_automatically",
        "created": created,
        "currency": sold.currency.lower(),
        "customer": buyer.id,
        "default_payment_method": buyer.card,
        "description": None,
        "discounts": [],
        "ended_at": None,
        "items": listing([entry], f"/v1/subscription_items?subscription={ref}"),
        "latest_invoice": None,
        "livemode": False,
        "metadata": {},
        "pause_collection": None,
        "pending_setup_intent": None,
        "pending_update": None,
        "schedule": None,
        "start_date": created,
        "status": status,
        "trial_end": None,
        "trial_start": None,
    }
    if buyer.is_old:
        made |= {"plan": entry["plan"], "quantity": 1}
    set_period(buyer, made, start=start, end=end)
    return made


def set_period(buyer: Buyer, subscribed: Json, *, start: int, end: int) -> None:
    """Move a subscription to a period: on itself in the old layout, on its item in today's."""
    holder = subscribed if buyer.is_old else subscribed["items"]["data"][0]
    holder |= {"current_period_start": start, "current_period_end": end}


_INVOICE: Final[Json] = {
    "account_country": "GB",
    "account_name": "Bursar sandbox",
    "amount_overpaid": 0,
    "automatic_tax": {"enabled": False, "liability": None, "status": None},
    "collection_method": "charge_automatically",
    "customer_address": None,
    "customer_tax_exempt": "none",
    "default_payment_method": None,
    "description": None,
    "discounts": [],
    "due_date": None,
    "ending_balance": None,
    "hosted_invoice_url": None,
    "invoice_pdf": None,
    "livemode": False,
    "starting_balance": 0,
}
"""What every invoice of the sandbox has in common."""


def invoice(
    buyer: Buyer,
    sold: SandboxPrice,
    *,
    ref: str,
    line: str,
    subscription: str,
    created: int,
    amount: int,
    period: tuple[int, int],
    reason: str,
) -> Json:
    """A draft invoice of one subscription line. reason: `subscription_create` or `subscription_cycle`."""
    made: Json = _INVOICE | {
        "id": ref,
        "object": "invoice",
        "amount_due": amount,
        "amount_paid": 0,
        "amount_remaining": amount,
        "attempt_count": 0,
        "attempted": False,
        "auto_advance": True,
        "billing_reason": reason,
        "created": created,
        "currency": sold.currency.lower(),
        "customer": buyer.id,
        "customer_email": buyer.email,
        "customer_name": buyer.name,
        "effective_at": None,
        "lines": listing(
            [_line(buyer, sold, ref=line, invoice=ref, subscription=subscription, amount=amount, period=period)],
            f"/v1/invoices/{ref}/lines",
        ),
        "metadata": {},
        "next_payment_attempt": created + 3600,
        "number": None,
        "period_end": created,
        "period_start": created,
        "status": "draft",
        "status_transitions": {
            "finalized_at": None,
            "marked_uncollectible_at": None,
            "paid_at": None,
            "voided_at": None,
        },
        "subtotal": amount,
        "total": amount,
    }
    if buyer.is_old:
        return made | {"charge": None, "paid": False, "payment_intent": None, "subscription": subscription, "tax": None}
    details = {"metadata": {}, "subscription": subscription}
    return made | {
        "parent": {"quote_details": None, "subscription_details": details, "type": "subscription_details"},
        "total_taxes": [],
    }


def _line(
    buyer: Buyer,
    sold: SandboxPrice,
    *,
    ref: str,
    invoice: str,
    subscription: str,
    amount: int,
    period: tuple[int, int],
) -> Json:
    item = f"si_{subscription[-14:]}"
    line: Json = {
        "id": ref,
        "object": "line_item",
        "amount": amount,
        "currency": sold.currency.lower(),
        "description": f"1 x {sold.lookup_key} (per {sold.interval})",
        "discount_amounts": [],
        "discountable": True,
        "discounts": [],
        "livemode": False,
        "metadata": {},
        "period": {"end": period[1], "start": period[0]},
        "quantity": 1,
    }
    if buyer.is_old:
        return line | {
            "plan": plan(sold),
            "price": price(sold),
            "proration": False,
            "subscription": subscription,
            "subscription_item": item,
            "type": "subscription",
        }
    details = {"invoice_item": None, "proration": False, "subscription": subscription, "subscription_item": item}
    pricing = {
        "price_details": {"price": sold.ref, "product": sold.product},
        "type": "price_details",
        "unit_amount_decimal": str(sold.unit_amount),
    }
    return line | {
        "invoice": invoice,
        "parent": {
            "invoice_item_details": None,
            "subscription_item_details": details,
            "type": "subscription_item_details",
        },
        "pricing": pricing,
        "taxes": [],
    }


def invoice_payment(paid: Json, intent: Json, *, ref: str) -> Json:
    """Today's layout tells in an object of its own which payment settled which invoice."""
    return {
        "id": ref,
        "object": "invoice_payment",
        "amount_paid": paid["amount_paid"],
        "amount_requested": paid["amount_due"],
        "created": paid["created"],
        "currency": paid["currency"],
        "invoice": paid["id"],
        "is_default": True,
        "livemode": False,
        "payment": {"payment_intent": intent["id"], "type": "payment_intent"},
        "status": "paid",
        "status_transitions": {"canceled_at": None, "paid_at": paid["status_transitions"]["paid_at"]},
    }
