"""Restoring a logical backup into an empty database of somebody else's server."""

from bursar import backups
from bursar.cli.backup_store import tools_of, vault_of
from bursar.cli.gap import OVERLAP
from bursar.cli.options import answer, tell
from bursar.kernel import ids
from bursar.kernel.errors import Invalid
from bursar.kernel.files import write_private
from bursar.kernel.settings import Settings


class RestoreNeedsDirectory(Invalid):
    """What was asked for can only be done in a directory of our own."""

    code = "restore_needs_directory"


def load_elsewhere(settings: Settings, *, url: str, to: str, only_shown: bool, gap: bool, as_json: bool) -> None:
    """Load the rows into a database, and say what is left to do. Raises: RestoreNeedsDirectory, and what loading raises."""
    if gap:
        raise RestoreNeedsDirectory(
            "the gap is replayed in an instance of our own", hint="Leave --replay-gap out, then: bursar reconcile"
        )
    vault = vault_of(settings)
    planned = backups.plan(vault, to)
    if not planned.is_logical:
        raise RestoreNeedsDirectory(
            f"{planned.newest.id} is made of files, which only a server of our own can be given",
            hint="Restore --into a directory.",
        )
    told = {"backup": planned.newest.id, "target": planned.point, "rows": sum(planned.newest.rows.values())}
    if only_shown:
        backups.prove(vault, planned)
        text = f"would load {told['rows']} rows of {told['backup']}; it is proven, and nothing was written"
        answer({**told, "is_dry_run": True}, text, as_json=as_json)
        return
    loaded = backups.load_into_url(vault, planned, url=url, tools=tools_of(settings), tell=tell)
    place = _keep_key(settings, loaded.secret_key)
    since = (loaded.at - OVERLAP).isoformat(timespec="seconds")
    commands = [f"bursar reconcile --tenant {ids.show(ids.TENANT, one)} --since {since}" for one in loaded.tenants]
    lines = [
        f"loaded {told['rows']} rows in {loaded.took_s:.1f} s",
        f"recovery point: {loaded.at.isoformat()} (mark {loaded.mark}); what came later is not in it",
        *(
            [f"the installation's secret key is in {place}; give it to every process as BURSAR_SECRET_KEY"]
            if place
            else []
        ),
        "let your login role work there: BURSAR_DATABASE_URL=… BURSAR_DATABASE_ADMIN_URL=… bursar migrate",
        "then compare every business with its gateways:",
        *(f"  {one}" for one in commands or [f"bursar reconcile --tenant … --since {since}"]),
    ]
    facts = {**told, "recovery_point": loaded.at.isoformat(), "mark": loaded.mark, "took_s": round(loaded.took_s, 3)}
    answer({**facts, "gap_commands": commands, "secret_key_file": place}, "\n".join(lines), as_json=as_json)


def _keep_key(settings: Settings, key: str) -> str | None:
    """Write the installation's key down where it can be found, never over another one. Return where."""
    if not key or key == settings.secret_key:
        return None
    path = settings.data / "secret.key"
    if path.exists() and path.read_text(encoding="ascii").strip() != key:
        path = settings.data / "secret.key.restored"
    settings.data.mkdir(parents=True, exist_ok=True)
    write_private(path, f"{key}\n")
    return str(path)
