"""Delete customers, products and prices: marked, hidden from lists, still there by id, and brought back on request.

What arrives about something deleted is merged as ever: money is never refused for what somebody tidied away.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from bursar.kernel import audit, ids
from bursar.kernel.db import Transaction
from bursar.kernel.errors import Conflict, NotFound
from bursar.money.catalog.queries import PriceNotFound, ProductDeleted, ProductNotFound
from bursar.money.customers import CustomerNotFound, have_ended

ORDER_IS_OPEN_FOR: Final = timedelta(days=1)
"""How long a checkout may take: an order that is younger may still be paid."""


class ProductHasPrices(Conflict):
    """A product with prices cannot be deleted before them."""

    code = "product_has_prices"


class PriceHasSubscriptions(Conflict):
    """A price that live subscriptions pay cannot be deleted."""

    code = "price_has_subscriptions"


class PriceHasOrders(Conflict):
    """A price that a checkout under way may buy cannot be deleted yet."""

    code = "price_has_orders"


class CustomerHasCredits(Conflict):
    """A customer has credits left; deleting takes the word `force` and a reason."""

    code = "customer_has_credits"


class CustomerHasSubscription(Conflict):
    """A customer has a live subscription; deleting takes the word `force` and a reason."""

    code = "customer_has_subscription"


class CustomerHasBookings(Conflict):
    """A customer is booked for something to come; deleting takes the word `force` and a reason, and cancels it."""

    code = "customer_has_bookings"


_LIVE = "status in ('trialing', 'active', 'past_due', 'unpaid', 'paused')"

_LOCK_PRODUCT = "select p.id, p.deleted_at, p.deleted_by from product p where p.tenant_id = $1 and p.id = $2 for update"
_LOCK_PRICE = (
    "select p.id, p.deleted_at, p.deleted_by, p.product_id from price p where p.tenant_id = $1 and p.id = $2 for update"
)
_LOCK_CUSTOMER = (
    "select c.id, c.deleted_at, c.deleted_by from customer c where c.tenant_id = $1 and c.id = $2 for update"
)

_MARK_PRODUCT = "update product set deleted_at = $3, deleted_by = $4 where tenant_id = $1 and id = $2"
_MARK_PRICE = "update price set deleted_at = $3, deleted_by = $4 where tenant_id = $1 and id = $2"
_MARK_CUSTOMER = "update customer set deleted_at = $3, deleted_by = $4 where tenant_id = $1 and id = $2"

_PRICES_LEFT = "select count(*) from price where tenant_id = $1 and product_id = $2 and deleted_at is null"
_SUBSCRIBED = f"select count(*) from subscription where tenant_id = $1 and price_id = $2 and {_LIVE}"
_ORDERED = """select count(*) from customer_order
where tenant_id = $1 and id >= $2 and created_at >= $3
  and exists (select from jsonb_array_elements(lines) as line where line ->> 'price' = $4)"""
_PRODUCT_OF = "select deleted_at from product where tenant_id = $1 and id = $2 for share"
_CREDITS_LEFT = """select coalesce(sum(remaining), 0)::bigint from credit_lot
where tenant_id = $1 and customer_id = $2 and remaining > 0 and (expires_at is null or expires_at > $3)"""
_BOOKED_AHEAD = """select count(*) from booking
where tenant_id = $1 and customer_id = $2 and starts_at > $3 and status in ('requested', 'held', 'booked')"""
_SUBSCRIBES = f"select count(*) from subscription where tenant_id = $1 and customer_id = $2 and {_LIVE}"


@dataclass(frozen=True, slots=True)
class Deletion:
    """Who deletes, when and why. is_forced: although something is left."""

    actor: str
    now: datetime
    reason: str | None = None
    is_forced: bool = False


@dataclass(frozen=True, slots=True)
class _Kind:
    """What is deleted: its word, its ids, the refusal where there is none, and the two statements."""

    word: str
    prefix: str
    not_found: type[NotFound]
    lock: str
    mark: str


_PRODUCT = _Kind("product", ids.PRODUCT, ProductNotFound, _LOCK_PRODUCT, _MARK_PRODUCT)
_PRICE = _Kind("price", ids.PRICE, PriceNotFound, _LOCK_PRICE, _MARK_PRICE)
_CUSTOMER = _Kind("customer", ids.CUSTOMER, CustomerNotFound, _LOCK_CUSTOMER, _MARK_CUSTOMER)


async def delete_product(tx: Transaction, *, tenant_id: UUID, product_id: UUID, deletion: Deletion) -> None:
    """Mark a product as deleted; once more changes nothing. Raises ProductNotFound, ProductHasPrices."""
    row = await _locked(tx, _PRODUCT, tenant_id, product_id)
    if row["deleted_at"]:
        return
    if left := await tx.fetchval(_PRICES_LEFT, tenant_id, product_id):
        raise ProductHasPrices(
            f"the product has {left} prices", hint="Delete its prices first.", context={"prices": left}
        )
    await _mark(tx, _PRODUCT, tenant_id, row, deletion)


async def delete_price(tx: Transaction, *, tenant_id: UUID, price_id: UUID, deletion: Deletion) -> None:
    """Mark a price as deleted; once more changes nothing. Raises PriceNotFound, PriceHasSubscriptions, PriceHasOrders."""
    row = await _locked(tx, _PRICE, tenant_id, price_id)
    if row["deleted_at"]:
        return
    if count := await tx.fetchval(_SUBSCRIBED, tenant_id, price_id):
        raise PriceHasSubscriptions(
            f"{count} live subscriptions pay this price",
            hint="End them or move them to another price first.",
            context={"subscriptions": count},
        )
    since = deletion.now - ORDER_IS_OPEN_FOR
    if count := await tx.fetchval(_ORDERED, tenant_id, ids.least_at(since), since, ids.show(ids.PRICE, price_id)):
        raise PriceHasOrders(
            f"{count} orders of the last day name this price and may still be paid",
            hint="Try again tomorrow.",
            context={"orders": count},
        )
    await _mark(tx, _PRICE, tenant_id, row, deletion)


async def delete_customer(tx: Transaction, *, tenant_id: UUID, customer_id: UUID, deletion: Deletion) -> None:
    """Mark a customer as deleted; once more changes nothing. What was bought stays, and can still be used; what is booked ahead is cancelled.

    Raises CustomerNotFound, and where it is not forced CustomerHasCredits, CustomerHasSubscription, CustomerHasBookings.
    """
    row = await _locked(tx, _CUSTOMER, tenant_id, customer_id)
    if row["deleted_at"]:
        return
    if not deletion.is_forced:
        await _refuse_what_is_left(tx, tenant_id=tenant_id, customer_id=customer_id, now=deletion.now)
    await _mark(tx, _CUSTOMER, tenant_id, row, deletion)
    await have_ended(tx, tenant_id=tenant_id, customer_ids=[customer_id], why="deleted")


async def restore_product(tx: Transaction, *, tenant_id: UUID, product_id: UUID, deletion: Deletion) -> None:
    """Bring a product back; one that is not deleted stays as it is. Raises ProductNotFound."""
    await _unmark(tx, _PRODUCT, tenant_id, await _locked(tx, _PRODUCT, tenant_id, product_id), deletion)


async def restore_price(tx: Transaction, *, tenant_id: UUID, price_id: UUID, deletion: Deletion) -> None:
    """Bring a price back; one that is not deleted stays as it is. Raises PriceNotFound, ProductDeleted."""
    row = await _locked(tx, _PRICE, tenant_id, price_id)
    if row["deleted_at"] and await tx.fetchval(_PRODUCT_OF, tenant_id, row["product_id"]):
        raise ProductDeleted("the price's product is deleted", hint="Restore the product first.")
    await _unmark(tx, _PRICE, tenant_id, row, deletion)


async def restore_customer(tx: Transaction, *, tenant_id: UUID, customer_id: UUID, deletion: Deletion) -> None:
    """Bring a customer back; one that is not deleted stays as it is. Raises CustomerNotFound."""
    await _unmark(tx, _CUSTOMER, tenant_id, await _locked(tx, _CUSTOMER, tenant_id, customer_id), deletion)


async def _locked(tx: Transaction, kind: _Kind, tenant_id: UUID, row_id: UUID) -> Mapping[str, Any]:
    """Return the row, locked until the transaction ends. Raises the kind's refusal where there is none."""
    row: Mapping[str, Any] | None = await tx.fetchrow(kind.lock, tenant_id, row_id)
    if row is None:
        raise kind.not_found(f"there is no {kind.word} {ids.show(kind.prefix, row_id)}")
    return row


async def _mark(tx: Transaction, kind: _Kind, tenant_id: UUID, row: Mapping[str, Any], deletion: Deletion) -> None:
    becomes = {"deleted_at": deletion.now, "deleted_by": deletion.actor}
    await _write(tx, kind, tenant_id=tenant_id, row=row, becomes=becomes, deletion=deletion, became="deleted")


async def _unmark(tx: Transaction, kind: _Kind, tenant_id: UUID, row: Mapping[str, Any], deletion: Deletion) -> None:
    if row["deleted_at"]:
        becomes = {"deleted_at": None, "deleted_by": None}
        await _write(tx, kind, tenant_id=tenant_id, row=row, becomes=becomes, deletion=deletion, became="restored")


async def _refuse_what_is_left(tx: Transaction, *, tenant_id: UUID, customer_id: UUID, now: datetime) -> None:
    hint = "Pass force=true and a reason to delete the customer all the same."
    if left := await tx.fetchval(_CREDITS_LEFT, tenant_id, customer_id, now):
        raise CustomerHasCredits(f"the customer has {left} credits left", hint=hint, context={"credits": left})
    if count := await tx.fetchval(_SUBSCRIBES, tenant_id, customer_id):
        raise CustomerHasSubscription(
            f"the customer has {count} live subscriptions", hint=hint, context={"subscriptions": count}
        )
    if count := await tx.fetchval(_BOOKED_AHEAD, tenant_id, customer_id, now):
        raise CustomerHasBookings(
            f"the customer has {count} bookings to come",
            hint=f"{hint} They are cancelled then, and everything goes back.",
            context={"bookings": count},
        )


async def _write(
    tx: Transaction,
    kind: _Kind,
    *,
    tenant_id: UUID,
    row: Mapping[str, Any],
    becomes: Mapping[str, Any],
    deletion: Deletion,
    became: str,
) -> None:
    await tx.execute(kind.mark, tenant_id, row["id"], becomes["deleted_at"], becomes["deleted_by"])
    why = {"reason": deletion.reason} if deletion.reason else {}
    forced = {"forced": True} if deletion.is_forced else {}
    await audit.record(
        tx,
        tenant_id=tenant_id,
        actor=deletion.actor,
        action=f"{kind.word}.{became}",
        subject=ids.show(kind.prefix, row["id"]),
        changes=audit.changed({name: row[name] for name in becomes}, becomes) | why | forced,
    )
