"""The tally of payments, made again from the payments."""

from typing import Final
from uuid import UUID

from bursar.kernel import audit, ids
from bursar.kernel.db import Transaction

_TIMEOUT_S: Final = 900
_ALONE = "select pg_advisory_xact_lock(hashtextextended('tallies ' || $1::text, 0))"
_PATIENT = f"set local statement_timeout = '{_TIMEOUT_S}s'"

# What is off by is added, and nothing replaced: payments and tally are read as of one instant, and whatever is applied
# meanwhile moves both alike. So it takes no lock that applying would wait for.
_REBUILD = """
with truth as (
  select date_bin('15 minutes', created_at, timestamptz '2000-01-01 00:00+00') as quarter, gateway_account_id, currency, status,
    count(*) as payments, sum(amount_minor) as amount_minor
  from payment where tenant_id = $1 and superseded_by is null
  group by 1, 2, 3, 4
), told as (
  select quarter, gateway_account_id, currency, status, payments, amount_minor from payment_tally where tenant_id = $1
), off_by as (
  select quarter, gateway_account_id, currency, status, coalesce(truth.payments, 0) - coalesce(told.payments, 0) as payments,
    coalesce(truth.amount_minor, 0) - coalesce(told.amount_minor, 0) as amount_minor
  from truth full join told using (quarter, gateway_account_id, currency, status)
), put_right as (
  insert into payment_tally as t (tenant_id, quarter, gateway_account_id, currency, status, payments, amount_minor)
  select $1, quarter, gateway_account_id, currency, status, payments, amount_minor from off_by
  where payments <> 0 or amount_minor <> 0
  on conflict (tenant_id, quarter, gateway_account_id, currency, status) do update
  set payments = t.payments + excluded.payments, amount_minor = t.amount_minor + excluded.amount_minor
  returning 1
)
select count(*) from put_right
"""


async def rebuild_tallies(tx: Transaction, *, tenant_id: UUID, actor: str) -> int:
    """Bring the tally to what the payments say, while they are applied; return how many of its rows were wrong."""
    await tx.execute(_PATIENT)
    await tx.execute(_ALONE, str(tenant_id), timeout=_TIMEOUT_S)
    # A statement of its own, so that it sees what whoever rebuilt before has done.
    wrong: int = await tx.fetchval(_REBUILD, tenant_id, timeout=_TIMEOUT_S)
    if wrong:
        await audit.record(
            tx,
            tenant_id=tenant_id,
            actor=actor,
            action="reports.rebuilt",
            subject=ids.show(ids.TENANT, tenant_id),
            changes={"rows_put_right": wrong},
        )
    return wrong
