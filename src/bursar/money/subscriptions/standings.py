"""The money behind subscriptions, read from their purchases."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec

from bursar.kernel import ids
from bursar.kernel.db import Transaction
from bursar.money.catalog import Catalogue, Price, catalogue_for
from bursar.money.fulfilment import Standing
from bursar.money.subscriptions.recording import Subscribed

_PAID = """
from purchase p where p.tenant_id = $1 and p.gateway_account_id = $2 and p.subscription_ref = s.ref and p.is_paid"""

# The latest period decides what was returned (what only settled a change of plan is no period of its own); an open
# dispute of any period suspends. Each is found by its own look-up, so that a long life costs no more than a short one.
# Ties end in what the periods say, never in what they are called here: two orders of telling must choose alike.
_MONEY = f"""
select s.ref, earliest.since, newest.customer_id, latest.paid_minor, latest.taken_minor, latest.lines,
  exists (select {_PAID} and p.is_disputed) as is_disputed,
  latest.lines is not null or exists (select {_PAID} and p.paid_minor > 0) as is_paid
from unnest($3::text[]) as s (ref)
cross join lateral (
  select coalesce(p.period_start, p.paid_at) as since {_PAID} order by coalesce(p.period_start, p.paid_at) limit 1
) as earliest
cross join lateral (
  select p.customer_id {_PAID}
  order by coalesce(p.period_start, p.paid_at) desc, p.paid_at desc, p.paid_minor desc,
    (select c.gateway_ref from customer c where c.tenant_id = $1 and c.id = p.customer_id) limit 1
) as newest
left join lateral (
  select p.paid_minor, p.refunded_minor + p.lost_minor as taken_minor, p.lines::text as lines {_PAID} and p.lines @> '[{{"standing": true}}]'
  order by coalesce(p.period_start, p.paid_at) desc, p.paid_at desc, p.paid_minor desc, taken_minor desc, lines desc limit 1
) as latest on true
"""


async def standings_of(
    tx: Transaction,
    *,
    tenant_id: UUID,
    account_id: UUID,
    subscribed: Sequence[Subscribed],
    rows: Mapping[str, tuple[UUID, UUID | None]],
) -> list[Standing]:
    """Return the subscriptions that have a customer, with their paid periods summed up."""
    refs = [s.ref for s in subscribed]
    found = await tx.fetch(_MONEY, tenant_id, account_id, refs) if refs else ()
    money: dict[str, Any] = {row["ref"]: row for row in found}
    undescribed = [money[s.ref]["lines"] for s in subscribed if not s.fact and s.ref in money and money[s.ref]["lines"]]
    prices = await _prices_of_lines(tx, tenant_id=tenant_id, account_id=account_id, periods=undescribed)
    standings = []
    for s in subscribed:
        behind = money.get(s.ref)
        subscription_id, customer_id = rows[s.ref]
        customer_id = customer_id or (behind["customer_id"] if behind else None)
        if customer_id is None:
            continue
        lines = behind["lines"] if behind else None
        standings.append(
            Standing(
                subscription_id=subscription_id,
                customer_id=customer_id,
                event_id=s.event_id,
                fact=s.fact,
                at=s.at,
                bought=tuple((b.price, b.quantity) for b in s.bought.lines)
                if s.fact
                else _standing_lines(lines, prices),
                is_paid=bool(behind and behind["is_paid"]),
                is_disputed=bool(behind and behind["is_disputed"]),
                taken_minor=behind["taken_minor"] if behind and lines else 0,
                paid_minor=behind["paid_minor"] if behind and lines else 0,
                unpaid_since=s.unpaid_since,
                has_begun=s.has_begun,
                since=behind["since"] if behind else s.at,
            )
        )
    return standings


async def _prices_of_lines(tx: Transaction, *, tenant_id: UUID, account_id: UUID, periods: Sequence[str]) -> Catalogue:
    names = {ids.show(ids.PRICE, UUID(line["price"])) for lines in periods for line in msgspec.json.decode(lines)}
    return await catalogue_for(tx, tenant_id=tenant_id, account_id=account_id, refs=(), names=names, orders=())


def _standing_lines(latest: str | None, prices: Catalogue) -> tuple[tuple[Price, int], ...]:
    """What the latest paid period says the subscription is for, while the subscription itself is not told."""
    if latest is None:
        return ()
    lines = [line for line in msgspec.json.decode(latest) if line["standing"]]
    return tuple((prices.by_name[ids.show(ids.PRICE, UUID(line["price"]))], line["quantity"]) for line in lines)
