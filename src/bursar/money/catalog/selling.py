"""Put products and prices on sale, and tell the money that waited for them.

Money that named nothing we sold is looked at again when the catalogue learns the name. The news goes into each
account's own history, in the transaction that changes the catalogue: whatever is applied before it is looked at again,
and whatever is applied after it sees the new catalogue.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Protocol
from uuid import UUID

import msgspec

from bursar.kernel import audit, ids
from bursar.kernel.db import Transaction
from bursar.kernel.errors import Conflict, FieldError, Invalid
from bursar.money.catalog.prices import Interval
from bursar.money.catalog.queries import PriceNotFound, ProductDeleted, ProductNotFound
from bursar.money.intake import file_own_event
from bursar.money.intake.accounts import GatewayAccountNotFound

CHANGED: Final = "bursar.catalog.changed"


class PriceLookupKeyTaken(Conflict):
    """Another price has this lookup key."""

    code = "price_lookup_key_taken"


class PriceLookupKeyInvalid(Invalid):
    """A lookup key must not look like the id of a price."""

    code = "price_lookup_key_invalid"


class PriceGatewayRefTaken(Conflict):
    """The gateway reference names a price already."""

    code = "price_gateway_ref_taken"


class GrantCheck(Protocol):
    """Says whether somebody can deliver a grant (fulfilment's registry)."""

    def checked(self, specs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return grants in canonical form. Raises what refuses them."""


GatewayRefs = Sequence[tuple[UUID, str]]
"""Gateway account and the name it knows the price by."""

_ADD_PRODUCT = "insert into product (tenant_id, id, name, description) values ($1, $2, $3, $4)"
_PRODUCT = "select deleted_at from product where tenant_id = $1 and id = $2 for share"
_HAS_PRICE = "select lookup_key from price where tenant_id = $1 and id = $2"

_ADD_PRICE = """
insert into price (tenant_id, id, product_id, lookup_key, amount_minor, currency, interval, interval_count, grants, recovers_shortfall)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9::text::jsonb, $10)
on conflict on constraint price_lookup_key_once do nothing returning id
"""

_ADD_REFS = """
insert into price_gateway_ref (tenant_id, gateway_account_id, ref, price_id)
select $1, account_id, ref, $2 from unnest($3::uuid[], $4::text[]) as new (account_id, ref) order by account_id, ref
on conflict (tenant_id, gateway_account_id, ref) do nothing returning gateway_account_id, ref
"""

_ACCOUNTS = "select id from gateway_account where tenant_id = $1 order by id"


async def add_product(tx: Transaction, *, tenant_id: UUID, name: str, description: str, actor: str) -> UUID:
    """Add a product; return its id."""
    product_id = ids.new()
    await tx.execute(_ADD_PRODUCT, tenant_id, product_id, name, description)
    await audit.record(
        tx,
        tenant_id=tenant_id,
        actor=actor,
        action="product.added",
        subject=ids.show(ids.PRODUCT, product_id),
        changes={"name": name},
    )
    return product_id


async def add_price(
    tx: Transaction,
    *,
    tenant_id: UUID,
    product_id: UUID,
    lookup_key: str | None,
    amount_minor: int,
    currency: str,
    interval: Interval | None,
    interval_count: int,
    grants: Sequence[dict[str, Any]],
    gateway_refs: GatewayRefs,
    recovers_shortfall: bool,
    check: GrantCheck,
    actor: str,
    now: datetime,
) -> UUID:
    """Add a price; return its id.

    Raises ProductNotFound, ProductDeleted, PriceLookupKeyTaken, PriceLookupKeyInvalid, PriceGatewayRefTaken, GatewayAccountNotFound,
    and what refuses a grant.
    """
    specs = check.checked(grants)
    _refuse_id(lookup_key)
    product = await tx.fetchrow(_PRODUCT, tenant_id, product_id)
    if product is None:
        raise ProductNotFound(f"there is no product {ids.show(ids.PRODUCT, product_id)}")
    if product["deleted_at"]:
        raise ProductDeleted("the product is deleted", hint="Restore it first, or use another one.")
    price_id = ids.new()
    added = await tx.fetchval(
        _ADD_PRICE,
        tenant_id,
        price_id,
        product_id,
        lookup_key,
        amount_minor,
        currency,
        interval,
        interval_count,
        msgspec.json.encode(specs).decode(),
        recovers_shortfall,
    )
    if not added:
        wrong = FieldError("lookup_key", "taken", "another price has it")
        raise PriceLookupKeyTaken(
            "another price has this lookup key", hint="A price cannot be edited; choose a new key.", fields=(wrong,)
        )
    accounts = await _add_refs(tx, tenant_id=tenant_id, price_id=price_id, gateway_refs=gateway_refs)
    shown = ids.show(ids.PRICE, price_id)
    changes = {"lookup_key": lookup_key, "amount_minor": amount_minor, "currency": currency, "grants": specs}
    await audit.record(tx, tenant_id=tenant_id, actor=actor, action="price.added", subject=shown, changes=changes)
    names = [shown, *([lookup_key] if lookup_key else ())]
    await _announce(tx, tenant_id=tenant_id, accounts=accounts, names=names, gateway_refs=gateway_refs, now=now)
    return price_id


async def add_gateway_refs(
    tx: Transaction, *, tenant_id: UUID, price_id: UUID, gateway_refs: GatewayRefs, actor: str, now: datetime
) -> None:
    """Give a price further names at gateways. Raises PriceNotFound, PriceGatewayRefTaken, GatewayAccountNotFound."""
    shown = ids.show(ids.PRICE, price_id)
    if not await tx.fetchrow(_HAS_PRICE, tenant_id, price_id):
        raise PriceNotFound(f"there is no price {shown}")
    await _add_refs(tx, tenant_id=tenant_id, price_id=price_id, gateway_refs=gateway_refs)
    told = [{"gateway_account": ids.show(ids.GATEWAY_ACCOUNT, account), "ref": ref} for account, ref in gateway_refs]
    await audit.record(
        tx, tenant_id=tenant_id, actor=actor, action="price.refs_added", subject=shown, changes={"gateway_refs": told}
    )
    accounts = sorted({account for account, _ in gateway_refs})
    await _announce(tx, tenant_id=tenant_id, accounts=accounts, names=[], gateway_refs=gateway_refs, now=now)


async def _add_refs(tx: Transaction, *, tenant_id: UUID, price_id: UUID, gateway_refs: GatewayRefs) -> list[UUID]:
    """Add references; return every account of the tenant."""
    accounts = [row["id"] for row in await tx.fetch(_ACCOUNTS, tenant_id)]
    for account, _ in gateway_refs:
        if account not in accounts:
            raise GatewayAccountNotFound(f"there is no gateway account {ids.show(ids.GATEWAY_ACCOUNT, account)}")
    refs = sorted(gateway_refs)
    if refs:
        rows = await tx.fetch(
            _ADD_REFS, tenant_id, price_id, [account for account, _ in refs], [ref for _, ref in refs]
        )
        added = {(row["gateway_account_id"], row["ref"]) for row in rows}
        if len(added) < len(refs):
            taken = next((ref for ref in refs if ref not in added), refs[0])
            raise PriceGatewayRefTaken(
                "a gateway reference names a price already",
                hint="A reference names one price in its gateway account.",
                context={"ref": taken[1], "gateway_account": ids.show(ids.GATEWAY_ACCOUNT, taken[0])},
            )
    return accounts


async def _announce(
    tx: Transaction,
    *,
    tenant_id: UUID,
    accounts: Sequence[UUID],
    names: Sequence[str],
    gateway_refs: GatewayRefs,
    now: datetime,
) -> None:
    refs: dict[UUID, list[str]] = {}
    for account, ref in gateway_refs:
        refs.setdefault(account, []).append(ref)
    for account in accounts:
        payload: Mapping[str, Any] = {"refs": refs.get(account, []), "names": list(names)}
        await file_own_event(
            tx, tenant_id=tenant_id, account_id=account, type=CHANGED, payload=dict(payload), occurred_at=now
        )


def _refuse_id(lookup_key: str | None) -> None:
    if ids.parsed_or_none(ids.PRICE, lookup_key):
        wrong = FieldError("lookup_key", "invalid", "not in the form of an id")
        raise PriceLookupKeyInvalid("a lookup key must not look like the id of a price", fields=(wrong,))
