"""`bursar restore`: a new instance out of the store, to a point, proven before anything is written."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from bursar import backups
from bursar.cli.backup_store import tools_of, vault_of
from bursar.cli.connection import settings_for
from bursar.cli.lifetime import end_orderly
from bursar.cli.options import Json, answer, tell
from bursar.kernel import ids
from bursar.kernel.postgres import Recovery

_OVERLAP: Final = timedelta(hours=1)
"""Gateways' clocks, and reports that were on their way."""


def restore(
    into: Annotated[Path, typer.Option("--into", help="An empty or new directory; it becomes the instance's --data.")],
    to: Annotated[str, typer.Option(help="latest, a backup's name, or a time with its offset (ISO 8601).")] = "latest",
    store: Annotated[str | None, typer.Option(help="Where the backups are (BURSAR_BACKUP_STORE).")] = None,
    key_file: Annotated[Path | None, typer.Option(help="File of the backup keys (BURSAR_BACKUP_KEY_FILE).")] = None,
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Prove everything, say what would be done, write nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Restore the whole database. Everything needed is read and proven first; what is not whole is refused by name."""
    end_orderly()
    settings = settings_for(backup_store=store, backup_key_file=str(key_file) if key_file else None)
    vault = vault_of(settings)
    Recovery(into).refuse_taken()
    planned = backups.plan(vault, to)
    told = _plan(planned, into)
    if dry_run:
        backups.prove(vault, planned)
        answer(
            {**told, "is_dry_run": True},
            f"{_plan_text(planned, into)}\neverything it needs is proven; nothing was written",
            as_json=as_json,
        )
        return
    tell(_plan_text(planned, into))
    bin_dir = Path(settings.postgres_bin) if settings.postgres_bin else None
    restored = backups.restore(vault, planned, into=into, bin_dir=bin_dir, tools=tools_of(settings), tell=tell)
    commands = _commands(restored)
    text = [
        f"restored into {restored.directory} in {restored.took_s:.1f} s",
        f"recovery point: {restored.at.isoformat()} (mark {restored.mark}); what came later is not in it",
        "start it:",
        f"  bursar up --data {restored.directory}",
        *(
            ["then fetch what the gateways know since that point:", *(f"  {one}" for one in commands)]
            if commands
            else []
        ),
    ]
    answer(
        {
            **told,
            "recovery_point": restored.at.isoformat(),
            "mark": restored.mark,
            "took_s": round(restored.took_s, 3),
            "gap_commands": commands,
        },
        "\n".join(text),
        as_json=as_json,
    )


def _plan(planned: backups.Plan, into: Path) -> dict[str, Any]:
    return {
        "into": str(into.absolute()),
        "backups": [backup.id for backup in planned.chain],
        "segments": [piece.segment for piece in planned.pieces],
        "target": planned.point,
        "bytes": sum(backup.plain_bytes for backup in planned.chain),
    }


def _plan_text(planned: backups.Plan, into: Path) -> str:
    return (
        f"will restore into {into.absolute()}: the backup {' + '.join(backup.id for backup in planned.chain)}, "
        f"{len(planned.pieces)} segments of the log, to {planned.point}"
    )


def _commands(restored: backups.Restored) -> list[str]:
    since = (restored.at - _OVERLAP).isoformat(timespec="seconds")
    return [
        f"bursar reconcile --data {restored.directory} --tenant {ids.show(ids.TENANT, tenant)} --since {since}"
        for tenant in restored.tenants
    ]
