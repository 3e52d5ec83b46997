"""What a change of a subscription's items comes to: the items afterwards and the lines to bill. Nothing is written.

Rules: what is left of the old is given back and what is left of the new is taken, both by the second; another interval begins a
new period with its whole price; during a trial nothing is set off. Source: Stripe "Prorations".
"""

from dataclasses import dataclass

from bursar.money.gateways.fields import Json
from bursar.sandbox import billing_shapes, catalogue, periods
from bursar.sandbox.forms import Params
from bursar.sandbox.invoices import period_of
from bursar.sandbox.refusals import invalid
from bursar.sandbox.work import Work

BEHAVIOURS = ("create_prorations", "always_invoice", "none")


@dataclass(frozen=True, slots=True)
class Change:
    """items: as they are afterwards. lines: to be billed. starts_anew: a new period begins now."""

    items: list[Json]
    lines: list[Json]
    starts_anew: bool


def changed(work: Work, subscription: Json, params: Params, *, anchors_now: bool = False) -> Change:
    """Return what a change comes to. Raises Refusal."""
    behaviour = params.text("proration_behavior", "create_prorations", among=BEHAVIOURS)
    start, end = period_of(subscription)
    at = work.meant(params.whole("proration_date") or work.now, first=start, last=max(end, work.now))
    if not start <= at <= max(end, work.now):
        raise invalid(
            "Cannot specify `proration_date` outside of the subscription's current period.", param="proration_date"
        )
    before: list[Json] = subscription["items"]["data"]
    after = _items(work, subscription, params)
    if not after:
        raise invalid("A subscription must have at least one active item.", param="items")
    _refuse_mixtures(after)
    is_trial = subscription["status"] == "trialing"
    other = after[0]["price"]["recurring"] != before[0]["price"]["recurring"]
    anew = not is_trial and (anchors_now or other)
    sets_off = behaviour != "none" and not is_trial
    lines: list[Json] = []
    if sets_off:
        touched = before if anew else [item for item in before if item not in after]
        lines += [_credit(item, at=at) for item in touched]
    if anew:
        stop = periods.next_end(work.now, after[0]["price"]["recurring"], work.now)
        lines += [full_line(item, (work.now, stop)) for item in after]
    elif sets_off:
        lines += [_debit(item, at=at) for item in after if item not in before]
    return Change(after, [line for line in lines if line["amount"] or anew], anew)


def full_line(item: Json, period: tuple[int, int], *, amount: int | None = None) -> Json:
    """Return the line of an item for a whole period."""
    price = item["price"]
    whole = price["unit_amount"] * item["quantity"] if amount is None else amount
    every = f"{price['recurring']['interval_count']} " if price["recurring"]["interval_count"] > 1 else ""
    return billing_shapes.line(
        amount=whole,
        price=price,
        quantity=item["quantity"],
        period=period,
        description=f"{item['quantity']} × {price['lookup_key'] or price['id']} (every {every}{price['recurring']['interval']})",
        subscription=item["subscription"],
        item=item["id"],
    )


def credits_for(subscription: Json, *, at: int) -> list[Json]:
    """Return lines that give back what is left of the period."""
    return [_credit(item, at=at) for item in subscription["items"]["data"]]


def _credit(item: Json, *, at: int) -> Json:
    return _proration(item, sign=-1, at=at, said="Unused time on")


def _debit(item: Json, *, at: int) -> Json:
    return _proration(item, sign=1, at=at, said="Remaining time on")


def _proration(item: Json, *, sign: int, at: int, said: str) -> Json:
    price, end = item["price"], item["current_period_end"]
    amount = periods.prorated(
        price["unit_amount"] * item["quantity"], start=item["current_period_start"], end=end, at=at
    )
    return billing_shapes.line(
        amount=sign * amount,
        price=price,
        quantity=item["quantity"],
        period=(at, end),
        description=f"{said} {item['quantity']} × {price['lookup_key'] or price['id']}",
        subscription=item["subscription"],
        item=item["id"],
        is_proration=True,
    )


def _items(work: Work, subscription: Json, params: Params) -> list[Json]:
    """Return the items after a change: named by `id` they are changed, without it another one is added."""
    found: dict[str, Json] = {item["id"]: item for item in subscription["items"]["data"]}
    start, end = period_of(subscription)
    for wanted in params.children("items"):
        ref = wanted.text("id")
        wanted.accept("metadata", "tax_rates")
        if ref and ref not in found:
            raise invalid(f"No such subscription_item: '{ref}'", param=wanted.named("id"), code="resource_missing")
        if ref and wanted.flag("deleted"):
            del found[ref]
            continue
        made = dict(found[ref]) if ref else None
        if wanted.has("price") or wanted.has("price_data") or made is None:
            price = catalogue.price_of(work, wanted)
            if made is None:
                made = billing_shapes.item(work.now, subscription["id"], price, quantity=1)
                made |= {"current_period_start": start, "current_period_end": end}
                _refuse_twins(found, price, wanted)
            made |= {"price": price, "plan": catalogue.plan_of(price)}
        made["quantity"] = wanted.whole("quantity", made["quantity"], least=0)
        wanted.refuse_others()
        found[made["id"]] = made
    return list(found.values())


def _refuse_twins(found: dict[str, Json], price: Json, wanted: Params) -> None:
    for item in found.values():
        if item["price"]["id"] == price["id"]:
            raise invalid(
                f"Cannot add multiple subscription items with the same plan: {price['id']}", param=wanted.named("price")
            )


def _refuse_mixtures(items: list[Json]) -> None:
    if any(item["price"]["recurring"] is None for item in items):
        raise invalid("The price of a subscription item must be recurring.", param="items")
    if len({str(item["price"]["recurring"]) for item in items}) > 1:
        raise invalid("All items of a subscription must have the same interval.", param="items")
    if len({item["price"]["currency"] for item in items}) > 1:
        raise invalid("All items of a subscription must have the same currency.", param="items")
