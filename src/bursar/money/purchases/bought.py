"""What a purchase bought. Pure.

Looked for in this order, the first that names something we sell decides: an operator's assignment,
Bursar's order id, the metadata `bursar_price`, the price references of its lines.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from bursar.money.catalog import Catalogue, Price
from bursar.money.gateways.facts import Claim, Line, SessionPayment, SubscriptionFact
from bursar.money.purchases.members import Members

QUANTITY_MAX = 1_000_000
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
    lines: tuple[Bought, ...]
    unmatched_reason: str | None
    unmatched_refs: tuple[str, ...]


def bought_by(members: Members, *, subscriptions: Mapping[str, SubscriptionFact], catalogue: Catalogue) -> Basket:
    """Return what was bought, each price once, and what remained unmatched."""
    claims = members.claims(subscriptions)
    is_standing, is_trial = members.subscription_ref is not None, _is_trial(members)

    def line(price: Price, quantity: int) -> Bought:
        standing = is_standing and price.is_recurring
        return Bought(price, quantity, standing, standing and is_trial and price.amount_minor > 0)

    unknown: dict[str, str] = {}
    named = (
        _assigned(members, catalogue)
        or _ordered(claims, catalogue, unknown=unknown)
        or _claimed(claims, catalogue, unknown=unknown)
    )
    if named:
        return _basket([line(price, quantity) for price, quantity in named])
    basket = _by_lines(members.lines(subscriptions), catalogue, line=line, claimed=unknown)
    if members.is_cut and not basket.unmatched_reason:
        return basket._replace(unmatched_reason="the gateway sent only the first of its lines; the rest is unknown")
    return basket


def _assigned(members: Members, catalogue: Catalogue) -> list[tuple[Price, int]]:
    """What an operator said it bought."""
    known = ((catalogue.by_name.get(a.price), a.quantity) for a in members.assignments)
    return next(([(price, quantity)] for price, quantity in known if price), [])


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


def bought_by_subscription(fact: SubscriptionFact, catalogue: Catalogue) -> tuple[tuple[Price, int], ...]:
    """Return the prices and quantities of a subscription as it is now: by order, by metadata, by its items."""
    if fact.claim.order and (lines := catalogue.orders.get(fact.claim.order)):
        return tuple((p, q) for p, q in lines if p.is_recurring)
    quantity = _quantity(fact.claim.quantity)
    if fact.claim.price and quantity and (price := catalogue.by_name.get(fact.claim.price)):
        return ((price, quantity),)
    items = (
        Bought(price, min(item.quantity, QUANTITY_MAX))
        for item in fact.lines
        if item.quantity > 0 and (price := _first_known(item, catalogue))
    )
    return tuple((line.price, line.quantity) for line in _basket(list(items)).lines)


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
            free = bought.is_free or (told.amount_minor == 0 and price.amount_minor > 0)
            found.append(replace(bought, is_free=free))
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
    return Basket(basket.lines, reason or None, tuple(refs) if reason else ())


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
