"""Schedules tick once, whoever looks at the clock; lanes are never forgotten."""

import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from cronsim import CronSimError

from bursar.kernel import ids, jobs
from bursar.kernel.db import Database
from bursar.kernel.jobs import INSTALLATION, Schedule, Timetable
from stage import set_stage

pytestmark = pytest.mark.anyio

MINUTELY = Schedule("tests.minutely", "* * * * *", "tests.note")


@pytest.fixture
async def old_tenants(db: Database, admin_url: str) -> list:
    tenants = [ids.new(), ids.new()]
    connection = await asyncpg.connect(admin_url)
    for tenant_id in tenants:
        await connection.execute(
            "insert into tenant (tenant_id, name, created_at) values ($1, 'Old', now() - interval '1 year')", tenant_id
        )
    await connection.close()
    return tenants


async def enqueued(db: Database, tenant_id) -> list[tuple[str, str]]:
    async with db.tenant(tenant_id) as tx:
        return [(row["kind"], row["key"]) for row in await tx.fetch("select kind, key from job order by number")]


async def test_a_tick_becomes_one_job_of_each_tenant_whoever_looks(db, old_tenants):
    await asyncio.gather(*(Timetable([MINUTELY]).tend(db) for _ in range(3)))

    for tenant_id in old_tenants:
        ((kind, key),) = await enqueued(db, tenant_id)
        assert (kind, key.partition("@")[0]) == ("tests.note", "tests.minutely")


async def test_the_next_tick_is_another_job_and_an_older_one_is_none(db, old_tenants):
    first = old_tenants[0]
    async with db.engine() as tx:
        await tx.execute(
            "insert into job_tick (tenant_id, name, tick) values ($1, 'tests.minutely', now() - interval '1 hour'), ($2, 'tests.minutely', now() + interval '30 seconds')",
            *old_tenants,
        )

    await Timetable([MINUTELY]).tend(db)

    assert len(await enqueued(db, first)) == 1
    assert await enqueued(db, old_tenants[1]) == []


async def test_a_clock_that_went_back_does_not_stop_a_schedule_until_it_is_where_it_was(db, old_tenants):
    async with db.engine() as tx:
        ahead = "insert into job_tick (tenant_id, name, tick) values ($1, 'tests.minutely', now() + interval '1 hour')"
        await tx.execute(ahead, old_tenants[0])

    for _ in range(2):
        await Timetable([MINUTELY]).tend(db)

    assert len(await enqueued(db, old_tenants[0])) == 1


async def test_work_of_the_installation_belongs_to_no_tenant(db, old_tenants):
    nightly = Schedule("tests.nightly", "0 3 * * *", "tests.back_up", per="installation")

    for _ in range(2):
        await Timetable([nightly]).tend(db)

    assert len(await enqueued(db, INSTALLATION)) == 1
    assert await enqueued(db, old_tenants[0]) == []


async def test_a_tenant_that_came_after_the_tick_waits_for_the_next(db, database_url):
    stage = await set_stage(db, database_url)
    yearly = Schedule("tests.yearly", "0 0 1 1 *", "tests.note")

    await Timetable([yearly]).tend(db)

    assert await enqueued(db, stage.tenant_id) == []


@pytest.mark.parametrize(
    ("cron", "zone", "now", "tick"),
    [
        ("0 3 * * *", "UTC", "2026-03-29T02:59:59", "2026-03-28T03:00:00"),
        ("0 3 * * *", "UTC", "2026-03-29T03:00:00", "2026-03-29T03:00:00"),
        ("0 3 * * *", "UTC", "2026-03-29T03:00:00.5", "2026-03-29T03:00:00"),
        ("0 9 * * mon", "Europe/Berlin", "2026-03-30T07:00:00", "2026-03-30T07:00:00"),
        ("0 9 * * mon", "Europe/Berlin", "2026-03-29T12:00:00", "2026-03-23T08:00:00"),
    ],
)
def test_the_last_tick_is_at_or_before_now_in_its_zone(cron, zone, now, tick):
    found = Schedule("tests.any", cron, "tests.note", zone=zone).last_tick(datetime.fromisoformat(now + "+00:00"))

    assert found == datetime.fromisoformat(tick + "+00:00")


def test_a_tenants_place_within_the_spread_is_always_the_same():
    spread = Schedule("tests.any", "0 3 * * *", "tests.note", spread_s=3600)
    tick, tenant_id = datetime(2026, 1, 1, 3, tzinfo=UTC), ids.new()

    assert spread.due_at(tenant_id, tick) == spread.due_at(tenant_id, tick)
    assert tick <= spread.due_at(tenant_id, tick) < tick + timedelta(hours=1)


def test_a_schedule_that_cannot_be_read_is_refused_when_it_is_written():
    with pytest.raises(CronSimError):
        Schedule("tests.any", "61 * * * *", "tests.note")


async def test_a_held_job_whose_lane_is_free_is_released(db, database_url):
    stage = await set_stage(db, database_url)
    async with db.tenant(stage.tenant_id) as tx:
        await jobs.enqueue(tx, tenant_id=stage.tenant_id, kind="tests.note", key="one", lane="sub_1")
        await tx.execute("update job set state = 'held'")

    await Timetable([]).tend(db)

    assert await stage.value("select state from job") == "ready"
