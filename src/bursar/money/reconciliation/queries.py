"""Reads of reconciliations: the runs, their differences, and which accounts were not compared for too long."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from bursar.kernel import ids
from bursar.kernel.db import Transaction
from bursar.kernel.listing import Listing, Part, Slice, part
from bursar.money.reconciliation.models import EXPLAINED, OVERDUE, Why
from bursar.money.reconciliation.runs import ReconciliationNotFound
from bursar.money.reconciliation.schemas import AccountStanding, Difference, Reconciliation

_RUN = """select r.id, r.gateway_account_id as gateway_account, r.actor, r.state, r.kinds, r.kinds_done, r.pages, r.objects,
  r.sinces[array_position(r.kinds, 'payment')] as since, r.until, jsonb_build_object('matched', r.matched, 'missing_here', r.missing_here,
    'missing_there', r.missing_there, 'amount', r.amount, 'currency', r.currency, 'status', r.status, 'fee', r.fee, 'timing', r.timing)::text as counts,
  (select count(*) from reconciliation_difference d
    where d.tenant_id = r.tenant_id and d.last_run_id = r.id and d.state in ('repairing', 'open')) as unrepaired,
  r.error, r.started_at, r.finished_at
from reconciliation_run r"""

RUNS = Listing(
    select=_RUN,
    tenant="r.tenant_id",
    key="r.id",
    filters={"gateway_account": "r.gateway_account_id = {}", "state": "r.state = {}"},
    refers={"gateway_account": "gateway_account"},
)

_ONE = f"{_RUN} where r.tenant_id = $1 and r.id = $2"

_DIFFERENCE = """select d.id, d.run_id as reconciliation, d.last_run_id as last_seen_in, d.kind, d.ref as gateway_ref, d.class,
  d.here::text as here, d.there::text as there, d.state, d.why, d.detail, d.event_id as event, d.found_at, d.seen_at, d.settled_at
from reconciliation_difference d"""

DIFFERENCES = Listing(
    select=_DIFFERENCE,
    tenant="d.tenant_id",
    key="d.id",
    filters={"run": "d.last_run_id = {}", "class": "d.class = {}", "state": "d.state = {}"},
)

_STANDINGS = """
select a.id as gateway_account, left(a.name, 200) as name, a.gateway, g.finished_at as last_good_at, u.id as running,
  coalesce(g.finished_at, a.created_at) < $2 as is_overdue
from gateway_account a
left join lateral (
  select finished_at from reconciliation_run r
  where r.tenant_id = a.tenant_id and r.gateway_account_id = a.id and r.state = 'done' order by finished_at desc limit 1
) g on true
left join lateral (
  select id from reconciliation_run r
  where r.tenant_id = a.tenant_id and r.gateway_account_id = a.id and r.state in ('listing', 'settling') limit 1
) u on true
where a.tenant_id = $1 and a.is_active and a.api_key is not null and a.gateway <> 'manual'
order by a.id limit 1000
"""

OVERDUE_ACCOUNTS = """
select count(*) from gateway_account a
where a.is_active and a.api_key is not null and a.gateway <> 'manual' and a.created_at < $1 and not exists (
  select from reconciliation_run r
  where r.tenant_id = a.tenant_id and r.gateway_account_id = a.id and r.state = 'done' and r.finished_at >= $1
)
"""


async def runs(tx: Transaction, *, tenant_id: UUID, page: Slice, given: Mapping[str, Any]) -> Part[Reconciliation]:
    """Return runs, newest first. given: values by filter of `RUNS`."""
    return await part(tx, RUNS, tenant_id=tenant_id, given=given, page=page, view=Reconciliation.of)


async def run(tx: Transaction, *, tenant_id: UUID, run_id: UUID) -> Reconciliation:
    """Return one run. Raises ReconciliationNotFound."""
    row = await tx.fetchrow(_ONE, tenant_id, run_id)
    if row is None:
        raise ReconciliationNotFound(f"there is no reconciliation {ids.show(ids.RECONCILIATION, run_id)}")
    return Reconciliation.of(row)


async def differences(
    tx: Transaction, *, tenant_id: UUID, run_id: UUID, page: Slice, given: Mapping[str, Any]
) -> Part[Difference]:
    """Return the differences that a run saw last, newest first. given: values by filter of `DIFFERENCES`.

    Raises ReconciliationNotFound.
    """
    await run(tx, tenant_id=tenant_id, run_id=run_id)
    asked = {"run": run_id, **given}
    return await part(tx, DIFFERENCES, tenant_id=tenant_id, given=asked, page=page, view=_difference)


async def standings(tx: Transaction, *, tenant_id: UUID, now: datetime) -> tuple[AccountStanding, ...]:
    """Return every account that can be compared, and whether it was, lately."""
    return tuple(AccountStanding.of(row) for row in await tx.fetch(_STANDINGS, tenant_id, now - OVERDUE))


async def overdue_accounts(tx: Transaction, *, now: datetime) -> int:
    """Return how many accounts of all tenants were not compared for too long. tx: the engine's."""
    count: int = await tx.fetchval(OVERDUE_ACCOUNTS, now - OVERDUE)
    return count


def _difference(row: Any) -> Difference:
    return Difference.model_validate({**dict(row), "explanation": EXPLAINED[Why(row["why"])]})
