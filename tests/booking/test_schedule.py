"""The schedule through HTTP: what recurs, what is edited, what stands in the way, and what is told of time."""

import asyncio
import zoneinfo
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from api.conftest import Caller, caller_of, running
from bursar.apps.booking.schedule.jobs import MAKE_CLASSES, PLACE_AGAIN, SCHEDULES, place_classes_again
from bursar.apps.booking.schedule.materialising import materialise
from bursar.apps.booking.schedule.settings import settings_of
from bursar.apps.booking.schedule.templates import live_templates
from bursar.kernel import ids, jobs
from bursar.kernel.settings import Settings
from databases import opened
from stage import set_stage

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 2, 20, 12, tzinfo=UTC)


@dataclass
class Studio:
    """A business in New York, with a venue, a room of ten and an instructor of its own for each test that asks."""

    caller: Caller
    theirs: Caller
    clock: list[datetime]

    async def ok(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        answer = await self.caller.send(method, path, body, **query)
        assert answer.status_code in (200, 201, 204), answer.text
        return answer.json() if answer.content else None

    async def refused(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        answer = await self.caller.send(method, path, body)
        assert answer.status_code in (404, 409, 422), answer.text
        return answer.json()

    async def place(self, zone: str = "America/New_York") -> dict[str, str]:
        """Return what says where and who: a new venue, its room and an instructor."""
        venue = await self.ok("POST", "/v1/venues", {"name": "Loft", "time_zone": zone})
        room = await self.ok("POST", "/v1/rooms", {"venue": venue["id"], "name": "Hall", "capacity": 10})
        staff = await self.ok("POST", "/v1/staff", {"name": "Ines"})
        return {"venue": venue["id"], "room": room["id"], "staff": staff["id"]}

    async def template(self, place: dict[str, str], **more: Any) -> dict[str, Any]:
        new = {
            "title": "Flow",
            "duration_min": 60,
            "rrule": "FREQ=WEEKLY",
            "starts_on": "2026-02-22",
            "local_start": "09:00",
        }
        return await self.ok("POST", "/v1/class-templates", place | new | more)

    async def classes(self, **query: Any) -> list[dict[str, Any]]:
        return (await self.ok("GET", "/v1/classes", limit=200, **query))["data"]

    async def book(self, of: dict[str, Any], seats: int = 1) -> None:
        """Let seats be given out, and a live booking stand for them."""
        stage, class_id, customer = self.caller.stage, ids.parse(ids.CLASS, of["id"]), ids.new()
        async with stage.db.tenant(stage.tenant_id) as tx:
            await tx.execute(
                """insert into customer (tenant_id, id, gateway_account_id, gateway_ref, created_at)
                select tenant_id, $1::uuid, id, $1::uuid::text, now() from gateway_account limit 1""",
                customer,
            )
            await tx.execute("update class_instance set booked = booked + $2 where id = $1", class_id, seats)
            await tx.execute(
                """insert into booking (tenant_id, id, number, customer_id, kind, class_id, venue_id, status, seats, starts_at, ends_at,
                  local_date, source, paid_with, terms, snapshot, cancel_by, booked_by)
                select c.tenant_id, $2::uuid, upper(translate(substr(md5($2::uuid::text), 1, 7), '0124568', 'GHJKLMN')), $3, 'class', c.id, c.venue_id,
                  'booked', $4, c.starts_at, c.ends_at, c.local_date, 'online', 'nothing', '{}', '{}', c.starts_at - interval '12 hours', 'me'
                from class_instance c where c.id = $1""",
                *(class_id, ids.new(), customer, seats),
            )

    async def night(self) -> int:
        """Let the night's job run; return how many classes it made."""
        stage, now = self.caller.stage, self.clock[0]
        async with stage.db.tenant(stage.tenant_id) as tx:
            settings = await settings_of(tx, tenant_id=stage.tenant_id)
            live = await live_templates(tx, tenant_id=stage.tenant_id, now=now)
            return len(await materialise(tx, tenant_id=stage.tenant_id, templates=live, settings=settings, now=now))


@pytest.fixture(scope="module")
async def studio(shared_database_url: str) -> AsyncIterator[Studio]:
    clock = [NOW]
    async with (
        opened(shared_database_url) as db,
        running(shared_database_url, clock=lambda: clock[0]) as (_, http),
    ):
        mine, theirs = [
            await caller_of(await set_stage(db, shared_database_url, name=n), http) for n in ("Mine", "Theirs")
        ]
        yield Studio(mine, theirs, clock)


async def test_a_rule_makes_its_classes_by_the_wall_through_a_change_of_clocks_and_once(studio):
    place = await studio.place()

    template = await studio.template(place, is_published=True)
    made = await studio.classes(template=template["id"])

    assert [each["local_date"] for each in made] == [str(date(2026, 2, 22) + timedelta(weeks=n)) for n in range(8)]
    assert {each["local_start"] for each in made} == {"09:00"}
    assert made[1]["local"] == "2026-03-01T09:00-05:00[America/New_York]"
    assert (made[2]["local"], made[2]["starts_at"]) == (
        "2026-03-08T09:00-04:00[America/New_York]",
        "2026-03-08T13:00:00Z",
    )
    assert {each["capacity"] for each in made} == {10}
    assert {each["seats_left"] for each in made} == {10}
    assert await studio.night() == 0
    studio.clock[0] = NOW + timedelta(days=7)
    assert await studio.night() == 1
    assert await studio.night() == 0
    studio.clock[0] = NOW
    assert MAKE_CLASSES in {schedule.kind for schedule in SCHEDULES}


async def test_a_wall_time_that_the_clock_jumps_over_is_shifted_and_flagged(studio):
    place = await studio.place()

    template = await studio.template(place, local_start="02:30")
    gap = next(e for e in await studio.classes(template=template["id"]) if e["local_date"] == "2026-03-08")
    others = [e for e in await studio.classes(template=template["id"]) if e["local_date"] != "2026-03-08"]

    assert gap["is_shifted"] is True
    assert gap["local_start"] == "02:30"
    assert gap["local"] == "2026-03-08T03:30-04:00[America/New_York]"
    assert {e["is_shifted"] for e in others} == {False}
    assert {e["local"][11:16] for e in others} == {"02:30"}


async def test_a_wall_time_that_comes_twice_is_its_first(studio):
    place = await studio.place("Europe/Berlin")

    new = {"title": "Late", "duration_min": 60, "local_date": "2026-10-25", "local_start": "02:30"}
    added = await studio.ok("POST", "/v1/classes", place | new)

    assert added["local"] == "2026-10-25T02:30+02:00[Europe/Berlin]"
    assert added["local_end"] == "2026-10-25T02:30+01:00[Europe/Berlin]"
    assert added["is_shifted"] is False


async def test_a_class_edited_alone_keeps_what_its_template_says_from_then_on(studio):
    place = await studio.place()
    template = await studio.template(place)
    first, second, third, *_ = await studio.classes(template=template["id"])

    edited = await studio.ok("PATCH", f"/v1/classes/{second['id']}", {"title": "Guest", "local_date": "2026-03-02"})
    await studio.ok("DELETE", f"/v1/classes/{third['id']}")
    await studio.ok(
        "PATCH",
        f"/v1/class-templates/{template['id']}",
        {"title": "Slow", "local_start": "10:00", "is_published": True},
    )
    now = {e["id"]: e for e in await studio.classes(template=template["id"])}

    assert (edited["is_edited"], edited["slot"]) == (True, "2026-03-01")
    assert (now[first["id"]]["title"], now[first["id"]]["local"][11:16]) == ("Slow", "10:00")
    assert (now[second["id"]]["title"], now[second["id"]]["local_date"]) == ("Guest", "2026-03-02")
    assert now[second["id"]]["is_published"] is False
    assert third["id"] not in now
    assert await studio.night() == 0


async def test_what_recurs_does_not_end_before_it_begins(studio):
    place = await studio.place()
    new = {
        "title": "Flow",
        "duration_min": 60,
        "rrule": "FREQ=DAILY",
        "local_start": "09:00",
        "starts_on": "2026-03-09",
    }

    refused = await studio.refused("POST", "/v1/class-templates", place | new | {"ends_on": "2026-03-08"})
    made = await studio.ok("POST", "/v1/class-templates", place | new | {"ends_on": "2026-03-09"})
    path = f"/v1/class-templates/{made['id']}"
    turned = await studio.refused("PATCH", path, {"starts_on": "2026-03-10"})

    for answer in (refused, turned):
        assert (answer["code"], answer["errors"][0]["field"]) == ("recurrence_invalid", "ends_on")
    assert len(await studio.classes(venue=place["venue"])) == 1


async def test_this_and_following_splits_the_template_and_keeps_who_booked(studio):
    place = await studio.place()
    template = await studio.template(place, rrule="FREQ=WEEKLY;COUNT=6")
    made = await studio.classes(template=template["id"])
    await studio.book(made[3], seats=2)

    refused = await studio.refused(
        "POST", f"/v1/class-templates/{template['id']}/splits", {"from_day": "2026-03-15", "local_start": "11:00"}
    )
    other_day = await studio.refused("POST", f"/v1/class-templates/{template['id']}/splits", {"from_day": "2026-03-16"})
    unchanged = await studio.classes(template=template["id"])
    following = await studio.ok(
        "POST", f"/v1/class-templates/{template['id']}/splits", {"from_day": "2026-03-08", "title": "Slow"}
    )
    before, after = await studio.classes(template=template["id"]), await studio.classes(template=following["id"])

    assert (refused["code"], other_day["code"]) == ("class_has_bookings", "not_a_class_day")
    assert unchanged[3]["booked"] == 2
    assert [e["id"] for e in unchanged] == [e["id"] for e in made]
    assert (following["follows"], following["rrule"]) == (template["id"], "FREQ=WEEKLY;COUNT=4")
    assert [e["id"] for e in before] == [e["id"] for e in made[:2]]
    assert [e["id"] for e in after] == [e["id"] for e in made[2:]]
    assert {e["title"] for e in after} == {"Slow"}
    assert after[1]["booked"] == 2
    assert (await studio.ok("GET", f"/v1/class-templates/{template['id']}"))["ends_on"] == "2026-03-07"
    assert await studio.night() == 0


async def test_a_rule_that_is_changed_and_changed_back_has_its_classes_again(studio):
    place = await studio.place()
    template = await studio.template(place, rrule="FREQ=WEEKLY;BYDAY=SU")
    path = f"/v1/class-templates/{template['id']}"
    before = await studio.classes(template=template["id"])

    await studio.ok("PATCH", path, {"rrule": "FREQ=WEEKLY;BYDAY=MO"})
    mondays = await studio.classes(template=template["id"])
    await studio.ok("PATCH", path, {"rrule": "FREQ=WEEKLY;BYDAY=SU"})

    assert {e["local_date"] for e in mondays}.isdisjoint(e["local_date"] for e in before)
    assert len(mondays) == 8
    assert [(e["id"], e["local"]) for e in await studio.classes(template=template["id"])] == [
        (e["id"], e["local"]) for e in before
    ]


async def test_a_room_and_an_instructor_are_taken_once_and_both_are_told(studio):
    place, other = await studio.place(), await studio.place()
    await studio.template(place)
    new = {"title": "Clash", "duration_min": 30, "local_date": "2026-03-01", "local_start": "09:59"}

    both = await studio.refused("POST", "/v1/classes", place | new)
    room = await studio.refused("POST", "/v1/classes", place | new | {"staff": other["staff"]})
    staff = await studio.refused("POST", "/v1/classes", other | new | {"staff": place["staff"]})
    after = await studio.ok("POST", "/v1/classes", place | new | {"local_start": "10:00"})

    assert [e["code"] for e in both["errors"]] == ["instructor_taken", "room_taken"]
    assert (room["code"], staff["code"]) == ("room_taken", "instructor_taken")
    assert after["warnings"] == []


async def test_an_instructor_gives_classes_of_what_he_teaches(studio):
    place = await studio.place()
    staff = f"/v1/staff/{place['staff']}"
    new = place | {"title": "Reformer", "duration_min": 60, "local_date": "2026-03-05", "local_start": "07:00"}
    alone = {name: value for name, value in new.items() if name not in {"room", "staff"}}
    taught = await studio.ok("PATCH", staff, {"teaches": ["yoga", "breath-work"]})

    other = await studio.refused("POST", "/v1/classes", new | {"category": "pilates"})
    unsaid = await studio.refused("POST", "/v1/classes", new)
    his = await studio.ok("POST", "/v1/classes", new | {"category": "yoga"})
    changed = await studio.refused("PATCH", f"/v1/classes/{his['id']}", {"category": "pilates"})
    nobody = await studio.ok("POST", "/v1/classes", alone | {"category": "pilates", "capacity": 5})
    given = await studio.refused(
        "PATCH", f"/v1/classes/{nobody['id']}", {"staff": place["staff"], "local_start": "09:00"}
    )
    await studio.ok("PATCH", staff, {"teaches": ["breath-work"]})
    listed = (await studio.ok("GET", "/v1/schedule-conflicts"))["data"]
    await studio.ok("PATCH", staff, {"teaches": []})
    everything = await studio.ok("PATCH", f"/v1/classes/{his['id']}", {"category": "pilates"})

    assert taught["teaches"] == ["yoga", "breath-work"]
    assert {each["code"] for each in (other, unsaid, changed, given)} == {"instructor_not_qualified"}
    assert other["errors"][0]["field"] == "staff"
    assert "teaches yoga, breath-work, and this is pilates" in other["detail"]
    assert [(each["rule"], each["class"]) for each in listed if each["rule"] == "instructor_qualified"] == [
        ("instructor_qualified", his["id"])
    ]
    assert everything["category"] == "pilates"


async def test_ten_who_want_one_room_at_once_get_it_once(studio):
    place = await studio.place()
    new = place | {"title": "Race", "duration_min": 60, "local_date": "2026-03-04", "local_start": "18:00"}

    answers = await asyncio.gather(*(studio.caller.post("/v1/classes", new) for _ in range(10)))

    assert sorted(a.status_code for a in answers) == [201] + [409] * 9
    assert len(await studio.classes(venue=place["venue"])) == 1


async def test_a_business_may_choose_to_be_only_warned(studio):
    place = await studio.place()
    await studio.template(place)
    new = {"title": "Second", "duration_min": 60, "local_date": "2026-03-01", "local_start": "09:00"}
    rules = [f"/v1/booking-rules/{rule}" for rule in ("room_free", "instructor_free")]
    for rule in rules:
        await studio.ok("PUT", rule, {"is_on": True, "parameters": {"is_warning": True}})

    added = await studio.ok("POST", "/v1/classes", place | new)
    listed = (await studio.ok("GET", "/v1/schedule-conflicts"))["data"]
    for rule in rules:
        await studio.ok("PUT", rule, {"is_on": False, "parameters": {}})
    off = await studio.ok("POST", "/v1/classes", place | new)
    for rule in rules:
        await studio.ok("PUT", rule, {"is_on": True, "parameters": {}})

    assert [(w["code"], w["is_refused"]) for w in added["warnings"]] == [
        ("instructor_taken", False),
        ("room_taken", False),
    ]
    assert added["id"] in {each["class"] for each in listed}
    assert off["warnings"] == []
    for each in (added, off):
        await studio.ok("DELETE", f"/v1/classes/{each['id']}")


async def test_a_venue_that_is_closed_takes_no_class(studio):
    place = await studio.place()
    venue = f"/v1/venues/{place['venue']}"
    await studio.ok("PUT", f"{venue}/opening-hours", {"hours": [{"weekday": 7, "opens_min": 480, "closes_min": 660}]})
    await studio.ok("PUT", f"{venue}/closed-days", {"days": [{"day": "2026-03-08", "name": "Repairs"}]})
    new = {"title": "Once", "duration_min": 60, "local_start": "10:00"}

    template = await studio.template(place)
    late = await studio.refused(
        "POST", "/v1/classes", place | new | {"local_date": "2026-03-01", "local_start": "10:01"}
    )
    closed = await studio.refused("POST", "/v1/classes", place | new | {"local_date": "2026-03-08"})
    fits = await studio.ok("POST", "/v1/classes", place | new | {"local_date": "2026-03-01"})

    assert "2026-03-08" not in {e["local_date"] for e in await studio.classes(template=template["id"])}
    assert (late["code"], closed["code"]) == ("outside_opening_hours", "venue_closed_on_day")
    assert fits["local_end"] == "2026-03-01T11:00-05:00[America/New_York]"


async def test_a_class_has_the_seats_of_its_room_where_none_are_said(studio):
    place = await studio.place()
    new = {"title": "Flow", "duration_min": 60, "local_date": "2026-03-02", "local_start": "09:00"}

    once = await studio.ok("POST", "/v1/classes", place | new)
    weekly = await studio.template(place, starts_on="2026-03-03")
    nowhere = await studio.refused("POST", "/v1/classes", place | new | {"room": None})

    assert (once["capacity"], weekly["capacity"], nowhere["code"]) == (10, 10, "capacity_missing")


async def test_a_capacity_below_what_is_booked_is_refused_or_allowed_knowingly(studio):
    place = await studio.place()
    first, *_ = await studio.classes(template=(await studio.template(place))["id"])
    path = f"/v1/classes/{first['id']}"
    await studio.book(first, seats=6)

    refused = await studio.refused("PATCH", path, {"capacity": 5})
    over = await studio.refused("PATCH", path, {"capacity": 11})
    allowed = await studio.ok("PATCH", path, {"capacity": 5, "allows_overbooked": True})
    enough = await studio.ok("PATCH", path, {"capacity": 8})

    assert (refused["code"], refused["errors"][0]["message"]) == ("capacity_below_booked", "at least 6")
    assert over["code"] == "capacity_over_room"
    assert (allowed["is_overbooked"], allowed["seats_left"], allowed["booked"]) == (True, 0, 6)
    assert (enough["is_overbooked"], enough["seats_left"]) == (False, 2)


async def test_what_is_booked_is_not_moved_nor_deleted_and_the_number_is_told(studio):
    place = await studio.place()
    template = await studio.template(place)
    first, *_ = await studio.classes(template=template["id"])
    await studio.book(first, seats=3)
    stage = studio.caller.stage

    answers = {
        name: await studio.refused(method, path, body)
        for name, method, path, body in (
            ("moved", "PATCH", f"/v1/classes/{first['id']}", {"local_start": "10:00"}),
            ("deleted", "DELETE", f"/v1/classes/{first['id']}", None),
            ("retimed", "PATCH", f"/v1/class-templates/{template['id']}", {"duration_min": 90}),
            ("template", "DELETE", f"/v1/class-templates/{template['id']}", None),
            ("venue", "DELETE", f"/v1/venues/{place['venue']}", None),
            ("room", "DELETE", f"/v1/rooms/{place['room']}", None),
            ("staff", "DELETE", f"/v1/staff/{place['staff']}", None),
            ("zone", "PATCH", f"/v1/venues/{place['venue']}", {"time_zone": "Europe/Rome"}),
        )
    }

    codes = {name: answer["code"] for name, answer in answers.items()}
    assert codes == {
        **dict.fromkeys(("moved", "deleted", "retimed", "template"), "class_has_bookings"),
        **dict.fromkeys(("venue", "room", "staff"), "has_future_bookings"),
        "zone": "has_future_classes",
    }
    assert "1 bookings" in answers["venue"]["detail"]
    assert "3 seats" in answers["moved"]["detail"]
    assert (
        await stage.value(
            "select count(*) from venue where id = $1 and deleted_at is null", ids.parse(ids.VENUE, place["venue"])
        )
        == 1
    )
    assert len(await studio.classes(template=template["id"])) == 8


async def test_what_nobody_needs_any_more_is_deleted_and_hidden(studio):
    place = await studio.place()
    template = await studio.template(place)

    in_use = await studio.refused("DELETE", f"/v1/venues/{place['venue']}")
    await studio.ok("DELETE", f"/v1/class-templates/{template['id']}")
    gone = await studio.ok("DELETE", f"/v1/venues/{place['venue']}")
    again = await studio.ok("DELETE", f"/v1/venues/{place['venue']}")
    refused = await studio.refused("POST", "/v1/rooms", {"venue": place["venue"], "name": "New", "capacity": 1})

    assert in_use["code"] == "has_future_classes"
    assert gone["deleted_at"] == again["deleted_at"] != None  # noqa: E711
    assert place["venue"] not in {v["id"] for v in (await studio.ok("GET", "/v1/venues", limit=200))["data"]}
    assert place["room"] not in {r["id"] for r in (await studio.ok("GET", "/v1/rooms", limit=200))["data"]}
    assert refused["code"] == "place_deleted"
    assert await studio.classes(template=template["id"]) == []


async def test_what_has_begun_or_gone_by_stays_as_it_is(studio):
    place = await studio.place()
    first, *_ = await studio.classes(template=(await studio.template(place))["id"])
    past = {"title": "Past", "duration_min": 60, "local_date": "2026-02-20", "local_start": "06:59"}

    gone_by = await studio.refused("POST", "/v1/classes", place | past)
    studio.clock[0] = datetime.fromisoformat(first["starts_at"])
    begun = await studio.refused("PATCH", f"/v1/classes/{first['id']}", {"title": "Other"})
    studio.clock[0] = NOW

    assert (gone_by["code"], begun["code"]) == ("class_in_past", "class_started")
    assert (await studio.ok("GET", f"/v1/classes/{first['id']}"))["title"] == "Flow"


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=SECONDLY",
        "FREQ=DAILY;BYHOUR=1,2,3",
        "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=MONTHLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=YEARLY;BYWEEKNO=53;BYDAY=MO;BYSETPOS=366",
        "FREQ=MONTHLY;BYSETPOS=200;BYDAY=MO,TU,WE,TH,FR,SA,SU",
        "FREQ=DAILY;INTERVAL=7;BYDAY=MO",
        "FREQ=DAILY;INTERVAL=0",
        "FREQ=DAILY;COUNT=100000",
        "FREQ=DAILY;COUNT=1;UNTIL=20270101",
        "FREQ=WEEKLY;BYDAY=1MO",
        "FREQ=WEEKLY;UNTIL=19990101",
        "FREQ=MONTHLY;BYMONTHDAY=" + ",".join(["1"] * 40),
        "INTERVAL=1",
        "FREQ=DAILY;" * 45,
        "FREQ=DAILY\nDTSTART:20260101",
        "\N{ARABIC-INDIC DIGIT ONE}",
    ],
)
async def test_a_rule_that_nothing_can_follow_is_refused_in_a_moment(studio, rule):
    place = await studio.place()
    new = {"title": "Bomb", "duration_min": 60, "rrule": rule, "starts_on": "2026-02-22", "local_start": "09:00"}
    began = asyncio.get_running_loop().time()

    refused = await studio.refused("POST", "/v1/class-templates", place | new)

    assert refused["code"] in ("recurrence_invalid", "validation_failed", "invalid"), refused
    assert asyncio.get_running_loop().time() - began < 1.0
    assert await studio.classes(venue=place["venue"]) == []


@pytest.fixture
def another_database(tmp_path: Path) -> Iterator[Callable[[], None]]:
    """Change the zone database: where Berlin's clock stays three hours ahead of UTC for good."""
    before = zoneinfo.TZPATH

    def change() -> None:
        (tmp_path / "Europe").mkdir()
        (tmp_path / "Europe" / "Berlin").write_bytes(files("tzdata").joinpath("zoneinfo/Etc/GMT-3").read_bytes())
        (tmp_path / "tzdata.zi").write_text("# version 2031z\n")
        zoneinfo.reset_tzpath(to=[str(tmp_path)])
        zoneinfo.ZoneInfo.clear_cache()

    yield change
    zoneinfo.reset_tzpath(to=before)
    zoneinfo.ZoneInfo.clear_cache()


async def test_classes_and_their_bookings_stay_at_their_wall_time_when_the_zone_database_changes(
    studio, another_database
):
    other = Studio(studio.theirs, studio.caller, studio.clock)
    place, away = await other.place("Europe/Berlin"), await other.place("Europe/Rome")
    first, *_ = await other.classes(template=(await other.template(place))["id"])
    untouched = await other.classes(template=(await other.template(away))["id"])
    await other.book(first)
    stage, booked = other.caller.stage, "select starts_at, ends_at, cancel_by from booking"
    before = await stage.row(booked)
    resources = jobs.Resources(stage.db, Settings(database_url=stage.url), now=lambda: NOW)
    kinds = jobs.Kinds([jobs.Kind(PLACE_AGAIN, place_classes_again)])

    async def night(key: str) -> None:
        async with stage.db.tenant(stage.tenant_id) as tx:
            await jobs.enqueue(tx, tenant_id=stage.tenant_id, kind=PLACE_AGAIN, key=key)
        assert await jobs.Engine(resources, kinds).drain() == 1

    await night("calm")
    calm = await stage.row(booked)
    another_database()
    await night("changed")
    await night("again")

    moved = await other.ok("GET", f"/v1/classes/{first['id']}")
    after = await stage.row(booked)
    assert (first["local"], moved["local"]) == (
        "2026-02-22T09:00+01:00[Europe/Berlin]",
        "2026-02-22T09:00+03:00[Europe/Berlin]",
    )
    assert (calm, moved["starts_at"]) == (before, "2026-02-22T06:00:00Z")
    assert after == {name: at - timedelta(hours=2) for name, at in before.items()}
    assert await other.classes(venue=away["venue"]) == untouched
    assert await stage.value("select zone_version from schedule_setting") == "system 2031z"
    assert await stage.value("select count(*) from outbox where topic = 'class.moved'") == 8
    assert await stage.value("select count(*) from audit_record where action = 'schedule.placed_again'") == 1


async def test_pages_of_classes_neither_repeat_nor_skip_and_show_nobody_elses(studio):
    place = await studio.place()
    await studio.template(place, rrule="FREQ=DAILY")
    seen: list[str] = []
    seen_ids: list[str] = []
    cursor: dict[str, str] = {}

    while True:
        page = await studio.ok(
            "GET", "/v1/classes", venue=place["venue"], since="2026-03-01", until="2026-04-01", limit=7, **cursor
        )
        seen += [each["local_date"] for each in page["data"]]
        seen_ids += [each["id"] for each in page["data"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}

    assert seen == [f"2026-03-{day:02}" for day in range(1, 32)]
    assert not set(seen_ids) & {each["id"] for each in await studio.theirs.data("/v1/classes", limit=200)}
    assert (await studio.theirs.get("/v1/classes", venue=place["venue"])).json()["code"] == "filter_not_found"
    assert await studio.classes(venue=place["venue"], status="cancelled") == []
