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

# The latest period decides what was returned (what only settled a change of plan is no period of its own); an open
# dispute of any period suspends.
_PAID_PERIODS = """
select s.ref, p.paid_minor, p.refunded_minor + p.lost_minor as taken_minor, p.is_disputed, p.lines::text as lines,
  coalesce(p.period_start, p.paid_at) as started_at, p.customer_id, p.lines @> '[{"standing": true}]' as is_period
from unnest($3::text[]) as s (ref) cross join lateral (
  select paid_minor, refunded_minor, lost_minor, is_disputed, lines, period_start, paid_at, customer_id from purchase
  where tenant_id = $1 and gateway_account_id = $2 and subscription_ref = s.ref and is_paid offset 0
) p
order by s.ref, started_at desc, p.paid_at desc, p.paid_minor desc
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
    periods: dict[str, list[Any]] = {}
    for row in await tx.fetch(_PAID_PERIODS, tenant_id, account_id, [s.ref for s in subscribed]) if subscribed else ():
        periods.setdefault(row["ref"], []).append(row)
    undescribed = [row for s in subscribed if not s.fact for row in periods.get(s.ref, ()) if row["is_period"]]
    prices = await _prices_of_lines(tx, tenant_id=tenant_id, account_id=account_id, periods=undescribed)
    standings = []
    for s in subscribed:
        of_subscription = periods.get(s.ref, [])
        subscription_id, customer_id = rows[s.ref]
        customer_id = customer_id or (of_subscription[0]["customer_id"] if of_subscription else None)
        if customer_id is None:
            continue
        latest = next((row for row in of_subscription if row["is_period"]), None)
        standings.append(
            Standing(
                subscription_id=subscription_id,
                customer_id=customer_id,
                event_id=s.event_id,
                fact=s.fact,
                at=s.at,
                bought=tuple((b.price, b.quantity) for b in s.bought.lines)
                if s.fact
                else _standing_lines(latest, prices),
                is_paid=bool(of_subscription),
                is_disputed=any(row["is_disputed"] for row in of_subscription),
                taken_minor=latest["taken_minor"] if latest else 0,
                paid_minor=latest["paid_minor"] if latest else 0,
                unpaid_since=s.unpaid_since,
                has_begun=s.has_begun,
                since=of_subscription[-1]["started_at"] if of_subscription else s.at,
            )
        )
    return standings


async def _prices_of_lines(tx: Transaction, *, tenant_id: UUID, account_id: UUID, periods: Sequence[Any]) -> Catalogue:
    names = {ids.show(ids.PRICE, UUID(line["price"])) for row in periods for line in msgspec.json.decode(row["lines"])}
    return await catalogue_for(tx, tenant_id=tenant_id, account_id=account_id, refs=(), names=names, orders=())


def _standing_lines(latest: Any, prices: Catalogue) -> tuple[tuple[Price, int], ...]:
    """What the latest paid period says the subscription is for, while the subscription itself is not told."""
    if latest is None:
        return ()
    lines = [line for line in msgspec.json.decode(latest["lines"]) if line["standing"]]
    return tuple((prices.by_name[ids.show(ids.PRICE, UUID(line["price"]))], line["quantity"]) for line in lines)
