"""`bursar drill`: restore the newest backup into a scratch server now, look at it, measure, remove it, report."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict
from datetime import datetime
from typing import Any, Final

import httpx2
import typer

from bursar import backups
from bursar.bootstrap import registry
from bursar.cli.backup_store import scratch_of, targets_of, tools_of, vault_of
from bursar.cli.connection import instance, settings_for
from bursar.cli.lifetime import end_orderly
from bursar.cli.options import Data, Json, answer, tell
from bursar.kernel import tenancy
from bursar.kernel.access import OPERATOR, api_keys
from bursar.kernel.clock import utc_now
from bursar.kernel.db import Database
from bursar.kernel.settings import Settings
from bursar.operations import figures
from bursar.operations.snapshots import reading
from bursar.operations.tenancy import rows_have_tenants
from bursar.operations.verify import standing_kinds, verify_all
from bursar.web.app import create_app

_TENANTS_ASKED: Final = 3
_ASKED: Final = ("/v1/payments?limit=5", "/v1/customers?limit=5", "/v1/subscriptions?limit=5", "/v1/invoices?limit=5")
_OFFENCES_SHOWN: Final = 3
_READY_S: Final = 10.0


def drill(data: Data = None, *, as_json: Json = False) -> None:
    """Restore the newest backup into a scratch server, as if everything were lost, and say what would come back.

    Exits with 1 when something is not as it must be. What is found is kept: see the operators' page Backups.
    """
    end_orderly()
    vault_of(settings_for(data))  # refuses before a server is started for it
    with instance(data) as settings:
        report = asyncio.run(_drilled(settings))
    answer(report, _text(report), as_json=as_json)
    raise typer.Exit(0 if report["state"] == "passed" else 1)


async def _drilled(settings: Settings) -> dict[str, Any]:
    async with backups.connected(settings.database_admin_url) as connection:
        targets = targets_of(settings, logical=(await connection.standing()).is_logical)
    async with backups.noted(settings.database_admin_url, targets) as notes:
        known = await _known(settings)
        # In this thread, because what it starts ends with the thread that starts it.
        found = await asyncio.to_thread(_drill, settings, known, targets)
        state = await notes.end(found)
    return {"drill": str(notes.id), "state": state, "complaint": found.complaint, **asdict(found)}


def _drill(settings: Settings, known: backups.Known, targets: backups.Targets) -> backups.Drilled:
    return backups.drill(
        vault_of(settings),
        tools_of(settings),
        scratch=scratch_of(settings),
        known=known,
        targets=targets,
        judge=_Judge(settings),
        tell=tell,
    )


async def _known(settings: Settings) -> backups.Known:
    """Ask the living database, not the store, what a disaster now would have to bring back."""
    async with backups.connected(settings.database_admin_url) as connection:
        standing, (mark, at) = await connection.standing(), await connection.mark()
        now = (await connection.source()).now
    return backups.Known(mark, at if standing.log_kept_at else now)


class _Judge:
    """What a drill asks of a database that is Bursar's."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def works(self, scene: backups.Scene) -> backups.Check:
        """Start the application on it, and read what people read."""
        settings = self._settings_of(scene)
        app = create_app(settings)
        for name in ("bursar.http", "httpx2"):
            logging.getLogger(name).setLevel(logging.WARNING)
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(app.api.router.lifespan_context(app.api))
            transport = httpx2.ASGITransport(app=app)
            http = await stack.enter_async_context(
                httpx2.AsyncClient(transport=transport, base_url="http://drill.invalid", timeout=_READY_S)
            )
            if (ready := (await http.get("/health/ready")).status_code) != httpx2.codes.OK:
                return backups.Check("application", ok=False, found=f"it is not ready: {ready}")
            asked = 0
            for key in await _keys(settings):
                for path in _ASKED:
                    said = await http.get(path, headers={"authorization": f"Bearer {key}"})
                    asked += 1
                    if said.status_code != httpx2.codes.OK:
                        return backups.Check("application", ok=False, found=f"{path} answers {said.status_code}")
        return backups.Check("application", ok=True, found=f"ready; {asked} lists of businesses read")

    async def judge(self, scene: backups.Scene) -> Sequence[backups.Check]:
        """Count again what was counted, and check every invariant."""
        return [await self._counted(scene), await self._verified(scene)]

    async def _counted(self, scene: backups.Scene) -> backups.Check:
        before = scene.backup.figures
        if not before:
            return backups.Check(
                "counts", ok=False, found="the backup was taken without counting anything; take another one"
            )
        after = await figures.count(scene.url, until=datetime.fromisoformat(before["until"]))
        differing = figures.differences(before, after)
        rows, currencies = sum(before["rows"].values()), ", ".join(before["money"]) or "no money"
        as_counted = f"{rows} rows and the ledger ({currencies}) as counted with the backup"
        return backups.Check("counts", not differing, "; ".join(differing) or as_counted)

    async def _verified(self, scene: backups.Scene) -> backups.Check:
        async with reading(scene.app_url) as connection, reading(scene.url) as admin:
            everywhere = await rows_have_tenants(admin)
            verified = await verify_all(connection, standing_kinds=standing_kinds(registry()))
        broken = [f"{one.tenant}: {finding.name}" for one in verified for finding in one.invariants if not finding.ok]
        broken += [] if everywhere.ok else [everywhere.name]
        held = sum(len(one.invariants) for one in verified) + 1
        found = ", ".join(broken[:_OFFENCES_SHOWN]) + " do not hold" if broken else f"{held} hold"
        return backups.Check("invariants", not broken, found)

    def _settings_of(self, scene: backups.Scene) -> Settings:
        """Return the settings of an application that works on a scratch database and tells nobody outside of it."""
        url = scene.app_url
        return self._settings.model_copy(
            update={
                "database_url": url,
                "database_direct_url": url,
                "database_admin_url": scene.url,
                "secret_key": scene.secret_key,
                "backup_store": "",
                "rate_limit_url": "",
                "mail_url": "",
                "otlp_endpoint": "",
                "sentry_dsn": "",
                "pool_size": 2,
            }
        )


async def _keys(settings: Settings) -> list[str]:
    """Make keys for some businesses of the scratch database, which is removed with them."""
    db = await Database.open(settings.database_url, size=1)
    found = []
    try:
        for one in await tenancy.tenants(db, limit=_TENANTS_ASKED):
            async with db.tenant(one.id) as tx:
                issued = await api_keys.add_key(
                    tx,
                    tenant_id=one.id,
                    name="drill",
                    scopes=None,
                    expires_at=None,
                    allowed_addresses=[],
                    giver=OPERATOR,
                    now=utc_now(),
                )
            found.append(issued.secret)
    finally:
        await db.close()
    return found


def _text(report: dict[str, Any]) -> str:
    lines = [f"{'ok  ' if check['ok'] else 'BAD '} {check['name']}: {check['found']}" for check in report["checks"]]
    if report["failure"]:
        lines.append(f"BAD  {report['failure']}")
    return "\n".join([*lines, f"the drill of {report['backup'] or 'the newest backup'} {report['state']}"])
