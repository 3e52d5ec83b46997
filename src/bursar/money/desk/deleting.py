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
from bursar.kernel.errors import Conflict
from bursar.kernel.listing import first_id
from bursar.money.catalog.queries import PriceNotFound, ProductDeleted, ProductNotFound
from bursar.money.customers import CustomerNotFound

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


_LIVE = "status in ('trialing', 'active', 'past_due', 'unpaid', 'paused')"

_LOCK_PRODUCT = "select p.deleted_at, p.deleted_by from product p where p.tenant_id = $1 and p.id = $2 for update"
_LOCK_PRICE = (
    "select p.deleted_at, p.deleted_by, p.product_id from price p where p.tenant_id = $1 and p.id = $2 for update"
)
_LOCK_CUSTOMER = "select c.deleted_at, c.deleted_by from customer c where c.tenant_id = $1 and c.id = $2 for update"

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
_SUBSCRIBES = f"select count(*) from subscription where tenant_id = $1 and customer_id = $2 and {_LIVE}"


@dataclass(frozen=True, slots=True)
class Deletion:
    """Who deletes, when and why. is_forced: although something is left."""

    actor: str
    now: datetime
    reason: str | None = None
    is_forced: bool = False


async def delete_product(tx: Transaction, *, tenant_id: UUID, product_id: UUID, deletion: Deletion) -> None:
    """Mark a product as deleted; once more changes nothing. Raises ProductNotFound, ProductHasPrices."""
    shown = ids.show(ids.PRODUCT, product_id)
    row = await tx.fetchrow(_LOCK_PRODUCT, tenant_id, product_id)
    if row is None:
        raise ProductNotFound(f"there is no product {shown}")
    if row["deleted_at"]:
        return
    if left := await tx.fetchval(_PRICES_LEFT, tenant_id, product_id):
        raise ProductHasPrices(
            f"the product has {left} prices", hint="Delete its prices first.", context={"prices": left}
        )
    await tx.execute(_MARK_PRODUCT, tenant_id, product_id, deletion.now, deletion.actor)
    await _record(tx, tenant_id, shown, row, deletion, action="product.deleted")


async def delete_price(tx: Transaction, *, tenant_id: UUID, price_id: UUID, deletion: Deletion) -> None:
    """Mark a price as deleted; once more changes nothing. Raises PriceNotFound, PriceHasSubscriptions, PriceHasOrders."""
    shown = ids.show(ids.PRICE, price_id)
    row = await tx.fetchrow(_LOCK_PRICE, tenant_id, price_id)
    if row is None:
        raise PriceNotFound(f"there is no price {shown}")
    if row["deleted_at"]:
        return
    if count := await tx.fetchval(_SUBSCRIBED, tenant_id, price_id):
        raise PriceHasSubscriptions(
            f"{count} live subscriptions pay this price",
            hint="End them or move them to another price first.",
            context={"subscriptions": count},
        )
    since = deletion.now - ORDER_IS_OPEN_FOR
    if count := await tx.fetchval(_ORDERED, tenant_id, first_id(since), since, shown):
        raise PriceHasOrders(
            f"{count} orders of the last day name this price and may still be paid",
            hint="Try again tomorrow.",
            context={"orders": count},
        )
    await tx.execute(_MARK_PRICE, tenant_id, price_id, deletion.now, deletion.actor)
    await _record(tx, tenant_id, shown, row, deletion, action="price.deleted")


async def delete_customer(tx: Transaction, *, tenant_id: UUID, customer_id: UUID, deletion: Deletion) -> None:
    """Mark a customer as deleted; once more changes nothing. What was bought stays, and can still be used.

    Raises CustomerNotFound, and where it is not forced CustomerHasCredits, CustomerHasSubscription.
    """
    shown = ids.show(ids.CUSTOMER, customer_id)
    row = await tx.fetchrow(_LOCK_CUSTOMER, tenant_id, customer_id)
    if row is None:
        raise CustomerNotFound(f"there is no customer {shown}")
    if row["deleted_at"]:
        return
    if not deletion.is_forced:
        await _refuse_what_is_left(tx, tenant_id=tenant_id, customer_id=customer_id, now=deletion.now)
    await tx.execute(_MARK_CUSTOMER, tenant_id, customer_id, deletion.now, deletion.actor)
    await _record(tx, tenant_id, shown, row, deletion, action="customer.deleted")


async def restore_product(tx: Transaction, *, tenant_id: UUID, product_id: UUID, deletion: Deletion) -> None:
    """Bring a product back; one that is not deleted stays as it is. Raises ProductNotFound."""
    shown = ids.show(ids.PRODUCT, product_id)
    row = await tx.fetchrow(_LOCK_PRODUCT, tenant_id, product_id)
    if row is None:
        raise ProductNotFound(f"there is no product {shown}")
    if row["deleted_at"]:
        await tx.execute(_MARK_PRODUCT, tenant_id, product_id, None, None)
        await _record(tx, tenant_id, shown, row, deletion, action="product.restored")


async def restore_price(tx: Transaction, *, tenant_id: UUID, price_id: UUID, deletion: Deletion) -> None:
    """Bring a price back; one that is not deleted stays as it is. Raises PriceNotFound, ProductDeleted."""
    shown = ids.show(ids.PRICE, price_id)
    row = await tx.fetchrow(_LOCK_PRICE, tenant_id, price_id)
    if row is None:
        raise PriceNotFound(f"there is no price {shown}")
    if not row["deleted_at"]:
        return
    if await tx.fetchval(_PRODUCT_OF, tenant_id, row["product_id"]):
        raise ProductDeleted("the price's product is deleted", hint="Restore the product first.")
    await tx.execute(_MARK_PRICE, tenant_id, price_id, None, None)
    await _record(tx, tenant_id, shown, row, deletion, action="price.restored")


async def restore_customer(tx: Transaction, *, tenant_id: UUID, customer_id: UUID, deletion: Deletion) -> None:
    """Bring a customer back; one that is not deleted stays as it is. Raises CustomerNotFound."""
    shown = ids.show(ids.CUSTOMER, customer_id)
    row = await tx.fetchrow(_LOCK_CUSTOMER, tenant_id, customer_id)
    if row is None:
        raise CustomerNotFound(f"there is no customer {shown}")
    if row["deleted_at"]:
        await tx.execute(_MARK_CUSTOMER, tenant_id, customer_id, None, None)
        await _record(tx, tenant_id, shown, row, deletion, action="customer.restored")


async def _refuse_what_is_left(tx: Transaction, *, tenant_id: UUID, customer_id: UUID, now: datetime) -> None:
    hint = "Pass force=true and a reason to delete the customer all the same."
    if left := await tx.fetchval(_CREDITS_LEFT, tenant_id, customer_id, now):
        raise CustomerHasCredits(f"the customer has {left} credits left", hint=hint, context={"credits": left})
    if count := await tx.fetchval(_SUBSCRIBES, tenant_id, customer_id):
        raise CustomerHasSubscription(
            f"the customer has {count} live subscriptions", hint=hint, context={"subscriptions": count}
        )


async def _record(
    tx: Transaction,
    tenant_id: UUID,
    subject: str,
    before: Mapping[str, Any],
    deletion: Deletion,
    *,
    action: str,
) -> None:
    told = {"deleted_at": before["deleted_at"], "deleted_by": before["deleted_by"]}
    is_back = action.endswith(".restored")
    becomes = dict.fromkeys(told) if is_back else {"deleted_at": deletion.now, "deleted_by": deletion.actor}
    why = {"reason": deletion.reason} if deletion.reason else {}
    forced = {"forced": True} if deletion.is_forced else {}
    await audit.record(
        tx,
        tenant_id=tenant_id,
        actor=deletion.actor,
        action=action,
        subject=subject,
        changes=audit.changed(told, becomes) | why | forced,
    )
