"""`bursar restore`: a new instance out of the store, to a point, proven before anything is written."""

from pathlib import Path
from typing import Annotated, Any

import typer

from bursar import backups
from bursar.cli.archives import TakeOver
from bursar.cli.backup_store import spool_of, tools_of, vault_of
from bursar.cli.connection import settings_for
from bursar.cli.elsewhere import load_elsewhere
from bursar.cli.gap import OVERLAP, Gap, gap_of, keep_gap
from bursar.cli.lifetime import end_orderly
from bursar.cli.options import Json, answer, tell
from bursar.cli.partly import restore_part
from bursar.kernel import ids
from bursar.kernel.postgres import Recovery
from bursar.kernel.settings import Settings

_ADDRESSES = ("postgresql://", "postgres://")


def restore(
    into: Annotated[
        str,
        typer.Option(
            "--into",
            help="An empty or new directory; it becomes the instance's --data. Of a logical backup also postgresql://…, an empty database.",
        ),
    ],
    to: Annotated[str, typer.Option(help="latest, a backup's name, or a time with its offset (ISO 8601).")] = "latest",
    store: Annotated[str | None, typer.Option(help="Where the backups are (BURSAR_BACKUP_STORE).")] = None,
    key_file: Annotated[Path | None, typer.Option(help="File of the backup keys (BURSAR_BACKUP_KEY_FILE).")] = None,
    *,
    tenant: Annotated[
        str | None,
        typer.Option(
            "--tenant", help="Only this tenant: ten_… into a new directory, or a database's address where it is not."
        ),
    ] = None,
    tables: Annotated[
        str | None,
        typer.Option(
            "--tables",
            help="Only these of the tenant's tables, with commas: as files into a directory; into a database the rows that are missing there.",
        ),
    ] = None,
    takes_over: TakeOver = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Prove everything, say what would be done, write nothing.")
    ] = False,
    spool: Annotated[
        bool,
        typer.Option(
            help="With --to latest go on beyond the last mark with what BURSAR_BACKUP_SPOOL received, if it is set and there."
        ),
    ] = True,
    gap: Annotated[
        bool,
        typer.Option(
            "--replay-gap",
            help="Then ask the gateways what happened since, and merge it. Repeat the command to go on with one that broke off.",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Restore the whole database, or one tenant of it. Everything needed is read and proven first; what is not whole is refused by name."""
    end_orderly()
    settings = settings_for(backup_store=store, backup_key_file=str(key_file) if key_file else None)
    if tenant or tables:
        restore_part(
            settings,
            tenant=tenant,
            tables=tables,
            into=into,
            to=to,
            takes_over=takes_over,
            only_shown=dry_run,
            as_json=as_json,
        )
        return
    if into.startswith(_ADDRESSES):
        load_elsewhere(settings, url=into, to=to, only_shown=dry_run, gap=gap, as_json=as_json)
        return
    if not spool:
        settings = settings.model_copy(update={"backup_spool": ""})
    _restore_into(Path(into), to, settings, dry_run=dry_run, gap=gap, as_json=as_json)


def _replayed(gap: Gap) -> list[dict[str, Any]]:
    # It loads the whole application, which takes as long as the restore of a small database.
    from bursar.cli.gap_replay import replay_gap  # noqa: PLC0415

    return replay_gap(gap)


def _restore_into(into: Path, to: str, settings: Settings, *, dry_run: bool, gap: bool, as_json: bool) -> None:
    if gap and not dry_run and (left := gap_of(into)):
        tell(f"{into.absolute()} is restored already; going on with the gap")
        went_on = _replayed(left)
        answer({"into": str(left.directory), "gap": went_on}, _gap_text(went_on, left.directory), as_json=as_json)
        raise typer.Exit(_gap_code(went_on))
    vault = vault_of(settings)
    Recovery(into).refuse_taken()
    planned = backups.plan(vault, to)
    beyond = (
        backups.spooled(spool_of(settings), vault, planned) if settings.backup_spool and to == backups.LATEST else None
    )
    told = _plan(planned, into, beyond)
    if dry_run:
        backups.prove(vault, planned)
        answer(
            {**told, "is_dry_run": True},
            f"{_plan_text(planned, into, beyond)}\neverything it needs is proven; nothing was written",
            as_json=as_json,
        )
        return
    tell(_plan_text(planned, into, beyond))
    restored = backups.restore(vault, planned, into=into, tools=tools_of(settings), tell=tell, beyond=beyond)
    left = Gap(restored.directory, restored.at - OVERLAP, restored.tenants)
    keep_gap(left)
    commands = _commands(restored)
    text = [
        f"restored into {restored.directory} in {restored.took_s:.1f} s",
        f"recovery point: {restored.at.isoformat()} (mark {restored.mark}); "
        + ("and what the spool received after it, to its end" if beyond else "what came later is not in it"),
    ]
    done: list[dict[str, Any]] | None = None
    if gap:
        tell("\n".join(text))
        done = _replayed(left)
        text.append(_gap_text(done, restored.directory))
    elif commands:
        text += ["fetch what the gateways know since that point, with this command and --replay-gap, or one by one:"]
        text += [f"  {one}" for one in commands]
    text += ["start it:", f"  bursar up --data {restored.directory}"]
    answer(
        {
            **told,
            "recovery_point": restored.at.isoformat(),
            "mark": restored.mark,
            "took_s": round(restored.took_s, 3),
            "gap_commands": commands,
            **({"gap": done} if done is not None else {}),
        },
        "\n".join(text),
        as_json=as_json,
    )
    raise typer.Exit(_gap_code(done or []))


def _gap_code(done: list[dict[str, Any]]) -> int:
    return 1 if any(one["unasked"] for one in done) else 0


def _gap_text(done: list[dict[str, Any]], directory: Path) -> str:
    if not done:
        return f"no gateway of {directory} can be asked"
    lines = []
    for one in done:
        new = sum(told["filed"] for told in one["events"])
        unrepaired = sum(run["unrepaired"] for run in one["reconciliations"])
        lines.append(f"{one['tenant']}: {new} events that were missing are merged; {unrepaired} differences stand")
        lines += [f"  {each['account']} was not asked: {each['because']}" for each in one["unasked"]]
    if _gap_code(done):
        lines.append(
            "start it if the others must not wait; where the gateway answers again, repeat the command for what is left"
        )
    return "\n".join(lines)


def _plan(planned: backups.Plan, into: Path, beyond: backups.Spooled | None) -> dict[str, Any]:
    return {
        "into": str(into.absolute()),
        "backups": [backup.id for backup in planned.chain],
        "segments": [piece.segment for piece in planned.pieces],
        "target": planned.point,
        "spool": [str(path) for path in beyond.segments] if beyond else [],
        "bytes": sum(backup.plain_bytes for backup in planned.chain),
    }


def _plan_text(planned: backups.Plan, into: Path, beyond: backups.Spooled | None) -> str:
    end = f", and with the spool to its end ({beyond.segments[-1]})" if beyond else ""
    return (
        f"will restore into {into.absolute()}: the backup {' + '.join(backup.id for backup in planned.chain)}, "
        f"{len(planned.pieces)} segments of the log, to {planned.point}{end}"
    )


def _commands(restored: backups.Restored) -> list[str]:
    since = (restored.at - OVERLAP).isoformat(timespec="seconds")
    return [
        f"bursar reconcile --data {restored.directory} --tenant {ids.show(ids.TENANT, tenant)} --since {since}"
        for tenant in restored.tenants
    ]
