"""What pays for a seat, and what comes back of it.

The order: a membership that covers the seat; else credits of the class's pools, soonest-expiring first, judged when the class
begins; of lots that expire together given ones before bought ones, and special pools before general ones (`money.fulfilment.spending`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from bursar.apps.booking.passes.memberships import Membership, features_of, memberships_among
from bursar.apps.booking.policies import Terms
from bursar.kernel.db import Transaction
from bursar.money.customers import require_customer
from bursar.money.fulfilment import returning, spending

PaidWith = Literal["credits", "membership", "nothing"]
Back = Literal["same_lot", "new_lot", "kept", "none"]


@dataclass(frozen=True, slots=True)
class Paid:
    """How a seat is paid. amount: credits, of all its seats. feature: the membership's."""

    paid_with: PaidWith
    amount: int = 0
    spend_id: UUID | None = None
    feature: str | None = None


# Bookings of one customer queue up here, so that what is counted of them is counted once. (Taken before the class is locked.)
# False: somebody else has written the row since, or there is no such customer.
_QUEUE = """
with known as (
  select from attendee where tenant_id = $1 and customer_id = $2 for no key update
), made as (
  insert into attendee (tenant_id, customer_id)
  select $1, c.id from customer c where c.tenant_id = $1 and c.id = $2 and not exists (select from known)
  on conflict (tenant_id, customer_id) do nothing returning 1
)
select exists (select from known) or exists (select from made)
"""


async def queue_up(tx: Transaction, *, tenant_id: UUID, customer_id: UUID) -> None:
    """Let what one customer does to his bookings happen one after another, until this transaction ends. Raises CustomerNotFound."""
    if not await tx.fetchval(_QUEUE, tenant_id, customer_id):
        await require_customer(tx, tenant_id=tenant_id, customer_id=customer_id)
        await tx.fetchval(_QUEUE, tenant_id, customer_id)


async def pay(
    tx: Transaction,
    *,
    tenant_id: UUID,
    customer_id: UUID,
    pools: Sequence[str],
    amount: int,
    class_at: datetime,
    reference: str,
    actor: str,
    now: datetime,
    seats: int = 1,
    leaving: UUID | None = None,
    memberships: tuple[Membership, ...] | None = None,
) -> Paid:
    """Pay for a seat with what the customer has, who is queued up. amount: credits, of all seats together; 0 is free.

    A membership pays for its owner's seat, so for one. leaving: a booking that is given up in the same act. memberships: those that pay
    for the class then, where they were read since the customer was queued up.
    Raises CreditsInsufficient.
    """
    if not amount:
        return Paid("nothing")
    if seats == 1:
        if memberships is None:
            features = await features_of(tx, tenant_id=tenant_id, customer_id=customer_id, at=class_at)
            memberships = await memberships_among(
                tx,
                tenant_id=tenant_id,
                customer_id=customer_id,
                features=features,
                pools=tuple(pools),
                class_at=class_at,
                leaving=leaving,
            )
        for membership in memberships:
            if membership.has_room:
                return Paid("membership", 0, None, membership.feature)
    if not pools:
        raise spending.CreditsInsufficient(
            "no credits are good at this venue", hint="Pay with money.", context={"balance": 0, "amount": amount}
        )
    first, *others = pools
    spent = await spending.spend(
        tx,
        tenant_id=tenant_id,
        customer_id=customer_id,
        pool=first,
        others=others,
        amount=amount,
        reference=reference,
        actor=actor,
        now=now,
        usable_at=class_at,
    )
    return Paid("credits", amount, spent.id)


async def give_back(
    tx: Transaction, *, tenant_id: UUID, spend_id: UUID, terms: Terms, is_ours: bool, actor: str, now: datetime
) -> Back:
    """Give the credits of a seat back to the lots they came from; say what became of them. A repeat changes nothing, and says `none`.

    What belongs to a lot that has expired meanwhile is given as a new lot of `grace_days`, where the terms say so or we are the reason
    (`is_ours`); else it is gone with its lot, and `kept` is said where all of it is.
    """
    is_replaced = is_ours or terms.expired_lot == "grace"
    returned = await returning.give_back_all(
        tx,
        tenant_id=tenant_id,
        spend_ids=[spend_id],
        actor=actor,
        now=now,
        replaced_until=now + timedelta(days=terms.grace_days) if is_replaced else None,
    )
    return returned[0].how if returned else "none"
