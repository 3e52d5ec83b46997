"""How a seat is paid: with a membership or credits at once, with money later, or with nothing because it costs nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any, Final
from uuid import UUID

from bursar.apps.booking import coupons, passes, rules
from bursar.apps.booking.bookings import telling
from bursar.apps.booking.bookings.models import Booking, ClassSeats, PaidWith, Priced
from bursar.apps.booking.bookings.refusals import PaymentMissing
from bursar.apps.booking.schedule.deposits import deposit_of
from bursar.apps.booking.schedule.taxes import NO_TAX, Tax, Taxed
from bursar.kernel import ids
from bursar.kernel.db import Transaction
from bursar.kernel.identity import letters
from bursar.money import checkouts
from bursar.money.desk import place_order
from bursar.money.fulfilment.spending import Reserved

SPENDS: Final = Reserved("booking:", "bookings", "Book, or cancel the booking: its credits go back with it.")
"""The spends of bookings. Permanent."""

_PRICE = """
select p.amount_minor, p.currency, v.tax_bp, v.tax_included, c.credit_cost, c.deposit_percent
from class_instance c
join price p on p.tenant_id = c.tenant_id and p.id = c.price_id
join venue v on v.tenant_id = c.tenant_id and v.id = c.venue_id
where c.tenant_id = $1 and c.id = $2
"""


@dataclass(frozen=True, slots=True)
class Landing:
    """Where who pays with money comes back to, and at which gateway account he pays. See `money.checkouts.Wanted`.

    is_at_desk: he pays there, and on no page.
    """

    success_url: str | None = None
    cancel_url: str | None = None
    base_url: str = ""
    account_id: UUID | None = None
    is_at_desk: bool = False


NOWHERE: Final = Landing()


@dataclass(frozen=True, slots=True)
class Sum:
    """Money: what seats cost, and what a coupon takes off. missing_credits: what it stands in for, where credits pay the rest.

    tax: of the venue; what a coupon takes off is not taxed. deposit_percent: what of the rest is paid ahead; None: all of it.
    """

    amount_minor: int
    currency: str
    coupon_id: UUID | None = None
    discount_minor: int = 0
    missing_credits: int = 0
    tax: Tax = NO_TAX
    deposit_percent: int | None = None

    @property
    def due_minor(self) -> int:
        """What has to be paid before the seats are sure; nothing where a coupon takes all off."""
        return deposit_of(self._taxed.gross_minor, self.deposit_percent)

    @property
    def tax_minor(self) -> int:
        """What of all that they cost is tax."""
        return self._taxed.tax_minor

    @property
    def _taxed(self) -> Taxed:
        return self.tax.of(self.amount_minor - self.discount_minor)

    @property
    def priced(self) -> Priced:
        """What a booking keeps of it."""
        return Priced(
            price_minor=self.amount_minor,
            due_minor=self.due_minor,
            currency=self.currency,
            deposit_percent=self.deposit_percent,
            coupon_id=self.coupon_id,
            discount_minor=self.discount_minor,
            missing_credits=self.missing_credits,
            tax_bp=self.tax.rate_bp,
            tax_included=self.tax.is_included,
            tax_minor=self.tax_minor,
        )

    @property
    def asks_minor(self) -> int | None:
        """What a checkout asks for them, where that is not their price."""
        is_other = self.missing_credits or self.due_minor != self.amount_minor
        return self.due_minor if is_other else None


def usable_at(a_class: ClassSeats, now: datetime) -> datetime:
    """Return when credits have to be good: when the class begins; now, for who comes in after that."""
    return max(a_class.starts_at, now)


def way_to_pay(situation: rules.Situation, *, is_waived: bool = False) -> PaidWith:
    """Return with what seats will be paid; whether a membership or credits suffice is decided where they are taken.

    is_waived: staff may give them for nothing. Raises PaymentMissing.
    """
    cost, pays, a_class = situation.cost, situation.pays, situation.a_class
    if not cost and not a_class.has_price:
        return "nothing"
    if pays == "nothing":
        if is_waived:
            return "nothing"
        raise PaymentMissing(
            f"{a_class.title} is not free", hint="Pay with credits or money, or give a reason why it is waived."
        )
    if cost and pays != "money":
        if situation.is_covered:
            return "membership"
        if situation.credits_of_both:
            return "credits_and_money"
        if pays == "credits" or not a_class.has_price or situation.credits.usable >= cost:
            return "credits"
    if not a_class.has_price or pays == "credits":
        raise PaymentMissing(f"{a_class.title} cannot be paid with {pays}", hint="Leave `pays` out, or choose another.")
    return "money"


async def pay(
    tx: Transaction,
    *,
    tenant_id: UUID,
    customer_id: UUID,
    booking_id: UUID,
    a_class: ClassSeats,
    seats: int,
    actor: str,
    now: datetime,
    leaving: UUID | None = None,
    situation: rules.Situation | None = None,
    part: int | None = None,
    again: int | None = None,
) -> passes.Paid:
    """Pay seats with a membership or credits. The customer is queued up. Raises CreditsInsufficient.

    leaving: a booking that is given up in the same act. situation: read since the customer was queued up, for the same booking.
    part: so many of the credits, where money pays the rest. again: which version of the booking takes anew what was given back.
    """
    return await passes.pay(
        tx,
        tenant_id=tenant_id,
        customer_id=customer_id,
        pools=a_class.pools,
        amount=a_class.credit_cost * seats if part is None else part,
        class_at=usable_at(a_class, now),
        reference=f"{SPENDS.prefix}{ids.show(ids.BOOKING, booking_id)}" + (f".{again}" if again else ""),
        actor=actor,
        now=now,
        seats=seats if part is None else 0,  # a membership pays for no part of a seat
        leaving=leaving,
        memberships=situation.memberships if situation and _is_of(situation, a_class, now) else None,
    )


def _is_of(situation: rules.Situation, a_class: ClassSeats, now: datetime) -> bool:
    """Say whether a situation was read of the class as it stands: it was not locked then."""
    seen = situation.a_class
    return (seen.id, seen.starts_at, seen.pools, situation.now) == (a_class.id, a_class.starts_at, a_class.pools, now)


async def price_of(
    tx: Transaction,
    *,
    tenant_id: UUID,
    class_id: UUID,
    seats: int,
    coupon: coupons.Offered | None = None,
    part: int = 0,
) -> Sum:
    """Return what the seats of a class that has a price cost who pays with money. coupon: one that can be taken. part: credits that are paid besides; without a deposit."""
    row: Any = await tx.fetchrow(_PRICE, tenant_id, class_id)
    tax = Tax(row["tax_bp"], row["tax_included"])
    if part:
        missing = row["credit_cost"] * seats - part
        amount = money_for(missing, row["credit_cost"], row["amount_minor"])
        return Sum(amount, row["currency"], missing_credits=missing, tax=tax)
    off = coupon.off(seats) if coupon else 0
    return Sum(
        row["amount_minor"] * seats,
        row["currency"],
        coupon.coupon_id if coupon else None,
        off,
        tax=tax,
        deposit_percent=row["deposit_percent"],
    )


def money_for(missing: int, credit_cost: int, price_minor: int) -> int:
    """Return what missing credits cost where a seat costs so many credits, or that price. Half to even; never nothing."""
    return max(round(Fraction(price_minor * missing, credit_cost)), 1)


async def redeem(tx: Transaction, *, tenant_id: UUID, booking: Booking, now: datetime, is_again: bool = False) -> None:
    """Take the coupon that a booking was priced with. is_again: it had given it back. Raises CouponUsedUp."""
    if booking.coupon_id and booking.currency:
        await coupons.redeem(
            tx,
            tenant_id=tenant_id,
            coupon_id=booking.coupon_id,
            booking_id=booking.id,
            customer_id=booking.customer_id,
            discount_minor=booking.discount_minor,
            currency=booking.currency,
            now=now,
            is_again=is_again,
        )


async def let_coupons_go(tx: Transaction, *, tenant_id: UUID, bookings: Sequence[Booking], now: datetime) -> None:
    """Give back the coupons of bookings that came to nothing."""
    having = [each.id for each in bookings if each.coupon_id]
    if having:
        await coupons.release(tx, tenant_id=tenant_id, booking_ids=having, now=now)


async def ask_for_money(
    tx: Transaction,
    *,
    tenant_id: UUID,
    customer_id: UUID,
    price_id: UUID | None,
    quantity: int = 1,
    landing: Landing,
    actor: str,
    asks_minor: int | None = None,
    telling_of: UUID | None = None,
    now: datetime | None = None,
) -> UUID:
    """Start the checkout of a booking and return its order. asks_minor: what is asked, where that is not its price. Nothing is sent before the commit.

    A business that has a desk and no gateway is paid at the desk: there is an order, and no checkout.
    telling_of: the booking, whose customer is told so by a letter, now, because no page leads him on. Raises what `checkouts.start` raises.
    """
    assert price_id is not None, "only what has a price is paid with money"
    lines = [(ids.show(ids.PRICE, price_id), quantity)]
    wanted = checkouts.Wanted(
        lines=lines,
        success_url=landing.success_url,
        cancel_url=landing.cancel_url,
        base_url=landing.base_url,
        account_id=landing.account_id,
        customer_id=customer_id,
        asks_minor=asks_minor,
        takes_codes=False,
    )
    try:
        if not landing.is_at_desk:
            return (await checkouts.start(tx, tenant_id=tenant_id, wanted=wanted, actor=actor)).order_id
    except checkouts.GatewayAccountMissing:
        if not (await checkouts.ways_to_pay(tx, tenant_id=tenant_id)).at_desk:
            raise
    order = await place_order(
        tx, tenant_id=tenant_id, customer_id=customer_id, lines=lines, asks_minor=asks_minor, actor=actor
    )
    if telling_of and now:
        about = [ids.show(ids.BOOKING, telling_of)]
        await letters.write_all_about(tx, tenant_id=tenant_id, kind=telling.TO_PAY, abouts=about, now=now)
    return order.id


def replaced_until(*, grace_days: int, is_replaced: bool, now: datetime) -> datetime | None:
    """Return when credits end that take the place of expired ones; None where nothing does."""
    return now + timedelta(days=grace_days) if is_replaced else None
