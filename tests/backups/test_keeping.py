"""Which backups are kept by their age, and which one is due: pure rules."""

from datetime import UTC, datetime, timedelta

from bursar.backups import Backup, Catalogue, Keeping, Rhythm
from bursar.backups.due import due
from bursar.backups.pruning import kept_by_age

NOW = datetime(2026, 11, 21, 15, 0, tzinfo=UTC)
KEEPING = Keeping(whole=timedelta(days=7), days=14, weeks=8, months=12)
RHYTHM = Rhythm(full=timedelta(days=1), incremental=timedelta(hours=1))


def backup(ended: datetime, parent: Backup | None = None) -> Backup:
    kind = "incremental" if parent else "full"
    return Backup(
        id=f"{ended:%Y%m%dT%H%M%S}Z-{kind}",
        kind=kind,
        parent=parent.id if parent else None,
        began_at=ended.isoformat(),
        ended_at=ended.isoformat(),
        system="1",
        version="18.6",
        timeline=1,
        start_lsn=int(ended.timestamp()),
        end_lsn=int(ended.timestamp()) + 1,
        segment_bytes=16 * 1024 * 1024,
        mark=0,
        is_streaming=True,
        plain_bytes=0,
        objects={},
    )


def year_of_backups() -> list[Backup]:
    """A full one a day at noon, and one incremental each evening."""
    made = []
    for day in range(400, 0, -1):
        full = backup(NOW.replace(hour=12) - timedelta(days=day))
        made += [full, backup(full.ended + timedelta(hours=9), full)]
    return made


def test_all_of_a_week_then_the_newest_of_days_weeks_and_months_are_kept():
    made = year_of_backups()

    kept = kept_by_age(Catalogue(made, ()), KEEPING, now=NOW)

    chosen = [one for one in made if one.id in kept]
    fulls = [one.ended.date() for one in chosen if one.kind == "full"]
    oldest = NOW.date().replace(year=2025, month=12, day=31)
    assert len([one for one in chosen if one.kind == "incremental"]) == 7
    assert [NOW.date() - timedelta(days=day) for day in range(14, 0, -1)] == fulls[-14:]
    assert fulls[0] == oldest
    assert len(fulls) == 14 + 5 + 11  # the rest of the weeks and months are among the days
    assert len({(day.year, day.month) for day in fulls}) == 12


def test_what_a_kept_incremental_builds_on_is_kept():
    full = backup(NOW - timedelta(days=30))
    late = backup(NOW - timedelta(hours=1), full)
    nothing = Keeping(whole=timedelta(hours=2), days=0, weeks=0, months=0)

    kept = kept_by_age(Catalogue([full, late], ()), nothing, now=NOW)

    assert kept.keys() == {full.id, late.id}


def test_what_is_due_is_told_by_what_there_is():
    full = backup(NOW - timedelta(hours=23))
    recent = backup(NOW - timedelta(minutes=30), full)

    assert due([], RHYTHM, now=NOW, can_increment=True) == "full"
    assert due([full], RHYTHM, now=NOW, can_increment=True) == "incremental"
    assert due([full], RHYTHM, now=NOW, can_increment=False) is None
    assert due([full, recent], RHYTHM, now=NOW, can_increment=True) is None
    assert due([full, recent], RHYTHM, now=NOW + timedelta(hours=1), can_increment=True) == "full"
