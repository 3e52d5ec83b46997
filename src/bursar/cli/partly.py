"""`bursar restore --tenant`: one business, or some of its tables, out of a backup of everything."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from bursar import backups
from bursar.cli.acting import ACTOR
from bursar.cli.archives import elsewhere, opener, take_in, write_archive
from bursar.cli.backup_store import carried_of, clear_looks, key_file, looking_of, tools_of, vault_of
from bursar.cli.options import answer, tell
from bursar.kernel import ids
from bursar.kernel.errors import Invalid
from bursar.kernel.files import private_file
from bursar.kernel.postgres import Recovery
from bursar.kernel.seal import Seal
from bursar.kernel.settings import Settings
from bursar.operations import archives, differences
from bursar.operations.snapshots import reading

Found = TypeVar("Found")


class RestoreOfTables(Invalid):
    """Tables are restored of one tenant."""

    code = "restore_of_tables"


def restore_part(
    settings: Settings,
    *,
    tenant: str | None,
    tables: str | None,
    into: str,
    to: str,
    takes_over: bool,
    only_shown: bool,
    as_json: bool,
) -> None:
    """Restore everything into a scratch server, take from it what was asked for, remove it.

    Of a tenant: into a directory or a database where it is not. Of tables: as files into a directory, or the rows that are
    missing into a database. Raises: RestoreOfTables, and what looking and importing raise.
    """
    if tenant is None:
        raise RestoreOfTables("tables are restored of one tenant", hint="Name it: --tenant ten_…")
    tenant_id = ids.parse(ids.TENANT, tenant)
    names = [name.strip() for name in tables.split(",")] if tables else []
    # Both refuse before an hour of restoring.
    living = elsewhere(into, settings.data) if "://" in into else None
    if living is None:
        Recovery(Path(into)).refuse_taken()
    vault = vault_of(settings)
    planned = backups.plan(vault, to)
    told: dict[str, Any] = {"tenant": tenant, "backup": planned.newest.id, "target": planned.point, "into": into}
    if only_shown:
        backups.prove(vault, planned)
        text = f"would look into {planned.newest.id} at {planned.point} for {tenant}; it is proven, and nothing was written"
        answer({**told, "is_dry_run": True}, text, as_json=as_json)
        return

    def looking(look: Callable[[backups.Scene], Awaitable[Found]]) -> tuple[Found, backups.Restored]:
        place = looking_of(settings)
        return backups.look_into(vault, planned, scratch=place, tools=tools_of(settings), tell=tell, look=look)

    if not names:
        rows, restored = _tenant(settings, looking, tenant_id, into, takes_over=takes_over)
    elif living is None:
        Path(into).mkdir(parents=True, exist_ok=True, mode=0o700)
        rows, restored = looking(lambda scene: _files(scene, tenant_id, names, Path(into)))
    else:
        to_living, origin = living, planned.point
        rows, restored = looking(lambda scene: _rows(scene, to_living, tenant_id, names, origin=origin))
    told |= {"rows": rows, "recovery_point": restored.at.isoformat()}
    lines = [f"{count} rows of {name}" for name, count in rows.items() if count]
    done = "restored" if living is None or not names else "that were missing are put back"
    answer(told, "\n".join([*lines, f"{done} into {into}, as of {told['recovery_point']}"]), as_json=as_json)


def _tenant(
    settings: Settings, looking: Any, tenant_id: UUID, into: str, *, takes_over: bool
) -> tuple[dict[str, int], backups.Restored]:
    """Carry the tenant through a sealed archive, so that it is checked as any other is."""
    settings.data.mkdir(parents=True, exist_ok=True)
    clear_looks(settings)
    carried = carried_of(settings)
    keys = backups.read_keyring(key_file(settings))

    async def look(scene: backups.Scene) -> int:
        of_scene = settings.model_copy(update={"database_url": scene.app_url, "secret_key": scene.secret_key})
        return await write_archive(of_scene, tenant_id, carried, keys)

    try:
        _, restored = looking(look)
        opened = opener(carried, settings, None)
        checked = archives.check(opened)
        take_in(checked, opened, into, settings.data, takes_over=takes_over, expected=tenant_id)
    finally:
        carried.unlink(missing_ok=True)
    return {name: table.rows for name, table in checked.manifest.tables.items()}, restored


async def _files(scene: backups.Scene, tenant_id: UUID, names: list[str], into: Path) -> dict[str, int]:
    done = {}
    async with reading(scene.app_url) as there, differences.seeing(there, tenant_id) as backup:
        for table in await differences.tables_named(backup, names, of_tenant=True):
            done[table.name] = 0
            with private_file(into / f"{table.name}.ndjson") as file:
                async for line in differences.rows_of(backup, table, tenant_id):
                    file.write(line.encode() + b"\n")
                    done[table.name] += 1
    return done


async def _rows(
    scene: backups.Scene, living: Settings, tenant_id: UUID, names: list[str], *, origin: str
) -> dict[str, int]:
    async with (
        reading(scene.app_url) as there,
        reading(living.database_url) as here,
        differences.seeing(there, tenant_id) as backup,
    ):
        # Refuses a database where the tenant is not.
        async with differences.seeing(here, tenant_id) as now:
            tables = await differences.tables_named(now, names, of_tenant=True)
        seals = Seal(scene.secret_key), Seal(living.secret_key)
        return await differences.put_back(
            backup, here, tables, tenant_id=tenant_id, seals=seals, actor=ACTOR, origin=origin
        )
