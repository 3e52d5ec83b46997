"""Days of every zone: each begins at the first instant of its date, on a quarter of an hour, and ends where the next begins."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from bursar.kernel.zones import days_of, earliest_of, latest_of, zone_names

INSTANT = timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", date(2026, 3, 29), 23),
        ("Europe/Berlin", date(2025, 10, 26), 25),
        ("America/New_York", date(2026, 3, 8), 23),
        ("America/New_York", date(2025, 11, 2), 25),
        ("Australia/Lord_Howe", date(2026, 4, 5), 24.5),
        ("America/Havana", date(2025, 11, 2), 25),
        ("Asia/Beirut", date(2026, 3, 29), 23),
        ("Africa/Cairo", date(2026, 4, 24), 23),
        ("Pacific/Apia", date(2011, 12, 30), 0),
        ("UTC", date(2026, 3, 29), 24),
    ],
)
def test_a_day_is_as_long_as_the_zone_makes_it(zone: str, day: date, hours: float):
    days = days_of(ZoneInfo(zone), day, day)

    assert days.ends_at - days.starts_at == timedelta(hours=hours)


def test_in_every_zone_a_day_begins_with_its_date_and_on_a_quarter_of_an_hour():
    """Each zone's days around every change of its clocks in two years, one of them the year of most changes."""
    for name in zone_names():
        zone = ZoneInfo(name)
        for year in (2011, 2026):
            for first, last in _changes(zone, year):
                days = days_of(zone, first, last)
                for day, begins, ends in zip(days.days, days.bounds, days.bounds[1:], strict=False):
                    assert earliest_of(day) < begins <= ends < latest_of(day), (name, day)
                    assert (begins.minute % 15, begins.second) == (0, 0), (name, day)
                    assert begins == ends or begins.astimezone(zone).date() == day, (name, day)
                    assert (begins - INSTANT).astimezone(zone).date() < day, (name, day)


def _changes(zone: ZoneInfo, year: int) -> list[tuple[date, date]]:
    """Return the days around each change of a zone's clocks in a year, and those around its first day."""
    noons = [datetime(year, 1, 1, 12, tzinfo=UTC) + timedelta(days=n) for n in range(365)]
    offsets = [noon.astimezone(zone).utcoffset() for noon in noons]
    changed = [noons[n].date() for n in range(1, 365) if offsets[n] != offsets[n - 1]]
    return [(day - timedelta(days=2), day + timedelta(days=2)) for day in [date(year, 1, 5), *changed]]
