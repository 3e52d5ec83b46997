"""Rules fall on the days that a calendar leafed through by hand has, at the instants that the zone's own clock shows."""

from calendar import monthrange
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bursar.apps.booking.schedule import times
from bursar.apps.booking.schedule.materialising import slots_of
from bursar.apps.booking.schedule.models import Template

ZONES = (
    "America/New_York",
    "Europe/Berlin",
    "Australia/Lord_Howe",  # half an hour
    "Pacific/Auckland",
    "America/Sao_Paulo",  # the clock jumped at midnight
    "Africa/Casablanca",
    "Asia/Kathmandu",
    "Pacific/Apia",  # a whole day was left out
)
WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
LONG = timedelta(days=400)


def template(rrule: str | None, zone: str, start: time, first: date) -> Template:
    nobody = UUID(int=0)
    return Template(
        nobody, nobody, None, None, None, None, "Flow", "", "", 60, 10, None, 1, (), {}, rrule, first, start, zone, True, None, None, None, 1,
        None, datetime.now(UTC),
    )  # fmt: skip


def leafed(kind: str, interval: int, which: tuple[int, ...], first: date) -> list[date]:
    """Go through the calendar day by day."""
    monday = first - timedelta(days=first.weekday())
    found = []
    for n in range(LONG.days + 1):
        day = first + timedelta(days=n)
        months = (day.year - first.year) * 12 + day.month - first.month
        nth, last = (day.day - 1) // 7 + 1, day.day + 7 > monthrange(day.year, day.month)[1]
        falls = {
            "daily": n % interval == 0,
            "weekly": (day - monday).days // 7 % interval == 0 and day.weekday() in which,
            "monthly": months % interval == 0 and day.day in {w + 1 for w in which},
            "nth": months % interval == 0 and day.weekday() in which and nth == 2,
            "last": months % interval == 0 and day.weekday() in which and last,
        }
        if falls[kind]:
            found.append(day)
    return found


def rule(kind: str, interval: int, which: tuple[int, ...]) -> str:
    days = ",".join(WEEKDAYS[w] for w in which)
    return {
        "daily": f"FREQ=DAILY;INTERVAL={interval}",
        "weekly": f"FREQ=WEEKLY;INTERVAL={interval};BYDAY={days}",
        "monthly": f"FREQ=MONTHLY;INTERVAL={interval};BYMONTHDAY={','.join(str(w + 1) for w in which)}",
        "nth": f"FREQ=MONTHLY;INTERVAL={interval};BYDAY={','.join('2' + WEEKDAYS[w] for w in which)}",
        "last": f"FREQ=MONTHLY;INTERVAL={interval};BYDAY={','.join('-1' + WEEKDAYS[w] for w in which)}",
    }[kind]


def shown_by_the_clock(day: date, start: time, zone: ZoneInfo) -> tuple[datetime, bool]:
    """Look at the clock of the zone, minute by UTC minute so to speak: the first instant at which it shows the wall time."""
    wished = datetime.combine(day, start, UTC)
    offsets = [(wished + timedelta(hours=h)).astimezone(zone).utcoffset() for h in range(-40, 41)]
    shown = [
        wished - o for o in offsets if o is not None and (wished - o).astimezone(zone).replace(tzinfo=UTC) == wished
    ]
    before = offsets[0]
    assert before is not None
    return (min(shown), False) if shown else (wished - before, True)


@settings(max_examples=60, deadline=None)
@given(
    parts=st.tuples(st.sampled_from(("daily", "weekly", "monthly", "nth", "last")), st.integers(1, 4)),
    which=st.lists(st.integers(0, 6), min_size=1, max_size=3, unique=True).map(lambda d: tuple(sorted(d))),
    zone=st.sampled_from(ZONES),
    start=st.times(time(0), time(23, 59)).map(lambda t: t.replace(second=0, microsecond=0, minute=t.minute // 15 * 15)),
    first=st.dates(date(2010, 1, 1), date(2030, 12, 31)),
)
def test_the_classes_of_a_rule_are_those_of_a_calendar_leafed_through_by_hand(parts, which, zone, start, first):
    kind, interval = parts
    began = datetime.combine(first, time(), UTC) - timedelta(days=3)

    made = list(slots_of(template(rule(kind, interval, which), zone, start, first), first + LONG, began))

    assert [slot.day for slot in made] == leafed(kind, interval, which, first)
    assert [(s.placed.at, s.placed.is_shifted) for s in made] == [
        shown_by_the_clock(s.day, start, ZoneInfo(zone)) for s in made
    ]


@pytest.mark.parametrize(
    ("zone", "day", "start", "local", "is_shifted"),
    [
        ("America/New_York", date(2026, 3, 8), time(2, 30), "2026-03-08T03:30-04:00[America/New_York]", True),
        ("America/New_York", date(2026, 11, 1), time(1, 30), "2026-11-01T01:30-04:00[America/New_York]", False),
        ("Europe/Berlin", date(2026, 3, 29), time(2, 0), "2026-03-29T03:00+02:00[Europe/Berlin]", True),
        ("Australia/Lord_Howe", date(2026, 10, 4), time(2, 15), "2026-10-04T02:45+11:00[Australia/Lord_Howe]", True),
        ("America/Sao_Paulo", date(2018, 11, 4), time(0, 30), "2018-11-04T01:30-02:00[America/Sao_Paulo]", True),
        ("Pacific/Apia", date(2011, 12, 30), time(9, 0), "2011-12-31T09:00+14:00[Pacific/Apia]", True),
        ("Asia/Kathmandu", date(2026, 6, 1), time(6, 0), "2026-06-01T06:00+05:45[Asia/Kathmandu]", False),
    ],
)
def test_known_jumps_of_clocks(zone, day, start, local, is_shifted):
    placed = times.placed(day, start, ZoneInfo(zone))

    assert (times.local(placed.at, zone), placed.is_shifted) == (local, is_shifted)


def test_a_time_is_told_with_its_zone():
    at = datetime(2026, 3, 8, 13, tzinfo=UTC)

    assert times.told(at, "America/New_York") == "Sun 8 March 2026, 09:00 EDT (America/New_York)"
    assert times.told(at, "America/Sao_Paulo") == "Sun 8 March 2026, 10:00 UTC-03:00 (America/Sao_Paulo)"
    assert times.local(at.replace(second=7), "UTC") == "2026-03-08T13:00:07+00:00[UTC]"
