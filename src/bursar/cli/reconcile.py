"""`bursar reconcile`: compare gateway accounts with their gateways now, and watch."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final
from uuid import UUID

import typer

from bursar.cli.acting import ACTOR, TenantText, act, tenant_of
from bursar.cli.events import instant
from bursar.cli.options import Data, Json, answer, tell
from bursar.kernel import ids
from bursar.kernel.clock import utc_now
from bursar.kernel.db import Database
from bursar.kernel.errors import Conflict
from bursar.kernel.jobs import Engine, Kinds, Resources
from bursar.kernel.settings import Settings
from bursar.money.calls import Outside
from bursar.money.gateways.callers import Callers
from bursar.money.reconciliation import GRACE, queries
from bursar.money.reconciliation.jobs import ask_for_run, kinds
from bursar.money.reconciliation.runs import ReconciliationRunning
from bursar.money.reconciliation.schemas import Reconciliation

_LOOKS_EVERY_S: Final = 0.5
_OVER: Final = ("done", "failed")


class NothingToReconcile(Conflict):
    """No account of the tenant has another side that can be asked."""

    code = "nothing_to_reconcile"


def reconcile(
    tenant: TenantText,
    account: Annotated[
        str | None, typer.Option("--account", help="Only this gateway account: gwa_…. Left out: all.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="Look at what was made from then on: ISO 8601, UTC without a zone.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Made before then.")] = None,
    data: Data = None,
    *,
    as_json: Json = False,
) -> None:
    """Compare what the gateways have with what was told of it, repair what can be, and show the rest.

    Exits with 1 while differences stand that could not be repaired.
    """
    window = {"since": instant(since), "until": instant(until)}
    found = act(data, lambda db, settings: _reconciled(db, settings, tenant, account, window))
    told = {"reconciliations": [run.model_dump(mode="json") for run in found]}
    answer(told, "\n".join(_text(run) for run in found), as_json=as_json)
    raise typer.Exit(1 if any(run.state == "failed" or run.unrepaired for run in found) else 0)


async def _reconciled(
    db: Database, settings: Settings, tenant: str, account: str | None, window: dict[str, datetime | None]
) -> list[Reconciliation]:
    tenant_id = await tenant_of(db, tenant)
    accounts = [ids.parse(ids.GATEWAY_ACCOUNT, account)] if account else await accounts_of(db, tenant_id)
    return await reconciled(db, settings, tenant_id, accounts, window)


async def reconciled(
    db: Database,
    settings: Settings,
    tenant_id: UUID,
    accounts: Sequence[UUID],
    window: dict[str, datetime | None],
    *,
    grace: timedelta = GRACE,
) -> list[Reconciliation]:
    """Compare accounts, here and now. grace: what was made less than that ago may be on its way."""
    run_ids = [await _begun(db, tenant_id, each, window) for each in accounts]
    stopping, callers = asyncio.Event(), Callers()
    known = Kinds(kinds(Outside(callers.of, clock=utc_now), grace=grace))
    # Whoever watches works as well, so that it does not take a worker; one that runs goes on if this process ends.
    working = asyncio.create_task(Engine(Resources(db, settings), known, at_once=1).run(stopping))
    try:
        return [await _watched(db, tenant_id, run_id) for run_id in run_ids]
    finally:
        stopping.set()
        await working
        await callers.close()


async def accounts_of(db: Database, tenant_id: UUID) -> list[UUID]:
    """Return the accounts of a tenant that have another side. Raises NothingToReconcile."""
    async with db.tenant(tenant_id) as tx:
        standings = await queries.standings(tx, tenant_id=tenant_id, now=datetime.now(UTC))
    if not standings:
        raise NothingToReconcile(
            "no active account of this tenant has an API key",
            hint="bursar gateway add … --api-key …. Money at the desk has no other side.",
        )
    return [each.gateway_account for each in standings]


async def _begun(db: Database, tenant_id: UUID, account_id: UUID, window: dict[str, datetime | None]) -> UUID:
    """Begin a run, or find the one that is under way."""
    now = datetime.now(UTC)
    try:
        async with db.tenant(tenant_id) as tx:
            return await ask_for_run(tx, tenant_id=tenant_id, account_id=account_id, actor=ACTOR, now=now, **window)
    except ReconciliationRunning:
        async with db.tenant(tenant_id) as tx:
            standings = await queries.standings(tx, tenant_id=tenant_id, now=now)
        running = next((each.running for each in standings if each.gateway_account == account_id), None)
        if running is None:
            raise
        tell("this account is being reconciled already; watching that run")
        return running


async def _watched(db: Database, tenant_id: UUID, run_id: UUID) -> Reconciliation:
    shown = ""
    while True:
        async with db.tenant(tenant_id) as tx:
            run = await queries.run(tx, tenant_id=tenant_id, run_id=run_id)
        if run.state in _OVER:
            return run
        if (progress := _progress(run)) != shown:
            shown = progress
            tell(progress)
        await asyncio.sleep(_LOOKS_EVERY_S)


def _progress(run: Reconciliation) -> str:
    if run.state == "settling":
        return f"{run.objects} objects listed; repairs are being applied"
    kind = run.kinds[min(run.kinds_done, len(run.kinds) - 1)].replace("_", " ")
    return f"{run.objects} objects, {run.kinds_done} of {len(run.kinds)} kinds done, listing {kind}s"


def _text(run: Reconciliation) -> str:
    counts: dict[str, Any] = run.counts.model_dump()
    figures = ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in counts.items() if count)
    head = f"{ids.show(ids.RECONCILIATION, run.id)}  {run.state}  {run.objects} objects: {figures or 'nothing'}"
    if run.error:
        return f"{head}\n  {run.error}"
    return f"{head}\n  {run.unrepaired} not repaired" if run.unrepaired else head
