"""Which base backup is due. Told by what the store holds, so a missed one is made up for as soon as that is possible. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bursar.backups.catalogue import Backup, Kind


@dataclass(frozen=True, slots=True)
class Rhythm:
    """full: from full backup to full backup. incremental: between them; None: never."""

    full: timedelta
    incremental: timedelta | None


def due(backups: Sequence[Backup], rhythm: Rhythm, *, now: datetime, can_increment: bool) -> Kind | None:
    """Return the kind of backup that is due, or None.

    backups: those that the log which is kept now leads on from. So a timeline that began by a restore, and a log
    that began anew, get a full one at once.
    """
    fulls = [backup for backup in backups if backup.kind != "incremental"]
    if not fulls or now - fulls[-1].ended >= rhythm.full:
        return "full"
    if can_increment and rhythm.incremental is not None and now - backups[-1].ended >= rhythm.incremental:
        return "incremental"
    return None
