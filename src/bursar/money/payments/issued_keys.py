"""Licence keys that a gateway issued itself (Dodo): theirs to make, ours to follow the money.

A key is active while the gateway says so and its payment stands: revoked when all the money went back, suspended
while it is disputed. Dodo tells of a key only when it makes it, so a refund is the only word there is.
"""

from collections.abc import Mapping, Sequence
from uuid import UUID

from bursar.kernel import ids
from bursar.kernel.db import Transaction
from bursar.money.gateways.facts import LicenceKeyFact
from bursar.money.payments.recording import Assessed

_KEYS = """
insert into licence (tenant_id, gateway_account_id, id, gateway_ref, customer_id, key, product, activations_max, status, is_withdrawn, expires_at,
  payment_ref)
select $1, $2, * from unnest($3::uuid[], $4::text[], $5::uuid[], $6::text[], $7::text[], $8::bigint[], $9::text[], $10::bool[], $11::timestamptz[],
  $12::text[])
on conflict (tenant_id, gateway_account_id, gateway_ref) do update
set customer_id = coalesce(excluded.customer_id, licence.customer_id), status = excluded.status, is_withdrawn = excluded.is_withdrawn,
    expires_at = excluded.expires_at, payment_ref = excluded.payment_ref,
    activations_max = case when excluded.activations_max is not null then greatest(excluded.activations_max, licence.activations) end
"""

_FOLLOW = """
with due as (
  select k.id, case when k.is_withdrawn or (p.paid_minor > 0 and p.refunded_minor + p.lost_minor >= p.paid_minor) then 'revoked'
                    when p.is_disputed then 'suspended' else 'active' end as status
  from unnest($3::text[]) as wanted (ref) cross join lateral (
    select id, is_withdrawn from licence where tenant_id = $1 and gateway_account_id = $2 and payment_ref = wanted.ref offset 0
  ) k cross join lateral (
    select purchase_id from payment where tenant_id = $1 and gateway_account_id = $2 and gateway_ref = wanted.ref offset 0
  ) y cross join lateral (
    select paid_minor, refunded_minor, lost_minor, is_disputed from purchase where tenant_id = $1 and id = y.purchase_id offset 0
  ) p
)
update licence as l set status = due.status from due where l.tenant_id = $1 and l.id = due.id and l.status <> due.status
"""

_USABLE = "active"


async def record_issued_keys(
    tx: Transaction,
    *,
    tenant_id: UUID,
    account_id: UUID,
    keys: Sequence[LicenceKeyFact],
    assessed: Sequence[Assessed],
    directory: Mapping[str, UUID],
) -> None:
    """Bring keys to their newest snapshots and to the money behind them.

    keys: those that were told of. assessed: purchases as they now stand, already recorded.
    """
    if keys:
        await _record(tx, tenant_id=tenant_id, account_id=account_id, keys=keys, directory=directory)
    payments = {key.payment for key in keys if key.payment}
    for view in (a.assessment for a in assessed):
        if view.refunds or view.disputes:
            payments.update(payment.ref for payment in view.payments)
    if payments:
        await tx.execute(_FOLLOW, tenant_id, account_id, sorted(payments))


async def _record(
    tx: Transaction,
    *,
    tenant_id: UUID,
    account_id: UUID,
    keys: Sequence[LicenceKeyFact],
    directory: Mapping[str, UUID],
) -> None:
    await tx.execute(
        _KEYS,
        tenant_id,
        account_id,
        [ids.new() for _ in keys],
        [k.ref for k in keys],
        [directory.get(k.customer) if k.customer else None for k in keys],
        [k.key for k in keys],
        [k.product or k.ref for k in keys],
        [k.activations_max for k in keys],
        ["active" if k.status == _USABLE else "revoked" for k in keys],
        [k.status != _USABLE for k in keys],
        [k.expires_at for k in keys],
        [k.payment for k in keys],
    )
