"""Bring the customers of a batch up to date and say which row each name is."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from uuid import UUID

from bursar.kernel import ids
from bursar.kernel.db import Transaction
from bursar.money.gateways.facts import CustomerFact

Directory = dict[str, UUID]
"""Row of each gateway name."""

_OPEN = """
insert into customer (tenant_id, id, gateway_account_id, gateway_ref, email, created_at)
select $1, id, $2, ref, email, $6 from unnest($3::uuid[], $4::text[], $5::text[]) as new (id, ref, email)
on conflict (tenant_id, gateway_account_id, gateway_ref) do nothing
"""

_DESCRIBE = """
update customer as c
set email = new.email, name = new.name, phone = new.phone, is_deleted = new.is_deleted,
    created_at = coalesce(new.created_at, c.created_at), default_method_ref = new.default_method
from unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::bool[], $8::timestamptz[], $9::text[])
  as new (ref, email, name, phone, is_deleted, created_at, default_method)
where c.tenant_id = $1 and c.gateway_account_id = $2 and c.gateway_ref = new.ref
  and (c.email, c.name, c.phone, c.is_deleted, c.created_at, c.default_method_ref)
    is distinct from (new.email, new.name, new.phone, new.is_deleted, coalesce(new.created_at, c.created_at), new.default_method)
"""

_ROWS = """
select c.id, c.gateway_ref from unnest($3::text[]) as wanted (ref) cross join lateral (
  select id, gateway_ref from customer where tenant_id = $1 and gateway_account_id = $2 and gateway_ref = wanted.ref offset 0
) c
"""

_OWN = "select id from customer where tenant_id = $1 and id = any($2::uuid[])"


async def know_customers(
    tx: Transaction,
    *,
    tenant_id: UUID,
    account_id: UUID,
    named: Mapping[str, str | None],
    described: Iterable[CustomerFact],
    now: datetime,
) -> Directory:
    """Return the row of every named customer, opening rows for those not seen before.

    named: gateway name to e-mail address (or None). A Bursar id (`cus_…` of this tenant) names itself: the
    desk and operators speak of customers that way. described: newest snapshots of customers.
    """
    facts = {fact.ref: fact for fact in described}
    own = await _own(tx, tenant_id=tenant_id, names=named)
    wanted = {ref: email for ref, email in named.items() if ref not in own}
    wanted |= {ref: None for ref in facts if ref not in wanted}
    if not wanted:
        return own
    refs = sorted(wanted)
    rows = await tx.fetch(_ROWS, tenant_id, account_id, refs)
    known = {row["gateway_ref"]: row["id"] for row in rows}
    if missing := [ref for ref in refs if ref not in known]:
        await tx.execute(
            _OPEN, tenant_id, account_id, [ids.new() for _ in missing], missing, [wanted[r] for r in missing], now
        )
        rows = await tx.fetch(_ROWS, tenant_id, account_id, missing)
        known |= {row["gateway_ref"]: row["id"] for row in rows}
    if facts:
        told = [facts[ref] for ref in sorted(facts)]
        await tx.execute(
            _DESCRIBE,
            tenant_id,
            account_id,
            [f.ref for f in told],
            [f.email for f in told],
            [f.name for f in told],
            [f.phone for f in told],
            [f.is_deleted for f in told],
            [f.created_at for f in told],
            [f.default_method for f in told],
        )
    return own | known


async def _own(tx: Transaction, *, tenant_id: UUID, names: Iterable[str]) -> Directory:
    parsed: Directory = {name: own for name in names if (own := ids.parsed_or_none(ids.CUSTOMER, name))}
    if not parsed:
        return {}
    found = {row["id"] for row in await tx.fetch(_OWN, tenant_id, list(parsed.values()))}
    return {name: row_id for name, row_id in parsed.items() if row_id in found}
