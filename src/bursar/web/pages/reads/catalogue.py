"""The catalogue: what is sold, and what each price grants."""

import re
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec

from bursar.kernel import ids
from bursar.kernel.amounts import Money
from bursar.kernel.db import Transaction

PRODUCTS_MAX = 200
_SPAN = re.compile(r"P(\d{1,4})([YMWD])", re.ASCII)
_PRICES_MAX = 2_000


@dataclass(frozen=True, slots=True)
class GivenRow:
    """One grant of a price. word: its kind; text: how much of what, for how long."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class PriceView:
    """refs: (gateway account, the gateway's id of the price)."""

    id: str
    lookup_key: str | None
    money: Money
    every: str | None
    grants: tuple[GivenRow, ...]
    refs: tuple[tuple[str, str], ...]
    recovers_shortfall: bool
    is_active: bool


@dataclass(frozen=True, slots=True)
class ProductView:
    id: str
    name: str
    description: str
    is_active: bool
    prices: tuple[PriceView, ...]


_PRODUCTS = f"""
select id, left(name, 200) as name, left(description, 500) as description, is_active
from product where tenant_id = $1 order by is_active desc, name, id limit {PRODUCTS_MAX}
"""

_PRICES = f"""
select id, product_id, left(lookup_key, 120) as lookup_key, amount_minor, currency, interval, interval_count, grants::text as grants,
  recovers_shortfall, is_active
from price where tenant_id = $1 and product_id = any($2::uuid[]) order by is_active desc, amount_minor, id limit {_PRICES_MAX}
"""

_REFS = f"""
select r.price_id, left(a.name, 60) as account, left(r.ref, 120) as ref
from price_gateway_ref r join gateway_account a on a.tenant_id = r.tenant_id and a.id = r.gateway_account_id
where r.tenant_id = $1 and r.price_id = any($2::uuid[]) order by a.name, r.ref limit {_PRICES_MAX}
"""


async def catalogue(tx: Transaction, *, tenant_id: UUID) -> tuple[ProductView, ...]:
    """Return the products with their prices, active ones first."""
    products = await tx.fetch(_PRODUCTS, tenant_id)
    prices = await tx.fetch(_PRICES, tenant_id, [product["id"] for product in products])
    refs: dict[UUID, list[tuple[str, str]]] = {}
    for row in await tx.fetch(_REFS, tenant_id, [price["id"] for price in prices]):
        refs.setdefault(row["price_id"], []).append((row["account"], row["ref"]))
    by_product: dict[UUID, list[PriceView]] = {}
    for price in prices:
        by_product.setdefault(price["product_id"], []).append(_price(price, refs.get(price["id"], [])))
    return tuple(
        ProductView(
            id=ids.show(ids.PRODUCT, row["id"]),
            name=row["name"],
            description=row["description"],
            is_active=row["is_active"],
            prices=tuple(by_product.get(row["id"], ())),
        )
        for row in products
    )


def _price(row: Any, refs: list[tuple[str, str]]) -> PriceView:
    interval, count = row["interval"], row["interval_count"]
    return PriceView(
        id=ids.show(ids.PRICE, row["id"]),
        lookup_key=row["lookup_key"],
        money=Money(row["amount_minor"], row["currency"]),
        every=None if interval is None else (f"every {interval}" if count == 1 else f"every {count} {interval}s"),
        grants=grants_in_words(row["grants"]),
        refs=tuple(refs),
        recovers_shortfall=row["recovers_shortfall"],
        is_active=row["is_active"],
    )


def grants_in_words(text: str) -> tuple[GivenRow, ...]:
    """Return what a price grants, in words. text: the JSON of its grants."""
    return tuple(_given(spec) for spec in _specs(text))


def _specs(text: str) -> list[dict[str, Any]]:
    specs = msgspec.json.decode(text)
    return [spec for spec in specs if isinstance(spec, dict)] if isinstance(specs, list) else []


def _given(spec: dict[str, Any]) -> GivenRow:
    """Return a grant in words; a kind that an app added is shown as its fields."""
    kind = str(spec.get("kind", ""))[:40]
    match kind:
        case "credits":
            text = f"{spec.get('amount')} in {spec.get('pool', 'default')}"
        case "feature":
            limit = spec.get("limit")
            text = f"{spec.get('feature')}, {'unlimited' if limit is None else f'up to {limit}'}"
        case "quota":
            text = f"{spec.get('amount')} {spec.get('meter')}"
        case "licence":
            activations = spec.get("activations")
            text = f"{spec.get('course')}, {'any number of' if activations is None else activations} activations"
        case _:
            text = ", ".join(f"{name} {value}" for name, value in spec.items() if name != "kind")
    terms = [
        f"{name} {_span(str(spec[field]), one='a ' if field == 'expires_after' else '')}"
        for name, field in (("per", "per"), ("within", "expires_after"))
        if spec.get(field)
    ]
    return GivenRow(kind, ", ".join([text, *terms])[:200])


def _span(text: str, *, one: str) -> str:
    """Return an ISO 8601 duration in words; one that is not plain stays as it is. one: what stands before a single unit."""
    found = _SPAN.fullmatch(text)
    if found is None:
        return text[:40]
    amount, unit = int(found[1]), {"Y": "year", "M": "month", "W": "week", "D": "day"}[found[2]]
    return f"{one}{unit}" if amount == 1 else f"{amount} {unit}s"
