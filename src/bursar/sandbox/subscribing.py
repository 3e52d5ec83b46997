"""The subscription that a checkout begins."""

from typing import Any

from bursar.money.gateways.fields import Json
from bursar.sandbox import billing_shapes
from bursar.sandbox.forms import Params
from bursar.sandbox.subscriptions import set_trial_settings, start, trial_end_of
from bursar.sandbox.work import Work, listing, new_id


def subscribed(work: Work, session: Json, method: Json) -> Json:
    """Return the subscription that a checkout begins, paid for with a method; nothing is tried twice."""
    data: dict[str, Any] = session["_subscription"] or {}
    lines = session["_lines"]
    recurring = [line for line in lines if line["price"]["recurring"]]
    customer = work.need("customer", session["customer"])
    made = billing_shapes.subscription(work.now, customer["id"], session["currency"])
    items = [billing_shapes.item(work.now, made["id"], line["price"], quantity=line["quantity"]) for line in recurring]
    wanted = Params(data, "subscription_data")
    made |= {
        "items": listing(items, f"/v1/subscription_items?subscription={made['id']}"),
        "metadata": wanted.mapping("metadata"),
        "description": wanted.text("description"),
        "default_payment_method": method["id"],
        "trial_end": trial_end_of(work, wanted),
    }
    set_trial_settings(made, wanted)
    extra = [_once_line(line, made["id"]) for line in lines if not line["price"]["recurring"]]
    return start(work, made, behaviour="allow_incomplete", is_off_session=False, extra=extra)


def _once_line(line: Json, subscription: str) -> Json:
    """Return the invoice's line for something that a checkout sells once beside a subscription."""
    return billing_shapes.line(
        amount=line["amount_total"],
        price=line["price"],
        quantity=line["quantity"],
        period=(0, 0),
        description=line["description"],
        subscription=subscription,
        item=None,
        invoice_item=new_id("ii"),
    )
