"""The tally of payments: exact at every commit, made again by a command, and right while events are applied meanwhile."""

import asyncio
from datetime import timedelta

import asyncpg
import pytest
from days_of_business import history

from api.conftest import World
from bursar.money.reports import rebuild_tallies
from bursar.operations.invariants.books import BOOKS
from stage import Stage

pytestmark = pytest.mark.anyio

WRONG = next(invariant for invariant in BOOKS if invariant.name == "payments_are_tallied").statement(limit=20)


async def wrong(stage: Stage) -> int:
    return len(await stage.rows(WRONG, stage.tenant_id))


async def rebuilt(stage: Stage) -> int:
    async with stage.db.tenant(stage.tenant_id) as tx:
        return await rebuild_tallies(tx, tenant_id=stage.tenant_id, actor="operator")


async def test_a_tally_that_went_wrong_is_found_and_made_right_and_nothing_else_is_touched(
    world: World, admin_url: str
):
    mine, theirs = world.mine.stage, world.theirs.stage
    await mine.tell(*history(1)[:60])
    await theirs.tell(*history(1)[:60])
    admin = await asyncpg.connect(admin_url)
    before = await mine.rows("select * from payment_tally where payments <> 0 order by 1, 2, 3, 4, 5")

    await admin.execute("delete from payment_tally where status = 'succeeded'")
    await admin.execute(
        "update payment_tally set payments = payments + 1, amount_minor = 7 where tenant_id = $1", mine.tenant_id
    )
    found = await wrong(mine)
    corrected = [await rebuilt(mine), await rebuilt(mine)]
    await admin.close()

    assert found
    assert corrected[0] >= found
    assert corrected[1] == 0
    assert await wrong(mine) == 0
    assert await wrong(theirs) > 0
    assert await mine.rows("select * from payment_tally where payments <> 0 order by 1, 2, 3, 4, 5") == before


async def test_it_is_rebuilt_while_events_are_applied_and_twice_at_once(world: World, admin_url: str):
    stage = world.mine.stage
    events = history(1)
    await stage.tell(*events[:40])
    admin = await asyncpg.connect(admin_url)
    await admin.execute("delete from payment_tally where tenant_id = $1", stage.tenant_id)
    await admin.close()

    async def apply() -> None:
        for start in range(40, len(events), 10):
            await stage.deliver(*events[start : start + 10])
            await stage.apply()

    async def rebuild() -> None:
        for _ in range(12):
            await rebuilt(stage)
            await asyncio.sleep(0)

    await asyncio.gather(apply(), rebuild(), rebuild())

    assert await wrong(stage) == 0
    assert await stage.value("select sum(payments)::int from payment_tally") == await stage.value(
        "select count(*)::int from payment where superseded_by is null"
    )


async def test_whoever_writes_a_payment_by_whatever_way_is_counted(world: World, admin_url: str):
    stage = world.mine.stage
    await stage.tell(*history(1)[:60])
    admin = await asyncpg.connect(admin_url)

    await admin.execute("update payment set status = 'canceled' where status = 'succeeded' and currency = 'EUR'")
    await admin.execute(
        "update payment set amount_minor = amount_minor + 1, created_at = created_at + $1", timedelta(days=1)
    )
    await admin.execute("update payment set superseded_by = id where currency = 'JPY'")
    counted = await admin.fetchval("select sum(payments) from payment_tally where currency = 'JPY'")
    await admin.execute("update payment set superseded_by = null, description = 'again'")
    await admin.close()

    assert counted == 0
    assert await wrong(stage) == 0
