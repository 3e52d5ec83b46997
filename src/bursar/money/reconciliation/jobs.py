"""Jobs of reconciliation: move one run on, and begin a tenant's daily ones."""

import time
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import structlog

from bursar.kernel import ids, jobs
from bursar.kernel.db import Transaction
from bursar.kernel.errors import DomainError
from bursar.money.calls import Outside
from bursar.money.gateways.callers import listed_by
from bursar.money.gateways.calling import CallFailed
from bursar.money.reconciliation.models import GRACE
from bursar.money.reconciliation.running import Reconciler, Waiting
from bursar.money.reconciliation.runs import ReconciliationNotFound, begin_run, end_run

RUN_ACCOUNT: Final = "reconciliation.run_account"
BEGIN_DAILY: Final = "reconciliation.begin_daily"
SLICE_S: Final = 20.0
"""How long a run keeps a worker's hand before others have their turn."""
_SETTLES_S: Final = 2.0
_LATELY: Final = timedelta(hours=20)

SCHEDULES: Final = (jobs.Schedule("reconciliation.daily", "40 2 * * *", BEGIN_DAILY, spread_s=3600),)

_log = structlog.get_logger("bursar.reconciliation")

_DUE = """
select a.id from gateway_account a
where a.tenant_id = $1 and a.is_active and a.api_key is not null and a.gateway <> 'manual' and not exists (
  select from reconciliation_run r
  where r.tenant_id = a.tenant_id and r.gateway_account_id = a.id
    and (r.state in ('listing', 'settling') or r.state = 'done' and r.finished_at > $2)
)
order by a.id limit 1000
"""


async def ask_for_run(
    tx: Transaction,
    *,
    tenant_id: UUID,
    account_id: UUID,
    actor: str,
    now: datetime,
    since: datetime | None = None,
    until: datetime | None = None,
) -> UUID:
    """Begin a run and enqueue it, in one transaction; return it. Raises what `begin_run` does."""
    run_id = await begin_run(
        tx,
        tenant_id=tenant_id,
        account_id=account_id,
        lists=listed_by,
        actor=actor,
        now=now,
        since=since,
        until=until,
    )
    shown = ids.show(ids.RECONCILIATION, run_id)
    await jobs.enqueue(tx, tenant_id=tenant_id, kind=RUN_ACCOUNT, key=shown, priority=10)
    return run_id


def kinds(outside: Outside, *, grace: timedelta = GRACE) -> tuple[jobs.Kind, ...]:
    """Return the kinds of jobs that reconcile. outside: the way to the gateways. grace: see `Reconciler`."""

    async def run_account(work: jobs.Work) -> None:
        """Move a run on for a while, and come back until it is over."""
        resources = work.resources
        reconciler = Reconciler(
            surroundings=resources, outside=outside, grace=grace, is_production=resources.settings.production
        )
        await _move_on(work, reconciler)

    return (
        jobs.Kind(RUN_ACCOUNT, run_account, attempts_max=20, lease_s=60, at_once_max=4, on_dead=on_dead),
        jobs.Kind(BEGIN_DAILY, begin_daily),
    )


async def begin_daily(work: jobs.Work) -> None:
    """Begin the run of every account of the tenant that had none lately."""
    tenant_id, now = work.job.tenant_id, work.resources.now()
    async with work.finish() as tx:
        for row in await tx.fetch(_DUE, tenant_id, now - _LATELY):
            try:
                await ask_for_run(tx, tenant_id=tenant_id, account_id=row["id"], actor="schedule", now=now)
            except DomainError as refusal:
                _log.warning(
                    "reconciliation_not_begun",
                    gateway_account=ids.show(ids.GATEWAY_ACCOUNT, row["id"]),
                    why=refusal.message,
                )


async def on_dead(tx: Transaction, job: jobs.Job) -> None:
    """Say on the run that nobody goes on with it."""
    run_id = ids.parse(ids.RECONCILIATION, job.key)
    await end_run(tx, tenant_id=job.tenant_id, run_id=run_id, error=job.error or "its job was given up")


async def _move_on(work: jobs.Work, reconciler: Reconciler) -> None:
    run_id, until = ids.parse(ids.RECONCILIATION, work.job.key), time.monotonic() + SLICE_S
    while time.monotonic() < until:
        try:
            moved = await reconciler.step(tenant_id=work.job.tenant_id, run_id=run_id)
        except CallFailed as failure:
            raise jobs.Retry(failure.message, after=_asked(failure)) from failure
        except ReconciliationNotFound as gone:
            raise jobs.GivenUp(gone.message) from gone
        if moved is None:
            return
        if isinstance(moved, Waiting):
            if moved.until:
                raise jobs.Postponed(moved.why, until=moved.until)
            raise jobs.Postponed(moved.why, after=timedelta(seconds=_SETTLES_S))
    raise jobs.Postponed("there are more pages", after=timedelta(0))


def _asked(failure: CallFailed) -> timedelta | None:
    after: float | None = getattr(failure, "after_s", None)
    return timedelta(seconds=after) if after else None
