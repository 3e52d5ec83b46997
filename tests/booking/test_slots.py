"""Slots are computed from hours, time off and what is taken, and are right on days that have 23 or 25 hours."""

from datetime import UTC, date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bursar.apps.booking.services.slots import Hours, Taken, TimeOff, Work, slots
from bursar.apps.booking.services.walls import stretches

ANN, BEN = UUID(int=1), UUID(int=2)
HERE, THERE = UUID(int=11), UUID(int=12)
NEW_YORK, LORD_HOWE = ZoneInfo("America/New_York"), ZoneInfo("Australia/Lord_Howe")
ZONES = [NEW_YORK, LORD_HOWE, ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Kathmandu"), ZoneInfo("UTC")]
MINUTE = timedelta(minutes=1)
SUMMER, WINTER = date(2026, 3, 8), date(2026, 11, 1)  # when New York's clocks are set


def _hours(day: date, first: int, last: int, zone: ZoneInfo = NEW_YORK, **more) -> Hours:
    return Hours(
        staff_id=more.get("staff_id", ANN),
        venue_id=more.get("venue_id", HERE),
        zone=zone,
        weekday=None,
        from_minute=first,
        to_minute=last,
        valid_from=day,
        valid_until=day,
    )


def _work(minutes: int, *, before: int = 0, after: int = 0, grid: int = 30) -> Work:
    return Work(minutes * MINUTE, before * MINUTE, after * MINUTE, grid)


def _found(day: date, hours: list[Hours], work: Work, **more) -> list[str]:
    since = datetime(day.year, day.month, day.day, tzinfo=UTC)
    found = slots(
        hours=hours,
        off=more.get("off", []),
        taken=more.get("taken", []),
        work=work,
        since=since,
        until=since + timedelta(days=2),
    )
    return [slot.starts_at.astimezone(hours[0].zone).strftime("%H:%M%z") for slot in found]


def test_a_slot_ends_within_the_hours_and_begins_on_the_grid_of_the_clock():
    found = _found(SUMMER, [_hours(SUMMER, 9 * 60 + 10, 11 * 60)], _work(60))

    assert found == ["09:30-0400", "10:00-0400"]


def test_a_day_of_23_hours_has_no_slot_in_the_hour_that_its_clock_jumps_over():
    found = _found(SUMMER, [_hours(SUMMER, 60, 4 * 60)], _work(60))

    # What begins at 01:30 goes on at 03:00 and ends at 03:30.
    assert found == ["01:00-0500", "01:30-0500", "03:00-0400"]


def test_a_day_of_25_hours_has_the_slots_of_the_hour_that_comes_twice_twice():
    found = _found(WINTER, [_hours(WINTER, 60, 3 * 60)], _work(60))

    assert found == ["01:00-0400", "01:30-0400", "01:00-0500", "01:30-0500", "02:00-0500"]


def test_hours_that_end_within_the_hour_that_comes_twice_are_two_stretches():
    found = stretches(NEW_YORK, WINTER, 0, 90)

    assert [(s.start.strftime("%H:%M"), s.end.strftime("%H:%M")) for s in found] == [
        ("04:00", "05:30"),
        ("06:00", "06:30"),
    ]


def test_hours_that_touch_over_midnight_are_worked_through():
    hours = [_hours(SUMMER, 23 * 60, 1440), _hours(SUMMER + timedelta(days=1), 0, 60)]

    assert _found(SUMMER, hours, _work(90)) == ["23:00-0400", "23:30-0400"]


def test_buffers_keep_away_from_what_is_taken_and_may_reach_beyond_the_hours():
    at = datetime(2026, 6, 1, 14, tzinfo=UTC)  # 10:00 in New York
    found = _found(
        date(2026, 6, 1),
        [_hours(date(2026, 6, 1), 9 * 60, 13 * 60)],
        _work(30, before=15, after=15),
        taken=[Taken(ANN, at, at + timedelta(hours=1)), Taken(BEN, at, at + timedelta(hours=9))],
    )

    assert found == ["09:00-0400", "11:30-0400", "12:00-0400", "12:30-0400"]


def test_buffers_are_not_applied_to_the_ends_of_a_day_nor_to_time_off():
    day, at = date(2026, 6, 1), datetime.fromisoformat
    lunch = TimeOff(ANN, None, NEW_YORK, at("2026-06-01T12:00"), at("2026-06-01T13:00"))

    found = _found(day, [_hours(day, 9 * 60, 17 * 60)], _work(60, before=30, after=30, grid=60), off=[lunch])

    assert [shown[:5] for shown in found] == ["09:00", "10:00", "11:00", "13:00", "14:00", "15:00", "16:00"]


def test_a_closed_venue_has_no_slots_while_the_other_has():
    day = date(2026, 6, 1)
    hours = [_hours(day, 540, 600), _hours(day, 540, 600, staff_id=BEN, venue_id=THERE)]
    closed = TimeOff(None, HERE, NEW_YORK, datetime.fromisoformat("2026-06-01"), datetime.fromisoformat("2026-06-02"))
    since = datetime(2026, 6, 1, tzinfo=UTC)

    found = slots(hours=hours, off=[closed], taken=[], work=_work(60), since=since, until=since + timedelta(days=1))

    assert [(slot.staff_id, slot.venue_id) for slot in found] == [(BEN, THERE)]


BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
_minutes = st.integers(0, 1440)


@st.composite
def _worlds(draw):
    zone = draw(st.sampled_from(ZONES))
    # Days about which clocks are set in these zones, and ordinary ones.
    day = draw(
        st.sampled_from(
            [
                SUMMER,
                WINTER,
                date(2026, 3, 29),
                date(2026, 10, 25),
                date(2026, 4, 5),
                date(2026, 10, 4),
                date(2026, 7, 1),
            ]
        )
    )
    hours = []
    for _ in range(draw(st.integers(1, 4))):
        first, last = sorted((draw(st.integers(0, 1439)), draw(st.integers(1, 1440))))
        if first == last:
            continue
        weekday = draw(st.none() | st.just(day.isoweekday()))
        begins = day + timedelta(days=draw(st.integers(-1, 1)))
        until = begins if weekday is None else draw(st.none() | st.just(begins))
        venue = draw(st.sampled_from([HERE, THERE]))
        hours.append(Hours(draw(st.sampled_from([ANN, BEN])), venue, zone, weekday, first, last, begins, until))
    assume(hours)
    midnight = datetime.fromisoformat(day.isoformat())
    off = []
    for _ in range(draw(st.integers(0, 2))):
        begin = midnight + MINUTE * draw(st.integers(-600, 1500))
        end = begin + MINUTE * draw(st.integers(1, 400))
        off.append(TimeOff(draw(st.sampled_from([None, ANN])), draw(st.sampled_from([None, HERE])), zone, begin, end))
    taken = []
    for _ in range(draw(st.integers(0, 4))):
        begin = midnight.replace(tzinfo=UTC) + MINUTE * draw(st.integers(-600, 2000))
        taken.append(Taken(draw(st.sampled_from([ANN, BEN])), begin, begin + MINUTE * draw(st.integers(1, 200))))
    work = _work(
        draw(st.sampled_from([5, 45, 60])),
        before=draw(st.integers(0, 30)),
        after=draw(st.integers(0, 30)),
        grid=draw(st.sampled_from([15, 20, 60])),
    )
    since = midnight.replace(tzinfo=UTC) + MINUTE * draw(st.integers(-300, 300))
    return {
        "hours": hours,
        "off": off,
        "taken": taken,
        "work": work,
        "since": since,
        "until": since + MINUTE * draw(st.integers(1, 2000)),
    }


def _naive(*, hours, off, taken, work, since, until):
    """Walk through every minute and ask everything of each."""
    found = []
    spans = [(o, *o.span) for o in off]

    def is_open(at: datetime, staff_id: UUID, venue_id: UUID) -> bool:
        if any(o.concerns(staff_id, venue_id) and begin <= at < end for o, begin, end in spans):
            return False
        for h in hours:
            if (h.staff_id, h.venue_id) == (staff_id, venue_id):
                there = at.astimezone(h.zone)
                if h.apply_to(there.date()) and h.from_minute <= there.hour * 60 + there.minute < h.to_minute:
                    return True
        return False

    for staff_id, venue_id in {(h.staff_id, h.venue_id) for h in hours}:
        zone = hours[0].zone
        open_ = {
            at: is_open(at, staff_id, venue_id)
            for at in (since + MINUTE * n for n in range(int((until - since + work.duration) / MINUTE) + 1))
        }
        busy = [(t.starts_at, t.ends_at) for t in taken if t.staff_id == staff_id]
        at = since
        while at < until:
            there = at.astimezone(zone)
            begin, end = at - work.before, at + work.duration + work.after
            if (
                (there.hour * 60 + there.minute) % work.grid == 0
                and all(open_[at + MINUTE * n] for n in range(work.duration // MINUTE))
                and not any(first < end and begin < last for first, last in busy)
            ):
                found.append((at, venue_id, staff_id))
            at += MINUTE
    return sorted(found)


@settings(max_examples=60, deadline=None)
@given(_worlds())
def test_the_slots_are_those_of_a_walk_through_every_minute(world):
    found = [(slot.starts_at, slot.venue_id, slot.staff_id) for slot in slots(**world)]

    assert found == _naive(**world)
