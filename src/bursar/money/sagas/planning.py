"""Plan a saga: what goes back, of which payment, and what would undo each step, all fixed before anything is asked.

What goes back is reckoned from what was paid, by time to the second: the part of the period that is left, and of that what the new
price is less than the old one. It is rounded down, so that no more goes back than was paid for; a named amount replaces it.
"""

from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import Any
from uuid import UUID

from bursar.kernel import ids
from bursar.kernel.db import Transaction
from bursar.kernel.errors import Conflict
from bursar.money.catalog.queries import price_named
from bursar.money.changing import sold_at, target_of
from bursar.money.desk.recording import RefundExceedsPayment
from bursar.money.refunding import ELSEWHERE
from bursar.money.sagas.kinds import CANCEL_AND_REFUND, CHANGE_AND_REFUND
from bursar.money.sagas.moving import begin
from bursar.money.subscriptions.queries import SubscriptionNotFound


class NothingToGiveBack(Conflict):
    """No payment of the subscription is for a time that is left, or the new price is not less than the old one."""

    code = "nothing_to_give_back"


class SubscriptionNotUndoable(Conflict):
    """What the subscription sells now cannot be named, so that a change of it could not be undone."""

    code = "subscription_not_undoable"


class PricesNotComparable(Conflict):
    """The two prices have other currencies or rhythms, so that neither is a part of the other."""

    code = "prices_not_comparable"


@dataclass(frozen=True, slots=True)
class _Paid:
    """A payment of the subscription and the time that it is for. left_minor: what can still go back."""

    payment_id: UUID
    gateway_ref: str
    amount_minor: int
    currency: str
    left_minor: int
    period_start: datetime
    period_end: datetime


@dataclass(frozen=True, slots=True)
class _Price:
    id: UUID
    amount_minor: int
    currency: str
    rhythm: tuple[str, int]


@dataclass(frozen=True, slots=True)
class _Sells:
    """A subscription as it is. lines: how many it has at the gateway."""

    id: UUID
    account_id: UUID
    gateway_ref: str
    customer_id: UUID | None
    is_ending: bool
    price_id: UUID | None
    lines: int
    quantity: int


_SELLS = """
select s.id, s.gateway_account_id as account_id, s.gateway_ref, s.customer_id, s.cancel_at_period_end as is_ending, s.price_id,
  coalesce(jsonb_array_length(o.state -> 'lines'), 0) as lines,
  coalesce((o.state -> 'lines' -> 0 ->> 'quantity')::integer, 1) as quantity
from subscription s
left join gateway_object o on o.tenant_id = s.tenant_id and o.gateway_account_id = s.gateway_account_id
  and o.kind = 'subscription' and o.ref = s.gateway_ref
where s.tenant_id = $1 and s.id = $2
"""

_PRICES = "select id, amount_minor, currency, interval, interval_count from price where tenant_id = $1 and id = any($2::uuid[])"

# The latest that was paid for a period in which the instant lies.
_PAID = f"""
select p.id as payment_id, p.gateway_ref, p.amount_minor, p.currency,
  greatest(p.amount_minor - p.refunded_minor - p.promised_minor - elsewhere.minor, 0) as left_minor,
  of_line.period_start, of_line.period_end
from subscription s
join purchase u on u.tenant_id = s.tenant_id and u.gateway_account_id = s.gateway_account_id and u.subscription_ref = s.gateway_ref
join invoice i on i.tenant_id = u.tenant_id and i.purchase_id = u.id and i.status = 'paid'
join payment p on p.tenant_id = u.tenant_id and p.purchase_id = u.id and p.status = 'succeeded' and p.superseded_by is null
cross join lateral ({ELSEWHERE} and r.tenant_id = p.tenant_id and r.payment_id = p.id) as elsewhere
cross join lateral (
  select min((line ->> 'period_start')::timestamptz) as period_start, max((line ->> 'period_end')::timestamptz) as period_end
  from jsonb_array_elements(i.lines) as line
  where (line ->> 'period_start')::timestamptz <= $3 and (line ->> 'period_end')::timestamptz > $3
) as of_line
where s.tenant_id = $1 and s.id = $2 and of_line.period_end is not null and p.amount_minor > 0
order by i.paid_at desc nulls last, p.id desc limit 1
"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to go back. refund_minor: None is reckoned, as of an instant."""

    refund_minor: int | None
    at: datetime


async def change_and_refund(
    tx: Transaction, *, tenant_id: UUID, subscription_id: UUID, price: str, quantity: int, wanted: Wanted, actor: str
) -> UUID:
    """Begin to sell less with a subscription and to give the difference back; return the saga.

    Raises NothingToGiveBack, SubscriptionNotUndoable, PricesNotComparable, SagaOpen, and what a change of a subscription does.
    """
    sells = await _sells(tx, tenant_id, subscription_id)
    if sells.price_id is None or sells.lines != 1:
        raise SubscriptionNotUndoable(
            "the subscription sells something that is not in the catalogue, or several things",
            hint="Name its price in the catalogue first; one that sells several is changed at the gateway.",
        )
    new_id = await price_named(tx, tenant_id=tenant_id, name=price)
    await _require_way_back(tx, tenant_id, sells, sells.price_id)
    before, after = await _prices(tx, tenant_id, sells.price_id, new_id)
    if (before.currency, before.rhythm) != (after.currency, after.rhythm):
        raise PricesNotComparable(
            "the prices have other currencies or rhythms", hint="Change the subscription, and refund what you decide."
        )
    paid = await _paid(tx, tenant_id, subscription_id, wanted.at)
    share = 1 - Fraction(after.amount_minor * quantity, max(before.amount_minor * sells.quantity, 1))
    amount = _amount(paid, wanted, share=share)
    plan: dict[str, Any] = {
        "subscription": ids.show(ids.SUBSCRIPTION, subscription_id),
        "subscription_ref": sells.gateway_ref,
        "payment": ids.show(ids.PAYMENT, paid.payment_id),
        "payment_ref": paid.gateway_ref,
        "price": ids.show(ids.PRICE, after.id),
        "quantity": quantity,
        "price_before": ids.show(ids.PRICE, before.id),
        "quantity_before": sells.quantity,
    }
    return await begin(
        tx,
        CHANGE_AND_REFUND,
        tenant_id=tenant_id,
        account_id=sells.account_id,
        subject=plan["subscription"],
        customer_id=sells.customer_id,
        plan=plan,
        amount_minor=amount,
        currency=paid.currency,
        actor=actor,
    )


async def cancel_and_refund(
    tx: Transaction, *, tenant_id: UUID, subscription_id: UUID, wanted: Wanted, actor: str
) -> UUID:
    """Begin to end a subscription at once and to give back what was not used; return the saga.

    Raises NothingToGiveBack, SagaOpen, and what a cancellation of a subscription does.
    """
    sells = await _sells(tx, tenant_id, subscription_id)
    paid = await _paid(tx, tenant_id, subscription_id, wanted.at)
    plan: dict[str, Any] = {
        "subscription": ids.show(ids.SUBSCRIPTION, subscription_id),
        "subscription_ref": sells.gateway_ref,
        "payment": ids.show(ids.PAYMENT, paid.payment_id),
        "payment_ref": paid.gateway_ref,
        "is_ending": sells.is_ending,
    }
    return await begin(
        tx,
        CANCEL_AND_REFUND,
        tenant_id=tenant_id,
        account_id=sells.account_id,
        subject=plan["subscription"],
        customer_id=sells.customer_id,
        plan=plan,
        amount_minor=_amount(paid, wanted, share=Fraction(1)),
        currency=paid.currency,
        actor=actor,
    )


def unused(amount_minor: int, *, period_start: datetime, period_end: datetime, at: datetime) -> Fraction:
    """Return what of an amount was paid for the time from an instant to the period's end."""
    whole = (period_end - period_start).total_seconds()
    left = (period_end - max(at, period_start)).total_seconds()
    return Fraction(amount_minor) * Fraction(max(left, 0)) / Fraction(whole)


def _amount(paid: _Paid, wanted: Wanted, *, share: Fraction) -> int:
    """Return what is to go back. Raises NothingToGiveBack, RefundExceedsPayment."""
    if wanted.refund_minor is not None and wanted.refund_minor > paid.left_minor:
        raise RefundExceedsPayment(
            f"{paid.left_minor} of the payment are left",
            hint="Refund at most what is left.",
            context={"left_minor": paid.left_minor, "currency": paid.currency},
        )
    if wanted.refund_minor is not None:
        return wanted.refund_minor
    left = unused(paid.amount_minor, period_start=paid.period_start, period_end=paid.period_end, at=wanted.at)
    amount = min(int(left * share), paid.left_minor)
    if amount <= 0:
        raise NothingToGiveBack(
            "nothing of what was paid is left that could go back",
            hint="Ask for the change alone, or name refund_minor.",
        )
    return amount


async def _sells(tx: Transaction, tenant_id: UUID, subscription_id: UUID) -> _Sells:
    row = await tx.fetchrow(_SELLS, tenant_id, subscription_id)
    if row is None:
        raise SubscriptionNotFound(f"there is no subscription {ids.show(ids.SUBSCRIPTION, subscription_id)}")
    return _Sells(**dict(row))


async def _prices(tx: Transaction, tenant_id: UUID, before: UUID, after: UUID) -> tuple[_Price, _Price]:
    found: dict[UUID, Any] = {row["id"]: row for row in await tx.fetch(_PRICES, tenant_id, [before, after])}
    return _price(found[before]), _price(found[after])


def _price(row: Any) -> _Price:
    return _Price(row["id"], row["amount_minor"], row["currency"], (row["interval"] or "", row["interval_count"]))


async def _require_way_back(tx: Transaction, tenant_id: UUID, sells: _Sells, before: UUID) -> None:
    """Refuse what could not be undone, before anything is asked. Raises as `sold_at`."""
    target = await target_of(tx, tenant_id=tenant_id, subscription_id=sells.id)
    await sold_at(tx, tenant_id=tenant_id, target=target, price=ids.show(ids.PRICE, before))


async def _paid(tx: Transaction, tenant_id: UUID, subscription_id: UUID, at: datetime) -> _Paid:
    row = await tx.fetchrow(_PAID, tenant_id, subscription_id, at)
    if row is None:
        raise NothingToGiveBack(
            f"no payment of the subscription is for a period in which {at:%Y-%m-%dT%H:%M:%SZ} lies",
            hint="End or change it without a refund, or refund its payment.",
        )
    return _Paid(**dict(row))
