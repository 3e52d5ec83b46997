"""Record subscriptions: one row for each that any report named."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from bursar.kernel import ids
from bursar.kernel.db import Transaction
from bursar.money.gateways.facts import SubscriptionFact
from bursar.money.purchases.bought import Basket


@dataclass(frozen=True, slots=True)
class Subscribed:
    """A subscription that a batch touched. fact: None while nobody has described it. bought: what it is for, as of now.

    unpaid_since: the start of the first unpaid period of its arrears, if it is in any. has_begun: some report showed it begun.
    """

    ref: str
    fact: SubscriptionFact | None
    at: datetime
    customer_id: UUID | None
    bought: Basket
    event_id: UUID
    unpaid_since: datetime | None = None
    has_begun: bool = False


_OPEN = """
insert into subscription (tenant_id, id, gateway_account_id, gateway_ref, customer_id, status, created_at)
select $1, id, $2, ref, customer_id, 'incomplete', created_at
from unnest($3::uuid[], $4::text[], $5::uuid[], $6::timestamptz[]) as new (id, ref, customer_id, created_at) order by ref
on conflict (tenant_id, gateway_account_id, gateway_ref) do nothing
"""

_DESCRIBE = """
update subscription as s
set customer_id = coalesce(new.customer_id, s.customer_id), price_id = new.price_id, status = new.status,
    current_period_start = new.current_period_start, current_period_end = new.current_period_end,
    cancel_at_period_end = new.cancel_at_period_end, cancel_at = new.cancel_at, canceled_at = new.canceled_at,
    ended_at = new.ended_at, trial_end = new.trial_end, created_at = coalesce(new.created_at, s.created_at),
    unmatched_refs = array(select jsonb_array_elements_text(new.unmatched_refs::jsonb)), has_begun = new.has_begun,
    default_method_ref = new.default_method
from unnest($3::text[], $4::uuid[], $5::uuid[], $6::text[], $7::timestamptz[], $8::timestamptz[], $9::bool[], $10::timestamptz[],
  $11::timestamptz[], $12::timestamptz[], $13::timestamptz[], $14::timestamptz[], $15::text[], $16::bool[], $17::text[])
  as new (ref, customer_id, price_id, status, current_period_start, current_period_end, cancel_at_period_end, cancel_at, canceled_at,
    ended_at, trial_end, created_at, unmatched_refs, has_begun, default_method)
where s.tenant_id = $1 and s.gateway_account_id = $2 and s.gateway_ref = new.ref
  and (s.customer_id, s.price_id, s.status, s.current_period_start, s.current_period_end, s.cancel_at_period_end, s.cancel_at,
       s.canceled_at, s.ended_at, s.trial_end, s.created_at, s.unmatched_refs, s.has_begun, s.default_method_ref)
    is distinct from (coalesce(new.customer_id, s.customer_id), new.price_id, new.status, new.current_period_start, new.current_period_end,
       new.cancel_at_period_end, new.cancel_at, new.canceled_at, new.ended_at, new.trial_end, coalesce(new.created_at, s.created_at),
       array(select jsonb_array_elements_text(new.unmatched_refs::jsonb)), new.has_begun, new.default_method)
returning s.id, s.gateway_ref, s.status, s.cancel_at_period_end
"""

_ROWS = """
select s.id, s.gateway_ref, s.customer_id from unnest($3::text[]) as wanted (ref) cross join lateral (
  select id, gateway_ref, customer_id from subscription
  where tenant_id = $1 and gateway_account_id = $2 and gateway_ref = wanted.ref offset 0
) s
"""


async def record_subscriptions(
    tx: Transaction, *, tenant_id: UUID, account_id: UUID, subscribed: Sequence[Subscribed]
) -> tuple[dict[str, tuple[UUID, UUID | None]], list[dict[str, Any]]]:
    """Bring subscriptions to what was reported; return each one's row and customer by gateway id, and the rows that changed."""
    if not subscribed:
        return {}, []
    refs = [s.ref for s in subscribed]
    await tx.execute(
        _OPEN,
        tenant_id,
        account_id,
        [ids.new() for _ in subscribed],
        refs,
        [s.customer_id for s in subscribed],
        [(s.fact.created_at if s.fact else None) or s.at for s in subscribed],
    )
    told = [(s, s.fact) for s in subscribed if s.fact]
    changed = await _describe(tx, tenant_id=tenant_id, account_id=account_id, told=told) if told else []
    rows = await tx.fetch(_ROWS, tenant_id, account_id, refs)
    return {row["gateway_ref"]: (row["id"], row["customer_id"]) for row in rows}, changed


async def _describe(
    tx: Transaction, *, tenant_id: UUID, account_id: UUID, told: Sequence[tuple[Subscribed, SubscriptionFact]]
) -> list[dict[str, Any]]:
    facts = [fact for _, fact in told]
    rows = await tx.fetch(
        _DESCRIBE,
        tenant_id,
        account_id,
        [s.ref for s, _ in told],
        [s.customer_id for s, _ in told],
        [s.bought.lines[0].price.id if s.bought.lines else None for s, _ in told],
        [f.status.value for f in facts],
        [f.current_period_start for f in facts],
        [f.current_period_end for f in facts],
        [f.is_ending for f in facts],
        [f.cancel_at for f in facts],
        [f.canceled_at for f in facts],
        [f.ended_at for f in facts],
        [f.trial_end for f in facts],
        [f.created_at for f in facts],
        [msgspec.json.encode(s.bought.unmatched_refs).decode() for s, _ in told],
        [s.has_begun for s, _ in told],
        [f.default_method for f in facts],
    )
    return [dict(row) for row in rows]
