"""How backups stand, in figures that can be watched: how old what a disaster would fall back on is."""

from dataclasses import dataclass
from typing import Any, Final

from bursar.kernel.settings import Settings

DAMAGED: Final = """
select coalesce(d.what, l.name) as name, coalesce(d.failure, l.failure) as failure
from (select name, failure from backup_listed where failure is not null) l full join backup_damage d on d.what = l.name
"""
"""What does not open, as the store was last listed, and what was found damaged when it was last read."""

_AGES = f"""
select is_wanted, s.failure,
  extract(epoch from clock_timestamp() - log_kept_at)::float8 as log_s,
  extract(epoch from clock_timestamp() - log_proven_at)::float8 as proven_s,
  extract(epoch from clock_timestamp() - backed_up_at)::float8 as backup_s,
  extract(epoch from clock_timestamp() - wanted_at)::float8 as wanted_s,
  extract(epoch from clock_timestamp() - pg_postmaster_start_time())::float8 as up_s,
  extract(epoch from clock_timestamp() - d.began_at)::float8 as drill_s, d.failure as drill_failure, is_logical,
  (select min(failure) || case when count(*) > 1 then format(', and %s more', count(*) - 1) else '' end from ({DAMAGED}) f) as damage
from backup_standing s left join (
  select began_at, failure from backup_drill where state in ('passed', 'failed') order by began_at desc limit 1
) d on true
"""

PROVEN_MAX_S: Final = 600.0
"""A gap in the log is found within ten minutes, or it is said that nobody looked."""
_LOG_LEAST_S: Final = 15.0
_MARKS: Final = 5
_BEGINNING_S: Final = 60.0
"""For so long after a start nothing is called late: the first backup, mark and proof are under way."""
BACKUP_SLACK: Final = 1.25
_DRILLS_MISSED: Final = 2


@dataclass(frozen=True, slots=True)
class Ages:
    """Seconds since the newest mark was kept, since the log was found whole, since a backup was taken; None: never.

    failure: what the last attempt said, if it failed. wanted_s: since backups are wanted. drill_s: since the last drill that
    came to an end began; drill_failure: what it found to be wrong. damage: what in the store is not whole. is_logical: what is kept are logical backups, without a log.
    up_s: since the server was started.
    """

    is_wanted: bool
    failure: str | None
    log_s: float | None
    proven_s: float | None
    backup_s: float | None
    wanted_s: float | None = None
    drill_s: float | None = None
    drill_failure: str | None = None
    is_logical: bool = False
    up_s: float | None = None
    damage: str | None = None

    @property
    def is_beginning(self) -> bool:
        """Whether backups were begun, or the server was started, a moment ago."""
        return self.wanted_s is not None and 0 <= min(self.wanted_s, self.up_s or self.wanted_s) < _BEGINNING_S

    @property
    def figures(self) -> dict[str, float]:
        named = {"log_age_s": self.log_s, "proven_age_s": self.proven_s, "backup_age_s": self.backup_s}
        named["drill_age_s"] = self.drill_s
        return {name: round(value, 1) for name, value in named.items() if value is not None} if self.is_wanted else {}


async def ages(tx: Any) -> Ages:
    """Ask how old everything is. tx: as the engine."""
    return Ages(**dict(await tx.fetchrow(_AGES)))


def complaint(found: Ages, settings: Settings) -> str:
    """Return what is not well with backups; empty when nothing is. Pure."""
    if not found.is_wanted:
        return "no backups are made; set BURSAR_BACKUP_STORE" if settings.production else ""
    failures = (
        ("the last attempt failed", found.failure),
        ("what is in the store is not whole", found.damage),
        ("the last drill failed", found.drill_failure),
    )
    failed = [f"{what} ({why})" for what, why in failures if why]
    late = _late(found, settings)
    said = (
        f"backups are not well: {', '.join(failed)}" if failed else "",
        f"backups are late: {', '.join(late)}" if late else "",
    )
    return "; ".join(part for part in said if part)


def _late(found: Ages, settings: Settings) -> list[str]:
    of_log = (
        ("the log in the store", found.log_s, max(_LOG_LEAST_S, _MARKS * settings.backup_mark_s)),
        ("the last proof that the log has no gap", found.proven_s, PROVEN_MAX_S),
    )
    expected = (
        ("the newest backup", found.backup_s, settings.backup_full_hours * 3600 * BACKUP_SLACK),
        *(() if found.is_logical else of_log),
    )
    late = [text for text, age, most in expected if (age is None or age > most) and not found.is_beginning]
    drill_s = found.drill_s if found.drill_s is not None else found.wanted_s
    is_missed = drill_s is not None and drill_s > _DRILLS_MISSED * settings.drill_hours * 3600
    if settings.drill_hours and is_missed and not found.is_beginning:
        late.append("the last drill")
    return late


def caution(found: Ages, settings: Settings) -> str:
    """Return what the backups that are made cannot do, however well they are; empty for those with a log. Pure."""
    if not found.is_logical:
        return ""
    return (
        f"the backups are logical: a disaster costs up to {settings.backup_full_hours} h of changes, "
        "and no moment between two of them can be restored"
    )


def advice(found: Ages) -> str:
    """Return what to do about a complaint. Pure."""
    if not found.is_wanted:
        return "Set BURSAR_BACKUP_STORE, and make a key: bursar backup key."
    if found.failure:
        return "Mend the store, then: bursar backup verify. It is tried again by itself while bursar up runs."
    if found.damage:
        return (
            "Take another one now: bursar backup now. Find out what changed the store, then: bursar backup verify --all"
        )
    if found.drill_failure:
        return "See what it found: the operators' page Backups. Mend that, then: bursar drill"
    return "Let bursar up run with BURSAR_BACKUP_STORE set, or: bursar backup now"
