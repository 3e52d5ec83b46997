"""Who frees a seat and who waits for it meet in the middle: the order of their locks is one, and neither is ended by a deadlock."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from booking.studio import Studio, studio, told
from bursar.apps.booking import passes
from bursar.apps.booking.bookings import seats
from bursar.apps.booking.bookings.waiting import CLOSE_WAITLIST
from bursar.kernel import ids
from bursar.kernel.db import Database, Transaction

pytestmark = pytest.mark.anyio

SIX = datetime(2026, 3, 5, 23, tzinfo=UTC)
LONG_S = 10
_WAITS = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"


@pytest.fixture
async def desk(db: Database, database_url: str) -> AsyncIterator[Studio]:
    async with studio(db, database_url) as made:
        yield made


async def held_until_now(desk: Studio) -> tuple[str, str]:
    """Return a class whose only seat was held until now, and who waits for it."""
    flow = await desk.class_at(SIX, capacity=1, policy=await desk.policy(needs_approval=True, waitlist_until_minutes=0))
    told(await desk.book(flow, await desk.person("first", owns=1), source="online"))
    waits = await desk.person("ann", owns=1)
    told(await desk.wait(flow, waits))
    async with desk.stage.db.tenant(desk.stage.tenant_id) as tx:
        await tx.execute("update booking set status = 'held', held_until = $1", desk.clock.now + timedelta(minutes=15))
    desk.at(desk.clock.now + timedelta(minutes=16))
    return flow, waits


@asynccontextmanager
async def booking_begun(desk: Studio, customer: str) -> AsyncIterator[Transaction]:
    """Open what a booking of a customer begins with: his other bookings queue up."""
    async with desk.stage.db.tenant(desk.stage.tenant_id) as tx:
        await passes.queue_up(tx, tenant_id=desk.stage.tenant_id, customer_id=ids.parse(ids.CUSTOMER, customer))
        yield tx


async def goes_on(tx: Transaction, desk: Studio, flow: str) -> None:
    """Do what a booking does next: lock the class. Who frees its seat must not hold that and wait for the customer."""
    class_id = ids.parse(ids.CLASS, flow)
    async with asyncio.timeout(LONG_S):
        await seats.locked(tx, tenant_id=desk.stage.tenant_id, class_id=class_id)


async def until_waits(desk: Studio) -> None:
    """Return when a transaction waits for another's lock."""
    async with asyncio.timeout(LONG_S):
        while not await desk.stage.value(_WAITS):
            await asyncio.sleep(0.01)


async def test_a_hold_that_ends_while_the_next_in_the_queue_books_waits_for_him_before_the_class(desk: Studio):
    flow, ann = await held_until_now(desk)

    async with booking_begun(desk, ann) as tx:
        ending = asyncio.create_task(desk.work())
        await until_waits(desk)
        await goes_on(tx, desk, flow)
    await ending

    assert (await desk.of(ann, flow), await desk.seats(flow)) == (["requested"], (1, 0, 0))
    assert await desk.stage.value("select count(*) from job where state <> 'done' and attempts > 0") == 0
    assert await desk.broken() == {}


async def test_whoever_frees_a_seat_leaves_it_to_the_next_in_the_queue_who_is_busy(desk: Studio):
    flow, ann = await held_until_now(desk)
    zoe = await desk.person("zoe", owns=1)

    async with booking_begun(desk, ann) as tx:
        async with asyncio.timeout(LONG_S):
            told(await desk.wait(flow, zoe))
        free = await desk.seats(flow)
        await goes_on(tx, desk, flow)
    await desk.work()

    assert free == (0, 0, 2)
    assert (await desk.of(ann, flow), await desk.seats(flow)) == (["requested"], (1, 0, 1))
    assert await desk.broken() == {}


async def test_who_joins_while_the_waitlist_is_being_closed_does_not_hold_the_class_from_the_job(desk: Studio):
    flow = await desk.class_at(SIX, capacity=1)
    await desk.booked(flow, await desk.person("first", owns=1))
    told(await desk.wait(flow, await desk.person("ann", owns=1)))
    bob = await desk.person("bob", owns=1)

    async with desk.stage.db.tenant(desk.stage.tenant_id) as tx:
        # What a job ends with, in the transaction in which it does its work: here it comes first.
        await tx.execute("delete from job where kind = $1", CLOSE_WAITLIST)
        joining = asyncio.create_task(desk.wait(flow, bob))
        await until_waits(desk)
        await goes_on(tx, desk, flow)
    told(await joining)

    assert await desk.seats(flow) == (0, 1, 2)
    assert await desk.stage.value("select count(*) from job where kind = $1", CLOSE_WAITLIST) == 1
