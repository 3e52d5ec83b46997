"""Replay of the gap: the gateways are asked what happened after the recovery point, and it is merged. Heavy to import: a restore alone does without."""

import asyncio
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from bursar.bootstrap import registry
from bursar.cli.acting import act
from bursar.cli.connection import settings_for
from bursar.cli.gap import Gap, keep_gap
from bursar.cli.options import tell
from bursar.cli.reconcile import NothingToReconcile, accounts_of, reconciled
from bursar.kernel import ids
from bursar.kernel.db import Database
from bursar.kernel.errors import Conflict, DomainError
from bursar.kernel.jobs import Resources
from bursar.kernel.settings import Settings
from bursar.money.gateways.callers import Callers
from bursar.money.gateways.calling import CallFailed
from bursar.money.reconciliation import Missed, file_missed
from bursar.worker.applier import Applier

_IDLE_S: Final = 0.05
_APPLIED_MAX_S: Final = 3600.0

_WAITING = "select count(*) from gateway_event_queue where tenant_id = $1 and tries = 0"


class GapElsewhere(Conflict):
    """The settings name a database that is not the restored one."""

    code = "gap_elsewhere"


def replay_gap(gap: Gap) -> list[dict[str, Any]]:
    """Ask the gateways of each tenant, and merge what they say. Return what was done, by tenant.

    An account that cannot be asked holds nobody up: it is named under ``unasked``, and its tenant stays in what is left.

    Raises GapElsewhere.
    """
    if settings_for(gap.directory).database_url:
        raise GapElsewhere(
            f"BURSAR_DATABASE_URL names another database than the one restored into {gap.directory}",
            hint="Unset it and repeat the command: it goes on with the gap.",
        )
    return act(gap.directory, lambda db, settings: _replayed(db, settings, gap))


async def _replayed(db: Database, settings: Settings, gap: Gap) -> list[dict[str, Any]]:
    stopping, callers = asyncio.Event(), Callers()
    applying = asyncio.create_task(_apply(settings, stopping))
    done: list[dict[str, Any]] = []
    try:
        for place, tenant_id in enumerate(gap.left):
            done.append(await _merged(db, settings, callers, (tenant_id, gap.since), applying))
            again = [one for one, merged in zip(gap.left, done, strict=False) if merged["unasked"]]
            keep_gap(Gap(gap.directory, gap.since, [*again, *gap.left[place + 1 :]]))
    finally:
        stopping.set()
        await callers.close()
        await asyncio.wait([applying])
    return done


async def _merged(
    db: Database, settings: Settings, callers: Callers, asked: tuple[UUID, datetime], applying: "asyncio.Task[None]"
) -> dict[str, Any]:
    tenant_id, since = asked
    missed: list[Missed] = []
    silent: list[tuple[UUID, str]] = []
    reached: list[UUID] = []
    for one in await _accounts(db, tenant_id):
        try:
            if (found := await _file(db, settings, callers, (tenant_id, one, since))) is not None:
                missed.append(found)
            reached.append(one)
        except (CallFailed, DomainError) as failure:
            silent.append((one, failure.message))
            tell(f"{ids.show(ids.GATEWAY_ACCOUNT, one)} cannot be asked: {failure.message}")
    await _all_applied(db, tenant_id, applying)
    # Nothing is on its way any more that could be waited for: what differs is repaired at once.
    window: dict[str, datetime | None] = {"since": since, "until": None}
    runs = await reconciled(db, settings, tenant_id, reached, window, grace=timedelta(0))
    failed = [(run.gateway_account, run.error or "the comparing failed") for run in runs if run.state == "failed"]
    return {
        "tenant": ids.show(ids.TENANT, tenant_id),
        "since": since.isoformat(),
        "events": [asdict(one) for one in missed],
        "unasked": [
            {"account": ids.show(ids.GATEWAY_ACCOUNT, one), "because": because} for one, because in [*silent, *failed]
        ],
        "reconciliations": [run.model_dump(mode="json") for run in runs],
    }


async def _accounts(db: Database, tenant_id: UUID) -> list[UUID]:
    try:
        return await accounts_of(db, tenant_id)
    except NothingToReconcile:  # they were switched off since the restore
        return []


async def _file(
    db: Database, settings: Settings, callers: Callers, asked: tuple[UUID, UUID, datetime]
) -> Missed | None:
    tenant_id, account_id, since = asked
    shown = ids.show(ids.GATEWAY_ACCOUNT, account_id)
    return await file_missed(
        Resources(db, settings),
        callers.of,
        tenant_id=tenant_id,
        account_id=account_id,
        since=since,
        is_production=settings.production,
        told=lambda so_far: tell(f"{shown}: {so_far.listed} events listed, {so_far.filed} of them new"),
    )


async def _apply(settings: Settings, stopping: asyncio.Event) -> None:
    """Apply what is filed, here, so that it takes no worker. One that runs as well does no harm."""
    applier = await Applier.open(settings=settings, registry=registry())
    try:
        while not stopping.is_set():
            if not await applier.work():
                await asyncio.sleep(_IDLE_S)
    finally:
        applier.terminate()


async def _all_applied(db: Database, tenant_id: UUID, applying: "asyncio.Task[None]") -> None:
    """Wait until every event was tried. What fails is tried again by the workers of the instance."""
    told, deadline = None, asyncio.get_running_loop().time() + _APPLIED_MAX_S
    while asyncio.get_running_loop().time() < deadline:
        if applying.done():
            applying.result()
        async with db.tenant(tenant_id) as tx:
            waiting = await tx.fetchval(_WAITING, tenant_id)
        if not waiting:
            return
        if waiting != told:
            told = waiting
            tell(f"{ids.show(ids.TENANT, tenant_id)}: {waiting} events are to be applied")
        await asyncio.sleep(_IDLE_S * 4)
