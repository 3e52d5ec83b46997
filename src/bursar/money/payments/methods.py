"""Saved payment methods."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from bursar.kernel import ids
from bursar.kernel.db import Transaction
from bursar.money.gateways.facts import PaymentMethodFact

_METHODS = """
insert into payment_method (tenant_id, gateway_account_id, id, gateway_ref, customer_id, method, brand, last4, exp_month, exp_year, is_detached, created_at)
select $1, $2, * from unnest($3::uuid[], $4::text[], $5::uuid[], $6::text[], $7::text[], $8::text[], $9::smallint[], $10::smallint[], $11::bool[], $12::timestamptz[])
on conflict (tenant_id, gateway_account_id, gateway_ref) do update
set customer_id = excluded.customer_id, method = excluded.method, brand = excluded.brand,
    last4 = excluded.last4, exp_month = excluded.exp_month, exp_year = excluded.exp_year, is_detached = excluded.is_detached
"""


async def record_payment_methods(
    tx: Transaction,
    *,
    tenant_id: UUID,
    account_id: UUID,
    methods: Sequence[PaymentMethodFact],
    directory: Mapping[str, UUID],
    now: datetime,
) -> None:
    """Bring saved payment methods to their newest snapshots. A detached one keeps the customer it had, which its fact must say."""
    if methods:
        await tx.execute(
            _METHODS,
            tenant_id,
            account_id,
            [ids.new() for _ in methods],
            [m.ref for m in methods],
            [directory.get(m.customer) if m.customer else None for m in methods],
            [m.method for m in methods],
            [m.brand for m in methods],
            [m.last4 for m in methods],
            [m.exp_month for m in methods],
            [m.exp_year for m in methods],
            [m.is_detached for m in methods],
            [m.created_at or now for m in methods],
        )
