"""What a change of a subscription would cost: an invoice that nobody gets."""

from bursar.money.gateways.fields import Json
from bursar.sandbox import billing_shapes, changes, invoices, periods
from bursar.sandbox.forms import Params
from bursar.sandbox.subscriptions import running
from bursar.sandbox.work import Work, new_id


def preview(work: Work, params: Params) -> Json:
    """POST /v1/invoices/create_preview"""
    found = running(work, params.need("subscription"), param="subscription")
    customer = work.need("customer", params.text("customer") or found["customer"], param="customer")
    details = params.child("subscription_details") or Params({})
    behaviour = details.text("proration_behavior", "create_prorations", among=changes.BEHAVIOURS)
    change = changes.changed(work, found, details, anchors_now=details.text("billing_cycle_anchor") == "now")
    is_over = details.flag("cancel_at_period_end", default=found["cancel_at_period_end"])
    details.refuse_others()
    params.accept("preview_mode", "currency")
    _, stop = invoices.period_of(found)
    lines = list(change.lines)
    begins = stop
    if behaviour != "always_invoice" and not change.starts_anew and not is_over:
        begins = stop
        until = periods.next_end(found["billing_cycle_anchor"], change.items[0]["price"]["recurring"], stop)
        lines += [changes.full_line(item, (stop, until)) for item in change.items]
    reason = "upcoming"
    made = billing_shapes.invoice(work.now, customer, currency=found["currency"], reason=reason, base=work.asked.base)
    made |= {"id": new_id("upcoming_in"), "parent": billing_shapes.of_subscription(found), "period_end": begins}
    invoices.fill(made, lines)
    used = min(-min(0, customer["balance"]), made["amount_due"])
    due = made["amount_due"] - used
    return made | {"amount_due": due, "amount_remaining": due, "starting_balance": customer["balance"]}
