"""`bursar diff`: what a backup has and the database has not, and the reverse: what did that DELETE take?"""

from dataclasses import asdict
from typing import Annotated, Any, Final
from uuid import UUID

import typer

from bursar import backups
from bursar.cli.acting import ACTOR
from bursar.cli.backup_store import looking_of, tools_of, vault_of
from bursar.cli.connection import instance, settings_for
from bursar.cli.lifetime import end_orderly
from bursar.cli.options import Data, Json, answer, tell
from bursar.kernel import audit, ids
from bursar.kernel.db import Transaction, tenant_transaction
from bursar.kernel.seal import Seal
from bursar.kernel.settings import Settings
from bursar.operations import differences
from bursar.operations.differences import Difference
from bursar.operations.snapshots import reading

_ROWS_MAX: Final = 10_000


def diff(
    backup: Annotated[
        str,
        typer.Option("--backup", help="latest, a backup's name, or a time with its offset, just before the mistake."),
    ] = "latest",
    tenant: Annotated[
        str | None, typer.Option("--tenant", help="Only this tenant: ten_…; without it all of them.")
    ] = None,
    table: Annotated[
        list[str] | None, typer.Option("--table", help="Only this table; may be given several times.")
    ] = None,
    rows: Annotated[
        int,
        typer.Option("--rows", help="Show so many rows of each kind and table. Needs --tenant.", min=0, max=_ROWS_MAX),
    ] = 0,
    data: Data = None,
    *,
    put_back: Annotated[
        bool,
        typer.Option(
            "--put-back", help="Insert the rows of these tables that only the backup has. Needs --tenant and --table."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Restore a backup into a scratch server, compare it with the database, remove it. Changes nothing without --put-back."""
    end_orderly()
    names = table or []
    tenant_id = ids.parse(ids.TENANT, tenant) if tenant else None
    if tenant_id is None and (rows or put_back):
        raise differences.TenantNeeded("rows are those of one tenant", hint="Name it: --tenant ten_…")
    if put_back and not names:
        raise differences.TableUnknown("it is not said which tables", hint="Name each: --table payment")
    settings = settings_for(data)
    vault = vault_of(settings)
    planned = backups.plan(vault, backup)
    with instance(data) as living:

        async def look(scene: backups.Scene) -> tuple[list[Difference], dict[str, int]]:
            origin = planned.point if put_back else None
            return await _looked(scene, living, tenant_id, names, rows_max=rows, origin=origin)

        (found, done), restored = backups.look_into(
            vault, planned, scratch=looking_of(living), tools=tools_of(settings), tell=tell, look=look
        )
    differing = [one for one in found if not one.is_none or one.lacking]
    told: dict[str, Any] = {
        "backup": planned.newest.id,
        "point": planned.point,
        "recovery_point": restored.at.isoformat(),
        "tables_compared": len(found),
        "tables": [_told(one, with_rows=bool(rows)) for one in differing],
    }
    if put_back:
        told["put_back"] = done
    answer(told, _text(told, differing), as_json=as_json)


async def _looked(
    scene: backups.Scene,
    living: Settings,
    tenant_id: UUID | None,
    names: list[str],
    *,
    rows_max: int,
    origin: str | None,
) -> tuple[list[Difference], dict[str, int]]:
    is_whole = tenant_id is None
    before_url = scene.url if is_whole else scene.app_url
    now_url = living.database_admin_url if is_whole else living.database_url
    async with reading(before_url) as there, reading(now_url) as here:
        if tenant_id is not None:
            await _note(here, tenant_id, names, rows_max)
        async with differences.seeing(there, tenant_id) as before:
            async with differences.seeing(here, tenant_id) as now:
                tables = await differences.tables_named(now, names, of_tenant=tenant_id is not None)
                found = await differences.compare(before, now, tables, tenant_id=tenant_id, rows_max=rows_max)
            done = {}
            if origin is not None and tenant_id is not None:
                seals = Seal(scene.secret_key), Seal(living.secret_key)
                done = await differences.put_back(
                    before, here, tables, tenant_id=tenant_id, seals=seals, actor=ACTOR, origin=origin
                )
    return found, done


async def _note(here: Transaction, tenant_id: UUID, names: list[str], rows_max: int) -> None:
    async with tenant_transaction(here, tenant_id):
        await audit.record(
            here,
            tenant_id=tenant_id,
            actor=ACTOR,
            action="tenant.compared",
            subject=ids.show(ids.TENANT, tenant_id),
            changes={"tables": names, "rows_max": rows_max},
        )


def _told(one: Difference, *, with_rows: bool) -> dict[str, Any]:
    told = asdict(one)
    return told if with_rows else {name: value for name, value in told.items() if not name.startswith("rows_")}


def _text(told: dict[str, Any], differing: list[Difference]) -> str:
    lines = [f"{'table':<28}{'gone':>9}{'added':>9}{'changed':>9}   since {told['point']}"]
    for one in differing:
        lacking = f"   not compared: {', '.join(one.lacking)}" if one.lacking else ""
        lines.append(f"{one.table:<28}{one.gone:>9}{one.added:>9}{one.changed:>9}{lacking}")
    for one in differing:
        lines += [f"- {one.table} {row}" for row in one.rows_gone]
        lines += [f"+ {one.table} {row}" for row in one.rows_added]
        for change in one.rows_changed:
            names = [name for name, value in change.now.items() if change.before.get(name) != value]
            was, now = ({name: row.get(name) for name in names} for row in (change.before, change.now))
            key = next((change.now[name] for name in ("id", "ref") if name in change.now), "")
            lines.append(f"~ {one.table} {key} {was} -> {now}")
    if not differing:
        lines = [f"{told['tables_compared']} tables are as in {told['backup']}"]
    for name, count in told.get("put_back", {}).items():
        lines.append(f"{count} rows of {name} are put back")
    return "\n".join(lines)
