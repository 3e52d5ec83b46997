"""What a purchase bought. Pure.

Looked for in this order, the first that names something we sell decides: an operator's assignment,
Bursar's order id, the metadata `bursar_price`, the price references of its lines, what its subscription is for.

What nothing was paid for: a period of a trial gives what lasts (features, quotas, licences) and no credits; the first
paid period grants those. A sale that a discount made free grants everything: it was sold, for nothing. A payment
that only proves another way to pay buys nothing. See docs/explanation/money-and-credits.md, "Paid with nothing".
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

from bursar.money.catalog import Catalogue, Price
from bursar.money.gateways.facts import Claim, Line, PaymentPurpose, SessionPayment, SubscriptionFact
from bursar.money.purchases.members import Members
from bursar.money.purchases.plans import Plan

QUANTITY_MAX = 1_000_000
_OF_A_CHANGE = "it paid for a change of plan, and no report says whether for a whole period of the new one"
_QUANTITY = re.compile(r"[0-9]{1,7}")


@dataclass(frozen=True, slots=True)
class Bought:
    """A price and how many of it.

    is_standing: it belongs to a subscription, so that features last as long as that does.
    is_free: nothing was asked for it although it has a price (a trial): credits are not granted.
    """

    price: Price
    quantity: int
    is_standing: bool = False
    is_free: bool = False


class Basket(NamedTuple):
    """unmatched_refs: names that nobody knows and that would have said what was bought.

    leans_on_subscription: its own reports do not say it; the subscription's do, or may yet.
    """

    lines: tuple[Bought, ...]
    unmatched_reason: str | None
    unmatched_refs: tuple[str, ...]
    leans_on_subscription: bool = False


NOTHING = Basket((), None, ())


def bought_by(members: Members, *, plan: Plan, catalogue: Catalogue, paid_minor: int, at: datetime) -> Basket:
    """Return what was bought, each price once, and what remained unmatched.

    plan: the subscription it pays for, as it was when it was paid (`at`). It is asked what was bought only when the
    purchase's own reports name nothing we sell, and whether it was in its trial only when nothing was paid.
    """
    is_standing = members.subscription_ref is not None
    is_unasked = is_standing and paid_minor == 0 and not members.invoices and not members.sessions
    is_trial = _is_trial_period(plan.subscription, at) if is_unasked else _is_trial(members)

    def line(price: Price, quantity: int) -> Bought:
        standing = is_standing and price.is_recurring
        return Bought(price, quantity, standing, standing and is_trial and price.amount_minor > 0)

    if assigned := _assigned(members, catalogue):
        return _basket([line(price, quantity) for price, quantity in assigned])
    if members.is_settlement or (is_unasked and members.purpose is PaymentPurpose.payment_method):
        return NOTHING
    if members.purpose is PaymentPurpose.plan_change:
        return Basket((), _OF_A_CHANGE, ())
    unknown: dict[str, str] = {}
    basket = _by_claims(members.claims, catalogue, line=line, unknown=unknown)
    if basket is None:
        basket = _by_lines(members.own_lines, catalogue, line=line, claimed=unknown)
        if members.is_cut and not basket.unmatched_reason:
            basket = basket._replace(
                unmatched_reason="the gateway sent only the first of its lines; the rest is unknown"
            )
    if basket.lines or members.subscription_ref is None:
        return basket._replace(leans_on_subscription=is_unasked)
    return _by_subscription(members, plan, catalogue, line=line, own=basket, unknown=unknown)


def _by_claims(
    claims: Sequence[Claim], catalogue: Catalogue, *, line: Callable[[Price, int], Bought], unknown: dict[str, str]
) -> Basket | None:
    """What orders and metadata say, if any of them names something we sell; unknown names are written into `unknown`."""
    named = _ordered(claims, catalogue, unknown=unknown) or _claimed(claims, catalogue, unknown=unknown)
    if not named:
        return None
    return _basket([line(price, quantity) for price, quantity in named])


def _by_subscription(
    members: Members,
    plan: Plan,
    catalogue: Catalogue,
    *,
    line: Callable[[Price, int], Bought],
    own: Basket,
    unknown: dict[str, str],
) -> Basket:
    """What the subscription says that a purchase is for whose own reports name nothing we sell."""
    basket, subscription = own, plan.subscription
    if plan.doubt and not members.own_lines:
        basket = Basket((), plan.doubt, ())
    elif subscription:
        basket = _by_claims([subscription.claim], catalogue, line=line, unknown=unknown) or basket
        if not basket.lines and not members.own_lines:
            basket = _by_lines(subscription.lines, catalogue, line=line, claimed=unknown)
    refs = tuple(sorted({*own.unmatched_refs, *basket.unmatched_refs, *unknown}))
    return basket._replace(unmatched_refs=refs, leans_on_subscription=True)


def _assigned(members: Members, catalogue: Catalogue) -> list[tuple[Price, int]]:
    """What an operator said it bought."""
    known = ((catalogue.by_name.get(a.price), min(a.quantity, QUANTITY_MAX)) for a in members.assignments)
    return next(([(price, quantity)] for price, quantity in known if price and quantity > 0), [])


def _ordered(claims: Sequence[Claim], catalogue: Catalogue, *, unknown: dict[str, str]) -> Sequence[tuple[Price, int]]:
    """The lines of the order that a report names; an unknown order is written into `unknown` with the reason."""
    for claim in claims:
        if claim.order:
            if lines := catalogue.orders.get(claim.order):
                return lines
            unknown[claim.order] = f"the order {claim.order} is unknown"
    return ()


def _claimed(claims: Sequence[Claim], catalogue: Catalogue, *, unknown: dict[str, str]) -> list[tuple[Price, int]]:
    """The price that a report's metadata names; one that cannot be is written into `unknown` with the reason."""
    for claim in claims:
        if claim.price:
            quantity, price = _quantity(claim.quantity), catalogue.by_name.get(claim.price)
            if price and quantity:
                return [(price, quantity)]
            unknown[claim.price] = (
                f"bursar_quantity {claim.quantity!r} is not a whole number from 1 to {QUANTITY_MAX}"
                if price
                else f"metadata bursar_price {claim.price!r} is no price id and no lookup key"
            )
    return []


def bought_by_subscription(fact: SubscriptionFact, catalogue: Catalogue) -> Basket:
    """Return the prices and quantities of a subscription as it is now: by order, by metadata, by its items.

    unmatched_refs: every name of it that nobody knows.
    """
    unknown: dict[str, str] = {}
    basket = _by_claims([fact.claim], catalogue, line=Bought, unknown=unknown)
    if basket:
        return basket._replace(lines=tuple(b for b in basket.lines if b.price.is_recurring or not fact.claim.order))
    items = [item for item in fact.lines if item.quantity > 0]
    found = [
        Bought(price, min(item.quantity, QUANTITY_MAX)) for item in items if (price := _first_known(item, catalogue))
    ]
    refs = {ref for item in items if not _first_known(item, catalogue) for ref in item.prices}
    return _basket(found)._replace(unmatched_refs=tuple(sorted(refs | unknown.keys())))


def _first_known(line: Line, catalogue: Catalogue) -> Price | None:
    return next((catalogue.by_gateway_ref[ref] for ref in line.prices if ref in catalogue.by_gateway_ref), None)


def _is_trial(members: Members) -> bool:
    """True when a subscription began without being charged: its first invoice asks nothing for anything."""
    invoice, session = members.invoice, members.session
    if invoice:
        asked = [line.amount_minor for line in invoice.lines if not line.is_proration]
        return invoice.total_minor == 0 and bool(asked) and not any(asked)
    return bool(
        session and session.mode == "subscription" and session.payment_status is SessionPayment.no_payment_required
    )


def _is_trial_period(subscription: SubscriptionFact | None, at: datetime) -> bool:
    """True in a subscription's trial; and while nobody has described it, because what it is not yet known to be grants nothing."""
    return subscription is None or (subscription.trial_end is not None and at < subscription.trial_end)


def _by_lines(
    lines: tuple[Line, ...], catalogue: Catalogue, *, line: Callable[[Price, int], Bought], claimed: Mapping[str, str]
) -> Basket:
    reasons = list(claimed.values())
    found: list[Bought] = []
    unknown: list[str] = []
    for told in lines:
        if told.is_proration or told.quantity < 1 or (told.amount_minor or 0) < 0:
            continue  # A proration settles a change of plan; what it changes to is granted with its period.
        price = _first_known(told, catalogue)
        if price:
            bought = line(price, min(told.quantity, QUANTITY_MAX))
            free = bought.is_free or (bought.is_standing and told.amount_minor == 0 and price.amount_minor > 0)
            found.append(bought if bought.is_free is free else replace(bought, is_free=free))
        elif told.amount_minor != 0:
            unknown.extend(told.prices[:1] or (told.ref or "a line without a price",))
    if unknown:
        reasons.append("no price has the gateway reference " + ", ".join(sorted(set(unknown))))
    elif not found and not reasons and not any(told.is_proration for told in lines):
        reasons.append("no report so far names what was bought")
    refs = sorted(
        claimed.keys() | {ref for told in lines for ref in told.prices if ref not in catalogue.by_gateway_ref}
    )
    basket = _basket(found)
    reason = "; ".join(dict.fromkeys(reasons)) if unknown or not found else None
    return Basket(basket.lines, reason or None, tuple(refs) if unknown or not found else tuple(sorted(claimed)))


def _basket(found: list[Bought]) -> Basket:
    """Unite the lines of one price, so that a grant is named by its price alone, whichever report told it."""
    united: dict[str, Bought] = {}
    for line in found:
        key = str(line.price.id)
        known = united.get(key)
        united[key] = (
            Bought(
                line.price,
                min(known.quantity + line.quantity, QUANTITY_MAX),
                line.is_standing,
                known.is_free and line.is_free,
            )
            if known
            else line
        )
    return Basket(tuple(united[key] for key in sorted(united)), None, ())


def _quantity(text: str | None) -> int | None:
    if text is None:
        return 1
    if not _QUANTITY.fullmatch(text) or not text.isascii():
        return None
    quantity = int(text)
    return quantity if 1 <= quantity <= QUANTITY_MAX else None
